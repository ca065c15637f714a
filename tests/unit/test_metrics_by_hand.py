"""Motion, trajectories, feet, image, bodies and sigma: cases that can be derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemill.camera import Camera
from posemill.errors import InputError
from posemill.metrics import body, feet, image, motion, reduce, uncertainty, world
from posemill.skeleton import JOINT_SETS

RNG = np.random.default_rng(0)


def along_z(z: np.ndarray, joints: int = 1) -> np.ndarray:
    """Points (T, joints, 3) that are at 0 0 z."""
    points = np.zeros((len(z), joints, 3))
    points[..., 2] = np.asarray(z)[:, None]
    return points


# ---------------------------------------------------------------------------------------------- motion


def test_a_cube_of_time_has_its_derivatives():
    """z = t³: even steps of 0.1 s; velocity differs by 3t² + ..., jerk is 6 everywhere, whatever the times."""
    even, uneven = np.arange(20) / 10, np.cumsum(RNG.uniform(0.05, 0.2, 20))
    for time in (even, uneven):
        np.testing.assert_allclose(motion.jerk(along_z(time**3), time_s=time), 6, rtol=1e-9)
        parabola, still = along_z(2 * time**2), along_z(0 * time)
        np.testing.assert_allclose(motion.acceleration_errors(parabola, still, time_s=time, root=None), 4, rtol=1e-8)
        line = along_z(3 * time)
        np.testing.assert_allclose(motion.velocity_errors(line, still, time_s=time, root=None), 3, rtol=1e-9)
    assert motion.jitter(along_z(even**3), fps=10.0) == pytest.approx(6)


def test_a_published_velocity_error():
    """1 mm per frame at 50 Hz is 0.05 m/s, and back."""
    frames = np.arange(50)
    error = motion.mpjve(along_z(0.001 * frames), along_z(0.0 * frames), fps=50.0, root=None)
    assert error == pytest.approx(0.05)
    assert motion.per_frame(error, 50.0, order=1) == pytest.approx(0.001)


def test_a_common_motion_is_no_error_and_the_root_is_taken_out():
    truth = RNG.normal(size=(30, 5, 3))
    drift = along_z(np.arange(30.0) ** 2, 5)
    assert motion.mpjve(truth + drift, truth, fps=25.0) == pytest.approx(0, abs=1e-9)
    assert motion.mpjve(truth + drift, truth, fps=25.0, root=None) > 1


def test_the_unknown_takes_its_neighbours_along():
    points = RNG.normal(size=(10, 2, 3))
    gap = points.copy()
    gap[4, 1] = np.nan
    valid = np.ones((10, 2), bool)
    valid[4, 1] = False
    for found in (motion.jerk(gap, fps=30.0), motion.jerk(points, fps=30.0, valid=valid)):
        assert np.flatnonzero(np.isnan(found[:, 1])).tolist() == [1, 2, 3, 4] and np.isfinite(found[:, 0]).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "either time_s or fps, got none"),
        ({"fps": 30.0, "time_s": np.arange(5.0)}, "got both"),
        ({"fps": 0.0}, "positive rate"),
        ({"time_s": np.arange(4.0)}, r"\(5,\), got \(4,\)"),
        ({"time_s": np.array([0, 1, 1, 2, 3.0])}, "later than the one before"),
    ],
)
def test_time_must_be_said_once_and_go_on(options, match):
    with pytest.raises(InputError, match=match):
        motion.jitter(np.zeros((5, 1, 3)), **options)


def test_too_short_a_clip_has_no_jerk():
    assert motion.jerk(np.zeros((3, 2, 3)), fps=30.0).shape == (0, 2)
    assert np.isnan(motion.jitter(np.zeros((2, 2, 3)), fps=30.0))


# ---------------------------------------------------------------------------------------------- world


def walk(frames: int = 250) -> np.ndarray:
    pose = RNG.normal(size=(frames, 17, 3)) * 0.3
    return pose + np.stack([0.02 * np.arange(frames), 0 * np.arange(frames), np.ones(frames)], -1)[:, None]


def test_chunks_take_the_rest():
    assert [(c.start, c.stop) for c in world.chunks(320)] == [(0, 100), (100, 200), (200, 320)]
    assert [(c.start, c.stop) for c in world.chunks(99)] == [(0, 99)]
    assert [(c.start, c.stop) for c in world.chunks(200)] == [(0, 100), (100, 200)]
    assert world.chunks(0) == []


def test_each_chunk_has_its_own_transform():
    """Another rotation, scale and place in each chunk are no error; one within a chunk is."""
    truth = walk()
    pred = truth.copy()
    turn = Rotation.from_rotvec([0.1, 0.2, 2.0]).as_matrix()
    pred[100:] = 0.5 * pred[100:] @ turn.T + [3, 2, 1]
    assert world.wa_mpjpe(pred, truth) == pytest.approx(0, abs=1e-9)
    assert world.w_mpjpe(pred, truth) == pytest.approx(0, abs=1e-9)
    pred = truth.copy()
    pred[50:100, :, 0] += 1.0
    assert world.wa_mpjpe(pred, truth, length=250) > 0.1
    # Fitted to the first two frames, the others keep their full metre.
    errors = world.w_joint_errors(pred, truth)
    np.testing.assert_allclose(errors[50:100], 1, atol=1e-9)
    np.testing.assert_allclose(np.delete(errors, np.s_[50:100], axis=0), 0, atol=1e-9)


def test_a_chunk_without_a_start_says_nothing():
    truth = walk(200)
    pred = truth.copy()
    pred[100:102] = np.nan
    errors = world.w_joint_errors(pred, truth)
    assert np.isfinite(errors[:100]).all() and np.isnan(errors[100:]).all()
    assert np.isnan(world.wa_joint_errors(pred, truth)[100:102]).all()


def test_drift_by_the_length_of_the_way():
    """10 m straight on in steps of 1 m, told as 12 m: centred, the ends are 1 m off; the mean of |0.2 (k - 5)|."""
    truth = np.zeros((11, 3))
    truth[:, 0] = np.arange(11)
    want = 100 * np.mean(0.2 * np.abs(np.arange(11) - 5)) / 10
    assert world.rte(1.2 * truth, truth) == pytest.approx(want)
    turned = 1.2 * truth @ Rotation.from_rotvec([0, 0, 1.0]).as_matrix().T + [5, 5, 5]
    assert world.rte(turned, truth) == pytest.approx(want)
    assert np.isnan(world.rte(truth, np.zeros((11, 3))))


def test_root_error_splits_along_the_ray():
    # 4 m before the camera: 0.3 m too far and 0.4 m aside.
    error = world.root_error(np.array([0.4, 0, 4.3]), np.array([0, 0, 4.0]))
    np.testing.assert_allclose(error, [0.5, 0.3, 0.4])
    moved = world.root_error(np.array([0.4, 7, 4.3]), np.array([0, 7, 4.0]), camera_centre=np.array([0, 7.0, 0]))
    np.testing.assert_allclose(moved, [0.5, 0.3, 0.4])


def test_depth_ratio_is_a_median():
    truth = np.array([[0, 0, 4.0], [0, 0, 6.0], [0, 0, 5.0], [np.nan] * 3])
    assert world.depth_ratio(truth * [[1], [1 / 1.2], [0.1], [1]], truth) == pytest.approx(1.2)
    assert np.isnan(world.depth_ratio(truth[3:], truth[3:]))


# ---------------------------------------------------------------------------------------------- feet


def test_contacts_are_scored_per_foot():
    """Left: 2 hits, 1 false, 1 missed. Right: never said, never there."""
    said = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], bool)
    real = np.array([[1, 0], [1, 0], [0, 0], [1, 0]], bool)
    score = feet.contact_score(said, real)
    np.testing.assert_allclose([s[0] for s in score[:3]], 2 / 3)
    assert np.isnan([s[1] for s in score[:3]]).all()
    only = feet.contact_score(said, real, valid=np.array([[True, True]] * 2 + [[False, True]] * 2))
    assert only.f1[0] == 1 and only.frames.tolist() == [2, 4]


def test_sliding_is_the_speed_in_true_contacts():
    """The true foot stands for frames 0-4, then goes 5 cm a frame; the predicted one slides 1 cm a frame throughout."""
    truth = np.zeros((9, 1, 3))
    truth[:, 0, 0] = [0, 0, 0, 0, 0, 0.05, 0.1, 0.15, 0.2]
    pred = np.zeros((9, 1, 3))
    pred[:, 0, 1] = 0.01 * np.arange(9)
    contact = feet.true_contacts(truth, fps=30.0)
    assert contact[:, 0].tolist() == [True] * 4 + [False] * 4
    slide = feet.joint_foot_sliding(pred, contact, fps=30.0)
    np.testing.assert_allclose(slide[:4], 0.3)
    assert np.isnan(slide[4:]).all()
    # 3 mm a frame at 100 Hz is the same 0.3 m/s, but 1 cm a frame there is none.
    assert feet.true_contacts(truth * 0.4, fps=100.0).sum() == 4
    with pytest.raises(InputError, match="pair_contacts"):
        feet.joint_foot_sliding(pred, np.ones((9, 1), bool), fps=30.0)
    assert feet.pair_contacts(np.array([[1], [1], [0], [1]], bool)).ravel().tolist() == [True, False, False]


def test_floor_piercing():
    points = np.zeros((4, 2, 3))
    points[:, 0, 2] = [0.1, -0.02, -0.04, np.nan]
    found = feet.floor_piercing(points)
    np.testing.assert_allclose(found.share, [2 / 3, 0])
    np.testing.assert_allclose(found.depth_m, [0.03, 0])
    np.testing.assert_allclose(feet.floor_piercing(points, floor_m=0.05).share, [2 / 3, 1])


def test_foot_reprojection():
    camera = Camera.from_focal(1000, 1000, 500.0, source="sheet", sigma=0.0)
    foot = np.array([[[0.4, 1.0, 4.0]]])
    seen = camera.project(foot)
    np.testing.assert_allclose(feet.foot_reprojection_errors(foot + np.array([0.08, 0, 0]), camera, seen), 10)


# ---------------------------------------------------------------------------------------------- image


def test_pixel_errors_are_shares_of_the_height():
    truth = np.zeros((2, 3, 2))
    errors = image.pixel_errors(truth + np.array([3, 4]), truth, np.array([100.0, 500.0]))
    np.testing.assert_allclose(errors, [[0.05] * 3, [0.01] * 3])


def test_pckh_counts_the_edge_and_leaves_pelvis_and_thorax_out():
    """A head's box of 30 by 40: diagonal 50, size 30, threshold 15 px."""
    truth = np.zeros((1, 16, 2))
    pred = truth.copy()
    pred[0, 0], pred[0, 1], pred[0, 6] = [9, 12], [9, 12.01], [100, 0]
    found = image.pckh(pred, truth, np.array([[10, 10, 40, 50]]))
    assert found.by_joint[0] == 1 and found.by_joint[1] == 0 and found.by_joint[6] == 0
    assert found.mean == pytest.approx(13 / 14)
    pred[0, 2] = np.nan
    assert image.pckh(pred, truth, np.array([[10, 10, 40, 50]])).mean == pytest.approx(12 / 14)
    with pytest.raises(InputError, match="head boxes"):
        image.pckh(pred, truth, np.zeros((2, 4)))


