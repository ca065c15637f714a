from __future__ import annotations

import json

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.artifact import Clip, write
from posemill.formats.bvh import read_bvh
from posemill.formats.bvh_rig import joints_from_bvh
from posemill.formats.csv_table import read_csv_table
from posemill.provenance import StageRequest
from posemill.stages import export
from tests.stages import exported_subject as es

BVH, CSV = StageRequest("export", "bvh"), StageRequest("export", "csv")


@pytest.mark.parametrize("frame", ["world", "camera"])
def test_bvh_gives_the_joints_back_within_a_millimetre(tmp_path, frame):
    made = es.merged(frame=frame)
    write(tmp_path / "p.h5", made)
    export.run(tmp_path / "p.h5", tmp_path / "out", BVH)
    back = joints_from_bvh(read_bvh(tmp_path / "out/walk.p1.bvh"), frame)
    np.testing.assert_allclose(back, made.clips["walk"].tracks["p1"].arrays["joints"], atol=1e-4)
    note = json.loads((tmp_path / "out/walk.p1.json").read_text())
    assert note["frame"] == frame and note["fps"] == es.FPS and note["max_deviation_m"] < 1e-4
    assert ("camera's up" in note["frame_note"]) == (frame == "camera")
    assert note["interpolated"] == [] and not note["resampled"]


def test_heels_and_toes_are_exported_where_they_are(tmp_path):
    made = es.merged(joints_of="posemill21")
    write(tmp_path / "p.h5", made)
    joints = made.clips["walk"].tracks["p1"].arrays["joints"]
    export.run(tmp_path / "p.h5", tmp_path / "out", BVH)
    back = joints_from_bvh(read_bvh(tmp_path / "out/walk.p1.bvh"), "world")
    np.testing.assert_allclose(back, joints, atol=1e-4)
    note = json.loads((tmp_path / "out/walk.p1.json").read_text())
    assert note["joints"] == list(es.FEET.joints) and note["max_deviation_m"] < 1e-4 and note["never_seen"] == []
    export.run(tmp_path / "p.h5", tmp_path / "out", CSV)
    table = read_csv_table(tmp_path / "out/walk.p1.csv")
    toe = np.stack([table[f"left_big_toe_{axis}_m"] for axis in "xyz"], -1)
    np.testing.assert_allclose(toe, joints[:, es.FEET.index("left_big_toe")], atol=1e-6)
    assert (table["right_heel_valid"] == 1).all() and (table["right_heel_sigma_x_m"] == 0.02).all()


def test_gaps_are_listed(tmp_path):
    made = es.merged(10, invalid=(3, 4, 9))
    made.clips["walk"].tracks["p1"].arrays["valid"][6, 16] = False
    for name in ("joints", "joints_camera", "sigma", "moved"):
        made.clips["walk"].tracks["p1"].arrays[name][6, 16] = np.nan
    write(tmp_path / "p.h5", made)
    export.run(tmp_path / "p.h5", tmp_path / "out", BVH)
    note = json.loads((tmp_path / "out/walk.p1.json").read_text())
    assert note["interpolated"] == [
        {"first": 3, "last": 4, "joints": "all"},
        {"first": 6, "last": 6, "joints": ["right_wrist"]},
        {"first": 9, "last": 9, "joints": "all"},
    ]
    back = joints_from_bvh(read_bvh(tmp_path / "out/walk.p1.bvh"), "world")
    # The subject glides evenly, so that filling a gap linearly finds the truth.
    np.testing.assert_allclose(back[3:5, 0], es.joints_world(10)[3:5, 0], atol=1e-5)


def test_varying_time_stamps_are_resampled_and_said(tmp_path):
    made = es.merged(20)
    clip = made.clips["walk"]
    keep = np.array([t for t in range(20) if t not in (5, 6, 11)])
    clip.time = clip.time[keep]
    for name, value in clip.tracks["p1"].arrays.items():
        clip.tracks["p1"].arrays[name] = value[keep]
    write(tmp_path / "p.h5", made)
    export.run(tmp_path / "p.h5", tmp_path / "out", BVH)
    back = joints_from_bvh(read_bvh(tmp_path / "out/walk.p1.bvh"), "world")
    np.testing.assert_allclose(back, es.joints_world(20)[:, :17], atol=1e-5)
    note = json.loads((tmp_path / "out/walk.p1.json").read_text())
    assert note["resampled"] and [(gap["first"], gap["last"]) for gap in note["interpolated"]] == [(5, 6), (11, 11)]


