"""Merging the walker: constant bones, one scale, world, contacts."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from posemill.geometry import axis_sigma
from posemill.merging.merge import merge
from posemill.merging.options import MergeOptions
from posemill.merging.steady import smooth_motion
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import JOINT_SETS, bone_lengths
from tests.walker import CAMERAS, LENGTHS, walker

CAMERA = CAMERAS["cam1"]
LEGS = JOINT_SETS["h36m17"].indices(("left_knee", "right_knee", "left_ankle", "right_ankle"))


def root_of(joints):
    return joints[:, :1]


def merged(pose, root, *, scale=1.0, camera=CAMERA, temporal=True, time=None, sigma=0.02, **options):
    frames = len(pose)
    options = {"joint_limits": False, "lock_feet": False} | options
    return merge(
        np.arange(frames) / 30 if time is None else time,
        pose,
        np.where(np.isfinite(pose), sigma, np.nan),
        root,
        np.where(np.isfinite(root), (0.01, 0.01, 0.05), np.nan),
        Skeleton(LENGTHS, scale, 0.0, "height_m"),
        camera,
        temporal=temporal,
        options=MergeOptions(**options),
    )


def truth(frames=60):
    _, world = walker(frames)
    joints = CAMERA.world_to_camera(world)
    return world, joints, joints - joints[:, :1], joints[:, 0]


def test_the_unsmoothed_merge_is_exact_at_any_lifter_scale():
    world, joints, pose, root = truth()
    out = merged(pose / 1.3, root, scale=1.3, cutoff_hz=None)
    np.testing.assert_allclose(out.joints, world, atol=1e-9)
    np.testing.assert_allclose(out.joints_camera, joints, atol=1e-9)
    np.testing.assert_allclose(out.root, world[:, 0], atol=1e-9)
    np.testing.assert_allclose(out.moved, 0.0, atol=1e-9)
    assert out.valid.all()


def test_bones_are_constant_after_smoothing_noise():
    world, _, pose, root = truth(120)
    noisy = pose + np.random.default_rng(0).normal(0, 0.03, pose.shape) * (np.arange(17) > 0)[:, None]
    out = merged(noisy, root)
    assert np.ptp(bone_lengths(out.joints.astype(np.float32)), axis=0).max() < 2e-6
    np.testing.assert_allclose(bone_lengths(out.joints), np.broadcast_to(LENGTHS, (120, 16)), atol=1e-9)
    raw = merged(noisy, root, cutoff_hz=None)
    assert np.linalg.norm(out.joints - world, axis=-1).mean() < 0.8 * np.linalg.norm(raw.joints - world, axis=-1).mean()
    np.testing.assert_allclose(
        out.moved, np.linalg.norm(out.joints_camera - noisy - root[:, None], axis=-1), atol=1e-12
    )


def test_smoothing_has_no_lag_and_hardly_changes_a_clean_walk():
    world, _, pose, root = truth(120)
    error = np.linalg.norm(merged(pose, root).joints - world, axis=-1)
    assert error[15:-15].max() < 0.012 and error.max() < 0.03


def test_without_a_world_the_frame_is_the_cameras():
    _, joints, pose, root = truth()
    out = merged(pose, root, camera=None, cutoff_hz=None)
    np.testing.assert_allclose(out.joints, joints, atol=1e-9)
    np.testing.assert_array_equal(out.joints, out.joints_camera)
    assert not out.contact.any()


def test_stills_are_not_smoothed():
    _, _, pose, root = truth()
    order = np.random.default_rng(0).permutation(60)
    one, two = merged(pose, root, temporal=False), merged(pose[order], root[order], temporal=False)
    np.testing.assert_array_equal(one.joints[order], two.joints)
    assert not one.contact.any()
    single = merged(pose[:1], root[:1])
    assert single.valid.all()


def test_unknown_is_unknown():
    _, _, pose, root = truth()
    pose, root = pose.copy(), root.copy()
    pose[10], pose[20, 12], root[30] = np.nan, np.nan, np.nan
    out = merged(pose, root)
    assert not out.valid[10].any() and not out.valid[30].any()
    np.testing.assert_array_equal(np.flatnonzero(~out.valid[20]), [12, 13])
    for value in (out.joints, out.joints_camera, out.sigma):
        np.testing.assert_array_equal(np.isfinite(value).all(-1), out.valid)
    np.testing.assert_array_equal(np.isfinite(out.moved), out.valid)
    np.testing.assert_array_equal(np.isfinite(out.root).all(-1), out.valid.any(-1))
    assert out.valid.sum() == 58 * 17 - 2


def test_sigma_is_turned_into_the_frame():
    _, _, pose, root = truth(3)
    camera = merged(pose, root, camera=None).sigma
    np.testing.assert_allclose(camera, np.broadcast_to(np.hypot(0.02, (0.01, 0.01, 0.05)), (3, 17, 3)))
    # A camera that looks along world y: its depth is the world's y, its down the world's -z.
    quarter = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    np.testing.assert_allclose(axis_sigma(np.array([1.0, 2, 3]), quarter), [1, 3, 2])
    r = Rotation.from_euler("xyz", (0.3, 0.4, 0.5)).as_matrix()
    sigma = np.array([0.1, 0.2, 0.9])
    np.testing.assert_allclose(axis_sigma(sigma, r), np.sqrt(np.diag(r @ np.diag(sigma**2) @ r.T)))


def test_smoothing_does_not_delay_a_walk_in_noise():
    world, _, pose, root = truth(240)
    noisy = pose + np.random.default_rng(1).normal(0, 0.02, pose.shape) * (np.arange(17) > 0)[:, None]
    found = merged(noisy, root).joints - root_of(world)
    true = world - root_of(world)
    shifts = np.arange(-3, 4)
    misses = [np.abs(found[20 + s : 220 + s] - true[20:220])[:, LEGS].mean() for s in shifts]
    assert shifts[int(np.argmin(misses))] == 0
    # Between the neighbours of the best shift: the least is where a parabola has it, within a tenth of a frame.
    before, at, after = misses[2], misses[3], misses[4]
    assert abs(0.5 * (before - after) / (before - 2 * at + after)) < 0.1


def test_joints_that_are_smoothed_one_by_one_are_as_all_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    points = truth(90)[0] + rng.normal(0, 0.01, (90, 17, 3))
    points[20:25, 3] = np.nan
    sigma = rng.uniform(0.01, 0.03, (90, 17))
    whole = smooth_motion(np.arange(90) / 30, points, sigma, MergeOptions())
    monkeypatch.setattr("posemill.smoothing._AT_A_TIME", 90)
    np.testing.assert_array_equal(smooth_motion(np.arange(90) / 30, points, sigma, MergeOptions()), whole)


def test_a_long_clip_is_merged_in_windows_as_in_one(monkeypatch):
    _, world = walker(400)
    joints = CAMERA.world_to_camera(world)
    noise = np.random.default_rng(3).normal(0, 0.01, joints.shape) * (np.arange(17) > 0)[:, None]
    pose, root = joints - joints[:, :1] + noise, joints[:, 0].copy()
    pose[150:155], root[300:302] = np.nan, np.nan
    whole = merged(pose, root, lock_feet=True)
    monkeypatch.setattr("posemill.merging.banded.WINDOW", 160)
    monkeypatch.setattr("posemill.merging.banded._OVERLAP", 90)
    monkeypatch.setattr("posemill.merging.merge.WINDOW", 160)
    parts = merged(pose, root, lock_feet=True)
    assert parts.joints.shape == whole.joints.shape and parts.joints.dtype == np.float32
    np.testing.assert_array_equal(parts.valid, whole.valid)
    for name in ("joints", "joints_camera", "root", "sigma", "moved"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=2e-3, err_msg=name)
    assert np.ptp(bone_lengths(parts.joints.astype(np.float64))[whole.valid.all(-1)], axis=0).max() < 5e-6
    assert (parts.contact == whole.contact).mean() > 0.95


def test_stills_are_no_clip_however_many(monkeypatch):
    monkeypatch.setattr("posemill.merging.merge.WINDOW", 10)
    _, _, pose, root = truth(30)
    assert merged(pose, root, temporal=False).joints.dtype == np.float64
