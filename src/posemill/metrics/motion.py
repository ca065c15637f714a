"""Errors of motion, and how jerky it is, in metres and seconds whatever the frame rate.

Derivatives are divided differences over the frames' own times: for even times the usual differences, for uneven ones
still the derivative. Frames of one clip only: a difference across the cut between two clips is none.

References
----------
Pavllo et al.: "3D human pose estimation in video with temporal convolutions", CVPR 2019 (MPJVE). Kanazawa et al.:
"Learning 3D Human Dynamics from Video", CVPR 2019 (acceleration error). Shin et al.: "WHAM", CVPR 2024 (jitter in
10 m/s³).
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, PerJoint, Points3, Times
from posemill.errors import InputError, expected
from posemill.metrics.reduce import frame_blocks, mean_error

__all__ = [
    "acceleration_error",
    "acceleration_errors",
    "jerk",
    "jitter",
    "mpjve",
    "per_frame",
    "time_stamps",
    "velocity_errors",
]


def time_stamps(frames: int, time_s: Times | None, fps: float | None) -> Times:
    """Times (frames,) in seconds, given as such or as an even rate.

    Raises
    ------
    InputError
        Not exactly one of both is given, or time does not go on from frame to frame.
    """
    if (time_s is None) == (fps is None):
        raise InputError(expected("time of the frames", "either time_s or fps", "both" if fps is not None else "none"))
    if time_s is None:
        if fps is None or not np.isfinite(fps) or fps <= 0:
            raise InputError(expected("fps", "a positive rate in Hz", fps))
        return np.arange(frames) / fps
    time = np.asarray(time_s, dtype=np.float64)
    if time.shape != (frames,):
        raise InputError(expected("times, one per frame, of shape", (frames,), time.shape))
    if not (np.isfinite(time).all() and (np.diff(time) > 0).all()):
        raise InputError(expected("times of the frames", "each later than the one before", "some that are not"))
    return time


def _derivative(points: np.ndarray, time: Times, order: int) -> np.ndarray:
    """Derivative (T - order, ...) of points (T, ...): ``order!`` times the divided difference."""
    out = points
    for k in range(1, order + 1):
        span = (time[k:] - time[:-k]).reshape(-1, *[1] * (points.ndim - 1))
        out = np.diff(out, axis=0) * (k / span)
    return out


def _magnitudes(
    pred: Points3, truth: Points3 | None, time: Times, order: int, root: int | None, valid: Flags | None
) -> PerJoint:
    """Length of the derivative of ``pred - truth`` (or of ``pred``), (T - order, J); NaN next to what is unknown."""
    if truth is not None and pred.shape != truth.shape:
        raise InputError(expected("prediction and truth of one shape", truth.shape, pred.shape))
    frames = max(len(pred) - order, 0)
    out = np.empty((frames, *pred.shape[1:-1]))
    for part in frame_blocks(frames):
        rows = slice(part.start, part.stop + order)
        points = np.array(pred[rows], dtype=np.float64)
        if truth is not None:
            points -= truth[rows]
        if root is not None:
            points = points - points[:, root, None]
        if valid is not None:
            points[~valid[rows]] = np.nan
        change = _derivative(points, time[rows], order)
        out[part] = np.sqrt(np.einsum("...d,...d->...", change, change))
    return out


def velocity_errors(
    pred: Points3,
    truth: Points3,
    *,
    time_s: Times | None = None,
    fps: float | None = None,
    root: int | None = 0,
    valid: Flags | None = None,
) -> PerJoint:
    """Length of the difference between the velocities of prediction and truth.

    Parameters
    ----------
    pred, truth
        (T, J, 3) metres in one frame, of one clip.
    time_s, fps
        One of both: seconds (T,), or frames per second.
    root
        Index of the joint that motion is relative to; None: as they stand.
    valid
        (T, J) joints that count; those that are not finite never do.

    Returns
    -------
    (T - 1, J) m/s; NaN where a joint does not count in one of the two frames.

    Raises
    ------
    InputError
        Shapes or times do not fit.
    """
    return _magnitudes(pred, truth, time_stamps(len(pred), time_s, fps), 1, root, valid)


def acceleration_errors(
    pred: Points3,
    truth: Points3,
    *,
    time_s: Times | None = None,
    fps: float | None = None,
    root: int | None = 0,
    valid: Flags | None = None,
) -> PerJoint:
    """Length of the difference between accelerations, (T - 2, J) m/s²; else as :func:`velocity_errors`."""
    return _magnitudes(pred, truth, time_stamps(len(pred), time_s, fps), 2, root, valid)


def jerk(
    points: Points3,
    *,
    time_s: Times | None = None,
    fps: float | None = None,
    root: int | None = None,
    valid: Flags | None = None,
) -> PerJoint:
    """Length of the third derivative of points (T, J, 3), (T - 3, J) m/s³; else as :func:`velocity_errors`."""
    return _magnitudes(points, None, time_stamps(len(points), time_s, fps), 3, root, valid)


def mpjve(
    pred: Points3,
    truth: Points3,
    *,
    time_s: Times | None = None,
    fps: float | None = None,
    root: int | None = 0,
    valid: Flags | None = None,
) -> float:
    """Mean per-joint velocity error in m/s; :func:`per_frame` gives the published mm per frame.

    >>> still, moving = np.zeros((3, 1, 3)), np.array([[[0.0, 0, 0]], [[0.0, 0, 0.1]], [[0.0, 0, 0.2]]])
    >>> mpjve(moving, still, fps=10.0, root=None)
    1.0
    """
    return mean_error(velocity_errors(pred, truth, time_s=time_s, fps=fps, root=root, valid=valid))


def acceleration_error(
    pred: Points3,
    truth: Points3,
    *,
    time_s: Times | None = None,
    fps: float | None = None,
    root: int | None = 0,
    valid: Flags | None = None,
) -> float:
    """Mean acceleration error in m/s²."""
    return mean_error(acceleration_errors(pred, truth, time_s=time_s, fps=fps, root=root, valid=valid))


def jitter(
    points: Points3,
    *,
    time_s: Times | None = None,
    fps: float | None = None,
    root: int | None = None,
    valid: Flags | None = None,
) -> float:
    """Mean :func:`jerk` in m/s³ of one motion, without a truth; a tenth of it is what WHAM and its followers print.

    It is no error: that of the truth is not 0, and belongs beside it.
    """
    return mean_error(jerk(points, time_s=time_s, fps=fps, root=root, valid=valid))


def per_frame(value: float, fps: float, *, order: int) -> float:
    """Turn a mean per second^order into one per frame^order at a stated rate.

    >>> round(per_frame(0.14, 50.0, order=1) * 1000, 9)  # m/s to the mm per frame of Human3.6M's 50 Hz
    2.8
    """
    return value / fps**order