def test_oks_of_one_joint():
    """A wrist (sigma 0.062) off by 2 sigma sqrt(2 area): exp(-1)."""
    truth = np.full((17, 2), np.nan)
    truth[9] = [100, 50]
    pred = np.zeros((17, 2))
    pred[9] = truth[9] + [2 * 0.062 * np.sqrt(2 * 5000.0), 0]
    assert image.oks(pred, truth, np.array(5000.0)) == pytest.approx(np.exp(-1))
    # A second labelled joint without a prediction halves it.
    truth[10], pred[10] = [1, 1], np.nan
    assert image.oks(pred, truth, np.array(5000.0)) == pytest.approx(np.exp(-1) / 2)
    assert np.isnan(image.oks(pred, np.full((17, 2), np.nan), np.array(5000.0)))


def test_oks_sigmas_by_name():
    assert image.oks_sigmas("mpii16")[[0, 1, 2]].tolist() == [0.089, 0.087, 0.107]
    assert image.oks_sigmas("halpe26")[[20, 21]].tolist() == [0.068, 0.092]
    with pytest.raises(InputError, match="left_pinky"):
        image.oks_sigmas("blazepose33")


def test_average_precision_by_hand():
    """Two persons; the better scored detection is right, the next a duplicate, the last finds the second."""
    similarity = np.array([[0.72, 0.0], [0.71, 0.0], [0.0, 0.52]])
    mean, by = image.average_precision([(similarity, np.array([0.9, 0.8, 0.7]))])
    # At 0.5: precision 1 up to recall 0.5 (51 of 101 recalls), then 2/3 (50). To 0.70 only the first counts.
    np.testing.assert_allclose(by[0], (51 + 50 * 2 / 3) / 101)
    np.testing.assert_allclose(by[1:5], 51 / 101)
    np.testing.assert_allclose(by[5:], 0)
    assert mean == pytest.approx(by.mean())
    assert image.average_precision([(np.ones((1, 1)), np.ones(1))])[0] == 1
    assert np.isnan(image.average_precision([(np.ones((1, 0)), np.ones(1))])[0])


