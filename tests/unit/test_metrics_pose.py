from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemill.errors import InputError
from posemill.metrics import pose as m

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(6, 17, 3))


def test_a_shift_counts_until_the_root_is_aligned():
    pred = TRUTH + np.array([0.03, 0, 0.04])
    np.testing.assert_allclose(m.joint_errors(pred, TRUTH), 0.05)
    assert m.mpjpe(pred, TRUTH, root=None) == pytest.approx(0.05)
    assert m.mpjpe(pred, TRUTH, root=0) == pytest.approx(0, abs=1e-12)


def test_one_wrong_joint_of_seventeen():
    pred = TRUTH.copy()
    pred[:, 5, 1] += 0.17
    assert m.mpjpe(pred, TRUTH) == pytest.approx(0.01)
    errors = m.joint_errors(pred, TRUTH, root=0)
    np.testing.assert_allclose(errors[:, 5], 0.17)


def test_only_valid_and_finite_joints_count():
    pred = TRUTH.copy()
    pred[:, 5] += 1.0
    pred[2, 3] = np.nan
    valid = np.ones((6, 17), bool)
    valid[:, 5] = False
    errors = m.joint_errors(pred, TRUTH, valid=valid)
    assert np.isnan(errors[:, 5]).all() and np.isnan(errors[2, 3]) and np.isfinite(errors).sum() == 6 * 16 - 1
    assert m.mpjpe(pred, TRUTH, valid=valid) == 0


def test_an_unknown_root_leaves_its_frame_out():
    pred = TRUTH.copy()
    pred[4, 0] = np.nan
    assert np.isnan(m.joint_errors(pred, TRUTH, root=0)[4]).all()


def test_the_best_scale_is_removed():
    assert m.n_mpjpe(0.5 * TRUTH, TRUTH) == pytest.approx(0, abs=1e-12)
    # Two joints at 1 and 1 m from the root, guessed at 1 and 3 along the same axis: s = 4 / 10.
    truth = np.array([[[0, 0, 0], [1, 0, 0], [1, 0, 0.0]]])
    pred = np.array([[[0, 0, 0], [1, 0, 0], [3, 0, 0.0]]])
    np.testing.assert_allclose(m.n_joint_errors(pred, truth), [[0, 0.6, 0.2]])


def test_similarity_transforms_are_removed_and_mirrors_are_not():
    turn = Rotation.from_rotvec([0.3, -2.0, 1.0]).as_matrix()
    pred = 1.7 * TRUTH @ turn.T + [3, -1, 2]
    assert m.p_mpjpe(pred, TRUTH) == pytest.approx(0, abs=1e-9)
    noisy = TRUTH + 0.1 * RNG.normal(size=TRUTH.shape)
    moved = 0.4 * noisy @ turn.T + [1, 2, 3]
    np.testing.assert_allclose(m.p_joint_errors(moved, TRUTH), m.p_joint_errors(noisy, TRUTH), atol=1e-9)
    assert m.p_mpjpe(TRUTH * [-1, 1, 1], TRUTH) > 0.1


def test_procrustes_ignores_joints_that_do_not_count():
    pred = TRUTH.copy()
    pred[:, 7] += 5.0
    pred[:, 8] = np.nan
    valid = np.ones((6, 17), bool)
    valid[:, 7] = False
    errors = m.p_joint_errors(pred, TRUTH, valid=valid)
    np.testing.assert_allclose(errors[:, :7], 0, atol=1e-9)
    assert np.isnan(errors[:, 7:9]).all()


@pytest.mark.filterwarnings("error")
def test_procrustes_of_three_joints_says_nothing():
    valid = np.zeros((6, 17), bool)
    valid[0, :3] = True
    valid[1, :4] = True
    errors = m.p_joint_errors(TRUTH, TRUTH, valid=valid)
    assert np.isnan(errors[0]).all() and np.isfinite(errors[1]).sum() == 4 and np.isnan(errors[2:]).all()


def test_alignment_never_makes_it_worse():
    noisy = TRUTH + 0.2 * RNG.normal(size=TRUTH.shape)

    def squared(errors: np.ndarray) -> float:
        return float((errors**2).sum())

    raw = squared(m.joint_errors(noisy, TRUTH, root=0))
    assert squared(m.n_joint_errors(noisy, TRUTH)) <= raw
    assert squared(m.p_joint_errors(noisy, TRUTH)) <= squared(m.n_joint_errors(noisy, TRUTH))


def test_nothing_to_average_is_nan():
    assert np.isnan(m.mpjpe(TRUTH, TRUTH, valid=np.zeros((6, 17), bool)))


def test_shapes_must_agree():
    with pytest.raises(InputError, match=r"expected \(6, 17, 3\), got \(6, 16, 3\)"):
        m.mpjpe(TRUTH[:, 1:], TRUTH)


def test_the_roots_exact_zero_is_counted_or_not():
    pred = TRUTH.copy()
    pred[:, 1:, 2] += 0.16
    assert m.mpjpe(pred, TRUTH) == pytest.approx(0.16 * 16 / 17)
    assert m.mpjpe(pred, TRUTH, count_root=False) == pytest.approx(0.16)


def test_pck_is_strict_and_a_perfect_result_has_an_auc_of_30_31sts():
    errors = np.array([[0.0, 0.149, 0.15, np.nan]])
    assert m.pck(errors) == pytest.approx(2 / 3)
    # Asked for all four, the missing one is a miss; asked for the last two, so is everything.
    assert m.pck(errors, of=np.ones((1, 4), bool)) == 0.5
    assert m.pck(errors, of=np.array([[False, False, True, True]])) == 0
    assert np.isnan(m.pck(errors, of=np.zeros((1, 4), bool)))
    assert m.auc(np.zeros((5, 14))) == pytest.approx(30 / 31)
    # 0.075 is not less than itself: the 15 thresholds 80 ... 150 mm.
    assert m.auc(np.full((5, 14), 0.075)) == pytest.approx(15 / 31)


def test_blocks_are_not_seen():
    pred = np.tile(TRUTH, (3000, 1, 1)) + RNG.normal(size=(18000, 17, 3))
    truth = np.tile(TRUTH, (3000, 1, 1))
    pred[9000, 3] = np.nan
    for errors in (m.joint_errors, m.n_joint_errors, m.p_joint_errors):
        whole = errors(pred, truth)
        for at in (0, 8191, 8192, 9000, 17999):
            np.testing.assert_allclose(whole[at], errors(pred[at], truth[at]), atol=1e-12)
        np.testing.assert_array_equal(
            errors(pred.reshape(2, 9000, 17, 3), truth.reshape(2, 9000, 17, 3)).ravel(), whole.ravel()
        )


def test_the_mask_has_the_shape_of_the_joints():
    with pytest.raises(InputError, match="mask"):
        m.mpjpe(TRUTH, TRUTH, valid=np.ones(6, bool))
