"""Roots that a lifter or another system says: fused by covariance, and a free path put in its place."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.placement.own_root import OwnRoot, fuse, put_in_place
from posemill.placement.roots import Roots


def solved(root: np.ndarray, sigma: tuple[float, float, float], share: float = 0.5) -> Roots:
    frames = len(root)
    covariance = np.broadcast_to(np.diag(np.square(sigma)), (frames, 3, 3)).copy()
    return Roots(root.copy(), covariance, np.full(frames, share), np.isfinite(root).all(-1))


def walk(frames: int = 200) -> np.ndarray:
    t = np.linspace(0, 1, frames)
    return np.stack([2 * t - 1, 0.05 * np.sin(20 * t), 4 + t], -1)


def test_two_equal_words_are_halfway_and_surer():
    root = np.array([[0.0, 0, 4.0]])
    own = OwnRoot(root + np.array([0.0, 0, 0.02]), np.full((1, 3), 0.1))
    found = fuse(solved(root, (0.1, 0.1, 0.1)), own)
    np.testing.assert_allclose(found.root, [[0, 0, 4.01]])
    np.testing.assert_allclose(found.covariance[0], np.eye(3) * 0.005)


def test_a_word_without_weight_changes_nothing_and_either_stands_alone():
    root = walk(3)
    root[1] = np.nan
    said = np.full((3, 3), [0.0, 0.0, 5.0])
    said[2] = np.nan
    found = fuse(solved(root, (0.01, 0.01, 0.1)), OwnRoot(said, np.where(np.isnan(said), np.nan, 1e3)))
    np.testing.assert_allclose(found.root[0], root[0], atol=1e-5)
    np.testing.assert_allclose(found.root[1], [0, 0, 5.0])
    np.testing.assert_allclose(found.root[2], root[2])
    assert found.valid.all() and found.covariance[1, 0, 0] == pytest.approx(1e6)


def test_contradiction_makes_the_result_less_sure():
    root = np.array([[0.0, 0, 4.0]])
    near, far = (
        fuse(solved(root, (0.1, 0.1, 0.1)), OwnRoot(root + np.array([0, 0, off]), np.full((1, 3), 0.1)))
        for off in (0.1, 1.0)
    )
    assert far.covariance[0, 2, 2] > 10 * near.covariance[0, 2, 2]


def test_a_free_path_finds_its_place_through_outliers():
    path, rng = walk(), np.random.default_rng(0)
    noisy = path + rng.normal(0, (0.005, 0.005, 0.08), path.shape)
    noisy[::10, 2] += 3.0
    own = OwnRoot(path - [1.0, 2.0, 3.0], np.full(path.shape, 0.02), free=True)
    found = put_in_place(own, noisy, np.broadcast_to((0.005, 0.005, 0.08), path.shape))
    assert found is not None and not found.free
    assert np.abs(found.root - path).max() < 0.03
    assert found.sigma[0, 0] < 0.03 and found.sigma[0, 2] > found.sigma[0, 0]
    fused = fuse(solved(noisy, (0.005, 0.005, 0.08)), found)
    error = np.linalg.norm(fused.root - path, axis=-1)
    assert np.median(error) < 0.4 * np.median(np.linalg.norm(noisy - path, axis=-1))


def test_a_path_of_somebody_else_hardly_counts():
    path = walk()
    own = OwnRoot(path[::-1].copy(), np.full(path.shape, 0.02), free=True)
    found = put_in_place(own, path, np.full(path.shape, 0.05))
    assert found is not None and found.sigma.min() > 0.3
    fused = fuse(solved(path, (0.01, 0.01, 0.05)), found)
    assert np.abs(fused.root - path).max() < 0.05


def test_nothing_in_common_is_no_path():
    path = walk(4)
    assert put_in_place(OwnRoot(path, path, free=True), np.full((4, 3), np.nan), path) is None