# ---------------------------------------------------------------------------------------------- body, sigma, averages


def test_bones_that_breathe_and_sides_that_differ():
    """One thigh is 0.4 and 0.6 m in turns (mean 0.5, deviation 20 %); the other is 0.6."""
    joints = np.zeros((10, 17, 3))
    joints[:, 2, 2] = np.tile([-0.4, -0.6], 5)
    joints[:, 5, 2] = -0.6
    joints[3, 5] = np.nan
    found = dict(zip(JOINT_SETS["h36m17"].bones, body.bone_length_deviation(joints), strict=True))
    assert found[1, 2] == pytest.approx(0.2) and found[4, 5] == pytest.approx(0, abs=1e-9)
    assert np.isnan(found[0, 1])
    assert body.symmetry_deviation(joints)["knee"] == pytest.approx(0.1 / 0.55)


def test_a_right_sigma_is_calibrated_per_axis():
    sigma = np.exp(RNG.normal(size=(200_000, 1)))
    error = sigma * RNG.normal(size=(200_000, 3)) * [1, 1, 2]
    np.testing.assert_allclose(uncertainty.share_within(error, sigma), [0.6827, 0.6827, 0.3829], atol=0.005)
    found = uncertainty.reliability(error, sigma)
    np.testing.assert_allclose(found.observed[:, 0], found.levels, atol=0.005)
    assert found.gap[1] < 0.005 < 0.1 < found.gap[2]
    # The true sigma has the least expected loss: half a nat and the entropy's constant above ln sigma.
    right = uncertainty.mean_nll(error[:, :1], sigma).value
    assert right == pytest.approx(np.log(sigma).mean() + 0.5 + 0.5 * np.log(2 * np.pi), abs=0.01)
    assert (
        uncertainty.mean_nll(error[:, :1], 2 * sigma).value
        > right
        < uncertainty.mean_nll(error[:, :1], sigma / 2).value
    )


def test_sigma_must_be_one():
    with pytest.raises(InputError, match="positive"):
        uncertainty.gaussian_nll(np.ones((3, 1)), np.array([[1.0], [0.0], [1.0]]))
    with pytest.raises(InputError, match="shape"):
        uncertainty.share_within(np.ones((3, 3)), np.ones((4, 3)))


def test_averages_say_what_they_are_made_of():
    errors = np.array([[1.0, np.nan], [3.0, 5.0]])
    found = reduce.pooled(errors, of=np.array([[True, True], [True, False]]))
    assert (found.value, found.counted, found.of, found.coverage) == (2.0, 2, 3, pytest.approx(2 / 3))
    assert np.isnan(reduce.pooled(np.array([np.nan])).value)


def test_actions_weigh_alike():
    found = reduce.per_action({"walk": np.full(900, 1.0), "sit": np.full(100, 2.0)})
    assert found.value == 1.5 and found.actions["walk"].counted == 900
    with pytest.raises(InputError, match=r"none in \['sit'\]"):
        reduce.per_action({"walk": np.ones(3), "sit": np.full(3, np.nan)})
