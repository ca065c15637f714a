"""What of a lifter's sigma the placement sees."""

from __future__ import annotations

import numpy as np

from posemill.placement.skeleton_scale import across_rays


def test_sigma_across_rays_is_that_of_the_two_equations():
    sigma, rays = np.array([0.02, 0.03, 0.3]), np.array([0.2, -0.1])
    error = np.random.default_rng(0).normal(size=(100_000, 3)) * sigma
    rows = error[:, :2] - rays * error[:, 2:]
    alike = across_rays(sigma, rays)
    # Alike along all axes, its equations err as much: x and y, and the slope's share of z.
    np.testing.assert_allclose(alike**2 * (2 + rays @ rays), (rows**2).sum(-1).mean(), rtol=0.02)
    np.testing.assert_allclose(across_rays(np.full(3, 0.04), rays), 0.04)
