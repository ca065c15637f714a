"""The root that a lifter, or another system, says itself, beside the one that the keypoints give.

A trajectory network answers where the pelvis is, with a sigma; it is fused frame by frame. The path of another system
is in a world of its own: once its poses are turned to the camera, it is known but for one vector, which is found over
the whole clip. How far it then is from where the picture has the person, across the line of sight, is what it is
worth, so that a path which does not fit the picture hardly counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.arrays import Vector3
from posemill.placement.roots import Roots

__all__ = ["OwnRoot", "fuse", "put_in_place"]

_MAD = 1.4826
# A path is not better known than that, whatever it says.
_LEAST_M = 0.01
_ITERATIONS = 10


@dataclass(frozen=True)
class OwnRoot:
    """A root that is known apart from the keypoints: (T, 3) m, camera axes, and its sigma (T, 3); rows of NaN.

    ``free``: the path is known but for one vector.
    """

    root: Vector3
    sigma: Vector3
    free: bool = False

    def scaled(self, scale: float) -> OwnRoot:
        """Return it in other metres: those of the subject instead of the lifter's."""
        return replace(self, root=self.root * scale, sigma=self.sigma * scale)


def put_in_place(own: OwnRoot, root: Vector3, sigma: Vector3) -> OwnRoot | None:
    """Give a free path its place: the robustly weighted mean of its distances from ``root`` (T, 3) with ``sigma``.

    None where no frame has both.
    """
    apart = root - own.root
    known = np.isfinite(apart).all(-1) & np.isfinite(sigma).all(-1)
    if not known.any():
        return None
    apart, weight = apart[known], 1 / np.maximum(sigma[known], _LEAST_M) ** 2
    offset = np.median(apart, axis=0)
    for _ in range(_ITERATIONS):
        w = weight / (1 + (apart - offset) ** 2 * weight)
        offset = (w * apart).sum(0) / w.sum(0)
    # Across the line of sight the picture tells the path's errors; along it they are no smaller.
    miss = _MAD * float(np.median(np.abs(apart[:, :2] - offset[:2]), axis=0).max())
    # The place itself errs as the solved roots do, all frames alike: time does not average a pose's errors away.
    place = _MAD * np.median(np.abs(apart - offset), axis=0) / np.sqrt(min(len(apart), _ITERATIONS))
    spread = np.sqrt(np.maximum(own.sigma, max(miss, _LEAST_M)) ** 2 + place**2)
    return OwnRoot(own.root + offset, spread)


def fuse(roots: Roots, own: OwnRoot) -> Roots:
    """Fuse solved roots with those that are said, by their covariances; either alone where the other is unknown.

    Where the two contradict each other the result is less certain, by the root of the normalised distance.
    """
    said = np.isfinite(own.root).all(-1) & np.isfinite(own.sigma).all(-1) & (own.sigma > 0).all(-1)
    both = said & roots.valid
    alone = said & ~roots.valid
    root, covariance, share = roots.root.copy(), roots.covariance.copy(), roots.pose_share.copy()
    spread = own.sigma**2
    root[alone], share[alone] = own.root[alone], 1.0
    covariance[alone] = _diagonal(spread[alone])
    if both.any():
        first, second = np.linalg.inv(covariance[both]), _diagonal(1 / spread[both])
        total = np.linalg.inv(first + second)
        apart = own.root[both] - root[both]
        step = np.einsum("tij,tjk,tk->ti", total, second, apart)
        # What lasts of each: of the solved root its pose's share, of the other one all.
        kept = total @ (first * share[both, None, None] + second) @ total
        doubt = np.einsum("ti,tij,tj->t", apart, np.linalg.inv(covariance[both] + _diagonal(spread[both])), apart) / 3
        root[both] += step
        share[both] = np.clip(kept[:, 2, 2] / total[:, 2, 2], 0.0, 1.0)
        covariance[both] = total * np.maximum(doubt, 1.0)[:, None, None]
    return Roots(root, covariance, share, roots.valid | alone)


def _diagonal(rows: np.ndarray) -> np.ndarray:
    return rows[:, :, None] * np.eye(3)
