"""Poses of every kind of file; the same motion gives the same figures, whatever file it comes from."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.artifact import Artifact, Clip, Track, write
from posemill.formats.bvh import write_bvh
from posemill.formats.bvh_rig import bvh_from_joints
from posemill.formats.motion import MOTION_JOINTS
from posemill.formats.trc import write_trc
from posemill.formats.truth import read_truth
from posemill.skeleton import joint_set
from posemill.stages import evaluate
from tests.stages import exported_subject as es
from tests.walker import SET, walker

FRAMES = 120
TIME = np.arange(FRAMES) / es.FPS


def walking() -> np.ndarray:
    """(T, 17, 3) float32 world metres: the standing person glides and swings, so that derivatives are not 0."""
    joints = es.joints_world(FRAMES)[:, :17].copy()
    swing = 0.1 * np.sin(2 * np.pi * TIME[:, None] + np.arange(17)) * (np.arange(17) > 0)
    joints[..., 1] += swing
    return joints.astype(np.float32)


def write_motion(path, joints: np.ndarray, subjects: tuple[str, ...] = ("S1",)) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["joints"] = list(MOTION_JOINTS)
        file.attrs["fps"], file.attrs["units"] = es.FPS, "m"
        for subject in subjects:
            file[f"train/{subject}/walk"] = joints


def truth_files(folder) -> dict:
    joints = walking()
    exact = es.truth(FRAMES)
    arrays = exact.clips["walk"].tracks["p1"].arrays
    arrays["joints"][:, :17] = joints
    arrays["joints_camera"] = es.camera().world_to_camera(arrays["joints"])
    arrays["keypoints"] = es.camera().project(arrays["joints_camera"])
    other = es.merged(FRAMES)
    arrays = other.clips["walk"].tracks["p1"].arrays
    arrays["joints"] = joints
    arrays["joints_camera"] = es.camera().world_to_camera(joints).astype(np.float32)
    arrays["root"] = joints[:, 0]
    names = es.H36M.joints
    write(folder / "truth.h5", exact)
    write(folder / "merged.h5", other)
    write_motion(folder / "motion.h5", joints, ("S1", "S2"))
    write_trc(folder / "walk.trc", TIME, joints, names, units="mm")
    np.savez(folder / "walk.npz", joints=joints, fps=es.FPS, joint_set="h36m17", frame="world")
    (folder / "clips").mkdir()
    np.savez(
        folder / "clips/walk.p1.npz", joints=1000 * joints, time=TIME, joint_set="h36m17", frame="world", units="mm"
    )
    files = ("truth.h5", "merged.h5", "motion.h5", "walk.trc", "walk.npz", "clips")
    return {name: folder / name for name in files}


def test_the_same_motion_gives_the_same_figures(tmp_path):
    pred = es.merged(FRAMES)
    arrays = pred.clips["walk"].tracks["p1"].arrays
    noise = np.random.default_rng(0).normal(scale=0.03, size=(FRAMES, 17, 3))
    arrays["joints"] = (walking() + noise).astype(np.float32)
    arrays["joints_camera"] = es.camera().world_to_camera(arrays["joints"]).astype(np.float32)
    arrays["root"] = arrays["joints"][:, 0]
    write(tmp_path / "pred.h5", pred)
    reports = {
        name: evaluate.run(tmp_path / "pred.h5", path, tmp_path / "e.json", es.REQUEST)
        for name, path in truth_files(tmp_path).items()
    }
    wanted = reports["truth.h5"]["pooled"]["world"]
    assert 30 < wanted["all"]["mpjpe_mm"] < 80 and wanted["frames_evaluated"] == FRAMES
    for name, report in reports.items():
        figures = report["pooled"]["world"]
        for group in ("all", "root_mm", "motion", "world", "sigma"):
            for key, value in wanted[group].items():
                # Times have nine digits in TRC, which third derivatives feel.
                assert figures[group][key] == pytest.approx(value, rel=1e-5, abs=0.002), (name, group, key)
        assert ("visible" in figures) == (name == "truth.h5")


def test_camera_depth_comes_from_the_prediction_where_the_truth_has_none(tmp_path):
    write(tmp_path / "pred.h5", es.merged(FRAMES, shift_m=(0, 0.3, 0)))
    write_trc(tmp_path / "walk.trc", TIME, es.joints_world(FRAMES)[:, :17], es.H36M.joints)
    figures = evaluate.run(tmp_path / "pred.h5", tmp_path / "walk.trc", tmp_path / "e.json", es.REQUEST)
    root = figures["pooled"]["world"]["root_mm"]
    assert root["mean"] == pytest.approx(300, abs=0.01) and 270 < root["depth_median"] < 300


def test_without_common_axes_only_aligned_figures(tmp_path):
    write(tmp_path / "pred.h5", es.merged(FRAMES, frame="camera"))
    write_motion(tmp_path / "m.h5", es.joints_world(FRAMES)[:, :17])
    report = evaluate.run(tmp_path / "pred.h5", tmp_path / "m.h5", tmp_path / "e.json", es.REQUEST)
    figures = report["pooled"]["aligned"]
    assert figures["all"].keys() == {"p_mpjpe_mm"} and figures["all"]["p_mpjpe_mm"] < 0.01
    assert "no axes in common" in report["left_out"]["aligned"]["mpjpe (all)"]


def test_subjects_and_clips_of_a_motion_file(tmp_path):
    write_motion(tmp_path / "m.h5", walking(), ("S1", "S2"))
    assert list(read_truth(tmp_path / "m.h5", "S2").clips) == ["walk"]
    with pytest.raises(InputError, match="subject: expected S9, got S1, S2"):
        read_truth(tmp_path / "m.h5", "S9")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"joints": np.array([object()]), "joint_set": "h36m17", "fps": 25.0}, "npz without objects"),
        ({"joint_set": "h36m17", "fps": 25.0}, "arrays: expected joints"),
        ({"joints": np.zeros((3, 17, 3)), "fps": 25.0}, "arrays: expected joint_set"),
        ({"joints": np.zeros((3, 16, 3)), "joint_set": "h36m17", "fps": 25.0}, "joints of h36m17: expected"),
        ({"joints": np.zeros((3, 17, 3)), "joint_set": "h36m17"}, "either time or fps"),
        ({"joints": np.zeros((3, 17, 3)), "joint_set": "h36m17", "fps": 0.0}, "time or fps"),
        ({"joints": np.zeros((3, 17, 3)), "joint_set": "h36m17", "time": np.zeros(3)}, "increasing seconds"),
        ({"joints": np.zeros((3, 17, 3)), "joint_set": "x", "fps": 25.0}, "unknown joint set"),
        ({"joints": np.zeros((3, 17, 3)), "joint_set": "h36m17", "fps": 25.0, "units": "ft"}, "expected m or mm"),
        ({"joints": np.zeros((3, 17, 3)), "joint_set": "h36m17", "fps": 25.0, "frame": "x"}, "frame: expected world"),
    ],
)
def test_npz_is_not_trusted(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=says):
        read_truth(tmp_path / "a.npz")


def test_other_files_are_refused_in_one_line(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"something else")
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 cut")
    (tmp_path / "empty").mkdir()
    for name in ("a.h5", "b.npz", "empty", "missing.h5"):
        with pytest.raises(InputError, match=f"{name}.*expected") as error:
            read_truth(tmp_path / name)
        assert "\n" not in str(error.value)


MIXAMO = {
    **{f"{s.lower()}_{ours}": f"mixamorig:{s}{theirs}" for s in ("Left", "Right") for ours, theirs in (
        ("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot"), ("clavicle", "Shoulder"), ("shoulder", "Arm"),
        ("elbow", "ForeArm"), ("wrist", "Hand"))},
    "pelvis": "mixamorig:Hips",
}  # fmt: skip


@pytest.mark.parametrize("units_per_m", [1.0, 100.0, 1000.0])
@pytest.mark.parametrize("names", [{}, MIXAMO], ids=["own", "mixamo"])
def test_bvh_of_other_systems(tmp_path, names, units_per_m):
    _, world = walker(20)
    bvh, _ = bvh_from_joints(world, fps=25, frame="world", names=names)
    places = [i for node in bvh.channels for i in (c.endswith("position") for c in node)]
    scaled = np.where(places, units_per_m / 100, 1.0) * bvh.motion
    write_bvh(tmp_path / "walk.p1.bvh", replace(bvh, offsets=units_per_m / 100 * bvh.offsets, motion=scaled))
    poses = read_truth(tmp_path / "walk.p1.bvh")
    clip = poses.clips["walk"]
    assert poses.joint_set == ("limbs12" if names else "h36m17") and clip.rate == pytest.approx(25)
    index = SET.indices(joint_set(poses.joint_set).joints)
    assert np.abs(clip.joints["world"] - world[:, index]).max() < 2e-3


@pytest.mark.parametrize(("old", "new", "says"), [
    ("left_elbow", "bone_7", "nodes for"),
    ("OFFSET", "OFFSET", "length unit: expected legs of"),
])  # fmt: skip
def test_bvh_that_is_no_body_is_told_in_one_line(tmp_path, old, new, says):
    _, world = walker(5)
    bvh, _ = bvh_from_joints((1.0 if new != old else 1e-3) * world, fps=25, frame="world")
    write_bvh(tmp_path / "a.bvh", bvh)
    text = (tmp_path / "a.bvh").read_text()
    (tmp_path / "a.bvh").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=says) as error:
        read_truth(tmp_path / "a.bvh")
    assert str(error.value).startswith(str(tmp_path / "a.bvh")) and "\n" not in str(error.value)


def test_an_artifact_without_poses_is_refused(tmp_path):
    arrays = {"depth": np.ones((3, 28), np.float32), "valid": np.ones((3, 28), bool)}
    clip = Clip("ok", "", 30.0, True, (640, 480), np.arange(3) / 30, tracks={"p1": Track(arrays)})
    write(tmp_path / "depth.h5", Artifact("depth", "S1", "posemill28", {"walk": clip}))
    with pytest.raises(InputError, match="kind of artifact: expected truth3d"):
        read_truth(tmp_path / "depth.h5")
