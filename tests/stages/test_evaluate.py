from __future__ import annotations

import json

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.artifact import Artifact, Clip, write
from posemill.skeleton import LIMBS
from posemill.stages import evaluate
from posemill.stages.evaluate import match_frames
from tests.stages import exported_subject as es


def compare(tmp_path, pred: Artifact, true: Artifact, image: Artifact | None = None) -> dict:
    write(tmp_path / "merged.h5", pred)
    write(tmp_path / "truth.h5", true)
    path = None
    if image is not None:
        path = tmp_path / "keypoints2d.exact.h5"
        write(path, image)
    report = evaluate.run(tmp_path / "merged.h5", tmp_path / "truth.h5", tmp_path / "e.json", es.REQUEST, path)
    assert json.loads((tmp_path / "e.json").read_text()) == report
    return report


def test_the_truth_has_no_error(tmp_path, capsys):
    report = compare(tmp_path, es.merged(), es.truth(), es.keypoints())
    pooled = report["pooled"]["world"]
    assert pooled["visible"] == pooled["all"]
    assert pooled["visible"]["mpjpe_mm"] < 0.01 and pooled["visible"]["p_mpjpe_mm"] < 0.01
    assert pooled["visible"]["keypoints2d_percent"] < 0.001 and pooled["visible"]["coverage_percent"] == 100
    assert pooled["root_mm"]["mean"] < 0.01
    assert pooled["frames_evaluated"] == pooled["frames_truth"] == 50
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "e.txt").read_text() and "walk [world]" in printed and "50/50" in printed


def test_errors_that_are_known_by_hand(tmp_path):
    """0.3 m deeper and 0.4 m aside (the camera looks along y), 2D off by 5 px."""
    shifted = compare(tmp_path, es.merged(shift_m=(0, 0.3, 0)), es.truth(), es.keypoints(shift_px=(3, 4)))
    figures = shifted["clips"]["walk"]
    assert figures["visible"]["mpjpe_mm"] == pytest.approx(0, abs=0.01)
    assert figures["root_mm"]["mean"] == pytest.approx(300, abs=0.01)
    # In the first frame the pelvis is straight ahead; at the end the ray leans by atan(0.784 / 4).
    assert 290 < figures["root_mm"]["depth_median"] < 300 and figures["root_mm"]["lateral_median"] < 60
    # The person is 1.75 m at 4 m with a focal length of 500 px: 218.75 px.
    assert figures["visible"]["keypoints2d_percent"] == pytest.approx(100 * 5 / 218.75, abs=0.001)


def test_a_wrong_wrist_is_one_of_twelve_and_hidden_ones_do_not_count(tmp_path):
    pred, true = es.merged(), es.truth()
    for name in ("joints", "joints_camera"):
        pred.clips["walk"].tracks["p1"].arrays[name][:, 13, 0] += 0.12
    report = compare(tmp_path, pred, true)
    assert report["pooled"]["world"]["visible"]["mpjpe_mm"] == pytest.approx(10, abs=0.01)
    assert report["pooled"]["world"]["by_joint"]["left_wrist"]["mpjpe_mm"] == pytest.approx(120, abs=0.01)
    true.clips["walk"].tracks["p1"].arrays["visible"][:, 13] = False
    report = compare(tmp_path, pred, true)
    figures = report["pooled"]["world"]
    assert figures["visible"]["mpjpe_mm"] == pytest.approx(0, abs=0.01)
    assert figures["all"]["mpjpe_mm"] == pytest.approx(10, abs=0.01)
    assert figures["by_joint"]["left_wrist"]["mpjpe_mm"] is None


def test_missing_poses_lower_the_coverage(tmp_path):
    report = compare(tmp_path, es.merged(invalid=tuple(range(10))), es.truth())
    figures = report["pooled"]["world"]
    assert figures["visible"]["coverage_percent"] == 80 and figures["visible"]["mpjpe_mm"] < 0.01


def test_camera_frame_is_labelled_and_pooled_apart(tmp_path):
    pred, true = es.merged(clips=("a",)), es.truth(clips=("a", "b"))
    pred.clips["b"] = es.merged(clips=("b",), frame="camera", shift_m=(0.03, 0.04, 0)).clips["b"]
    report = compare(tmp_path, pred, true)
    assert report["clips"]["b"]["frame"] == "camera"
    assert report["pooled"]["camera"]["root_mm"]["mean"] == pytest.approx(50, abs=0.01)
    assert report["pooled"]["world"]["root_mm"]["mean"] < 0.01
    assert "b [camera]" in (tmp_path / "e.txt").read_text()


def test_clips_are_joined_by_id_and_the_rest_is_named(tmp_path):
    pred, true = es.merged(clips=("a", "x")), es.truth(clips=("a", "b", "c"))
    pred.clips["b"] = Clip().failed("nobody seen")
    report = compare(tmp_path, pred, true)
    assert list(report["clips"]) == ["a"] and report["failed"] == {"b": "nobody seen"}
    assert report["not_in_truth"] == ["x"] and report["not_predicted"] == ["c"]
    text = (tmp_path / "e.txt").read_text()
    assert "failed: b: nobody seen" in text and "not predicted: c" in text


def test_every_clip_failed_is_still_a_report(tmp_path):
    pred = es.merged()
    pred.clips["walk"] = Clip().failed("no frames")
    assert compare(tmp_path, pred, es.truth())["pooled"] == {}


def test_no_common_clip_is_an_error(tmp_path):
    with pytest.raises(InputError, match="clips that the truth knows"):
        compare(tmp_path, es.merged(clips=("a",)), es.truth(clips=("b",)))


def test_times_apart_are_an_error(tmp_path):
    pred = es.merged()
    pred.clips["walk"].time = pred.clips["walk"].time + 100
    with pytest.raises(InputError, match=r"expected frames within 0\.0200 s of the truth's"):
        compare(tmp_path, pred, es.truth())


def test_half_the_frames_are_matched_by_time(tmp_path):
    pred = es.merged(50)
    clip = pred.clips["walk"]
    clip.time = clip.time[::2]
    for name, value in clip.tracks["p1"].arrays.items():
        clip.tracks["p1"].arrays[name] = value[::2]
    report = compare(tmp_path, pred, es.truth())
    figures = report["pooled"]["world"]
    assert (figures["frames_evaluated"], figures["frames_truth"]) == (25, 50)
    assert figures["root_mm"]["mean"] < 0.01


def test_match_frames_by_hand():
    i, k = match_frames(np.array([0.0, 0.5, 1.0]), np.array([-0.1, 0.04, 0.45, 0.55, 0.8, 1.1]), 0.1)
    assert i.tolist() == [0, 1, 2] and k.tolist() == [1, 2, 5]
    assert [a.tolist() for a in match_frames(np.array([2.0]), np.array([2.0, 3.0]), 0.1)] == [[0], [0]]


def test_protocol_stands_with_the_numbers(tmp_path):
    report = compare(tmp_path, es.merged(), es.truth(), es.keypoints())
    assert report["protocol"]["joints"] == list(LIMBS)
    assert (
        report["source_2d"]["file"] == "keypoints2d.exact.h5" and report["source_2d"]["provenance"]["method"] == "exact"
    )
    assert len(report["data"]["sha256"]) == 64 and report["prediction"]["provenance"]["fingerprint"] == "f"
    assert str(tmp_path) not in (tmp_path / "e.json").read_text()


def test_the_output_is_json_by_name(tmp_path):
    with pytest.raises(InputError, match="a name that ends in"):
        evaluate.run(tmp_path / "m.h5", tmp_path / "t.h5", tmp_path / "e.txt", es.REQUEST)
