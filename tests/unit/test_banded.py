"""The banded least squares of merging, against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.merging.banded import BandedSystem, matern


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7, 8])
def test_covariance_is_the_blocks_of_the_inverse(frames):
    rng = np.random.default_rng(frames)
    system, unknowns = BandedSystem(frames, 3), 3 * frames
    dense = np.zeros((unknowns, unknowns))
    for first in range(max(frames - 2, 1)):
        frame = np.arange(first, min(first + 3, frames))
        blocks = rng.normal(size=(1, 12, len(frame), 3))
        system.vectors(frame[None], blocks, rng.normal(size=(1, 12)))
        columns = (frame[:, None] * 3 + np.arange(3)).ravel()
        rows = blocks.reshape(12, -1)
        dense[np.ix_(columns, columns)] += rows.T @ rows
    inverse = np.linalg.inv(dense).reshape(frames, 3, frames, 3)
    np.testing.assert_allclose(system.covariance(), [inverse[k, :, k] for k in range(frames)], rtol=1e-6)


def test_a_process_of_which_nothing_is_known_has_variance_one():
    system = BandedSystem(300, 2)
    matern(system, np.arange(300) / 50, np.array([1 / 0.15, 1 / 0.1]))
    covariance = system.covariance()
    np.testing.assert_allclose(covariance.diagonal(axis1=1, axis2=2), 1, atol=0.1)
    np.testing.assert_allclose(covariance[:, 0, 1], 0, atol=1e-9)
