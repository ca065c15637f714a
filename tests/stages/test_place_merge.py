"""place, merge and publish on files: a walker under two calibrated cameras and one unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.errors import ArtifactError
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.geometry import rotation_between
from posemill.placement.ray import root_rays, turned_to_ray
from posemill.placement.skeleton_scale import stature
from posemill.provenance import StageRequest
from posemill.skeleton import JOINT_SETS, bone_lengths
from posemill.stages import merge, place, publish
from tests.walker import CAMERAS, LENGTHS, walker

FRAMES = 60
COCO = JOINT_SETS["coco17"]
H36M = JOINT_SETS["h36m17"]
HEIGHT = float(stature(LENGTHS))
KNOWN = [(COCO.index(j), H36M.index(j)) for j in COCO.joints if j in H36M.joints]


def make(folder: Path, *, lifter_scale: float = 1.0, noise_px: float = 0.0, gap: slice | None = None) -> Path:
    """Write keypoints2d.h5 (coco17) and lifted3d.h5 of four clips: two calibrated, one not, one failed."""
    rng = np.random.default_rng(0)
    time, world = walker(FRAMES)
    cameras = {**CAMERAS, "phone": Camera(1000, 1002, CAMERAS["cam1"].K, CAMERAS["cam1"].dist, focal_sigma=0.1)}
    seen, lifted = Artifact("keypoints2d", "S1", "coco17"), Artifact("lifted3d", "S1", "h36m17")
    for name, camera in cameras.items():
        joints = CAMERAS.get(name, CAMERAS["cam1"]).world_to_camera(world)
        keypoints = np.full((FRAMES, 17, 2), np.nan)
        to, frm = np.array(KNOWN).T
        keypoints[:, to] = camera.project(joints)[:, frm] + rng.normal(0, noise_px, (FRAMES, len(to), 2))
        valid = np.isfinite(keypoints).all(-1)
        if gap is not None:
            valid[gap] = False
        keypoints[~valid] = np.nan
        box = np.tile([0.0, 0, 900, 900], (FRAMES, 1))
        box[~valid.any(-1)] = np.nan
        arrays = {
            "keypoints": keypoints,
            "score": np.where(valid, 0.9, 0.0),
            "sigma": np.where(valid, max(noise_px, 0.5), np.nan),
            "valid": valid,
            "bbox": box,
        }
        base = {"fps": 30.0, "image_size": (1000, 1002), "time": time}
        seen.clips[name] = Clip(**base, camera=camera, tracks={"p1": Track(arrays)})
        pose = (joints - joints[:, :1]) / lifter_scale
        all_valid = np.repeat(valid.any(-1, keepdims=True), 17, 1)
        hide = np.where(all_valid, 0.0, np.nan)
        arrays = {
            "joints_relative": pose + hide[..., None],
            "sigma": 0.005 + 0 * pose + hide[..., None],
            "valid": all_valid,
        }
        lifted.clips[name] = Clip(**base, tracks={"p1": Track(arrays)})
    for artifact in (seen, lifted):
        artifact.clips["broken"] = Clip("failed", "not a video", 30.0, True, (1000, 1002))
    write(folder / "keypoints2d.h5", seen)
    write(folder / "lifted3d.h5", lifted)
    return folder


def run(folder: Path, height_m: float | None = HEIGHT, place_options=None, merge_options=None) -> Artifact:
    k, l3, p, m = (folder / f"{n}.h5" for n in ("keypoints2d", "lifted3d", "placed3d", "merged3d"))
    place.run(k, l3, p, StageRequest("place", options=place_options or {}, sheet={"height_m": height_m}))
    merge.run(k, l3, p, m, StageRequest("merge", options=merge_options or {}))
    return read(m, "merged3d")


RAW = {
    "place_options": {"smoothing": False},
    "merge_options": {"cutoff_hz": None, "joint_limits": False, "lock_feet": False},
}


@pytest.mark.parametrize("lifter_scale", [1.0, 1.25])
def test_without_noise_the_world_is_exact_and_one(tmp_path, lifter_scale):
    result = run(make(tmp_path, lifter_scale=lifter_scale), **RAW)
    _, world = walker(FRAMES)
    for name in CAMERAS:
        clip = result.clips[name]
        track = clip.tracks["p1"].arrays
        assert (clip.attrs["frame"], clip.attrs["world_source"]) == ("world", "calibration")
        assert clip.attrs["scale_source"] == "height_m"
        np.testing.assert_allclose(track["joints"], world, atol=2e-5)
        np.testing.assert_allclose(track["root"], world[:, 0], atol=2e-5)
        assert track["valid"].all() and clip.attrs["contact_source"] == "feet_at_rest"
    placed = read(tmp_path / "placed3d.h5", "placed3d")
    assert float(placed.arrays["scale"]) == pytest.approx(lifter_scale, rel=1e-5)
    np.testing.assert_allclose(placed.arrays["bone_lengths"], LENGTHS, atol=1e-5)


def test_without_calibration_it_stays_in_the_camera(tmp_path):
    clip = run(make(tmp_path), **RAW).clips["phone"]
    track = clip.tracks["p1"].arrays
    joints = CAMERAS["cam1"].world_to_camera(walker(FRAMES)[1])
    assert (clip.attrs["frame"], clip.attrs["world_source"], clip.attrs["contact_source"]) == ("camera", "none", "none")
    # The walker hovers: no foot of it ever rests.
    assert "resting foot" in clip.attrs["world_reason"]
    np.testing.assert_allclose(track["joints"], joints, atol=2e-5)
    np.testing.assert_array_equal(track["joints"], track["joints_camera"])
    assert not track["contact"].any()
    assert (track["sigma"][..., 2] > 0.09 * joints[:, :1, 2]).all()


def test_noise_and_a_gap(tmp_path):
    gap = slice(20, 26)
    result = run(make(tmp_path, noise_px=3.0, gap=gap))
    _, world = walker(FRAMES)
    placed = read(tmp_path / "placed3d.h5", "placed3d")
    for name in CAMERAS:
        track = result.clips[name].tracks["p1"].arrays
        assert placed.clips[name].tracks["p1"].arrays["valid"].all()
        assert not track["valid"][gap].any() and track["valid"][:20].all() and track["valid"][26:].all()
        np.testing.assert_allclose(
            CAMERAS[name].camera_to_world(placed.clips[name].tracks["p1"].arrays["root_camera"])[gap],
            world[gap, 0],
            atol=0.1,
        )
        error = np.linalg.norm(track["joints"] - world, axis=-1)
        assert np.nanmedian(error) < 0.04
        assert np.nanmax(np.ptp(bone_lengths(track["joints"])[track["valid"].all(-1)], axis=0)) < 3e-6


def test_failed_clips_pass_through_with_their_reason(tmp_path):
    result = run(make(tmp_path))
    assert (result.clips["broken"].status, result.clips["broken"].reason) == ("failed", "not a video")
    assert [c.status for c in result.clips.values()].count("ok") == 3


def test_a_clip_that_cannot_be_placed_fails_alone(tmp_path):
    make(tmp_path)
    lifted = read(tmp_path / "lifted3d.h5")
    lifted.clips["cam2"].tracks["p1"].arrays["joints_relative"][:, 1:] *= -1
    write(tmp_path / "lifted3d.h5", lifted)
    seen = read(tmp_path / "keypoints2d.h5")
    arrays = seen.clips["cam2"].tracks["p1"].arrays
    keep = [COCO.index(j) for j in ("left_wrist", "right_wrist")]
    hide = np.setdiff1d(np.arange(17), keep)
    arrays["valid"][:, hide], arrays["keypoints"][:, hide], arrays["sigma"][:, hide] = False, np.nan, np.nan
    write(tmp_path / "keypoints2d.h5", seen)
    result = run(tmp_path)
    assert result.clips["cam2"].status == "failed"
    assert "expected 4 or more joints" in result.clips["cam2"].reason
    assert result.clips["cam1"].status == result.clips["phone"].status == "ok"


def test_without_height_the_lifters_scale_stays_and_says_so(tmp_path):
    clip = run(make(tmp_path, lifter_scale=1.1), height_m=None).clips["cam1"]
    placed = read(tmp_path / "placed3d.h5")
    assert clip.attrs["scale_source"] == "lifter_prior"
    assert float(placed.arrays["scale"]) == 1.0 and float(placed.arrays["scale_sigma"]) == pytest.approx(0.06)


def test_a_subject_without_a_usable_clip(tmp_path):
    make(tmp_path)
    for name in ("keypoints2d", "lifted3d"):
        artifact = read(tmp_path / f"{name}.h5")
        artifact.clips = {"broken": artifact.clips["broken"]}
        write(tmp_path / f"{name}.h5", artifact)
    assert run(tmp_path).clips["broken"].status == "failed"


def test_same_work_same_bytes_and_publish_copies(tmp_path):
    run(make(tmp_path))
    first = (tmp_path / "merged3d.h5").read_bytes()
    run(tmp_path)
    assert (tmp_path / "merged3d.h5").read_bytes() == first
    publish.run(tmp_path / "merged3d.h5", tmp_path / "poses3d.h5")
    assert (tmp_path / "poses3d.h5").read_bytes() == first
    provenance = read(tmp_path / "poses3d.h5").provenance
    assert set(provenance["inputs"]) == {"keypoints2d", "lifted3d", "placed3d"}
    assert str(tmp_path) not in json.dumps(provenance)


def test_publish_refuses_what_is_not_whole(tmp_path):
    run(make(tmp_path))
    data = (tmp_path / "merged3d.h5").read_bytes()
    (tmp_path / "merged3d.h5").write_bytes(data[:-100])
    with pytest.raises(ArtifactError, match=r"merged3d\.h5"):
        publish.run(tmp_path / "merged3d.h5", tmp_path / "poses3d.h5")
    assert not (tmp_path / "poses3d.h5").exists()
    with pytest.raises(ArtifactError, match="expected merged3d, got placed3d"):
        publish.run(tmp_path / "placed3d.h5", tmp_path / "poses3d.h5")


def test_files_of_other_clips_are_refused(tmp_path):
    run(make(tmp_path))
    lifted = read(tmp_path / "lifted3d.h5")
    del lifted.clips["phone"]
    write(tmp_path / "lifted3d.h5", lifted)
    request = StageRequest("place", sheet={"height_m": None})
    with pytest.raises(ArtifactError, match="subject and clips: expected"):
        place.run(tmp_path / "keypoints2d.h5", tmp_path / "lifted3d.h5", tmp_path / "x.h5", request)
    paths = [tmp_path / f"{n}.h5" for n in ("keypoints2d", "lifted3d", "placed3d", "x")]
    with pytest.raises(ArtifactError, match=r"made from lifted3d\.h5: expected .* run place again"):
        merge.run(*paths, StageRequest("merge"))


# ------------------------------------------------------------------------------------------ ray-blind lifters


def on_axis(joints: np.ndarray) -> np.ndarray:
    """The root-relative pose as a lifter answers that takes the person to be on the optical axis."""
    turn = rotation_between(joints[:, 0], np.array([0.0, 0.0, 1.0]))
    return (joints - joints[:, :1]) @ np.swapaxes(turn, -1, -2)


@pytest.mark.parametrize("marked", [True, False])
def test_a_ray_blind_lifter_is_turned_to_the_persons_ray_once(tmp_path, marked):
    """Marked, the world is right; with the same poses not marked, the person leans and stands elsewhere."""
    make(tmp_path)
    lifted, (_, world) = read(tmp_path / "lifted3d.h5"), walker(FRAMES)
    for name, camera in CAMERAS.items():
        lifted.clips[name].tracks["p1"].arrays["joints_relative"] = on_axis(camera.world_to_camera(world))
    lifted.attrs["ray_blind"] = marked
    write(tmp_path / "lifted3d.h5", lifted)
    result = run(tmp_path, **RAW)
    assert bool(read(tmp_path / "placed3d.h5").attrs["ray_blind"]) == marked == bool(result.attrs["ray_blind"])
    worst = max(np.abs(result.clips[n].tracks["p1"].arrays["joints"] - world).max() for n in CAMERAS)
    # The middle of the projected hips is not quite the projection of their middle.
    assert worst < 0.01 if marked else worst > 0.05


def test_the_rays_of_hips_of_one_hip_of_limbs_and_of_neighbours():
    camera = Camera.from_focal(1001, 1001, 500.0, source="sheet", sigma=0.0)
    time, keypoints = np.arange(6.0), np.full((6, 17, 2), np.nan)
    left, right, wrist = (COCO.index(n) for n in ("left_hip", "right_hip", "left_wrist"))
    keypoints[0, [left, right]] = (500, 500), (600, 500)
    keypoints[1, left] = (1000, 500)
    keypoints[2, wrist] = (500, 1000)
    keypoints[5, [left, right, wrist]] = (700, 500), (700, 500), (0, 0)
    known = np.isfinite(keypoints).all(-1)
    rays = root_rays(time, keypoints, "coco17", known, camera, temporal=True)
    want = [(0.1, 0), (1, 0), (0, 1), (0.4 / 3, 2 / 3), (0.8 / 3, 1 / 3), (0.4, 0)]
    np.testing.assert_allclose(rays, [(*xy, 1) for xy in want], atol=1e-12)
    stills = root_rays(time, keypoints, "coco17", known, camera, temporal=False)
    np.testing.assert_allclose(stills[[0, 1, 2, 5]], rays[[0, 1, 2, 5]])
    assert np.isnan(stills[3:5, :2]).all()
    # A quarter turn's half to the right: forward becomes right and forward, right becomes right and back, down stays.
    pose = np.broadcast_to(np.eye(3), (6, 3, 3))
    root_half = np.sqrt(0.5)
    turned = turned_to_ray(pose, rays)
    np.testing.assert_allclose(
        turned[1], [(root_half, 0, -root_half), (0, 1, 0), (root_half, 0, root_half)], atol=1e-12
    )
    assert np.isnan(turned_to_ray(pose, stills)[3]).all()
