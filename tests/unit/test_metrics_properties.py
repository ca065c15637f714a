"""What must hold for any pose: invariances of the measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from posemill.metrics import body, feet, motion, pose, world
from posemill.skeleton import joint_set

seeds = st.integers(0, 2**32 - 1)
scales = st.floats(0.01, 100)


def pair(seed: int, frames: int = 12) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(frames, 17, 3)) * rng.uniform(0.05, 1, 3)
    return truth + rng.uniform(0, 0.5) * rng.normal(size=truth.shape), truth, rng


@settings(max_examples=60)
@given(seed=seeds, scale=scales)
def test_procrustes_does_not_see_a_similarity_transform(seed, scale):
    pred, truth, rng = pair(seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    moved = scale * pred @ turn.T + rng.normal(size=3)
    np.testing.assert_allclose(pose.p_joint_errors(moved, truth), pose.p_joint_errors(pred, truth), atol=1e-9)


@settings(max_examples=60)
@given(seed=seeds)
def test_a_mirror_of_both_changes_nothing(seed):
    pred, truth, _ = pair(seed)
    order, mirror = joint_set("h36m17").flip_permutation, np.array([-1.0, 1, 1])
    a, b = pred[:, order] * mirror, truth[:, order] * mirror
    for measure in (pose.mpjpe, pose.n_mpjpe, pose.p_mpjpe, world.wa_mpjpe):
        assert measure(a, b) == pytest.approx(measure(pred, truth), abs=1e-9)
    assert motion.mpjve(a, b, fps=50.0) == pytest.approx(motion.mpjve(pred, truth, fps=50.0), rel=1e-9)


@settings(max_examples=60)
@given(seed=seeds, unit=scales)
def test_errors_scale_with_the_unit(seed, unit):
    pred, truth, _ = pair(seed)
    for measure in (pose.mpjpe, pose.n_mpjpe, pose.p_mpjpe, world.wa_mpjpe, world.w_mpjpe):
        assert measure(unit * pred, unit * truth) == pytest.approx(unit * measure(pred, truth), rel=1e-9)
    for rate in (motion.mpjve, motion.acceleration_error):
        assert rate(unit * pred, unit * truth, fps=30.0) == pytest.approx(unit * rate(pred, truth, fps=30.0), rel=1e-9)
    assert world.rte(unit * pred[:, 0], unit * truth[:, 0]) == pytest.approx(world.rte(pred[:, 0], truth[:, 0]))
    np.testing.assert_allclose(body.bone_length_deviation(unit * pred), body.bone_length_deviation(pred), rtol=1e-9)


@settings(max_examples=40)
@given(seed=seeds, factor=st.sampled_from([0.1, 0.5, 2.0, 25.0]))
def test_rates_are_per_second(seed, factor):
    pred, truth, _ = pair(seed)
    for order, rate in ((1, motion.mpjve), (2, motion.acceleration_error)):
        assert rate(pred, truth, fps=30.0 * factor) == pytest.approx(
            factor**order * rate(pred, truth, fps=30.0), rel=1e-9
        )
    assert motion.jitter(pred, fps=30.0 * factor) == pytest.approx(factor**3 * motion.jitter(pred, fps=30.0), rel=1e-9)


@settings(max_examples=40)
@given(seed=seeds)
def test_alignment_never_makes_it_worse(seed):
    pred, truth, _ = pair(seed)

    def squares(errors: np.ndarray) -> np.ndarray:
        return (errors**2).sum(-1)

    rooted = squares(pose.joint_errors(pred, truth, root=0))
    scaled = squares(pose.n_joint_errors(pred, truth))
    turned = squares(pose.p_joint_errors(pred, truth))
    assert (scaled <= rooted + 1e-12).all() and (turned <= scaled + 1e-12).all()


@settings(max_examples=40)
@given(seed=seeds)
def test_what_does_not_count_cannot_matter(seed):
    pred, truth, rng = pair(seed)
    valid = rng.random((12, 17)) > 0.3
    valid[:, 0] = True
    other = np.where(valid[..., None], pred, rng.normal(size=pred.shape) * 1e3)
    unknown = np.where(valid[..., None], pred, np.nan)
    for errors in (pose.joint_errors, pose.n_joint_errors, pose.p_joint_errors, world.wa_joint_errors):
        want = errors(pred, truth, valid=valid)
        np.testing.assert_array_equal(np.isfinite(want), valid)
        np.testing.assert_allclose(errors(other, truth, valid=valid), want, atol=1e-9)
        np.testing.assert_allclose(errors(unknown, truth), want, atol=1e-9)


@settings(max_examples=40)
@given(seed=seeds)
def test_f1_is_the_harmonic_mean_and_symmetric(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((50, 2)) > 0.5, rng.random((50, 2)) > 0.5
    score, back = feet.contact_score(a, b), feet.contact_score(b, a)
    np.testing.assert_allclose(score.f1, 2 / (1 / score.precision + 1 / score.recall))
    np.testing.assert_array_equal(score.f1, back.f1)
    np.testing.assert_array_equal(score.precision, back.recall)
