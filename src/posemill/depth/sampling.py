"""Which frames a depth network looks at, and what it says there of a person's joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2

__all__ = ["best_frames", "depth_at"]

# Side of the patch around a joint, px. Of its depths those in front of the median are less often the background.
_PATCH_PX, _PERCENTILE = 5, 40.0


def best_frames(scores: Sequence[PerJoint], count: int) -> np.ndarray:
    """Choose frames spread over a clip: in each of ``count`` equal parts the one with the best seen people.

    Parameters
    ----------
    scores
        Per person (T, J): how well each joint is seen, 0 where it is not. A person counts by the worst of the joints.

    Returns
    -------
    Indices of frames, increasing; none for parts in which nobody has all joints.
    """
    if not len(scores):
        return np.zeros(0, dtype=int)
    worst = np.sum([score.min(axis=-1) for score in scores], axis=0)
    parts = np.array_split(np.arange(len(worst)), min(count, len(worst)))
    best = np.array([part[np.argmax(worst[part])] for part in parts], dtype=int)
    return best[worst[best] > 0]


def depth_at(depth_m: np.ndarray, keypoints: Points2, valid: Flags) -> PerJoint:
    """Depths at keypoints.

    Parameters
    ----------
    depth_m
        (H, W) metres.
    keypoints, valid
        (J, 2) px, the centre of the top-left pixel is (0, 0); (J,).

    Returns
    -------
    (J,) metres, a low percentile of a small patch; NaN for joints that are not valid or lie outside the picture.
    """
    out = np.full(len(keypoints), np.nan)
    height, width = depth_m.shape
    reach = _PATCH_PX // 2
    for joint in np.flatnonzero(valid):
        column, row = (round(float(value)) for value in keypoints[joint])
        if not (0 <= column < width and 0 <= row < height):
            continue
        patch = depth_m[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
        good = patch[np.isfinite(patch) & (patch > 0)]
        if good.size:
            out[joint] = np.percentile(good, _PERCENTILE)
    return out
