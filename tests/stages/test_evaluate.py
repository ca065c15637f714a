from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.artifact import Artifact, Clip, Track, file_sha256, write
from posemill.formats.records import read_records
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
    assert report["protocol"]["name"] == "posemill-12" and report["protocol"]["averaging"] == "pooled"
    (files,) = report["inputs"]
    assert {role: file["file"] for role, file in files.items()} == {
        "prediction": "merged.h5",
        "truth": "truth.h5",
        "keypoints2d": "keypoints2d.exact.h5",
    }
    assert all(len(file["sha256"]) == 64 for file in files.values())
    assert report["provenance"]["prediction"]["fingerprint"] == "f"
    assert str(tmp_path) not in (tmp_path / "e.json").read_text()


def test_the_output_is_json_by_name(tmp_path):
    with pytest.raises(InputError, match="a name that ends in"):
        evaluate.run(tmp_path / "m.h5", tmp_path / "t.h5", tmp_path / "e.txt", es.REQUEST)


def test_every_number_has_its_record(tmp_path):
    report = compare(tmp_path, es.merged(), es.truth(), es.keypoints())
    book = read_records(tmp_path / "e.json")
    everything = {"metric": "p_mpjpe", "counted": "visible", "joints": LIMBS, "part": "all [world]"}
    record = book.find(**everything)
    assert record is not None and record.value == report["pooled"]["world"]["visible"]["p_mpjpe_mm"]
    assert (record.unit, record.alignment, record.frames, record.split) == ("mm", "similarity", 50, "S1: walk")
    assert record.source_2d["name"] == "exact" and set(record.data) == {"merged.h5", "truth.h5", "keypoints2d.exact.h5"}
    assert record.command[:4] == ("posemill", "evaluate", "merged.h5", "truth.h5")

    def numbers(tree) -> list[float]:
        return [x for v in tree.values() for x in (numbers(v) if isinstance(v, dict) else [v])]

    counts = {"frames_evaluated": 0, "frames_truth": 0}
    shown = [x for x in numbers(report["pooled"]["world"] | counts) if isinstance(x, float)]
    known = [r.value for r in book if r.part == "all [world]" and r.value is not None]
    assert sorted(shown) == sorted(known)


def test_what_the_truth_does_not_say_is_left_out_and_named(tmp_path):
    true = es.merged()
    true.clips["walk"].attrs = {**true.clips["walk"].attrs, "contact_source": "none"}
    report = compare(tmp_path, es.merged(shift_m=(0.03, 0.04, 0)), true)
    left_out, figures = report["left_out"]["world"], report["pooled"]["world"]
    assert "states no contacts" in left_out["contact_f1"] and "which joints" in left_out["mpjpe (visible)"]
    assert "visible" not in figures and "contact_f1_percent" not in figures["feet"]
    assert figures["root_mm"]["mean"] == pytest.approx(50, abs=0.01) and figures["all"]["mpjpe_mm"] < 0.01
    assert "left out [world]: contact_f1: the truth states no contacts" in (tmp_path / "e.txt").read_text()


def test_contacts_and_sliding_by_hand(tmp_path):
    """The person glides at 0.4 m/s with both feet always in contact; in 20 frames each foot is said to be for 12."""
    figures = compare(tmp_path, es.merged(40), es.truth(40))["pooled"]["world"]
    assert figures["feet"]["contact_f1_percent"] == pytest.approx(100 * 2 * 48 / (48 + 80), abs=0.001)
    assert figures["feet"]["ankle_sliding_mm_s"] == pytest.approx(400, abs=0.01)


def test_sigma_by_hand(tmp_path):
    """Everything is 0.03 m off along x, with a sigma of 0.02: outside one sigma along x, inside two."""
    figures = compare(tmp_path, es.merged(shift_m=(0.03, 0, 0)), es.truth())["pooled"]["world"]["sigma"]
    assert [figures[f"within_1_{axis}_percent"] for axis in "xyz"] == [0, 100, 100]
    assert figures["within_2_x_percent"] == 100
    nll = np.log(0.02) + 0.5 * np.log(2 * np.pi) + 0.5 * 1.5**2 / 3
    assert figures["nll_nats"] == pytest.approx(nll, abs=0.001)


