"""merge on the demo's twin: a lifter with heels and toes that errs, in files, with two people in one room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemill.formats.artifact import Artifact, Track, only_joints, read, write
from posemill.merging.soles import SOLES
from posemill.metrics.feet import contact_score, joint_foot_sliding, pair_contacts
from posemill.provenance import StageRequest
from posemill.skeleton import JOINT_SETS, bone_lengths
from posemill.stages import merge, place

DEMO = Path(__file__).parents[2] / "resources/demo/S9/truth.h5"
NAMES = ("walk_and_turn_cam1", "squat_and_reach_cam2")
SEEN, LIFTED = JOINT_SETS["posemill28"], JOINT_SETS["posemill21"]
ANKLES = JOINT_SETS["h36m17"].indices(("left_ankle", "right_ankle"))


def errors(shape: tuple[int, ...], sigma: np.ndarray | float, seed: int) -> np.ndarray:
    """Errors that last about 0.2 s, as a lifter's and a detector's do."""
    white = np.random.default_rng(seed).normal(0, 1, (shape[0] + 12, *shape[1:]))
    kernel = np.hanning(15)[1:-1]
    smooth = np.apply_along_axis(np.convolve, 0, white, kernel / np.linalg.norm(kernel), mode="valid")
    return smooth[: shape[0]] * sigma


def made(folder: Path, people: tuple[str, ...] = ("p1", "p2"), *, calibrated: bool = True, world: bool = True) -> Path:
    """Write keypoints2d.h5 (1.5 px) and lifted3d.h5 (1.5 cm across, 5 cm along the sight); p2 stands a metre aside."""
    truth = read(DEMO, "truth3d")
    seen, lifted = Artifact("keypoints2d", "S9", SEEN.name), Artifact("lifted3d", "S9", LIFTED.name)
    for k, name in enumerate(NAMES):
        clip = truth.clips[name]
        arrays = next(iter(clip.tracks.values())).arrays
        assert clip.camera is not None
        camera = clip.camera if calibrated else replace(clip.camera, R=None, t=None)
        base = replace(clip, camera=camera, tracks={}, attrs={})
        seen.clips[name], lifted.clips[name] = base, replace(base, camera=None, tracks={})
        for person in people:
            beside = np.array([1.0, 0, 0]) * (person == "p2")
            joints = arrays["joints_camera"].astype(np.float64) + beside
            keypoints = camera.project(joints)
            keypoints += errors(keypoints.shape, 1.5, 2 * k + len(person))
            valid = np.ones(keypoints.shape[:2], dtype=bool)
            image = {
                "keypoints": keypoints,
                "score": np.full(valid.shape, 0.9),
                "sigma": np.full(valid.shape, 2.0),
                "valid": valid,
                "bbox": np.tile([0.0, 0, 640, 480], (len(valid), 1)),
            }
            seen.clips[name].tracks[person] = Track(image)
            pose = joints[:, SEEN.indices(LIFTED.joints)] - joints[:, :1]
            limb = np.linalg.norm(pose, axis=-1, keepdims=True) > 0.05
            sigma = np.broadcast_to([0.015, 0.015, 0.05], pose.shape) * limb + 0.001
            pose = pose + errors(pose.shape, sigma, 10 + k) * (np.arange(len(LIFTED)) > 0)[:, None]
            flags = np.ones(pose.shape[:2], dtype=bool)
            lifted.clips[name].tracks[person] = Track({"joints_relative": pose, "sigma": sigma, "valid": flags})
    write(folder / "keypoints2d.h5", seen)
    write(folder / "lifted3d.h5", lifted)
    request = StageRequest("place", options={"world": world}, sheet={"height_m": 1.75})
    place.run(folder / "keypoints2d.h5", folder / "lifted3d.h5", folder / "placed3d.h5", request)
    return folder


def run(folder: Path, **options: object) -> Artifact:
    paths = [folder / f"{name}.h5" for name in ("keypoints2d", "lifted3d", "placed3d", "merged3d")]
    merge.run(*paths, StageRequest("merge", options=options))
    return read(paths[-1], "merged3d")


def sliding(result: Artifact, name: str) -> float:
    truth = next(iter(read(DEMO, "truth3d").clips[name].tracks.values())).arrays
    joints = result.clips[name].tracks["p1"].arrays["joints"].astype(np.float64)
    stands = pair_contacts(truth["contact"].reshape(-1, 2, 2).all(-1))
    return float(np.nanmean(joint_foot_sliding(joints[:, ANKLES], stands, time_s=result.clips[name].time)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("twin"))


def test_feet_stand_and_nothing_else_gets_worse(folder):
    free, locked = run(folder, lock_feet=False), run(folder)
    truth, errors_m = read(DEMO, "truth3d"), np.zeros(2)
    for name in NAMES:
        true = next(iter(truth.clips[name].tracks.values())).arrays
        a, b = (r.clips[name].tracks["p1"].arrays for r in (free, locked))
        contact = true["contact"].reshape(-1, 2, 2).any(-1)
        assert (contact_score(b["contact"], contact).f1 > 0.9).all()
        assert sliding(locked, name) < 0.3 * sliding(free, name)
        errors_m += [np.linalg.norm(x["joints"][:, :17] - true["joints"][:, :17], axis=-1).mean() for x in (a, b)]
        camera = locked.clips[name].camera
        assert camera is not None
        off = [
            np.linalg.norm(camera.project(x["joints_camera"][:, ANKLES]) - true["keypoints"][:, ANKLES], axis=-1).mean()
            for x in (a, b)
        ]
        assert off[1] < off[0] + 2
        assert np.ptp(bone_lengths(b["joints"].astype(np.float64)), axis=0).max() < 5e-6
        assert b["joints"][:, ANKLES, 2].min() > 0.03
        assert (b["moved"] > 0).any() and locked.clips[name].attrs["feet_locked"]
        assert not free.clips[name].attrs["feet_locked"]
    # Where a step is put wrongly, all of a clip may be: it is better over clips.
    assert errors_m[1] < errors_m[0]


def test_heels_and_toes_stand_with_the_feet(folder):
    free, locked = run(folder, lock_feet=False), run(folder)
    assert locked.joint_set == "posemill21"
    truth, spots, off_m = read(DEMO, "truth3d"), SOLES.ravel(), np.zeros(2)
    for name in NAMES:
        true = next(iter(truth.clips[name].tracks.values())).arrays
        (a, b), time = (r.clips[name].tracks["p1"].arrays for r in (free, locked)), locked.clips[name].time
        true_spots = true["joints"][:, SEEN.indices(tuple(LIFTED.joints[i] for i in spots))]
        off_m += [np.linalg.norm(x["joints"][:, spots] - true_spots, axis=-1).mean() for x in (a, b)]
        stands = pair_contacts(true["contact"])
        slide = [np.nanmean(joint_foot_sliding(x["joints"][:, spots], stands, time_s=time)) for x in (a, b)]
        assert slide[1] < 0.3 * slide[0]
        assert b["joints"][:, spots, 2].min() > -1e-5
        # Rigid, of one shape in all clips, and as uncertain and as far moved as is said of every joint.
        soles = b["joints"][:, SOLES].astype(np.float64)
        assert np.ptp(np.linalg.norm(soles[:, :, 0] - soles[:, :, 1], axis=-1)) < 5e-6
        for field in ("joints_camera", "sigma", "moved"):
            assert np.isfinite(b[field][:, spots]).all() and (b[field][:, spots] != 0).any()
    assert off_m[1] < off_m[0]
    shapes = [
        np.linalg.norm(np.diff(locked.clips[n].tracks["p1"].arrays["joints"][0, SOLES[0]], axis=0)) for n in NAMES
    ]
    assert shapes[0] == pytest.approx(shapes[1], abs=1e-5)


def test_without_heels_and_toes_the_file_is_as_it_was(tmp_path):
    """A lifter of 17 joints: h36m17 as before, standing feet held by their ankles."""
    made(tmp_path, ("p1",))
    write(tmp_path / "lifted3d.h5", only_joints(read(tmp_path / "lifted3d.h5"), "h36m17"))
    request = StageRequest("place", sheet={"height_m": 1.75})
    place.run(tmp_path / "keypoints2d.h5", tmp_path / "lifted3d.h5", tmp_path / "placed3d.h5", request)
    result = run(tmp_path)
    assert result.joint_set == "h36m17"
    for name in NAMES:
        arrays = result.clips[name].tracks["p1"].arrays
        assert arrays["joints"].shape[1:] == (17, 3) and arrays["contact"].any() and sliding(result, name) < 0.08


def test_people_in_one_room_do_not_know_of_each_other(folder, tmp_path):
    both, alone = run(folder), run(made(tmp_path, ("p1",)))
    placed = [read(f / "placed3d.h5").arrays["bone_lengths"] for f in (folder, tmp_path)]
    np.testing.assert_allclose(placed[0], placed[1], atol=2e-3)
    for name in NAMES:
        one, two = (both.clips[name].tracks[p].arrays for p in ("p1", "p2"))
        assert np.linalg.norm(one["root"] - two["root"], axis=-1).min() > 0.8
        # All people of a subject share one scale, and each one's feet have a say in it: per mille of five metres.
        lonely = alone.clips[name].tracks["p1"].arrays["joints"]
        np.testing.assert_allclose(one["joints"], lonely, atol=0.06)
        assert np.linalg.norm(one["joints"] - lonely, axis=-1).mean() < 0.01


def test_without_a_world_no_foot_is_locked_and_it_is_said(tmp_path):
    result = run(made(tmp_path, ("p1",), calibrated=False, world=False))
    for name in NAMES:
        clip = result.clips[name]
        assert (clip.attrs["frame"], clip.attrs["contact_source"], clip.attrs["feet_locked"]) == (
            "camera",
            "none",
            False,
        )
        assert not clip.tracks["p1"].arrays["contact"].any()


def test_in_a_world_from_the_body_feet_stand_as_well(tmp_path):
    result = run(made(tmp_path, ("p1",), calibrated=False))
    truth = read(DEMO, "truth3d")
    for name in NAMES:
        clip = result.clips[name]
        assert (clip.attrs["world_source"], clip.attrs["feet_locked"]) == ("body", True)
        contact = next(iter(truth.clips[name].tracks.values())).arrays["contact"].reshape(-1, 2, 2).any(-1)
        assert (contact_score(clip.tracks["p1"].arrays["contact"], contact).f1 > 0.9).all()
        assert sliding(result, name) < 0.05
