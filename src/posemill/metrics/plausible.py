"""Knees and elbows that bend the wrong way.

Joint positions do not say how a limb is turned about its own axis, so that only what no turn explains is counted.

References
----------
Akhter and Black: "Pose-conditioned joint angle limits for 3D human pose reconstruction", CVPR 2015 (the idea that the
limit of a joint depends on the limb above it).
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, Points3
from posemill.geometry import unit
from posemill.skeleton import joint_set

__all__ = ["BEND_DEG", "elbow_hyperextended", "knee_hyperextended"]

BEND_DEG = 15.0
"""Bends up to this are within what a straight limb shows when its joints are a little wrong."""
# The bend's axis is nearer than 45 degrees to the one that hinges the wrong way.
_AXIS_COSINE = np.cos(np.pi / 4)
# The upper arm is nearer than this to hanging along the trunk; raised, it can turn the elbow to every side.
_HANGING_COSINE = np.cos(np.pi / 4)


def knee_hyperextended(joints: Points3, *, joints_of: str = "h36m17") -> tuple[Flags, Flags]:
    """Knees (left, right) that bend forwards by more than 15 degrees.

    Parameters
    ----------
    joints
        (..., J, 3), any unit and frame without mirroring; NaN where unknown.

    Returns
    -------
    hyperextended, judged
        (..., 2) flags. A shin that leaves the thigh's line forwards, within 45 degrees of the plane across the line
        of the hips; judged where both hips, the knee and the ankle are known.
    """
    p = _Named(joints, joints_of)
    left = unit(p["left_hip"] - p["right_hip"])
    wrong, judged = [], []
    for side in ("left", "right"):
        axis, bend = _bend(p[f"{side}_hip"], p[f"{side}_knee"], p[f"{side}_ankle"])
        # A flexed knee turns the shin about the axis that points to the body's left.
        along = np.sum(axis * left, -1)
        judged.append(np.isfinite(bend) & np.isfinite(left).all(-1))
        wrong.append(_both(bend > BEND_DEG, along < -_AXIS_COSINE))
    return np.stack(wrong, -1), np.stack(judged, -1)


def elbow_hyperextended(joints: Points3, *, joints_of: str = "h36m17") -> tuple[Flags, Flags]:
    """Elbows (left, right) of hanging arms that bend backwards by more than 15 degrees.

    Parameters and result as in :func:`knee_hyperextended`; the forearm leaves the upper arm's line backwards, within 45
    degrees of the plane across the line of the shoulders. Judged where the upper arm is within 45 degrees of the
    trunk's downward direction: higher, the shoulder may turn the elbow to any side.
    """
    p = _Named(joints, joints_of)
    left = unit(p["left_shoulder"] - p["right_shoulder"])
    hips, shoulders = (p[f"left_{name}"] + p[f"right_{name}"] for name in ("hip", "shoulder"))
    down = unit(hips - shoulders)
    wrong, judged = [], []
    for side in ("left", "right"):
        axis, bend = _bend(p[f"{side}_shoulder"], p[f"{side}_elbow"], p[f"{side}_wrist"])
        upper = unit(p[f"{side}_elbow"] - p[f"{side}_shoulder"])
        with np.errstate(invalid="ignore"):
            hanging = np.sum(upper * down, -1) > _HANGING_COSINE
        # A flexed elbow turns the forearm about the axis that points to the body's right.
        along = np.sum(axis * left, -1)
        judged.append(hanging & np.isfinite(bend) & np.isfinite(left).all(-1))
        wrong.append(_both(bend > BEND_DEG, along > _AXIS_COSINE) & hanging)
    return np.stack(wrong, -1), np.stack(judged, -1)


class _Named:
    """Joints by name, in float64."""

    def __init__(self, joints: np.ndarray, joints_of: str) -> None:
        self._points, self._names = np.asarray(joints, dtype=np.float64), joint_set(joints_of)

    def __getitem__(self, joint: str) -> np.ndarray:
        return self._points[..., self._names.index(joint), :]


def _bend(first: np.ndarray, middle: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axis (..., 3) about which the second segment is turned out of the first's line, and by how many degrees (...)."""
    upper, lower = unit(middle - first), unit(last - middle)
    cross = np.cross(upper, lower)
    angle = np.degrees(np.arctan2(np.linalg.norm(cross, axis=-1), np.sum(upper * lower, -1)))
    return unit(cross), angle


def _both(bent: np.ndarray, turned: np.ndarray) -> Flags:
    """Both; a straight limb has no axis (NaN), and a comparison with it is False."""
    return np.asarray(bent & turned, dtype=bool)
