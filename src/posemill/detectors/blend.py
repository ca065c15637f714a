"""Two detectors' keypoints of one person made one: agreed on the sides, and averaged by how certain each is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from posemill.arrays import PerJoint, Points2
from posemill.detectors.protocol import Detection, bounds
from posemill.skeleton import LIMBS, convert, joint_set

__all__ = ["blended"]

_PARTS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
# Keypoints further apart than so many of their sigmas are not of one place, and have no mean.
_APART = 3.0


def blended(own: Detection, joints_of: str, other: Detection, other_joints_of: str) -> Detection:
    """``own`` with the twelve limb joints' means with ``other``'s, weighted by certainty.

    Which leg is the left one, and which arm, is as ``other`` has it. Where the two are further apart than their sigmas
    allow, ``other`` counts alone: it is to be the one that is seldom far off.

    Parameters
    ----------
    joints_of, other_joints_of
        Names of the joint sets.
    """
    limbs = joint_set(joints_of).indices(LIMBS)
    points, valid, score, sigma = convert(
        other.keypoints, other_joints_of, joints_of, valid=other.valid, score=other.score, sigma=other.sigma
    )
    own = _sides_as(own, joints_of, points, valid, sigma)
    chosen = np.zeros(len(valid), dtype=bool)
    chosen[limbs] = True
    chosen &= valid & np.isfinite(sigma) & (sigma > 0)
    both = chosen & own.valid
    spread = np.hypot(own.sigma, sigma)
    with np.errstate(invalid="ignore"):
        agree = both & (np.linalg.norm(own.keypoints - points, axis=-1) <= _APART * spread)
        share = np.where(agree, sigma**2 / spread**2, 0.0)
    share = np.where(chosen, share, 1.0)
    keypoints = share[:, None] * own.keypoints + (1 - share[:, None]) * np.nan_to_num(points)
    found = np.where(agree, own.sigma * sigma / spread, np.where(chosen, sigma, own.sigma))
    scores = np.where(agree, np.maximum(own.score, score), np.where(chosen, score, own.score))
    there = own.valid | chosen
    return replace(own, keypoints=keypoints, score=scores, sigma=found, bbox=bounds(keypoints, there), valid=there)


def _sides_as(own: Detection, joints_of: str, points: Points2, valid: np.ndarray, sigma: PerJoint) -> Detection:
    """``own`` with legs, and arms, exchanged where they then fit ``points`` (J, 2) better."""
    names = joint_set(joints_of)
    order = np.arange(len(names))
    for part in _PARTS:
        here = np.array(names.indices(tuple(f"{side}_{name}" for side in ("left", "right") for name in part)))
        across = names.flip_permutation[here]
        known = valid[here] & own.valid[here] & own.valid[across]
        if _misfit(own, here, points, sigma, here, known) > _misfit(own, across, points, sigma, here, known):
            order[here] = across
    return replace(
        own,
        keypoints=own.keypoints[order],
        score=own.score[order],
        sigma=own.sigma[order],
        valid=own.valid[order],
    )


def _misfit(
    own: Detection, mine: np.ndarray, points: Points2, sigma: PerJoint, theirs: np.ndarray, known: np.ndarray
) -> float:
    apart = ((own.keypoints[mine] - points[theirs]) ** 2).sum(-1) / (own.sigma[mine] ** 2 + sigma[theirs] ** 2)
    return float(apart[known].sum())
