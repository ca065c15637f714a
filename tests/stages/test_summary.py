from __future__ import annotations

import csv

import numpy as np
import pytest

from posemill.errors import ClipError, InputError
from posemill.formats.artifact import Clip, write
from posemill.stages import summary
from tests.stages import exported_subject as es


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_row_for_each_clip(tmp_path):
    made = es.merged(50, invalid=tuple(range(5)))
    made.clips["bad"] = Clip().failed("not a video:\ttext")
    write(tmp_path / "a.h5", made)
    other = es.merged(10, frame="camera")
    other.subject = "S0"
    write(tmp_path / "b.h5", other)
    summary.run([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "s.tsv")
    table = rows(tmp_path / "s.tsv")
    assert [(r["subject"], r["clip"]) for r in table] == [("S0", "walk"), ("S1", "bad"), ("S1", "walk")]
    walk = table[2]
    assert (walk["status"], walk["frames"], walk["valid_percent"], walk["fps"]) == ("ok", "50", "90.0", "25.000")
    assert (walk["duration_s"], walk["frame"], walk["sigma_mm"]) == ("2.00", "world", "20.0")
    assert table[1]["reason"] == "not a video: text" and table[1]["frames"] == ""
    assert (table[0]["frame"], table[0]["world_source"]) == ("camera", "none")


def test_figures_of_all_methods_are_of_the_same_joints(tmp_path):
    tables = []
    for joints_of in ("h36m17", "posemill21"):
        made = es.merged(50, joints_of=joints_of)
        arrays = made.clips["walk"].tracks["p1"].arrays
        for name in ("joints", "joints_camera", "sigma", "moved"):
            arrays[name][:10, 17:] = np.nan
        arrays["valid"][:10, 17:] = False
        arrays["sigma"][10:, 17:] = 0.5
        write(tmp_path / "a.h5", made)
        summary.run([tmp_path / "a.h5"], tmp_path / "s.tsv")
        tables.append(rows(tmp_path / "s.tsv"))
    assert tables[0] == tables[1]


def test_check_is_silent_when_all_is_well(tmp_path):
    write(tmp_path / "a.h5", es.merged(3))
    summary.run([tmp_path / "a.h5"], tmp_path / "s.tsv")
    summary.check(tmp_path / "s.tsv")


def test_check_names_the_failed_clips_and_counts_them(tmp_path):
    made = es.merged(3, ("a", "b", "c"))
    made.clips["b"] = Clip().failed("nobody seen in 3 frames")
    made.clips["d"] = Clip().failed("not a video")
    write(tmp_path / "a.h5", made)
    summary.run([tmp_path / "a.h5"], tmp_path / "s.tsv")
    with pytest.raises(ClipError) as error:
        summary.check(tmp_path / "s.tsv")
    assert str(error.value).startswith("2 of 4 clips failed: S1/b (nobody seen in 3 frames); S1/d (not a video); see ")


def test_check_of_another_file(tmp_path):
    (tmp_path / "s.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match="columns: expected subject clip"):
        summary.check(tmp_path / "s.tsv")
    with pytest.raises(InputError, match="cannot be read"):
        summary.check(tmp_path / "none.tsv")
