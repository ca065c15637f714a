"""When a foot stands on the floor.

A foot stands from when it is slow and low until it is fast or high; the two pairs of thresholds (hysteresis) keep
noise from switching it. Heights are over the foot's own lowest 5 %, so that neither the ankle's height nor a small
error of the floor matters.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Times
from posemill.merging.options import MergeOptions

__all__ = ["foot_contacts", "hysteresis", "speed"]


def speed(time: Times, points: np.ndarray) -> np.ndarray:
    """Speed (T, F) in m/s of points (T, F, 3) by central differences over real time; NaN next to a gap."""
    if len(time) < 2:
        return np.full(points.shape[:2], np.nan)
    return np.linalg.norm(np.gradient(points, time, axis=0), axis=-1)


def foot_contacts(time: Times, feet: np.ndarray, options: MergeOptions) -> np.ndarray:
    """Contacts of feet in the world.

    Parameters
    ----------
    time
        (T,) seconds.
    feet
        (T, F, 3) m, world, z up; NaN where unknown.

    Returns
    -------
    (T, F) flags; False where the foot is unknown.
    """
    height = feet[..., 2]
    known = np.isfinite(height)
    contact = np.zeros(height.shape, dtype=bool)
    if not known.any():
        return contact
    v = speed(time, feet)
    for foot in range(feet.shape[1]):
        if not known[:, foot].any():
            continue
        over = height[:, foot] - np.nanquantile(height[:, foot], 0.05)
        with np.errstate(invalid="ignore"):
            enter = (v[:, foot] < options.contact_enter_m_s) & (over < options.contact_enter_m)
            leave = (v[:, foot] > options.contact_leave_m_s) | (over > options.contact_leave_m) | ~known[:, foot]
        on = hysteresis(enter, leave)
        on = _drop_short(time, on, ~on & known[:, foot], options.contact_gap_s, to=True)
        contact[:, foot] = _drop_short(time, on, on, options.contact_min_s, to=False)
    return contact


def hysteresis(enter: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """State (T,) that goes on where ``enter``, off where ``leave``, and else stays; off before the first event.

    >>> hysteresis(np.array([0, 1, 0, 0, 0], bool), np.array([0, 0, 0, 1, 0], bool)).astype(int)
    array([0, 1, 1, 0, 0])
    """
    event = np.where(leave, -1, np.where(enter, 1, 0))
    last = np.maximum.accumulate(np.where(event != 0, np.arange(len(event)), -1))
    return (last >= 0) & (event[np.maximum(last, 0)] == 1)


def _drop_short(time: np.ndarray, state: np.ndarray, runs_of: np.ndarray, shortest_s: float, *, to: bool) -> np.ndarray:
    """Set runs of ``runs_of`` that last less than ``shortest_s`` to ``to``; runs at the clip's ends stay."""
    out = state.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], runs_of.astype(np.int8), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if start == 0 or stop == len(time):
            continue
        if time[stop] - time[start] < shortest_s - 1e-9:
            out[start:stop] = to
    return out
