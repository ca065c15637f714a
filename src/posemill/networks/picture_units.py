"""Input and output of lifters that answer in units of the picture ("2.5D"), and the way to metres and back.

Such a network sees keypoints as ``(pixel - centre) / half`` and answers with where the joints are in the picture, in
the same units, and with depths relative to the pelvis, measured in the units at the pelvis's depth. That is a
perspective picture of the pose: a nearer joint is farther from the middle. With the camera it is undone exactly. If the
pelvis is at depth ``Z``, one unit there is ``half Z / f`` metres, a joint with depth ``z`` is at
``Z (1 + z half / f)``, and its ray is that of its pixel. Everything is proportional to ``Z``, which one picture does
not tell: it is chosen so that the body has the standard length, and placing gives the person's own size.

Pixels here are those of the camera without its distortion; :func:`straighten` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from posemill.anthropometry import STANDARD_LENGTH_M, body_length
from posemill.arrays import Points2, Points3
from posemill.camera import Camera

__all__ = ["Normaliser", "Units", "box_units", "lift_to_metres", "picture_pose", "picture_units", "straighten"]

Normaliser = Literal["picture", "shorter_side", "crop"]
"""What the units are: ``picture`` the half of the width about the middle (Human3.6M protocol), ``shorter_side`` the
half of the shorter side about the middle, ``crop`` the half side of the square about all of the clip's keypoints."""

_LEAST_DEPTH = 0.1


@dataclass(frozen=True)
class Units:
    """Units of the picture: ``centre`` (..., 2) px is their origin and ``half`` (...,) px is one of them."""

    centre: np.ndarray
    half: np.ndarray

    def to_units(self, pixels: Points2) -> Points2:
        """(..., J, 2) px to units."""
        return (pixels - self.centre[..., None, :]) / self.half[..., None, None]


def picture_units(camera: Camera, normaliser: Literal["picture", "shorter_side"] = "picture") -> Units:
    """Units that depend on the picture's size only.

    With ``picture`` a pixel is ``(2u / w - 1, 2v / w - h / w)``: both by the width, so that nothing is stretched.
    """
    size = np.array([camera.width, camera.height], dtype=np.float64)
    return Units(size / 2, np.asarray(camera.width / 2 if normaliser == "picture" else size.min() / 2))


def box_units(low: np.ndarray, high: np.ndarray) -> Units:
    """Units in which the square about a box (``low``, ``high`` corners (..., 2) px) reaches from -1 to 1."""
    return Units((low + high) / 2, (high - low).max(-1) / 2)


def straighten(pixels: Points2, camera: Camera) -> Points2:
    """Pixels (..., J, 2) as the same camera without distortion would show them."""
    if not np.any(camera.dist):
        return np.asarray(pixels, dtype=np.float64)
    return camera.normalise(pixels) @ camera.K[:2, :2].T + camera.K[:2, 2]


def picture_pose(joints: Points3, camera: Camera, units: Units) -> Points3:
    """What a perfect lifter answers: the inverse of :func:`lift_to_metres`.

    Parameters
    ----------
    joints
        (..., 17, 3) m, camera frame, in front of the camera; the pelvis is joint 0.

    Returns
    -------
    (..., 17, 3) units, relative to the pelvis.
    """
    pixels = (joints @ camera.K.T)[..., :2] / joints[..., 2:]
    xy = (pixels - pixels[..., :1, :]) / units.half[..., None, None]
    root_depth = joints[..., :1, 2]
    z = (joints[..., 2] - root_depth) / root_depth * camera.K[0, 0] / units.half[..., None]
    return np.concatenate([xy, z[..., None]], -1)


def lift_to_metres(pose: Points3, root_px: np.ndarray, camera: Camera, units: Units) -> tuple[Points3, np.ndarray]:
    """Bring answers to camera axes and to metres of the standard body.

    Parameters
    ----------
    pose
        (..., 17, 3) units, relative to the pelvis, which is joint 0.
    root_px
        (..., 2) px, the pelvis in the picture (distortion taken off).

    Returns
    -------
    joints (..., 17, 3) m, camera axes, pelvis at 0; and how many metres one unit at the pelvis is, (...). NaN where a
    joint would be nearer to the camera than a tenth of the pelvis's depth, and everywhere if that concerns a joint of
    legs or trunk, for then the body has no length.
    """
    half = units.half[..., None]
    pixels = root_px[..., None, :] + pose[..., :2] * half[..., None]
    rays = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1) @ np.linalg.inv(camera.K).T
    depth = 1 + pose[..., 2] * half / camera.K[0, 0]
    with np.errstate(invalid="ignore"):
        depth = np.where(depth > _LEAST_DEPTH, depth, np.nan)
    joints = rays * depth[..., None]
    joints = joints - joints[..., :1, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        root_depth = STANDARD_LENGTH_M / body_length(joints)
    root_depth = np.where(np.isfinite(root_depth), root_depth, np.nan)
    return joints * root_depth[..., None, None], units.half / camera.K[0, 0] * root_depth
