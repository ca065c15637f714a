"""Skeleton, scale and translation against a walker and cameras that are known."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from posemill.camera import Camera
from posemill.errors import ClipError
from posemill.joint_axes import moved_by
from posemill.placement.equations import closed_form
from posemill.placement.observed import Observed
from posemill.placement.options import PlaceOptions
from posemill.placement.roots import solve_roots
from posemill.placement.skeleton_scale import PROPORTIONS, Skeleton, fit_skeleton, stature
from posemill.placement.translation import root_trajectory, smooth_roots
from posemill.placement.world import frame_of, world_source
from posemill.skeleton import LIMBS, bone_lengths, normalise_pose
from tests.unit.test_ground_camera import POSE, K
from tests.walker import CAMERAS, LENGTHS, SET, walker

CAMERA = CAMERAS["cam1"]
LIMB = SET.indices(LIMBS)


def seen(frames: int = 60, camera: Camera = CAMERA):
    """Time, relative pose, root and keypoints of the walker in front of a camera."""
    time, world = walker(frames)
    joints = camera.world_to_camera(world)
    return time, joints - joints[:, :1], joints[:, 0], camera.project(joints)


def place(time, pose, keypoints, *, sigma_px=1.0, pose_sigma=0.01, valid=None, camera=CAMERA, temporal=True, **options):
    shape = pose.shape[:2]
    return root_trajectory(
        time,
        pose,
        np.full(shape, pose_sigma),
        keypoints,
        np.full(shape, sigma_px),
        np.ones(shape, bool) if valid is None else valid,
        camera,
        temporal=temporal,
        scale_sigma=0.0,
        options=PlaceOptions(**options),
    )


# ------------------------------------------------------------------------------------------ bone lengths and scale


def test_bone_lengths_are_found_from_noisy_frames_of_any_size():
    rng = np.random.default_rng(0)
    _, pose, _, _ = seen(300)
    size = rng.uniform(0.8, 1.2, (300, 1, 1))
    noisy = pose * size + rng.normal(0, 0.01, pose.shape)
    skeleton = fit_skeleton([noisy[:100], noisy[100:]], [np.full((100, 17), 0.01), np.full((200, 17), 0.01)])
    ratio = skeleton.lengths_m / LENGTHS
    # Noise lengthens a bone by sigma²/length: 1 cm at both ends of the 9 cm neck are 2.5 %.
    np.testing.assert_allclose(ratio / np.median(ratio), 1.0, atol=0.03)
    assert np.median(ratio) == pytest.approx(np.median(size), rel=0.01)
    assert (skeleton.scale, skeleton.scale_source, skeleton.scale_sigma) == (1.0, "lifter_prior", 0.06)


def test_left_and_right_are_one():
    _, pose, _, _ = seen()
    lengths = LENGTHS.copy()
    lengths[1], lengths[4] = 0.42, 0.46
    skeleton = fit_skeleton([normalise_pose(pose, lengths)], [np.full((60, 17), 0.01)])
    np.testing.assert_allclose(skeleton.lengths_m, LENGTHS, atol=1e-9)


def test_sigma_weighs_the_frames():
    _, pose, _, _ = seen(40)
    wrong = pose.copy()
    wrong[:25] = normalise_pose(pose[:25], LENGTHS * np.linspace(0.7, 1.4, 16))
    sigma = np.full((40, 17), 0.01)
    sigma[:25] = 0.2
    np.testing.assert_allclose(fit_skeleton([wrong], [sigma]).lengths_m, LENGTHS, atol=1e-9)


@pytest.mark.parametrize("unit", [1.0, 0.37, 1000.0])
def test_height_gives_the_scale_whatever_the_lifters_unit(unit):
    _, pose, _, _ = seen()
    skeleton = fit_skeleton([pose * unit], [np.full((60, 17), 0.01 * unit)], height_m=1.65)
    assert stature(skeleton.lengths_m) == pytest.approx(1.65, abs=1e-9)
    np.testing.assert_allclose(skeleton.lengths_m / skeleton.lengths_m[1], LENGTHS / LENGTHS[1], atol=1e-9)
    assert skeleton.scale * unit == pytest.approx(1.65 / stature(LENGTHS))
    assert skeleton.scale_source == "height_m"


def test_stature_by_hand():
    # (thigh 0.44 + shin 0.43) / 0.491
    assert stature(LENGTHS) == pytest.approx(0.87 / 0.491)
    assert stature(PROPORTIONS) == pytest.approx(1.0, abs=0.01)


def test_stature_of_mocap_subjects(shared_data):
    h5py = pytest.importorskip("h5py")
    ratio = []
    with h5py.File(shared_data / "motion" / "cmu_dev_h36m17_50hz.h5") as f:
        for clips in f["train"].values():
            lengths = np.median([np.median(bone_lengths(c[()]), 0) for c in clips.values()], 0)
            head = np.median([np.median(c[:, SET.index("head_top"), 2]) for c in clips.values()])
            ratio.append(head / stature(lengths))
    assert np.median(ratio) == pytest.approx(0.932, abs=0.005)
    assert np.std(ratio) / np.mean(ratio) < 0.03


def test_bones_never_seen_are_assumed_and_named():
    _, pose, _, _ = seen()
    pose = pose.copy()
    pose[:, SET.index("head_top")] = np.nan
    skeleton = fit_skeleton([pose], [np.full((60, 17), 0.01)], height_m=1.8)
    assert skeleton.assumed == ("head_top",)
    assert np.isfinite(skeleton.lengths_m).all()
    nobody = fit_skeleton([pose * np.nan], [np.full((60, 17), np.nan)])
    assert len(nobody.assumed) == 16 and np.isfinite(nobody.lengths_m).all()
    pose[:, SET.indices(("left_knee", "right_knee"))] = np.nan
    with pytest.raises(ClipError, match="height_m"):
        fit_skeleton([pose], [np.full((60, 17), 0.01)], height_m=1.8)


# ------------------------------------------------------------------------------------------ translation, one frame


def test_closed_form_golden_numbers():
    root = np.array([0.35, -0.1, 4.2])
    camera = Camera(1000, 1002, K, np.zeros(5))
    found, _, _ = closed_form(POSE, camera.normalise(camera.project(POSE + root)), np.ones(17))
    np.testing.assert_allclose(found, root, atol=1e-12)


def test_noise_free_root_is_exact_through_distortion():
    time, pose, root, keypoints = seen()
    for temporal in (False, True):
        found = place(time, pose, keypoints, temporal=temporal, smoothing=False)
        np.testing.assert_allclose(found.root, root, atol=1e-6)
        assert found.valid.all()
    found = place(time, pose, keypoints, joints="all", robust=False, smoothing=False)
    np.testing.assert_allclose(found.root, root, atol=1e-6)


def test_many_frames_are_solved_as_each_by_itself(monkeypatch):
    """Whichever frames are solved together, and whichever of them are doubted."""
    rng = np.random.default_rng(8)
    _, pose, _, keypoints = seen(60)
    rays = CAMERA.normalise(keypoints + rng.normal(0, 3, keypoints.shape))[:, LIMB]
    rays[::5, :2] += 0.08
    valid = rng.random(rays.shape[:2]) > 0.1
    rays[7, 3], valid[9, 2:] = np.nan, False
    given = (pose[:, LIMB], rays, np.full(valid.shape, 2e-3), np.full(valid.shape, 0.01), valid)
    alone = [solve_roots(*(a[k : k + 1] for a in given)) for k in range(60)]
    for frames in (768, 7):
        monkeypatch.setattr("posemill.placement.roots._CHUNK", frames)
        together = solve_roots(*given)
        for name in ("root", "covariance", "pose_share", "valid"):
            each = np.concatenate([getattr(roots, name) for roots in alone])
            np.testing.assert_allclose(getattr(together, name), each, rtol=0, atol=1e-9)
    assert together.valid.sum() == 59


@pytest.mark.parametrize("robust", [True, False])
@pytest.mark.parametrize(("pixel", "pose_noise"), [(3.0, 0.0), (0.0, 0.03), (3.0, 0.03)])
def test_sigma_agrees_with_simulation(robust, pixel, pose_noise):
    rng = np.random.default_rng(2)
    _, pose, root, keypoints = seen(2)
    trials = 4000
    rays = CAMERA.normalise(keypoints[0] + rng.normal(0, pixel, (trials, 17, 2)))[:, LIMB]
    noisy = pose[0] + rng.normal(0, pose_noise, (trials, 17, 3))
    shape = (trials, 12)
    roots = solve_roots(
        noisy[:, LIMB],
        rays,
        np.full(shape, max(pixel, 1e-3) / CAMERA.focal_px),
        np.full(shape, pose_noise),
        np.ones(shape, bool),
        robust=robust,
    )
    errors = roots.root - root[0]
    stated = np.sqrt(np.diagonal(roots.covariance, axis1=1, axis2=2)).mean(0)
    np.testing.assert_allclose(stated, errors.std(0), rtol=0.1)
    cross = np.cov(errors.T)
    np.testing.assert_allclose(roots.covariance.mean(0), cross, atol=0.12 * np.abs(cross).max())
    if pose_noise == 0 and not robust:
        spread = np.sqrt(((pose[0, LIMB, :2] - pose[0, LIMB, :2].mean(0)) ** 2).sum())
        rule = root[0, 2] ** 2 * pixel / (CAMERA.focal_px * spread)
        assert errors[:, 2].std() == pytest.approx(rule, rel=0.1)


def test_the_share_of_the_pose_is_stated():
    _, pose, _, keypoints = seen(3)
    shape = (3, 12)
    rays, valid = CAMERA.normalise(keypoints)[:, LIMB], np.ones(shape, bool)
    for sigma, low, high in ((0.0, 0.0, 0.01), (0.1, 0.99, 1.0)):
        roots = solve_roots(pose[:, LIMB], rays, np.full(shape, 1e-4), np.full(shape, sigma), valid)
        assert ((roots.pose_share >= low) & (roots.pose_share <= high)).all()


@pytest.mark.parametrize("pixels", [15, 60, 300])
@pytest.mark.parametrize("joints", [("left_ankle",), ("right_wrist",), ("left_ankle", "right_shoulder")])
def test_bad_joints_do_not_pull(pixels, joints):
    rng = np.random.default_rng(3)
    time, pose, root, keypoints = seen(60)
    keypoints = keypoints + rng.normal(0, 0.5, keypoints.shape)
    clean = place(time, pose, keypoints, sigma_px=0.5, pose_sigma=0.005, smoothing=False)
    bad = keypoints.copy()
    for joint in joints:
        bad[:, SET.index(joint)] += np.array([0.6, -0.8]) * pixels
    found = place(time, pose, bad, sigma_px=0.5, pose_sigma=0.005, smoothing=False)
    assert np.linalg.norm(found.root - clean.root, axis=-1).max() < 0.02
    plain = place(time, pose, bad, sigma_px=0.5, pose_sigma=0.005, smoothing=False, robust=False)
    assert np.linalg.norm(plain.root - root, axis=-1).max() > 0.02


def test_an_understated_sigma_is_noticed():
    rng = np.random.default_rng(4)
    time, pose, root, keypoints = seen(400)
    noisy = keypoints + rng.normal(0, 8, keypoints.shape)
    found = place(time, pose, noisy, sigma_px=1.0, pose_sigma=0.0, smoothing=False)
    z = (found.root - root) / found.sigma
    assert (z.std(0) > 0.5).all() and (z.std(0) < 2).all()


def test_frames_that_cannot_be_placed_are_unknown():
    time, pose, root, keypoints = seen(8)
    valid = np.ones((8, 17), bool)
    valid[1] = False
    valid[2, LIMB[3:]] = False
    pose = pose.copy()
    pose[3] = 0.0
    keypoints[4] = CAMERA.project(-(pose[4] + root[4]) + (0, 0, 10.0))
    keypoints[5] = np.nan
    found = place(time, pose, keypoints, valid=valid, smoothing=False)
    np.testing.assert_array_equal(found.valid[[0, 6, 7]], True)
    assert not found.valid[[1, 2, 3, 5]].any()
    assert np.isnan(found.root[~found.valid]).all() and np.isnan(found.sigma[~found.valid]).all()
    near = place(time, pose, CAMERA.project(pose + np.array([0, 0, 1.0])), min_depth_m=1.5, smoothing=False)
    assert not near.valid[[0, 6]].any()


def test_joints_on_a_line_and_single_frames_do_not_fail():
    line = np.linspace(-0.5, 0.5, 17)[None, :, None] * np.array([0, 1.0, 0])
    keypoints = CAMERA.project(line + np.array([0.2, 0, 4]))
    found = place(np.zeros(1), line, keypoints)
    np.testing.assert_allclose(found.root, [[0.2, 0, 4]], atol=1e-6)
    empty = place(np.zeros(0), np.zeros((0, 17, 3)), np.zeros((0, 17, 2)))
    assert empty.root.shape == (0, 3)


def test_scale_and_focal_sigma_reach_the_output():
    time, pose, root, keypoints = seen(5)
    camera = Camera(1000, 1002, CAMERA.K, CAMERA.dist, focal_sigma=0.25)
    shape = (5, 17)
    found = root_trajectory(
        *(time, pose, np.full(shape, 1e-6), keypoints, np.full(shape, 1e-3), np.ones(shape, bool), camera),
        temporal=False,
        scale_sigma=0.03,
        options=PlaceOptions(),
    )
    np.testing.assert_allclose(found.sigma[:, 0], np.abs(root[:, 0]) * 0.03, rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(found.sigma[:, 2], root[:, 2] * np.hypot(0.03, 0.25), rtol=1e-3)


# ------------------------------------------------------------------------------------------ translation over time


def test_smoothing_lowers_depth_noise_without_lag_and_keeps_the_sides():
    rng = np.random.default_rng(5)
    time, pose, root, keypoints = seen(300)
    noisy = keypoints + rng.normal(0, 3, keypoints.shape)
    raw = place(time, pose, noisy, sigma_px=3.0, pose_sigma=1e-4, smoothing=False)
    smooth = place(time, pose, noisy, sigma_px=3.0, pose_sigma=1e-4)
    before, after = raw.root - root, smooth.root - root
    assert after[:, 2].std() < 0.6 * before[:, 2].std()
    assert (after[:, :2].std(0) < before[:, :2].std(0)).all()
    inner = slice(20, -20)
    inside = np.abs(after[inner] / smooth.sigma[inner]) < 1
    assert 0.55 < inside.mean() < 0.8


def test_an_error_of_the_pose_is_not_averaged_away():
    time, pose, _, keypoints = seen(100)
    smooth = place(time, pose, keypoints, sigma_px=0.1, pose_sigma=0.05)
    raw = place(time, pose, keypoints, sigma_px=0.1, pose_sigma=0.05, smoothing=False)
    np.testing.assert_allclose(smooth.sigma[:, 2], raw.sigma[:, 2], rtol=0.1)


def test_gaps_are_bridged_with_growing_sigma_and_long_ones_are_not():
    time, pose, root, keypoints = seen(120)
    valid = np.ones((120, 17), bool)
    valid[30:40] = False
    valid[70:100] = False
    found = place(time, pose, keypoints, valid=valid, pose_sigma=1e-4)
    assert found.valid[:70].all() and not found.valid[70:100].any() and found.valid[100:].all()
    np.testing.assert_allclose(found.root[30:40], root[30:40], atol=0.03)
    assert found.sigma[35, 2] > 1.5 * found.sigma[20, 2] and found.sigma[35, 2] > found.sigma[30, 2]
    ends = valid.copy()
    ends[:10] = False
    assert not place(time, pose, keypoints, valid=ends).valid[:10].any()


def test_stills_do_not_know_of_each_other():
    time, pose, _, keypoints = seen(20)
    shuffled = np.random.default_rng(6).permutation(20)
    valid = np.ones((20, 17), bool)
    valid[4] = False
    one = place(time, pose, keypoints, valid=valid, temporal=False)
    two = place(time, pose[shuffled], keypoints[shuffled], valid=valid[shuffled], temporal=False)
    np.testing.assert_array_equal(one.root[shuffled], two.root)
    assert not one.valid[4]


def test_a_jump_of_one_frame_is_ignored():
    time, pose, root, keypoints = seen(90)
    rays, shape = CAMERA.normalise(keypoints)[:, LIMB], (90, 12)
    roots = solve_roots(pose[:, LIMB], rays, np.full(shape, 1e-3), np.full(shape, 1e-3), np.ones(shape, bool))
    roots.root[45] += (0.3, 0, 2.0)
    found = smooth_roots(time, roots, q=2.0, max_gap_s=0.5)
    np.testing.assert_allclose(found.root[45], root[45], atol=0.05)


# ------------------------------------------------------------------------------------------ world and options


def test_a_detectors_own_joints_do_not_move_the_root():
    time, pose, root, _ = seen()
    flags, sigma = np.ones(pose.shape[:2], bool), np.full(pose.shape[:2], 0.01)
    skeleton = Skeleton(LENGTHS, 1.0, 0.0, "height_m")
    # Shoulders too low and ankles too high: who is seen so seems shorter, and farther away.
    offsets = {"ankle": (0.0, 0.0, -0.02), "shoulder": (0.0, 0.0, -0.02)}
    moved = CAMERA.project(pose + moved_by(pose, offsets, skeleton.stature_m) + root[:, None])
    one = Observed(time, True, CAMERA, pose, sigma, flags, "h36m17", moved, 100 * sigma, flags, joint_offsets=offsets)
    off = [
        np.linalg.norm(one.path(skeleton, PlaceOptions(joint_offsets=told)).root - root, axis=-1).mean()
        for told in (True, False)
    ]
    assert off[0] < 0.002 and off[1] > 0.05


def test_a_foot_that_is_never_seen_is_as_the_other():
    pose = seen()[1]
    feet = np.full((len(pose), 4, 3), np.nan)
    feet[:, 0] = pose[:, SET.index("left_ankle")] + [0.07, 0.0, 0.0]
    skeleton = Skeleton(LENGTHS, 1.0, 0.0, "height_m").with_feet([np.concatenate([pose, feet], 1)], "posemill21")
    left_heel, right_heel = skeleton.lengths_m[16:18]
    assert left_heel == pytest.approx(0.07) and right_heel == pytest.approx(0.07)
    assert "right_heel" in skeleton.assumed and "left_heel" not in skeleton.assumed


def test_the_world_is_calibrated_or_absent():
    assert (world_source(CAMERA), frame_of("calibration")) == ("calibration", "world")
    assert (world_source(Camera.prior(640, 480)), frame_of("none")) == ("none", "camera")


def test_two_cameras_agree_in_the_world():
    for camera in CAMERAS.values():
        time, pose, _, keypoints = seen(30, camera)
        found = place(time, pose, keypoints, camera=camera, smoothing=False)
        np.testing.assert_allclose(camera.camera_to_world(found.root), walker(30)[1][:, 0], atol=1e-6)


def test_mistyped_options_are_refused():
    with pytest.raises(ValidationError, match="smoothing_Q"):
        PlaceOptions(**{"smoothing_Q": 1})
