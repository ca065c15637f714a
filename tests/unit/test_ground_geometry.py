"""Rotations and Procrustes against transforms that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from posemill.geometry import align, procrustes, rotation_between, skew, unit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(17, 3))


def test_unit_and_skew():
    np.testing.assert_allclose(unit(np.array([3.0, 0, 4])), [0.6, 0, 0.8])
    assert np.isnan(unit(np.zeros(3))).all()
    a, b = RNG.normal(size=(2, 5, 3))
    np.testing.assert_allclose((skew(a) @ b[..., None])[..., 0], np.cross(a, b), atol=1e-12)


@pytest.mark.parametrize("eps", [0.0, 1e-12, 1e-9, 1e-6, 1e-3])
def test_rotation_between_near_opposite_and_equal(eps):
    a = np.array([0.0, 0, 1])
    for b in (np.array([eps, 0, -1.0]), np.array([eps, 0, 1.0]), np.array([0, 1.0, eps])):
        r = rotation_between(a, b)
        np.testing.assert_allclose(r @ a, unit(b), atol=1e-10)
        np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(r) == pytest.approx(1.0)


def test_rotation_between_is_the_shortest_and_batched():
    a, b = RNG.normal(size=(2, 50, 3))
    r = rotation_between(a, b)
    np.testing.assert_allclose((r @ unit(a)[..., None])[..., 0], unit(b), atol=1e-12)
    angle = np.arccos((unit(a) * unit(b)).sum(-1))
    np.testing.assert_allclose(Rotation.from_matrix(r).magnitude(), angle, atol=1e-7)
    looped = np.stack([rotation_between(p, q) for p, q in zip(a, b, strict=True)])
    np.testing.assert_allclose(r, looped, atol=1e-14)
    half = rotation_between(a, -a)
    np.testing.assert_allclose((half @ a[..., None])[..., 0], -a, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(half), 1.0)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.booleans())
def test_procrustes_finds_any_similarity(seed, s, scale):
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(17, 3)), rng.normal(size=3) * 10
    r, s = Rotation.random(random_state=seed).as_matrix(), s if scale else 1.0
    found_r, found_t, found_s = procrustes(x, s * x @ r.T + t, scale=scale)
    np.testing.assert_allclose(found_r, r, atol=1e-9)
    np.testing.assert_allclose(found_t, t, atol=1e-8 * max(s, 1))
    assert found_s == pytest.approx(s, rel=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_the_aligned_error_does_not_depend_on_where_the_source_was(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 17, 3))
    moved = 0.3 * x @ Rotation.random(random_state=seed).as_matrix().T + rng.normal(size=3)
    np.testing.assert_allclose(align(moved, y), align(x, y), atol=1e-9)


def test_a_mirror_image_is_not_reflected():
    r, _, _ = procrustes(X, X * (-1, 1, 1))
    assert np.linalg.det(r) == pytest.approx(1.0)
    assert np.linalg.norm(align(X, X * (-1, 1, 1)) - X * (-1, 1, 1)) > 1


def test_a_flat_body_aligns_too():
    flat = X * (1, 1, 0)
    r = Rotation.from_euler("xyz", (0.3, 0.5, -1)).as_matrix()
    np.testing.assert_allclose(align(flat, flat @ r.T + 1), flat @ r.T + 1, atol=1e-9)


def test_batched_is_looped():
    x, y = RNG.normal(size=(2, 3, 4, 17, 3))
    w = RNG.uniform(size=(3, 4, 17))
    batched = align(x, y, weights=w)
    for i in range(3):
        for j in range(4):
            np.testing.assert_allclose(batched[i, j], align(x[i, j], y[i, j], weights=w[i, j]), atol=1e-12)


def test_weights_leave_joints_out():
    y = X @ Rotation.from_euler("z", 1).as_matrix().T + 2
    x, w = X.copy(), np.ones(17)
    x[3], w[3] = 50.0, 0.0
    r, t, _ = procrustes(x, y, weights=w)
    np.testing.assert_allclose(X @ r.T + t, y, atol=1e-9)
    x[3] = np.nan
    np.testing.assert_array_equal(procrustes(x, y, weights=w)[0], r)
    w3 = np.ones(17)
    w3[5] = 3.0
    tripled = align(np.vstack([X, X[5:6], X[5:6]]), np.vstack([y + X, *[(y + X)[5:6]] * 2]))[:17]
    np.testing.assert_allclose(align(X, y + X, weights=w3), tripled, atol=1e-12)


def test_what_is_unknown_stays_unknown_and_does_not_stop_the_others():
    x = np.stack([X, X])
    w = np.ones((2, 17))
    w[0] = 0
    r, t, s = procrustes(x, x, weights=w)
    assert np.isnan(r[0]).all() and np.isnan(t[0]).all() and np.isnan(s[0])
    np.testing.assert_allclose(r[1], np.eye(3), atol=1e-12)
    x[0, 2] = np.nan
    assert np.isnan(align(x, x)[0]).all() and np.isfinite(align(x, x)[1]).all()
