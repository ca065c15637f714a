"""What somebody looks like: the colours of trunk and thighs, compared when a person is to be known again.

Of the pixels in the trunk (shoulders to hips) and along the thighs the 10, 30, 50, 70 and 90 % quantiles are taken of
brightness, of red against green and of yellow against blue. The mean difference of two people's quantiles is the
earth mover's distance of their colours, in grey levels: light and folds move it little, other clothes much.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, Points2
from posemill.skeleton import joint_set

__all__ = ["ALIKE", "appearance", "unlike"]

ALIKE = 20.0
"""Grey levels by which one person's clothes differ from themselves, at most, from view to view."""
_QUANTILES = (10, 30, 50, 70, 90)
_CORNERS = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
_THIGHS = (("left_hip", "left_knee"), ("right_hip", "right_knee"))
# The edges of a trunk show what is behind it, and arms.
_ACROSS, _DOWN = np.meshgrid(np.linspace(0.25, 0.75, 8), np.linspace(0.12, 0.85, 12))
_ALONG = np.linspace(0.15, 0.8, 12)


def appearance(rgb: np.ndarray, keypoints: Points2, valid: Flags, joints: str) -> np.ndarray:
    """Colours (30,) of the person in a (H, W, 3) uint8 picture; NaN for the trunk or thighs that are not in it.

    Parameters
    ----------
    keypoints, valid
        (J, 2) px and (J,) of the joint set ``joints``; NaN (all) if that has no shoulders, hips and knees.
    """
    names = joint_set(joints).joints
    needed = {*_CORNERS, "left_knee", "right_knee"}
    if not needed <= set(names):
        return np.full(30, np.nan)
    at = {name: keypoints[names.index(name)] for name in needed}
    known = {name: bool(valid[names.index(name)]) for name in needed}
    a, b, c, d = (at[name] for name in _CORNERS)
    x, y = _ACROSS.reshape(-1, 1), _DOWN.reshape(-1, 1)
    trunk = (1 - y) * ((1 - x) * a + x * b) + y * ((1 - x) * d + x * c)
    thighs = [at[hip] + _ALONG[:, None] * (at[knee] - at[hip]) for hip, knee in _THIGHS]
    return np.concatenate(
        [
            _colours(rgb, trunk if all(known[name] for name in _CORNERS) else None),
            _colours(rgb, np.concatenate(thighs) if all(known[name] for pair in _THIGHS for name in pair) else None),
        ]
    )


def _colours(rgb: np.ndarray, points: np.ndarray | None) -> np.ndarray:
    if points is None or not np.isfinite(points).all():
        return np.full(15, np.nan)
    column, row = np.round(points).astype(int).T
    inside = (column >= 0) & (column < rgb.shape[1]) & (row >= 0) & (row < rgb.shape[0])
    if inside.mean() < 0.8:
        return np.full(15, np.nan)
    r, g, b = rgb[row[inside], column[inside]].astype(np.float64).T
    return np.percentile(np.stack([(r + g + b) / 3, r - g, (r + g) / 2 - b]), _QUANTILES, axis=1).T.ravel()


def unlike(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference of two appearances (30,) in grey levels; NaN if they have no part in common."""
    apart = np.abs(np.asarray(first) - np.asarray(second))
    return float(np.nanmean(apart)) if np.isfinite(apart).any() else float("nan")
