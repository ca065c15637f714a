"""Errors of root-relative poses.

All take arrays with the joints on the second to last axis, in metres, and a mask of what counts; they give one error
per frame and joint, NaN where it does not count, so that the caller decides about the averaging. The functions with
``mp`` in their names average over every frame and joint alike.

References
----------
Ionescu et al.: "Human3.6M", TPAMI 2014 (MPJPE). Martinez et al.: "A simple yet effective baseline for 3d human pose
estimation", ICCV 2017 (Procrustes protocol). Rhodin et al.: "Unsupervised Geometry-Aware Representation for 3D Human
Pose Estimation", ECCV 2018 (N-MPJPE). Mehta et al.: "Monocular 3D Human Pose Estimation In The Wild Using Improved CNN
Supervision", 3DV 2017 (3D-PCK and its area under the curve).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3
from posemill.errors import InputError, expected
from posemill.geometry import residuals
from posemill.metrics.reduce import frame_blocks, pooled

__all__ = [
    "AUC_THRESHOLDS_M",
    "PCK_THRESHOLD_M",
    "auc",
    "joint_errors",
    "mpjpe",
    "n_joint_errors",
    "n_mpjpe",
    "p_joint_errors",
    "p_mpjpe",
    "pck",
]

PCK_THRESHOLD_M = 0.150
AUC_THRESHOLDS_M: tuple[float, ...] = tuple(mm / 1000 for mm in range(0, 151, 5))
"""0, 5, ... 150 mm. At 0 nothing is nearer, so that a perfect result scores 30/31."""

# Fewer joints than this leave a similarity transform with next to no residual to measure.
_MIN_JOINTS = 4

# Of n frames: prediction and truth (n, J, D), and the joints that count (n, J) or None for all; gives distances (n, J).
_Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]


def _blocks(
    kernel: _Kernel, pred: np.ndarray, truth: np.ndarray, valid: Flags | None, root: int | None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Run a kernel over blocks of all frames, in float64 and relative to the root; NaN where a joint does not count."""
    if pred.shape != truth.shape:
        raise InputError(expected("prediction and truth of one shape", truth.shape, pred.shape))
    if valid is not None and np.shape(valid) != truth.shape[:-1]:
        raise InputError(expected("mask of valid joints of shape", truth.shape[:-1], np.shape(valid)))
    x_all, y_all = (points.reshape(-1, *truth.shape[-2:]) for points in (pred, truth))
    valid_all = None if valid is None else np.asarray(valid).reshape(x_all.shape[:-1])
    for part in frame_blocks(len(x_all)):
        x, y = np.asarray(x_all[part], dtype=np.float64), np.asarray(y_all[part], dtype=np.float64)
        flags = None if valid_all is None or valid_all[part].all() else valid_all[part]
        if root is not None:
            x, y = x - x[:, root, None], y - y[:, root, None]
        # Most blocks are known throughout, which shows in the result and is quicker without a mask.
        distance = kernel(x, y, None) if flags is None else None
        if distance is None or not np.isfinite(distance.sum()):
            counts = np.isfinite(x).all(-1) & np.isfinite(y).all(-1)
            counts = counts if flags is None else counts & flags
            distance = np.where(counts, kernel(x, y, counts), np.nan)
        yield part, distance


def _errors(kernel: _Kernel, pred: np.ndarray, truth: np.ndarray, valid: Flags | None, root: int | None) -> np.ndarray:
    out = np.empty(truth.shape[:-1])
    flat = out.reshape(-1, truth.shape[-2])
    for part, distance in _blocks(kernel, pred, truth, valid, root):
        flat[part] = distance
    return out


def _mean(kernel: _Kernel, pred: np.ndarray, truth: np.ndarray, valid: Flags | None, root: int | None) -> float:
    """Mean over every frame and joint alike that counts, without holding them all."""
    total, counted = 0.0, 0
    for _, distance in _blocks(kernel, pred, truth, valid, root):
        block = pooled(distance)
        total += block.value * block.counted if block.counted else 0.0
        counted += block.counted
    return total / counted if counted else float("nan")


def _distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        offset = x - y
    return np.sqrt(np.einsum("...d,...d->...", offset, offset))


