"""From a capture's nodes to the 17 joints, four points of the feet, and a floor at 0.

Feet. No capture skeleton has a heel, and its toe is a point above the sole, because it comes from a marker on top of
the foot. So both are built on the sole, a plane in the frame of the foot. Stature ``H`` is (thigh + shank) / 0.491; the
ankle stands 0.039 H above the sole, the foot is 0.152 H long (Drillis and Contini 1966 as tabulated by Winter,
"Biomechanics and Motor Control of Human Movement", 2009, figure 4.1), and a quarter of that is taken to lie behind the
ankle, as in the rig that posemill exports.

- heel: from the ankle 0.039 H and 10 mm of shoe down, and 0.038 H back, turning with the metatarsus (without the shoe
  the heels of CMU's standing subjects hang 13 mm above their toes);
- big toe: the end of the skeleton's toes, brought down to the sole by as much as the ball lies above it, turning with
  the toes.

Floor. Feet stand on it: in each frame the lowest of the points of both soles (heel, ball, toe) that moves by less than
0.2 m/s; of these heights the median of those within 0.05 m above their 10th percentile, since a person also stands on
steps and rests the feet on a chair. The lowest height of all would be that of a frame in which a marker slipped, which
is up to 0.08 m too low in walks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from posemill.arrays import Points3, Vector3
from posemill.formats.mocap.capture import Capture
from posemill.formats.mocap.sources import Foot
from posemill.geometry import unit

__all__ = ["Body", "body_of"]

_LEG, _ANKLE, _BEHIND, _SHOE_M = 0.491, 0.039, 0.25 * 0.152, 0.010
_TOES_BY_METATARSUS = 0.5
_STANDS_M_S, _LEVEL_M = 0.2, 0.05
_Y, _Z = np.array([0.0, 1, 0]), np.array([0.0, 0, 1])


@dataclass(frozen=True)
class Body:
    """A capture as a motion file holds it.

    Attributes
    ----------
    joints
        (T, 17, 3) metres, z up, floor at 0.
    feet
        (T, 4, 3): left heel, right heel, left big toe, right big toe.
    floor_m
        Height of the floor in the capture's own coordinates.
    stature_m
        From the legs.
    """

    joints: Points3
    feet: Points3
    floor_m: float
    stature_m: float


def body_of(capture: Capture, fps: float) -> Body:
    """Joints and feet at another frame rate; the first frame stays the first."""
    joints = capture.joints()
    stature = _stature(capture)
    left, right = (_sole(capture, foot, stature) for foot in (capture.source.left, capture.source.right))
    soles = np.concatenate([left, right], axis=1)
    floor = _floor(soles, capture.fps)
    feet = np.stack([left[:, 0], right[:, 0], left[:, 2], right[:, 2]], axis=1)
    count = int((len(joints) - 1) / capture.fps * fps + 1e-6) + 1
    at = np.arange(count) * (capture.fps / fps)
    both = np.concatenate([joints, feet], axis=1) - [0.0, 0.0, floor]
    if not np.array_equal(at, np.arange(len(both))):
        both = CubicSpline(np.arange(len(both)), both, axis=0)(at)
    return Body(both[:, :17], both[:, 17:], floor, stature)


def _stature(capture: Capture) -> float:
    length = [
        np.linalg.norm(capture.rest[capture.index(bone)])
        for foot in (capture.source.left, capture.source.right)
        for bone in (foot.thigh, foot.shank)
    ]
    return float(np.sum(length)) / 2 / _LEG


def _sole(capture: Capture, foot: Foot, stature: float) -> Points3:
    """Heel, ball and toe (T, 3, 3) on the sole, metres."""
    shank, metatarsus = (capture.rest[capture.index(node)] for node in (foot.shank, foot.ball))
    # In the rest pose, y up, facing +z: the sole's normal, and the foot's direction along the sole.
    up = unit(-shank) if capture.source.splayed else _Y
    forward = unit(_Z - (_Z @ up) * up)
    ankle, ball = (capture.places[:, capture.index(node)] for node in (foot.ankle, foot.ball))
    thickness = max(_ANKLE * stature + float(metatarsus @ up), 0.0)

    def turned(node: str, vector: Vector3) -> Vector3:
        return capture.turns[:, capture.index(node)] @ vector

    heel = ankle - turned(foot.metatarsus, (_ANKLE * stature + _SHOE_M) * up + _BEHIND * stature * forward)
    if foot.toe is None:
        toe = ball + turned(foot.toes, _TOES_BY_METATARSUS * float(np.linalg.norm(metatarsus)) * forward)
    else:
        toe = capture.places[:, capture.index(foot.toe)]
    ball = ball - turned(foot.metatarsus, thickness * up)
    return np.stack([heel, ball, toe - turned(foot.toes, thickness * up)], axis=1)


def _floor(soles: Points3, fps: float) -> float:
    """Height on which the feet stand, metres; if they never do, the 2nd percentile of their lowest points."""
    speed = np.linalg.norm(np.gradient(soles, axis=0), axis=-1) * fps
    lowest = np.where(speed < _STANDS_M_S, soles[..., 2], np.inf).min(axis=1)
    heights = lowest[np.isfinite(lowest)]
    if not len(heights):
        return float(np.percentile(soles[..., 2].min(axis=1), 2))
    low = np.percentile(heights, 10)
    return float(np.median(heights[(heights >= low) & (heights <= low + _LEVEL_M)]))
