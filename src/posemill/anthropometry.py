"""How large a person appears, from the lengths of body segments.

Segment lengths as shares of stature are those of Drillis and Contini (1966) as tabulated by Winter, "Biomechanics and
Motor Control of Human Movement" (2009), figure 4.1.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Points2, Points3
from posemill.skeleton import JOINT_SETS, bone_lengths, joint_set

__all__ = [
    "ANKLE_HEIGHT",
    "BEARING_HEIGHT",
    "LEG_M",
    "LOWEST_ANKLE",
    "SEGMENTS",
    "SHOULDERS",
    "SOLE_HEIGHT",
    "STANDARD_LENGTH_M",
    "STATURE_PER_LENGTH",
    "body_length",
    "leg_length",
    "stature_px",
]

STANDARD_LENGTH_M = 1.30
"""Thigh + shank + trunk (pelvis to thorax) of the body that lifters answer with."""
STATURE_PER_LENGTH = 1.70 / STANDARD_LENGTH_M
"""How tall a body is over that length of it."""

# Heights above the floor as shares of stature; the first two are medians over captured motion with the true up.
ANKLE_HEIGHT = 0.050
"""Of the joint that detectors and motion capture call ankle, over a foot that stands flat."""
SOLE_HEIGHT = 0.010
"""Of the middle of heel and big toe of a foot that stands flat."""
BEARING_HEIGHT = 0.015
"""Of a heel or big toe that bears the foot alone, which then rolls about the heel's rim or the ball of the foot."""
LOWEST_ANKLE = 0.039
"""Of the ankle's joint centre (Drillis and Contini): the joint called ankle is not lower, however the foot turns."""

LEG_M = (0.2, 1.4)
"""Thigh and shin together: of a small child, of the tallest people."""

_BODY = JOINT_SETS["h36m17"]
_CHILDREN = [_BODY.joints[child] for _, child in _BODY.bones]
_LENGTH_WEIGHTS = np.array([0.5 * c.endswith(("knee", "ankle")) + 1.0 * (c in ("spine", "thorax")) for c in _CHILDREN])

SEGMENTS: dict[tuple[str, str], float] = {
    ("left_hip", "left_knee"): 0.245,
    ("right_hip", "right_knee"): 0.245,
    ("left_knee", "left_ankle"): 0.246,
    ("right_knee", "right_ankle"): 0.246,
    ("left_shoulder", "left_hip"): 0.288,
    ("right_shoulder", "right_hip"): 0.288,
}
"""(joint, joint) to the distance between them as a share of stature."""
SHOULDERS = 0.258
"""Distance of the shoulders from each other as a share of stature."""


def stature_px(keypoints: Points2, joints: str) -> np.ndarray:
    """Stature in pixels that a person would have standing upright at the same distance.

    Foreshortening can only shorten a segment in the image, so the long end of the segments' estimates counts; the
    second largest is taken, so that one misplaced keypoint decides nothing.

    Parameters
    ----------
    keypoints
        (..., J, 2) px, NaN where unknown.
    joints
        Name of the joint set.

    Returns
    -------
    (...,) px; NaN where no segment is known.
    """
    names = joint_set(joints)
    known = [(a, b, share) for (a, b), share in SEGMENTS.items() if a in names.joints and b in names.joints]
    a, b = names.indices(tuple(k[0] for k in known)), names.indices(tuple(k[1] for k in known))
    lengths = np.linalg.norm(keypoints[..., a, :] - keypoints[..., b, :], axis=-1) / [k[2] for k in known]
    ordered = np.sort(np.where(np.isfinite(lengths), lengths, -np.inf), axis=-1)
    best = np.where(np.isfinite(ordered[..., -2]), ordered[..., -2], ordered[..., -1])
    return np.where(np.isfinite(best), best, np.nan)


def body_length(joints: np.ndarray) -> np.ndarray:
    """Thigh + shank (mean of both sides) + trunk along the spine, h36m17 (..., 17, 3) to (...), unit of the input."""
    return np.where(_LENGTH_WEIGHTS > 0, bone_lengths(joints), 0.0) @ _LENGTH_WEIGHTS


def leg_length(joints: Points3, joints_of: str) -> float:
    """Thigh and shin together, median over frames and sides of (T, J, 3), in their unit; NaN where no leg is known."""
    of = joint_set(joints_of)
    hip, knee, ankle = (joints[:, of.indices((f"left_{n}", f"right_{n}"))] for n in ("hip", "knee", "ankle"))
    legs = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
    return float(np.nanmedian(legs)) if np.isfinite(legs).any() else float("nan")