def test_heels_and_toes_change_no_figure_of_the_protocols_that_leave_them_out(tmp_path):
    plain = compare(tmp_path, es.merged(shift_m=(0.03, 0, 0)), es.truth(), es.keypoints())
    footed = es.merged(shift_m=(0.03, 0, 0), joints_of="posemill21")
    for name in ("joints", "joints_camera", "sigma"):
        footed.clips["walk"].tracks["p1"].arrays[name][:, 17:] += 0.5
    assert compare(tmp_path, footed, es.truth(), es.keypoints())["pooled"] == plain["pooled"]


def test_a_protocol_with_heels_and_toes(tmp_path):
    pred = es.merged(joints_of="posemill21")
    for name in ("joints", "joints_camera"):
        pred.clips["walk"].tracks["p1"].arrays[name][:, es.FEET.index("left_heel"), 0] += 0.16
    for made, error_mm, coverage in ((pred, 10, 100), (es.merged(), 0, 75)):
        write(tmp_path / "m.h5", made)
        write(tmp_path / "t.h5", es.truth())
        report = evaluate.run(
            tmp_path / "m.h5", tmp_path / "t.h5", tmp_path / "e.json", es.REQUEST, protocol_name="posemill-16"
        )
        figures = report["pooled"]["world"]["visible"]
        assert figures["mpjpe_mm"] == pytest.approx(error_mm, abs=0.01) and figures["coverage_percent"] == coverage
    assert len(report["protocol"]["joints"]) == 16


def lifted(merged: Artifact) -> Artifact:
    """The same poses with the pelvis at the origin, as lift writes them."""
    out = Artifact("lifted3d", merged.subject, "h36m17", attrs={"units": "m"})
    for name, clip in merged.clips.items():
        a = clip.tracks["p1"].arrays
        arrays = {
            "joints_relative": a["joints_camera"] - a["joints_camera"][:, :1],
            "sigma": a["sigma"],
            "valid": a["valid"],
        }
        out.clips[name] = Clip(fps=clip.fps, image_size=clip.image_size, time=clip.time, tracks={"p1": Track(arrays)})
    return out


def test_a_lifted_file_has_root_relative_figures_only(tmp_path):
    pred = es.merged()
    for name in ("joints", "joints_camera"):
        pred.clips["walk"].tracks["p1"].arrays[name][:, 13, 0] += 0.12
    report = compare(tmp_path, lifted(pred), es.truth())
    figures, left_out = report["pooled"]["relative"], report["left_out"]["relative"]
    assert figures["visible"]["mpjpe_mm"] == pytest.approx(10, abs=0.01)
    assert "root_mm" not in figures and "world" not in figures and "relative" in left_out["root"]
    assert figures["sigma"]["within_1_y_percent"] == 100


def test_a_protocol_brings_its_joints_and_sets_three_apart(tmp_path):
    write(tmp_path / "m.h5", es.merged())
    write(tmp_path / "t.h5", es.truth())
    report = evaluate.run(
        tmp_path / "m.h5", tmp_path / "t.h5", tmp_path / "e.json", es.REQUEST, protocol_name="posemill-17"
    )
    assert len(report["protocol"]["joints"]) == 14 and set(report["pooled"]["world"]["apart"]) == {
        "spine",
        "neck_nose",
        "head_top",
    }
    with pytest.raises(InputError, match="h36m-p1: subjects: expected S9, S11, got S1"):
        evaluate.run(tmp_path / "m.h5", tmp_path / "t.h5", tmp_path / "e.json", es.REQUEST, protocol_name="h36m-p1")


def test_swapped_sides_are_refused_unless_accepted(tmp_path):
    pred = es.merged()
    order = es.H36M.flip_permutation
    for name in ("joints", "joints_camera"):
        arrays = pred.clips["walk"].tracks["p1"].arrays
        arrays[name] = arrays[name][:, order]
    with pytest.raises(InputError, match=r"merged\.h5: clip walk: left and right look swapped.*--accept sides"):
        compare(tmp_path, pred, es.truth())
    report = evaluate.run(
        tmp_path / "merged.h5",
        tmp_path / "truth.h5",
        tmp_path / "e.json",
        es.REQUEST,
        accept=("sides", "order"),
    )
    assert "swapped" in report["accepted"]["sides"]["walk"]
    assert all(r.accepted == ("sides", "order") for r in read_records(tmp_path / "e.json"))
    with pytest.raises(InputError, match="units or sides or order or shift"):
        evaluate.run(
            tmp_path / "merged.h5", tmp_path / "truth.h5", tmp_path / "e.json", es.REQUEST, accept=("anything",)
        )


