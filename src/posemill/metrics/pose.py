"""Errors of poses, root positions and image points.

All take arrays with the joints on the second to last axis, in metres (or pixels), and a mask of what counts; they give
one error per frame and joint, NaN where it does not count, so that the caller decides about the averaging.

References
----------
Ionescu et al.: "Human3.6M", TPAMI 2014 (MPJPE). Martinez et al.: "A simple yet effective baseline for 3d human pose
estimation", ICCV 2017 (Procrustes protocol). Rhodin et al.: "Unsupervised Geometry-Aware Representation for 3D Human
Pose Estimation", ECCV 2018 (N-MPJPE). Moon et al.: "Camera Distance-aware Top-down Approach", ICCV 2019 (root error).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Vector3
from posemill.errors import InputError, expected
from posemill.geometry import align, unit

__all__ = [
    "RootError",
    "joint_errors",
    "mean_error",
    "mpjpe",
    "n_joint_errors",
    "n_mpjpe",
    "p_joint_errors",
    "p_mpjpe",
    "pixel_errors",
    "root_error",
]

# Fewer joints than this leave a similarity transform with next to no residual to measure.
_MIN_JOINTS = 4


class RootError(NamedTuple):
    """Distances (...) in metres: in all, along the ray from the camera, and across it."""

    total: np.ndarray
    depth: np.ndarray
    lateral: np.ndarray


def _prepared(
    pred: np.ndarray, truth: np.ndarray, valid: Flags | None, root: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float64 copies relative to the root, and the mask of joints that count."""
    if pred.shape != truth.shape:
        raise InputError(expected("prediction and truth of one shape", truth.shape, pred.shape))
    pred, truth = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if root is not None:
        pred, truth = pred - pred[..., root, None, :], truth - truth[..., root, None, :]
    counts = np.isfinite(pred).all(-1) & np.isfinite(truth).all(-1)
    if valid is not None:
        counts &= valid
    return pred, truth, counts


def _masked(distance: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.where(counts, distance, np.nan)


def joint_errors(pred: Points3, truth: Points3, *, root: int | None = None, valid: Flags | None = None) -> PerJoint:
    """Distance per joint, ``|(x_j - x_root) - (y_j - y_root)|``.

    Parameters
    ----------
    pred, truth
        (..., J, 3) metres in one frame (or (..., J, 2) pixels).
    root
        Index of the joint at which both are put to the origin; None: as they stand.
    valid
        (..., J) joints that count; those that are not finite never do.

    Returns
    -------
    (..., J), the unit of the input, NaN where a joint does not count.
    """
    pred, truth, counts = _prepared(pred, truth, valid, root)
    return _masked(np.linalg.norm(pred - truth, axis=-1), counts)


def n_joint_errors(pred: Points3, truth: Points3, *, root: int | None = 0, valid: Flags | None = None) -> PerJoint:
    """Distance per joint after the best scale of each frame, ``s = <x, y> / <x, x>`` on root-relative poses.

    Parameters and result as in :func:`joint_errors`.
    """
    pred, truth, counts = _prepared(pred, truth, valid, root)
    x, y = np.where(counts[..., None], pred, 0.0), np.where(counts[..., None], truth, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = (x * y).sum((-1, -2)) / (x * x).sum((-1, -2))
    return _masked(np.linalg.norm(scale[..., None, None] * pred - truth, axis=-1), counts)


def p_joint_errors(pred: Points3, truth: Points3, *, valid: Flags | None = None) -> PerJoint:
    """Distance per joint after the best similarity transform of each frame (Procrustes; no reflection).

    The transform is found on the joints that count; a frame with fewer than four is NaN. Parameters and result as in
    :func:`joint_errors`.
    """
    pred, truth, counts = _prepared(pred, truth, valid, None)
    counts &= (counts.sum(-1) >= _MIN_JOINTS)[..., None]
    x, y = np.where(counts[..., None], pred, 0.0), np.where(counts[..., None], truth, 0.0)
    # A frame without joints aligns nothing; equal weights keep its 0/0 out, the mask its result.
    weights = np.where(counts.any(-1, keepdims=True), counts, 1.0).astype(np.float64)
    return _masked(np.linalg.norm(align(x, y, weights=weights) - y, axis=-1), counts)


def mean_error(errors: np.ndarray) -> float:
    """Mean over all that counts, every frame and joint alike; NaN if nothing does."""
    return float(np.nanmean(errors)) if np.isfinite(errors).any() else float("nan")


def mpjpe(pred: Points3, truth: Points3, *, root: int | None = 0, valid: Flags | None = None) -> float:
    """Mean per-joint position error in metres, ``mean |(x - x_root) - (y - y_root)|`` (Protocol 1).

    >>> pose = np.zeros((1, 2, 3))
    >>> mpjpe(pose + [[0, 0, 0], [0, 0, 0.1]], pose)
    0.05
    """
    return mean_error(joint_errors(pred, truth, root=root, valid=valid))


def n_mpjpe(pred: Points3, truth: Points3, *, root: int | None = 0, valid: Flags | None = None) -> float:
    """MPJPE in metres after the best scale of each frame."""
    return mean_error(n_joint_errors(pred, truth, root=root, valid=valid))


def p_mpjpe(pred: Points3, truth: Points3, *, valid: Flags | None = None) -> float:
    """MPJPE in metres after the best similarity transform of each frame (Protocol 2)."""
    return mean_error(p_joint_errors(pred, truth, valid=valid))


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


def pixel_errors(pred: Points2, truth: Points2, height_px: np.ndarray, *, valid: Flags | None = None) -> PerJoint:
    """Image distance as a fraction of the person's height in the image.

    Parameters
    ----------
    pred, truth
        (..., J, 2) pixels.
    height_px
        (...) pixels that the standing person's height takes at the person's depth, ``f height_m / Z``: unlike a
        bounding box it does not shrink when the person bends.
    """
    return joint_errors(pred, truth, valid=valid) / np.asarray(height_px, dtype=np.float64)[..., None]
