"""Seeded static cameras that keep a whole motion in the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.camera import Camera
from posemill.geometry import rotation_between
from posemill.training.virtual_cameras import CameraRange

__all__ = ["FULL_RANGE", "watch"]

FULL_RANGE = CameraRange(wide_roll_share=1.0)
"""Focal lengths, distances, elevations as in training; roll evenly over its whole range."""

_PICTURES = ((1920, 1080), (1280, 720), (1080, 1920), (1000, 1000), (640, 480))
# Where the middle of the motion appears: up to this share of the way from the picture's middle to its edge.
_OFF_CENTRE = 0.3
# The motion keeps this share of half a picture, and this much depth in metres.
_FILL, _NEAREST_M = 0.96, 0.5
_DRAWS = 200


def watch(joints: np.ndarray, rng: np.random.Generator, ranges: CameraRange = FULL_RANGE) -> Camera:
    """Put a camera before a motion so that every joint is in the picture in every frame.

    Picture size, azimuth, elevation, roll, focal length and the distance from the middle of the motion's bounding box
    are drawn; focal length and distance log-uniformly, the others evenly. The camera points past the middle by up to
    0.3 of half the picture. It is drawn again until nobody leaves the picture. A motion that fits in none of 200 draws
    (a longer way than the range's distances can show) gets one more with the shortest focal length, from as far back as
    is needed, if need be beyond the range.

    Parameters
    ----------
    joints
        (T, J, 3) metres, world (z up).

    Returns
    -------
    A camera with its place in the world; square pixels, no distortion.
    """
    points = np.asarray(joints, dtype=np.float64).reshape(-1, 3)
    middle = (points.min(0) + points.max(0)) / 2
    for _ in range(_DRAWS):
        drawn = _draw(rng, ranges)
        if _needed_distance((points - middle) @ drawn.r.T, drawn) <= drawn.distance:
            return drawn.camera(middle)
    drawn = _draw(rng, ranges)
    drawn = replace(drawn, focal=min(drawn.focal, float(drawn.size[0] * ranges.focal_widths[0])))
    needed = _needed_distance((points - middle) @ drawn.r.T, drawn)
    return replace(drawn, distance=max(drawn.distance, needed)).camera(middle)


@dataclass(frozen=True)
class _Drawn:
    """A camera whose middle of attention lies on the unit vector ``ray`` (camera axes), ``distance`` metres away."""

    size: np.ndarray
    focal: float
    r: np.ndarray
    ray: np.ndarray
    distance: float

    def camera(self, middle: np.ndarray) -> Camera:
        """Place it so that ``middle`` (world) is where the camera attends to."""
        width, height = (int(v) for v in self.size)
        inside = Camera.from_focal(width, height, self.focal, source="calibration", sigma=0.0)
        return replace(inside, R=self.r, t=self.distance * self.ray - self.r @ middle)


def _draw(rng: np.random.Generator, ranges: CameraRange) -> _Drawn:
    size = np.array(_PICTURES[rng.integers(len(_PICTURES))], dtype=np.float64)
    azimuth = rng.uniform(0, 2 * np.pi)
    elevation, roll = np.radians(rng.uniform(*ranges.elevation_deg)), np.radians(rng.uniform(*ranges.roll_deg))
    distance = float(np.exp(rng.uniform(*np.log(ranges.distance_m))))
    focal = float(size[0] * np.exp(rng.uniform(*np.log(ranges.focal_widths))))
    offset = rng.uniform(-_OFF_CENTRE, _OFF_CENTRE, 2) * size / 2 / focal
    ray = np.array([*offset, 1.0]) / np.sqrt(1 + offset @ offset)
    r = rotation_between(np.array([0.0, 0, 1]), ray) @ _about_axis(roll) @ _facing(azimuth, elevation)
    return _Drawn(size, focal, r, ray, distance)


def _facing(azimuth: float, elevation: float) -> np.ndarray:
    """Rotation to the axes of an upright camera at this azimuth and elevation that looks at the origin."""
    c, s = np.cos(elevation), np.sin(elevation)
    forward = -np.array([c * np.cos(azimuth), c * np.sin(azimuth), s])
    right = np.array([forward[1], -forward[0], 0.0]) / c
    return np.stack([right, np.cross(forward, right), forward])


def _about_axis(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _needed_distance(turned: np.ndarray, drawn: _Drawn) -> float:
    """Least distance along the ray at which all points (N, 3), turned to camera axes, lie within the picture."""
    ray, half = drawn.ray, _FILL * drawn.size / 2
    needed = [float(((_NEAREST_M - turned[:, 2]) / ray[2]).max())]
    for axis in (0, 1):
        for slope in (drawn.focal, -drawn.focal):
            # Inside this edge: slope * coordinate <= half * depth.
            outward = slope * turned[:, axis] - half[axis] * turned[:, 2]
            needed.append(float(outward.max() / (half[axis] * ray[2] - slope * ray[axis])))
    return max(needed)
