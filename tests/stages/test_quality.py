from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from posemill.errors import ArtifactError, ClipError, InputError
from posemill.formats.artifact import Artifact, Clip, write
from posemill.plan import plan
from posemill.stages import quality, summary
from tests.stages import exported_subject as es


def judged(tmp_path, merged: Artifact, seen: Artifact, name: str = "q", **options) -> dict:
    write(tmp_path / "merged.h5", merged)
    write(tmp_path / "keypoints.h5", seen)
    request = plan("quality", options=options)
    report = quality.run(tmp_path / "merged.h5", tmp_path / "keypoints.h5", tmp_path / f"{name}.json", request)
    assert json.loads((tmp_path / f"{name}.json").read_text()) == report
    return report


def table(tmp_path, *reports: str, merged: str = "merged.h5") -> list[dict[str, str]]:
    summary.run([tmp_path / merged], tmp_path / "s.tsv", [tmp_path / f"{r}.json" for r in reports])
    with (tmp_path / "s.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def two_clips() -> tuple[Artifact, Artifact]:
    """Someone who glides along x: seen as such in ``walk``, 30 px aside in ``off``; ``bad`` failed."""
    merged, seen = es.merged(clips=("walk", "off")), es.keypoints(clips=("walk", "off"))
    seen.clips["off"] = es.keypoints(clips=("off",), shift_px=(18, 24)).clips["off"]
    for artifact in (merged, seen):
        artifact.clips["bad"] = Clip().failed("not a video")
    return merged, seen


def test_each_clip_has_a_verdict_with_reasons(tmp_path):
    report = judged(tmp_path, *two_clips(), gates={"sigma_mm": {"warn": 15}})
    walk, off = (report["clips"][name] for name in ("walk", "off"))
    assert report["clips"]["bad"] == {"status": "failed", "reason": "not a video", "outcome": None, "tracks": {}}
    assert walk["outcome"] == "warn" and "sigma 20 mm (warn above 15)" in walk["tracks"]["p1"]["reasons"]
    assert off["outcome"] == "fail" and off["tracks"]["p1"]["reasons"][0].startswith("reprojection 14 %")
    assert off["tracks"]["p1"]["values"]["reprojection_px"] == pytest.approx(30, abs=1e-3)
    for name, what in report["measures"].items():
        assert what["unit"] and what["definition"] and name in walk["tracks"]["p1"]["values"]
    assert (report["measures"]["sigma_mm"]["warn"], report["measures"]["sigma_mm"]["fail"]) == (15, None)


def test_heels_and_toes_have_no_say_in_gates_that_hold_for_all_methods(tmp_path):
    merged, seen = two_clips()
    with_feet = es.merged(clips=("walk", "off"), joints_of="posemill21")
    with_feet.clips["bad"] = merged.clips["bad"]
    for name, value in (("sigma", 0.5), ("moved", 0.3)):
        with_feet.clips["walk"].tracks["p1"].arrays[name][:, 17:] = value
    assert judged(tmp_path, with_feet, seen)["clips"] == judged(tmp_path, merged, seen)["clips"]


def test_in_the_camera_frame_the_floor_is_unknown(tmp_path):
    report = judged(tmp_path, es.merged(frame="camera"), es.keypoints())
    assert report["clips"]["walk"]["tracks"]["p1"]["values"]["floor_piercing_mm"] is None
    assert '"floor_piercing_mm": null' in (tmp_path / "q.json").read_text()
    row = table(tmp_path, "q")[0]
    assert row["floor_piercing_mm"] == "" and row["reprojection_px"] != ""


def test_stills_have_no_motion(tmp_path):
    seen = es.keypoints()
    seen.clips["walk"].time = np.arange(50.0)
    values = judged(tmp_path, es.merged(temporal=False), seen)["clips"]["walk"]["tracks"]["p1"]["values"]
    assert values["jerk_m_s3"] is values["foot_sliding_m_s"] is None and values["sigma_mm"] == pytest.approx(20)


def test_files_of_other_clips_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"keypoints.h5: subject and clips: expected S1: \['walk'\]"):
        judged(tmp_path, es.merged(), es.keypoints(clips=("run",)))
    with pytest.raises(ArtifactError, match="expected the frames and tracks of"):
        judged(tmp_path, es.merged(), es.keypoints(frames=49))


def test_the_summary_has_the_verdict_and_the_measures(tmp_path):
    judged(tmp_path, *two_clips())
    bad, off, walk = table(tmp_path, "q")
    assert (bad["status"], bad["quality"], off["quality"]) == ("failed", "", "fail")
    assert off["quality_reasons"].startswith("reprojection 14 %") and off["reprojection_px"] == "30"
    assert walk["sigma_mm"] == "20.0" and float(walk["missing_percent"]) == 0
    assert all(row["quality"] == row["jerk_m_s3"] == "" for row in table(tmp_path))


def test_a_verdict_on_another_version_is_refused(tmp_path):
    judged(tmp_path, es.merged(), es.keypoints())
    write(tmp_path / "new.h5", es.merged(shift_m=(0, 0.1, 0)))
    with pytest.raises(ArtifactError, match=r"q.json: made from new.h5: expected .*; run it again"):
        table(tmp_path, "q", merged="new.h5")
    for text in ("{", "[]", '{"subject": "S1"}'):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(InputError, match=r"other.json: expected what posemill quality writes"):
            table(tmp_path, "other")


def test_check_names_what_is_bad_and_fails_only_when_told(tmp_path, capsys):
    merged, seen = two_clips()
    del merged.clips["bad"], seen.clips["bad"]
    judged(tmp_path, merged, seen, gates={"missing_percent": {"warn": 0}, "foot_sliding_m_s": {"warn": 0.0}})
    table(tmp_path, "q")
    summary.check(tmp_path / "s.tsv")
    said = capsys.readouterr().err
    assert said.startswith("posemill: quality: fail: 1 of 2 clips: S1/off (reprojection 14 %")
    with pytest.raises(ClipError, match=r"^1 of 2 clips fail the quality gates: S1/off \(reprojection") as error:
        summary.check(tmp_path / "s.tsv", enforce_quality=True)
    assert "\n" not in str(error.value)
    judged(tmp_path, *two_clips())
    table(tmp_path, "q")
    with pytest.raises(ClipError, match=r"^1 of 3 clips failed: S1/bad \(not a video\); 1 of 3 clips fail the quality"):
        summary.check(tmp_path / "s.tsv", enforce_quality=True)
