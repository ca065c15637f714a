"""Whether a prediction is frames late or early against its truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from posemill.arrays import Flags, Points3
from posemill.errors import InputError

__all__ = ["best_lag", "check_time_shift"]

_MAX_LAG = 5
_MIN_FRAMES = 30
# Velocities are differences over this many frames to both sides, in which noise weighs less.
_REACH = 5
_PARTS = 8
_AGREE = 0.75
_LAG_TOLERANCE = 0.35
_MIN_CORRELATION = 0.3


def best_lag(pred: Points3, truth: Points3, *, max_lag: int = _MAX_LAG, parts: int = _PARTS) -> np.ndarray:
    """By how many frames the prediction comes late, in each part of a clip, to a fraction of a frame.

    The peak of the cross-correlation between the joints' velocities, which a constant offset does not move and which
    noise of the prediction blurs without moving.

    Parameters
    ----------
    pred, truth
        (T, J, 3) of one clip at an even rate; what is not finite is left out.

    Returns
    -------
    (parts,) frames; NaN where there is no clear peak within ``max_lag``, or nothing moves.
    """
    velocities = []
    for points in (pred, truth):
        p = np.asarray(points, dtype=np.float64)
        v = p[2 * _REACH :] - p[: -2 * _REACH]
        velocities.append(v.reshape(len(v), -1))
    a, b = velocities
    edges = np.linspace(max_lag, len(b) - max_lag, parts + 1).astype(int).tolist()
    return np.array([_lag_of_part(a, b, lo, hi, max_lag) for lo, hi in pairwise(edges)])


def _lag_of_part(a: np.ndarray, b: np.ndarray, lo: int, hi: int, max_lag: int) -> float:
    if hi <= lo:
        return float("nan")
    lags = np.arange(-max_lag, max_lag + 1)
    correlation = np.full(len(lags), np.nan)
    reference = b[lo:hi]
    for i, lag in enumerate(lags):
        moved = a[lo + lag : hi + lag]
        both = np.isfinite(moved) & np.isfinite(reference)
        u, v = np.where(both, moved, 0.0), np.where(both, reference, 0.0)
        size = np.sqrt((u * u).sum() * (v * v).sum())
        correlation[i] = (u * v).sum() / size if size > 0 else np.nan
    if not np.isfinite(correlation).all():
        return float("nan")
    peak = int(np.argmax(correlation))
    if peak in (0, len(lags) - 1) or correlation[peak] < _MIN_CORRELATION:
        return float("nan")
    before, at, after = correlation[peak - 1 : peak + 2]
    bend = before - 2 * at + after
    return float(lags[peak] + (0.5 * (before - after) / bend if bend < 0 else 0.0))


def check_time_shift(pred: Points3, truth: Points3, *, valid: Flags | None = None) -> None:
    """Raise if the prediction is whole frames late or early against the truth.

    Parameters
    ----------
    pred, truth
        (T, J, 3) of one clip, frame by frame at an even rate.
    valid
        (T, J) joints that count.

    Raises
    ------
    InputError
        At least three quarters of the clip's parts agree on the same shift of one frame or more.
    """
    if len(pred) < 2 * _MIN_FRAMES:
        return
    x, y = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if valid is not None:
        x, y = (np.where(np.asarray(valid)[..., None], points, np.nan) for points in (x, y))
    parts = min(_PARTS, max(3, (len(x) - 2 * _REACH) // _MIN_FRAMES))
    lags = best_lag(x, y, parts=parts)
    if not np.isfinite(lags).any():
        return
    shift = round(float(np.nanmedian(lags)))
    agree = int((np.abs(lags - shift) < _LAG_TOLERANCE).sum())
    if shift and agree >= _AGREE * len(lags):
        late = "late" if shift > 0 else "early"
        raise InputError(
            f"frames look shifted: the prediction's motion is {abs(shift)} frame{'s'[: abs(shift) > 1]} {late} in"
            f" {agree} of {len(lags)} parts of the clip; check where both begin to count, and any causal filter"
        )
