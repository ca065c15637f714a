"""When a foot stands, judged by the image alone: what a 3D result may be measured against without a truth.

A foot that rests in the image of a camera that rests is taken to stand. The result to be judged gives only the scale
(metres per pixel at the foot), so that it cannot choose the frames in which it is measured. A foot held still in the
air counts as well, which does no harm to the measure: it does not slide either.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, Points2, Times
from posemill.errors import InputError, expected
from posemill.skeleton import joint_set

__all__ = ["ENTER_M_S", "LEAVE_M_S", "MIN_S", "hysteresis", "image_contacts"]

# On the walks of the demo 96 % of these frames have the true foot on the floor, and two thirds of those with the whole
# sole down are found; MediaPipe's noise alone moves a resting foot by 0.2 m/s.
ENTER_M_S, LEAVE_M_S, MIN_S = 0.3, 0.5, 0.1
_PARTS = ("ankle", "heel", "big_toe")


def image_contacts(time: Times, keypoints: Points2, m_per_px: np.ndarray, *, joints_of: str) -> Flags:
    """Frames in which a whole foot rests in the image.

    Parameters
    ----------
    time
        (T,) seconds.
    keypoints
        (T, J, 2) px, NaN where unknown. Ankle, heel and big toe are used, those of them that the joint set has.
    m_per_px
        (T, 2) metres that a pixel spans at the left and the right foot, across the line of sight; NaN where unknown.
    joints_of
        Joint set of the keypoints.

    Returns
    -------
    (T, 2) flags of the left and the right foot. A foot comes to stand when its quickest part moves slower than
    ``ENTER_M_S`` and until that is quicker than ``LEAVE_M_S`` or unknown; shorter than ``MIN_S`` is none. False where
    unknown, and for a joint set without ankles.

    Raises
    ------
    InputError
        ``m_per_px`` is not per frame and foot.
    """
    names = joint_set(joints_of)
    contact = np.zeros((len(time), 2), dtype=bool)
    if np.shape(m_per_px) != contact.shape:
        raise InputError(expected("metres per pixel, per frame and foot, of shape", contact.shape, np.shape(m_per_px)))
    if len(time) < 2:
        return contact
    for foot, side in enumerate(("left", "right")):
        parts = [names.index(f"{side}_{part}") for part in _PARTS if f"{side}_{part}" in names.joints]
        if f"{side}_ankle" not in names.joints:
            continue
        velocity = np.gradient(np.asarray(keypoints[:, parts], dtype=np.float64), time, axis=0)
        # A part that is not seen says nothing; the ankle, whose sliding is measured, must be.
        quickest = np.fmax.reduce(np.linalg.norm(velocity, axis=-1), axis=1)
        speed = quickest * np.asarray(m_per_px, dtype=np.float64)[:, foot]
        unknown = ~np.isfinite(velocity[:, 0]).all(-1) | ~np.isfinite(speed)
        with np.errstate(invalid="ignore"):
            on = hysteresis(speed < ENTER_M_S, (speed > LEAVE_M_S) | unknown)
        contact[:, foot] = _long_enough(time, on)
    return contact


def _long_enough(time: Times, on: np.ndarray) -> np.ndarray:
    """Keep the runs that last ``MIN_S`` from their first to their last frame."""
    out = np.zeros_like(on)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        out[start:stop] = time[stop - 1] - time[start] >= MIN_S - 1e-9
    return out


def hysteresis(enter: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """State (T,) that goes on where ``enter``, off where ``leave``, and else stays; off before the first event.

    >>> hysteresis(np.array([0, 1, 0, 0, 0], bool), np.array([0, 0, 0, 1, 0], bool)).astype(int)
    array([0, 1, 1, 0, 0])
    """
    event = np.where(leave, -1, np.where(enter, 1, 0))
    last = np.maximum.accumulate(np.where(event != 0, np.arange(len(event)), -1))
    return (last >= 0) & (event[np.maximum(last, 0)] == 1)
