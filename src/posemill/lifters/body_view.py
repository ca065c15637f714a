"""What lifters see that need a whole body in one frame, and the body that their answers are brought to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from posemill.anthropometry import STANDARD_LENGTH_M, body_length
from posemill.arrays import Matrix3, PerJoint, Points2, Points3
from posemill.geometry import rotation_between
from posemill.lifters.protocol import LiftInput
from posemill.lifters.timeline import Timeline

__all__ = ["VIEWS", "Bodies", "standard_body", "turn_to_root", "turned_to_root", "whole_bodies"]

VIEWS = ("picture", "turned")


@dataclass(frozen=True)
class Bodies:
    """Frames with all 17 joints.

    Attributes
    ----------
    frames
        (N,) their numbers in the clip.
    plane
        (N, 17, 2) undistorted normalised plane: x right, y down, focal length 1.
    age
        (N, 17) seconds to the joint's nearest sighting, 0 where seen.
    sigma
        (N, 17) standard deviation per axis on the plane; 0 where the detector gave none.
    """

    frames: np.ndarray
    plane: Points2
    age: PerJoint
    sigma: PerJoint


def whole_bodies(clip: LiftInput, *, max_gap_s: float, view: str = "picture") -> Iterator[Bodies]:
    """Go through a clip in h36m17, gaps bridged, in parts that bound memory; frames without a whole body are left out.

    Parameters
    ----------
    max_gap_s
        As in :class:`~posemill.lifters.timeline.Timeline`.
    view
        ``picture``: the plane as it is. ``turned``: as a camera would see it that looks at the pelvis.
    """
    timeline = Timeline(clip, "h36m17", clip.camera.normalise, max_gap_s=max_gap_s, max_missing=0)
    for frames, seen in timeline.blocks():
        plane = turn_to_root(seen.points) if view == "turned" else seen.points
        sigma = clip.sigma[frames] / clip.camera.focal_px
        sigma = np.where((seen.age == 0) & np.isfinite(sigma), sigma, 0.0)
        rows = np.flatnonzero(np.isfinite(plane).all((1, 2)))
        yield Bodies(frames[rows], plane[rows], seen.age[rows], sigma[rows])


def turn_to_root(plane: Points2) -> Points2:
    """Turn the camera about its centre until the pelvis is on its axis: (T, 17, 2) to the plane of that view.

    NaN for a joint that would be beside or behind that camera.
    """
    return turned_to_root(plane)[0]


def turned_to_root(plane: Points2) -> tuple[Points2, Matrix3]:
    """As :func:`turn_to_root`, with the rotations (T, 3, 3) from the camera's axes to those of the turned camera."""
    rays = np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], -1)
    rotation = rotation_between(rays[:, 0], np.array([0.0, 0.0, 1.0]))
    turned = rays @ np.swapaxes(rotation, -1, -2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(turned[..., 2:] > 0.05, turned[..., :2] / turned[..., 2:], np.nan), rotation


def standard_body(joints: Points3) -> tuple[Points3, np.ndarray]:
    """Bring poses of any unit to metres of the standard body, each frame on its own.

    Returns
    -------
    joints (T, 17, 3) m, and the factor (T,) in m per unit; NaN where a pose has no size
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        length = body_length(joints)
        factor = np.where(length > 1e-9, STANDARD_LENGTH_M / length, np.nan)
    return joints * factor[:, None, None], factor
