"""The closed form behind P-MPJPE against singular value decompositions, easy and hard cases alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemill import geometry
from posemill.geometry import align, procrustes, residuals

RNG = np.random.default_rng(11)
N = 3000
POSES = RNG.normal(size=(N, 17, 3)) * [0.2, 0.5, 0.15]
NOISE = RNG.normal(size=POSES.shape)
CASES = {
    "good": (POSES + 0.05 * NOISE, POSES),
    "bad": (NOISE, POSES),
    "mirrored": (POSES * [-1, 1, 1] + 0.02 * NOISE, POSES),
    "planar": (POSES * [1, 1, 0], POSES),
    "both planar": (POSES * [1, 1, 0], (POSES + 0.1 * NOISE) * [1, 1, 0]),
    "on a line": (POSES * [1, 0, 0], (POSES + 0.1 * NOISE) * [1, 0, 0]),
    "far and small": (1e-3 * POSES + 1000, POSES + 0.1 * NOISE - 500),
    "millimetres": (1000 * POSES, POSES + 0.1 * NOISE),
    "equal": (POSES, POSES),
    "one point": (0 * POSES, POSES),
    "three joints": (POSES[:, :3], POSES[:, :3] + 0.1 * NOISE[:, :3]),
}


def by_svd(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sum of squares (N,) that the best similarity transform leaves: |y|² - trace² / |x|²."""
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    covariance = np.swapaxes(y, 1, 2) @ x
    values = np.linalg.svd(covariance, compute_uv=False)
    values[:, 2] *= np.where(np.linalg.det(covariance) < 0, -1, 1)
    size = (x**2).sum((1, 2))
    return (y**2).sum((1, 2)) - values.sum(1) ** 2 / np.where(size > 0, size, 1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_every_case_is_the_best(case):
    x, y = CASES[case]
    left = residuals(x, y)
    np.testing.assert_allclose((left**2).sum(-1), by_svd(x, y), atol=1e-9)
    np.testing.assert_allclose(left, np.linalg.norm(align(x, y) - y, axis=-1), atol=1e-11)
    r, t, s = procrustes(x, y)
    np.testing.assert_allclose(r @ np.swapaxes(r, 1, 2), np.broadcast_to(np.eye(3), r.shape), atol=1e-10)
    np.testing.assert_allclose(np.linalg.det(r), 1, atol=1e-10)
    moved = s[:, None, None] * x @ np.swapaxes(r, 1, 2) + t[:, None]
    np.testing.assert_allclose(moved, align(x, y), atol=1e-9)


def test_common_cases_need_no_decomposition(monkeypatch):
    asked = []
    slow = geometry._nearest_rotation_svd
    monkeypatch.setattr(geometry, "_nearest_rotation_svd", lambda b: asked.append(b.shape[-1]) or slow(b))
    residuals(*CASES["good"])
    assert not asked
    residuals(*CASES["bad"])
    assert sum(asked) < 0.01 * N
    residuals(*CASES["on a line"])
    assert sum(asked) >= N


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), flat=st.floats(0, 1), noise=st.floats(0, 2), sign=st.sampled_from([-1, 1]))
def test_both_ways_agree(seed, flat, noise, sign):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(20, 6, 3)) * [1, 0.5, flat]
    x = y * [1, 1, sign] + noise * rng.normal(size=y.shape)
    b = np.moveaxis(np.swapaxes(y - y.mean(1, keepdims=True), 1, 2) @ (x - x.mean(1, keepdims=True)), 0, -1)
    fast, slow = geometry._nearest_rotation(b), geometry._nearest_rotation_svd(b)
    np.testing.assert_allclose(fast[1], slow[1], atol=1e-10)
    # Where the best rotation is (nearly) not unique, two of them may differ, but not in what they reach.
    np.testing.assert_allclose(np.einsum("abn,abn->n", fast[0], b), slow[1], atol=1e-9)


def test_weights_and_gaps_go_through_blocks():
    x, y = np.tile(CASES["good"][0], (2, 1, 1)), np.tile(CASES["good"][1], (2, 1, 1))
    w = RNG.random((2 * N, 17)) * (RNG.random((2 * N, 17)) > 0.2)
    x[5000, 3], w[5000, 3], w[5001] = np.nan, 0.0, 0.0
    x[5002, 3], w[5002, 3] = np.nan, 1.0
    left = residuals(x, y, weights=w)
    for frame in (0, 2047, 2048, 4999, 5000):
        np.testing.assert_allclose(left[frame], residuals(x[frame], y[frame], weights=w[frame]), atol=1e-12)
    assert np.isnan(left[5001:5003]).all() and np.isfinite(left[5003:]).all()
    assert np.isnan(left[5000, 3]) and np.isfinite(np.delete(left[5000], 3)).all()
    assert residuals(x[:0], y[:0]).shape == (0, 17)
