"""A joint's two equations for the root, linear in it, and their weighted least squares in closed form.

A joint ``P`` (root-relative, camera axes) seen on the undistorted ray ``(x, y, 1)`` says of the root ``T``:
``Tx - x Tz = x Z - X`` and ``Ty - y Tz = y Z - Y``. What a fit sums over the joints are the same products every time,
weighed anew: they are made once, from rays about their middle, where nothing cancels.

Arrays inside have frames last, (axes, J, T): sums over a dozen joints are then sums of long rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from posemill.arrays import PerJoint, Points2, Points3, Vector3

__all__ = ["Equations", "Fit", "closed_form"]


def closed_form(joints: Points3, rays: Points2, weights: PerJoint) -> tuple[Vector3, np.ndarray, np.ndarray]:
    """Weighted least-squares translation.

    Parameters
    ----------
    joints
        (..., J, 3) m, root-relative, camera axes.
    rays
        (..., J, 2) undistorted normalised image points x/z, y/z.
    weights
        (..., J), 0 to leave a joint out (its numbers may then be NaN).

    Returns
    -------
    root (..., 3) m, mean ray (..., 2), and the weighted sum of squares of the rays about it (...), whose inverse is the
    variance of depth if the weights are inverse variances. NaN or infinite where there is no solution.
    """
    used = np.moveaxis(np.asarray(weights) > 0, -1, 0)
    w = np.where(used, np.moveaxis(np.asarray(weights, dtype=np.float64), -1, 0), 0.0)
    p = np.where(used, np.moveaxis(joints, (-1, -2), (0, 1)), 0.0)
    r = np.where(used, np.moveaxis(rays, (-1, -2), (0, 1)), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        fit = Equations.of(p, r, used.sum(0)).fit(w)
    return np.moveaxis(fit.root, 0, -1), np.moveaxis(fit.mean, 0, -1), fit.spread


class Fit(NamedTuple):
    """What the equations say with some weights."""

    root: np.ndarray  # (3, ...) m
    mean: np.ndarray  # (2, ...) ray
    spread: np.ndarray  # (...) of the rays about it
    total: np.ndarray  # (...) of the weights


class Equations(NamedTuple):
    """The joints' equations ``T - ray Tz = right``, and what their normal equations are sums of."""

    centre: np.ndarray  # (2, ...) the rays' middle
    terms: np.ndarray  # (6, J, ...) x, y and x² + y² of the rays from there; right-hand sides u, v; x u + y v

    @classmethod
    def of(cls, joints: np.ndarray, rays: np.ndarray, count: np.ndarray) -> Equations:
        """From joints (3, J, ...) and rays (2, J, ...), zeros where not known, and how many (...) are known."""
        centre = rays.sum(1) / np.maximum(count, 1)
        terms = np.empty((6, *joints.shape[1:]))
        ray, right = terms[:2], terms[3:5]
        np.multiply(rays, joints[2], out=right)
        right -= joints[:2]
        np.subtract(rays, centre[:, None], out=ray)
        np.einsum("kj...,kj...->j...", ray, ray, out=terms[2])
        np.einsum("kj...,kj...->j...", ray, right, out=terms[5])
        return cls(centre, terms)

    def fit(self, weights: np.ndarray) -> Fit:
        """Least squares with weights (J, ...)."""
        total = weights.sum(0)
        sums = np.einsum("j...,kj...->k...", weights, self.terms)
        mean, right = sums[:2] / total, sums[3:5] / total
        spread = sums[2] - (mean * sums[:2]).sum(0)
        depth = ((mean * sums[3:5]).sum(0) - sums[5]) / spread
        mean += self.centre
        return Fit(np.concatenate([right + mean * depth, depth[None]]), mean, spread, total)

    def squared_miss(self, root: np.ndarray) -> np.ndarray:
        """(J, ...) m², by how much the equations are missed with the root (3, ...)."""
        aside = root[:2] - self.centre * root[2]
        miss = self.terms[:2] * root[2]
        miss += self.terms[3:5]
        miss -= aside[:, None]
        return np.einsum("kj...,kj...->j...", miss, miss)

    def about(self, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Weighted sums of squares (...) of the rays about ``mean`` (2, ...)."""
        x, y, square = np.einsum("j...,kj...->k...", weights, self.terms[:3])
        aside = mean - self.centre
        return square - 2 * (aside[0] * x + aside[1] * y) + (aside**2).sum(0) * weights.sum(0)
