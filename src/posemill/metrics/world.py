"""Errors of trajectories: poses and roots that stand in the world or before the camera.

References
----------
Shin et al.: "WHAM", CVPR 2024, and Ye et al.: "Decoupling Human and Camera Motion from Videos in the Wild", CVPR 2023
(WA-MPJPE and W-MPJPE over chunks of 100 frames, RTE). Moon et al.: "Camera Distance-aware Top-down Approach", ICCV 2019
(root error).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from posemill.arrays import Flags, PerJoint, Points3, Vector3
from posemill.errors import InputError, expected
from posemill.geometry import align, procrustes, unit
from posemill.metrics.reduce import mean_error

__all__ = [
    "CHUNK_FRAMES",
    "RootError",
    "chunks",
    "depth_ratio",
    "root_error",
    "rte",
    "w_joint_errors",
    "w_mpjpe",
    "wa_joint_errors",
    "wa_mpjpe",
]

CHUNK_FRAMES = 100
_FIRST_FRAMES = 2
# Fewer joints than this leave a similarity transform with next to no residual to measure.
_MIN_JOINTS = 4


class RootError(NamedTuple):
    """Distances (...) in metres: in all, along the ray from the camera, and across it."""

    total: np.ndarray
    depth: np.ndarray
    lateral: np.ndarray


def chunks(frames: int, length: int = CHUNK_FRAMES) -> list[slice]:
    """Cut a clip; the last chunk takes the rest, so that none is shorter than ``length`` unless the clip is.

    >>> [(c.start, c.stop) for c in chunks(250)]
    [(0, 100), (100, 250)]
    """
    if frames == 0:
        return []
    starts = range(0, max(frames - length, 0) + 1, length)
    return [slice(a, b) for a, b in pairwise([*starts, frames])]


def wa_joint_errors(
    pred: Points3, truth: Points3, *, valid: Flags | None = None, length: int = CHUNK_FRAMES
) -> PerJoint:
    """Distance per joint after one similarity transform for the whole of each chunk.

    Parameters
    ----------
    pred, truth
        (T, J, 3) metres in the world, of one clip. 100 frames are 3.3 s at the 30 Hz of the published figures.
    valid
        (T, J) joints that count; those that are not finite never do.
    length
        Frames of a chunk; the last takes the rest.

    Returns
    -------
    (T, J) metres; NaN where a joint does not count, or a chunk has fewer than four that do.
    """
    return _chunk_errors(pred, truth, valid, length, None)


def w_joint_errors(
    pred: Points3, truth: Points3, *, valid: Flags | None = None, length: int = CHUNK_FRAMES
) -> PerJoint:
    """Distance per joint after the similarity transform that fits the first two frames of each chunk.

    Parameters and result as in :func:`wa_joint_errors`; drift within the chunk is left in.
    """
    return _chunk_errors(pred, truth, valid, length, _FIRST_FRAMES)


def _chunk_errors(pred: Points3, truth: Points3, valid: Flags | None, length: int, first: int | None) -> PerJoint:
    if pred.shape != truth.shape:
        raise InputError(expected("prediction and truth of one shape", truth.shape, pred.shape))
    out = np.full(truth.shape[:-1], np.nan)
    for chunk in chunks(len(truth), length):
        x, y = np.asarray(pred[chunk], dtype=np.float64), np.asarray(truth[chunk], dtype=np.float64)
        counts = np.isfinite(x).all(-1) & np.isfinite(y).all(-1)
        if valid is not None:
            counts &= valid[chunk]
        fitted = slice(0, first)
        if counts[fitted].sum() < _MIN_JOINTS:
            continue
        weights = counts[fitted].reshape(-1).astype(np.float64)
        r, t, s = procrustes(x[fitted].reshape(-1, 3), y[fitted].reshape(-1, 3), weights=weights)
        offset = s * x @ r.T + t - y
        out[chunk] = np.where(counts, np.sqrt(np.einsum("tjd,tjd->tj", offset, offset)), np.nan)
    return out


def wa_mpjpe(pred: Points3, truth: Points3, *, valid: Flags | None = None, length: int = CHUNK_FRAMES) -> float:
    """Mean of :func:`wa_joint_errors` in metres."""
    return mean_error(wa_joint_errors(pred, truth, valid=valid, length=length))


def w_mpjpe(pred: Points3, truth: Points3, *, valid: Flags | None = None, length: int = CHUNK_FRAMES) -> float:
    """Mean of :func:`w_joint_errors` in metres."""
    return mean_error(w_joint_errors(pred, truth, valid=valid, length=length))


def rte(pred: Vector3, truth: Vector3, *, valid: np.ndarray | None = None) -> float:
    """Root trajectory error in percent of the way that the truth went.

    Mean distance between root paths after one rigid alignment (no scale), by the length of the true path.

    Parameters
    ----------
    pred, truth
        (T, 3) metres in the world, of one clip.
    valid
        (T,) frames that count.

    Returns
    -------
    Percent; NaN if fewer than three frames count or the truth did not move. Of a person who hardly leaves the spot it
    says little.
    """
    pred, truth = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if pred.shape != truth.shape:
        raise InputError(expected("root paths of one shape", truth.shape, pred.shape))
    counts = np.isfinite(pred).all(-1) & np.isfinite(truth).all(-1)
    if valid is not None:
        counts &= valid
    x, y = pred[counts], truth[counts]
    way_m = float(np.linalg.norm(np.diff(y, axis=0), axis=-1).sum())
    if len(y) < 3 or way_m == 0:
        return float("nan")
    return float(100 * np.linalg.norm(align(x, y, scale=False) - y, axis=-1).mean() / way_m)


def root_error(pred: Vector3, truth: Vector3, *, camera_centre: Vector3 | None = None) -> RootError:
    """Distance between root positions, and its parts along and across the line of sight.

    Parameters
    ----------
    pred, truth
        (..., 3) metres in one frame.
    camera_centre
        (3,) in the same frame; None: the origin, which is right in the camera frame.
    """
    pred, truth = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if pred.shape != truth.shape:
        raise InputError(expected("roots of one shape", truth.shape, pred.shape))
    ray = unit(truth - (np.zeros(3) if camera_centre is None else camera_centre))
    offset = pred - truth
    along = np.sum(offset * ray, -1)
    return RootError(
        np.linalg.norm(offset, axis=-1), np.abs(along), np.linalg.norm(offset - along[..., None] * ray, axis=-1)
    )


def depth_ratio(pred: Vector3, truth: Vector3) -> float:
    """Median of true by predicted root depth, ``Z / Ẑ``: above 1, the result stands too near, or is too small.

    Parameters
    ----------
    pred, truth
        (..., 3) metres in the camera frame.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.asarray(truth, dtype=np.float64)[..., 2] / np.asarray(pred, dtype=np.float64)[..., 2]
    ratio = ratio[np.isfinite(ratio)]
    return float(np.median(ratio)) if ratio.size else float("nan")