def test_two_subjects_are_pooled(tmp_path):
    other = es.merged(shift_m=(0, 0, 0.1))
    other.subject = "S2"
    for name, artifact in {"m1": es.merged(), "t1": es.truth(), "m2": other, "t2": es.truth()}.items():
        write(tmp_path / f"{name}.h5", artifact)
    also = [(tmp_path / "m2.h5", tmp_path / "t2.h5")]
    report = evaluate.run(tmp_path / "m1.h5", tmp_path / "t1.h5", tmp_path / "e.json", es.REQUEST, also=also)
    assert list(report["clips"]) == ["S1/walk", "S2/walk"]
    assert report["pooled"]["world"]["root_mm"]["mean"] == pytest.approx(50, abs=0.01)
    assert report["pooled"]["world"]["frames_evaluated"] == 100


def test_the_record_names_the_lifter_that_the_merged_file_was_made_from(tmp_path):
    made = lifted(es.merged())
    made.provenance = {"stage": "lift", "method": "linear", "options": {"flip": True}, "weights": "w" * 64, "code": "c"}
    write(tmp_path / "lifted3d.exact.linear.h5", made)
    pred = es.merged()
    digest = file_sha256(tmp_path / "lifted3d.exact.linear.h5")
    pred.provenance = {"stage": "merge", "options": {"cutoff_hz": 6.0}, "inputs": {"lifted3d": digest}}
    compare(tmp_path, pred, es.truth())
    method = next(iter(read_records(tmp_path / "e.json"))).method
    assert method["name"] == "linear" and method["weights"] == "w" * 64
    assert method["options"] == {"lift": {"flip": True}, "merge": {"cutoff_hz": 6.0}}
    (tmp_path / "lifted3d.exact.linear.h5").unlink()
    compare(tmp_path, pred, es.truth())
    assert next(iter(read_records(tmp_path / "e.json"))).method["name"] == "unknown, of merged.h5"


def test_keypoints_alone_have_figures_in_the_image(tmp_path):
    write(tmp_path / "k.h5", es.keypoints(shift_px=(3, 4)))
    write(tmp_path / "t.h5", es.truth())
    report = evaluate.run(tmp_path / "k.h5", tmp_path / "t.h5", tmp_path / "e.json", es.REQUEST)
    figures = report["pooled"]["image"]
    assert figures["visible"] == {"keypoints2d_percent": pytest.approx(100 * 5 / 218.75, abs=0.001)}
    assert "no 3D joints" in report["left_out"]["image"]["mpjpe (all)"]
    with pytest.raises(InputError, match=r"k\.h5: truth: expected 3D joints, got a keypoints2d file"):
        evaluate.run(tmp_path / "t.h5", tmp_path / "k.h5", tmp_path / "e.json", es.REQUEST)


def test_a_placed_root_alone(tmp_path):
    root = es.camera().world_to_camera(es.joints_world(50)[:, 0]) + np.array([0, 0, 0.2])
    arrays = {
        "root_camera": root.astype(np.float32),
        "root_sigma": np.full((50, 3), 0.1, np.float32),
        "valid": np.ones(50, bool),
    }
    like = es.merged().clips["walk"]
    clip = replace(like, tracks={"p1": Track(arrays)}, attrs={"world_source": "none", "scale_source": "height_m"})
    scale = {"bone_lengths": np.full(16, 0.3), "scale": np.array(1.0), "scale_sigma": np.array(0.03)}
    write(tmp_path / "p.h5", Artifact("placed3d", "S1", "h36m17", {"walk": clip}, arrays=scale))
    write(tmp_path / "t.h5", es.truth())
    report = evaluate.run(tmp_path / "p.h5", tmp_path / "t.h5", tmp_path / "e.json", es.REQUEST)
    assert report["pooled"]["camera"]["root_mm"]["mean"] == pytest.approx(200, abs=0.01)
    assert "visible" not in report["pooled"]["camera"]