def test_resample_by_hand():
    time = np.array([0.0, 0.1, 0.25, 0.3])
    joints = np.tile(time[:, None, None], (1, 1, 3))
    valid = np.array([[True], [True], [False], [True]])
    points, ok = export.resample(time, joints, valid, 10.0)
    assert ok[:, 0].tolist() == [True, True, False, True]
    np.testing.assert_allclose(points[:, 0, 0], [0, 0.1, np.nan, 0.3])


def test_stills_have_no_rate_of_their_own(tmp_path):
    write(tmp_path / "p.h5", es.merged(3, temporal=False, invalid=(1,)))
    export.run(tmp_path / "p.h5", tmp_path / "out", BVH)
    bvh = read_bvh(tmp_path / "out/walk.p1.bvh")
    assert bvh.frame_time_s == 1.0 and len(bvh.motion) == 3
    np.testing.assert_array_equal(bvh.motion[0], bvh.motion[1])


def test_csv_has_every_number(tmp_path):
    made = es.merged(10, invalid=(2,))
    write(tmp_path / "p.h5", made)
    export.run(tmp_path / "p.h5", tmp_path / "out", CSV)
    table = read_csv_table(tmp_path / "out/walk.p1.csv")
    arrays = made.clips["walk"].tracks["p1"].arrays
    np.testing.assert_allclose(table["left_knee_z_m"], arrays["joints"][:, 5, 2], atol=1e-6)
    np.testing.assert_array_equal(table["contact_left"], arrays["contact"][:, 0])
    assert np.isnan(table["pelvis_x_m"][2]) and table["pelvis_valid"][2] == 0
    note = json.loads((tmp_path / "out/walk.p1.json").read_text())
    assert (note["frame"], note["units"], note["axes"]) == ("world", "m, s", "right-handed, z up")


def test_failed_clips_are_named_and_stale_files_go(tmp_path):
    out = tmp_path / "out"
    write(tmp_path / "p.h5", es.merged(5, ("a", "b")))
    export.run(tmp_path / "p.h5", out, BVH)
    (out / "mine.json").write_text("{}")
    made = es.merged(5, ("a",))
    made.clips["b"] = Clip().failed("nobody seen in 5 frames")
    write(tmp_path / "p.h5", made)
    export.run(tmp_path / "p.h5", out, BVH)
    assert sorted(p.name for p in out.iterdir()) == ["a.p1.bvh", "a.p1.json", "export.json", "mine.json"]
    manifest = json.loads((out / "export.json").read_text())
    assert manifest["skipped"] == {"b": "nobody seen in 5 frames"}
    assert manifest["files"] == ["a.p1.bvh", "a.p1.json"]


def test_a_forged_manifest_removes_nothing_outside(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("x")
    (out / "export.json").write_text(json.dumps({"files": ["../precious", str(tmp_path / "precious"), 7]}))
    write(tmp_path / "p.h5", es.merged(3))
    export.run(tmp_path / "p.h5", out, BVH)
    assert (tmp_path / "precious").exists()


def test_a_clip_without_a_pose_is_skipped_with_its_reason(tmp_path):
    write(tmp_path / "p.h5", es.merged(4, invalid=(0, 1, 2, 3)))
    export.run(tmp_path / "p.h5", tmp_path / "out", BVH)
    manifest = json.loads((tmp_path / "out/export.json").read_text())
    assert "never valid" in manifest["skipped"]["walk.p1"] and manifest["files"] == []


def test_two_clips_of_one_file_name_are_an_error(tmp_path):
    made = es.merged(3, ("a", "a.b"))
    made.clips["a"].tracks = {"b.p1": made.clips["a"].tracks["p1"]}
    write(tmp_path / "p.h5", made)
    with pytest.raises(InputError, match=r"would both be a\.b\.p1"):
        export.run(tmp_path / "p.h5", tmp_path / "out", BVH)
    assert not list((tmp_path / "out").iterdir())


def test_unknown_format(tmp_path):
    with pytest.raises(InputError, match="export format: expected bvh or csv, got fbx"):
        export.run(tmp_path / "p.h5", tmp_path / "out", StageRequest("export", "fbx"))


def test_same_input_gives_same_bytes(tmp_path):
    write(tmp_path / "p.h5", es.merged(5))
    for folder in ("one", "two"):
        export.run(tmp_path / "p.h5", tmp_path / folder, BVH)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
