"""Feet: contacts, sliding, piercing the floor.

Sliding here is of *joints* (ankle, heel or toe), not of the foot vertices of a body mesh: figures of mesh methods on
vertices are not comparable with it. The contacts in which sliding is measured are the truth's, or found in the image;
never those that a method itself chose and locked, in which it cannot slide.

References
----------
Shin et al.: "WHAM", CVPR 2024 (contact: the true foot moves less than 1 cm per frame at 30 Hz).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from posemill.arrays import Flags, Points2, Points3, Times
from posemill.camera import Camera
from posemill.errors import InputError, expected
from posemill.metrics.motion import time_stamps
from posemill.metrics.pose import joint_errors

__all__ = [
    "CONTACT_SPEED_M_S",
    "ContactScore",
    "FloorPiercing",
    "contact_score",
    "floor_piercing",
    "foot_reprojection_errors",
    "joint_foot_sliding",
    "pair_contacts",
    "true_contacts",
]

CONTACT_SPEED_M_S = 0.3


class ContactScore(NamedTuple):
    """Per foot, (F,): shares 0 to 1, and the number of frames compared. NaN where there is no contact to find."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    frames: np.ndarray


class FloorPiercing(NamedTuple):
    """Per point, (F,): share of frames below the floor, and mean depth in metres of those (0 if there is none)."""

    share: np.ndarray
    depth_m: np.ndarray


def contact_score(pred: Flags, truth: Flags, *, valid: Flags | None = None) -> ContactScore:
    """Compare contacts frame by frame.

    Parameters
    ----------
    pred, truth
        (T, F) flags.
    valid
        (T, F) frames that count.

    Raises
    ------
    InputError
        The shapes differ.
    """
    pred, truth = np.asarray(pred, dtype=bool), np.asarray(truth, dtype=bool)
    if pred.shape != truth.shape:
        raise InputError(expected("contacts of one shape", truth.shape, pred.shape))
    counts = np.ones(truth.shape, dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    hit = (pred & truth & counts).sum(0)
    said, real = (pred & counts).sum(0), (truth & counts).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ContactScore(hit / said, hit / real, 2 * hit / (said + real), counts.sum(0))


def true_contacts(
    feet: Points3,
    *,
    time_s: Times | None = None,
    fps: float | None = None,
    below_m_s: float = CONTACT_SPEED_M_S,
) -> Flags:
    """Contacts of the truth between one frame and the next: the foot moves slower than 0.3 m/s.

    Parameters
    ----------
    feet
        (T, F, 3) metres in the world, of the truth.
    time_s, fps
        One of both: seconds (T,), or frames per second.

    Returns
    -------
    (T - 1, F) flags; False where a foot is unknown.
    """
    time = time_stamps(len(feet), time_s, fps)
    with np.errstate(invalid="ignore"):
        return _speed(feet, time) < below_m_s


def pair_contacts(contact: Flags) -> Flags:
    """Contacts (T - 1, F) between frames, from contacts (T, F) in them: both frames must have it."""
    contact = np.asarray(contact, dtype=bool)
    return contact[1:] & contact[:-1]


def joint_foot_sliding(
    feet: Points3,
    contact: Flags,
    *,
    time_s: Times | None = None,
    fps: float | None = None,
    valid: Flags | None = None,
) -> np.ndarray:
    """Speed of the predicted foot joints while the true foot stands.

    Parameters
    ----------
    feet
        (T, F, 3) metres in the world, of the prediction.
    contact
        (T - 1, F) of the truth or of the image, from :func:`true_contacts` or :func:`pair_contacts`.
    time_s, fps
        One of both: seconds (T,), or frames per second.
    valid
        (T, F) points that count; those that are not finite never do.

    Returns
    -------
    (T - 1, F) m/s; NaN where there is no contact. By 30 and in millimetres it is the published mm per frame.

    Raises
    ------
    InputError
        ``contact`` is not between frames.
    """
    time = time_stamps(len(feet), time_s, fps)
    want = (max(len(feet) - 1, 0), feet.shape[1])
    if np.shape(contact) != want:
        raise InputError(expected("contacts between frames of shape", want, np.shape(contact), do="use pair_contacts"))
    points = np.asarray(feet, dtype=np.float64)
    if valid is not None:
        points = np.where(np.asarray(valid)[..., None], points, np.nan)
    return np.where(contact, _speed(points, time), np.nan)


def _speed(points: np.ndarray, time: Times) -> np.ndarray:
    """From one frame to the next, (T - 1, F) m/s."""
    step = np.linalg.norm(np.diff(np.asarray(points, dtype=np.float64), axis=0), axis=-1)
    return step / np.diff(time)[:, None]


def floor_piercing(points: Points3, *, floor_m: float = 0.0) -> FloorPiercing:
    """How often and how deep points are below the floor.

    Parameters
    ----------
    points
        (T, F, 3) metres in the world, z up; NaN where unknown.
    floor_m
        Height of the floor, or of what the points stand at when the foot is flat on it (an ankle's is not 0).
    """
    below = floor_m - np.asarray(points, dtype=np.float64)[..., 2]
    known, pierced = np.isfinite(below), below > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        share = pierced.sum(0) / known.sum(0)
    depth = np.where(pierced, below, 0.0).sum(0) / np.maximum(pierced.sum(0), 1)
    return FloorPiercing(share, np.where(known.any(0), depth, np.nan))


def foot_reprojection_errors(
    feet: Points3, camera: Camera, keypoints: Points2, *, valid: Flags | None = None
) -> np.ndarray:
    """Distance in the image between projected feet and where they were seen.

    Parameters
    ----------
    feet
        (..., F, 3) metres in the camera frame, of the result.
    keypoints
        (..., F, 2) px, of the truth or detected.
    valid
        (..., F) points that count; those that are not finite never do.

    Returns
    -------
    (..., F) px; NaN where a point does not count or is behind the camera.
    """
    return joint_errors(camera.project(np.asarray(feet, dtype=np.float64)), keypoints, valid=valid)
