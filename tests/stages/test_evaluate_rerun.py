"""A record is repeated with the inputs that it names, and with no others."""

from __future__ import annotations

import json
import shutil

import pytest

from posemill.errors import InputError
from posemill.formats.artifact import write
from posemill.stages import evaluate
from tests.stages import exported_subject as es


@pytest.fixture
def evaluated(tmp_path):
    """A folder with an evaluation and, below it, what it was made from."""
    (tmp_path / "in").mkdir()
    write(tmp_path / "in/merged.h5", es.merged(shift_m=(0.03, 0.04, 0)))
    write(tmp_path / "in/truth.h5", es.truth())
    write(tmp_path / "in/keypoints2d.h5", es.keypoints(shift_px=(3, 4)))
    evaluate.run(
        tmp_path / "in/merged.h5",
        tmp_path / "in/truth.h5",
        tmp_path / "e.json",
        es.REQUEST,
        tmp_path / "in/keypoints2d.h5",
        protocol_name="posemill-14",
        accept=("shift",),
    )
    return tmp_path


def test_the_same_inputs_give_the_same_numbers(evaluated, capsys):
    before = (evaluated / "e.json").read_bytes()
    evaluate.rerun(evaluated / "e.json", es.REQUEST)
    assert "numbers are equal" in capsys.readouterr().out
    assert (evaluated / "e.json").read_bytes() == before


def test_the_inputs_may_have_moved(evaluated, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.move(evaluated / "in", elsewhere / "deep")
    with pytest.raises(InputError, match=r"expected input keypoints2d\.h5 with sha256 [0-9a-f]{64}, got none"):
        evaluate.rerun(evaluated / "e.json", es.REQUEST)
    evaluate.rerun(evaluated / "e.json", es.REQUEST, elsewhere)


def test_another_content_is_refused(evaluated):
    write(evaluated / "in/truth.h5", es.truth(49))
    with pytest.raises(InputError, match=r"truth\.h5 with sha256 .* got 1 of this name with another content"):
        evaluate.rerun(evaluated / "e.json", es.REQUEST)


def test_another_number_is_listed_with_both_values(evaluated, capsys):
    document = json.loads((evaluated / "e.json").read_text())
    changed = next(r for r in document["records"] if r["metric"] == "root" and r["part"] == "walk")
    right, changed["value"] = changed["value"], 1.0
    (evaluated / "e.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="1 others"):
        evaluate.rerun(evaluated / "e.json", es.REQUEST)
    assert f"was 1.0, is {right}" in capsys.readouterr().out


def test_another_file_is_no_record(evaluated):
    (evaluated / "x.json").write_text("{}")
    with pytest.raises(InputError, match="expected posemill records"):
        evaluate.rerun(evaluated / "x.json", es.REQUEST)