def _plain(x: np.ndarray, y: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    return _distance(x, y)


def joint_errors(
    pred: Points3 | Points2, truth: Points3 | Points2, *, root: int | None = None, valid: Flags | None = None
) -> PerJoint:
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

    Raises
    ------
    InputError
        The shapes differ.
    """
    return _errors(_plain, pred, truth, valid, root)


def n_joint_errors(pred: Points3, truth: Points3, *, root: int | None = 0, valid: Flags | None = None) -> PerJoint:
    """Distance per joint after the best scale of each frame, ``s = <x, y> / <x, x>`` on root-relative poses.

    Parameters and result as in :func:`joint_errors`.
    """
    return _errors(_scaled, pred, truth, valid, root)


def _scaled(x: np.ndarray, y: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    a, b = (x, y) if counts is None else (np.where(counts[..., None], p, 0.0) for p in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.einsum("njd,njd->n", a, b) / np.einsum("njd,njd->n", a, a)
    return _distance(scale[:, None, None] * x, y)


def p_joint_errors(pred: Points3, truth: Points3, *, valid: Flags | None = None) -> PerJoint:
    """Distance per joint after the best similarity transform of each frame (Procrustes; no reflection).

    The transform is found on the joints that count; a frame with fewer than four is NaN. Parameters and result as in
    :func:`joint_errors`.
    """
    return _errors(_superposed, pred, truth, valid, None)


def _superposed(x: np.ndarray, y: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    if counts is None and x.shape[1] >= _MIN_JOINTS:
        return residuals(x, y)
    counts = np.ones(x.shape[:2], dtype=bool) if counts is None else counts
    weights = np.where(counts.sum(-1, keepdims=True) >= _MIN_JOINTS, counts, 0).astype(np.float64)
    return residuals(x, y, weights=weights)


def mpjpe(
    pred: Points3, truth: Points3, *, root: int | None = 0, valid: Flags | None = None, count_root: bool = True
) -> float:
    """Mean per-joint position error in metres, ``mean |(x - x_root) - (y - y_root)|`` (Protocol 1).

    Parameters
    ----------
    count_root
        True: the root's exact 0 is in the mean, as in most published figures of 17 joints (16/17 of the mean over the
        others). False: it is left out.

    >>> pose = np.zeros((1, 2, 3))
    >>> mpjpe(pose + [[0, 0, 0], [0, 0, 0.1]], pose), mpjpe(pose + [[0, 0, 0], [0, 0, 0.1]], pose, count_root=False)
    (0.05, 0.1)
    """
    if root is not None and not count_root:
        valid = np.ones(truth.shape[:-1], dtype=bool) if valid is None else np.array(valid)
        valid[..., root] = False
    return _mean(_plain, pred, truth, valid, root)


def n_mpjpe(pred: Points3, truth: Points3, *, root: int | None = 0, valid: Flags | None = None) -> float:
    """MPJPE in metres after the best scale of each frame."""
    return _mean(_scaled, pred, truth, valid, root)


def p_mpjpe(pred: Points3, truth: Points3, *, valid: Flags | None = None) -> float:
    """MPJPE in metres after the best similarity transform of each frame (Protocol 2)."""
    return _mean(_superposed, pred, truth, valid, None)


def pck(errors: PerJoint, *, threshold_m: float = PCK_THRESHOLD_M, of: Flags | None = None) -> float:
    """Share of joints whose error is less than a threshold (strictly), 0 to 1; NaN of no joint.

    Parameters
    ----------
    errors
        Root-relative :func:`joint_errors` in metres; for MPI-INF-3DHP of its 14 joints and valid frames.
    of
        Joints that the truth knows: those of them without an error are misses. None: what has no error is left out.
    """
    asked = np.isfinite(errors) if of is None else np.asarray(of, dtype=bool)
    # A comparison with NaN is False.
    near = np.less(errors, threshold_m) & asked
    return float(near.sum() / asked.sum()) if asked.any() else float("nan")


def auc(errors: PerJoint, *, of: Flags | None = None) -> float:
    """Mean of :func:`pck` over the 31 thresholds 0, 5, ... 150 mm, 0 to 30/31. Parameters as there."""
    return float(np.mean([pck(errors, threshold_m=threshold, of=of) for threshold in AUC_THRESHOLDS_M]))
