"""Seeded virtual cameras that look at bodies from anywhere a person would put one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.camera import Camera

__all__ = ["CameraRange", "Views", "view"]


@dataclass(frozen=True)
class CameraRange:
    """What cameras are drawn from; angles in degrees, distances in metres, focal lengths in image widths."""

    focal_widths: tuple[float, float] = (0.8, 3.0)
    distance_m: tuple[float, float] = (2.0, 8.0)
    elevation_deg: tuple[float, float] = (-20.0, 40.0)
    roll_deg: tuple[float, float] = (-30.0, 30.0)
    wide_roll_share: float = 0.3
    """Share of cameras whose roll spans the whole range; the others roll by a normal of 4 degrees."""


@dataclass(frozen=True)
class Views:
    """One picture of each of N bodies.

    Attributes
    ----------
    joints_camera
        (N, 17, 3) metres, camera frame (x right, y down, z forward).
    keypoints
        (N, 17, 2) px, exact projections.
    size
        (N, 2) picture width and height, px.
    focal_px
        (N,) focal length; square pixels, principal point at the picture's centre, no distortion.
    R, t
        (N, 3, 3) and (N, 3) metres: body frame (z up) to camera frame.
    """

    joints_camera: np.ndarray
    keypoints: np.ndarray
    size: np.ndarray
    focal_px: np.ndarray
    R: np.ndarray
    t: np.ndarray

    def camera(self, index: int) -> Camera:
        """Camera of one view, placed in its body's frame."""
        width, height = (int(v) for v in self.size[index])
        return Camera(
            width,
            height,
            Camera.from_focal(width, height, float(self.focal_px[index]), source="calibration", sigma=0.0).K,
            np.zeros(5),
            self.R[index],
            self.t[index],
        )

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera-frame metres (N, J, 3) to pixels (N, J, 2)."""
        centre = (self.size - 1) / 2
        return points[..., :2] / points[..., 2:] * self.focal_px[:, None, None] + centre[:, None]

    def normalise(self, pixels: np.ndarray, *, focal_factor: np.ndarray | float = 1.0) -> np.ndarray:
        """Pixels (N, J, 2) to the normalised plane; ``focal_factor`` (N,) mistakes the focal length by that much."""
        focal = np.broadcast_to(self.focal_px * focal_factor, self.focal_px.shape)
        return (pixels - ((self.size - 1) / 2)[:, None]) / focal[:, None, None]


_PICTURES = np.array([(1920, 1080), (1280, 720), (1080, 1920), (1000, 1000), (640, 480)], dtype=np.float64)


def view(bodies: np.ndarray, rng: np.random.Generator, ranges: CameraRange | None = None) -> Views:
    """Put a camera before each body.

    The camera stands at a drawn azimuth, elevation and distance from the pelvis, points past it by up to half of the
    free part of its field of view, and rolls. A focal length at which the body would not fit is shortened.

    Parameters
    ----------
    bodies
        (N, J, 3) metres, z up; any place and heading. Joint 0 is the pelvis, the others what must be in the picture.
    """
    ranges = ranges or CameraRange()
    n = len(bodies)
    pelvis = np.asarray(bodies[:, 0], dtype=np.float64)
    azimuth = rng.uniform(0, 2 * np.pi, n)
    elevation = np.radians(rng.uniform(*ranges.elevation_deg, n))
    distance = _log_uniform(ranges.distance_m, n, rng)
    size = _PICTURES[rng.integers(len(_PICTURES), size=n)]
    focal = _log_uniform(ranges.focal_widths, n, rng) * size[:, 0]
    reach = np.linalg.norm(bodies - pelvis[:, None], axis=-1).max(-1)
    # Nobody comes nearer to the camera than that; a body that walks reaches far.
    distance = np.maximum(distance, reach / 0.6)
    # Half-angle under which the body certainly lies, and the largest focal length that keeps it in the picture.
    sine = reach / distance
    spread = sine / np.sqrt(1 - sine**2)
    half = size.min(-1) / 2
    focal = np.minimum(focal, half / spread)

    away = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], -1)
    forward = np.negative(away)
    right = np.stack([-forward[:, 1], forward[:, 0], np.zeros(n)], -1)
    right = -right / np.linalg.norm(right, axis=-1, keepdims=True)
    looking = np.stack([right, np.cross(forward, right), forward], 1)
    # Where the pelvis appears: anywhere in the part of the picture that keeps the body inside.
    free = np.maximum(size / 2 - (focal * spread)[:, None], 0.0)
    offset = rng.uniform(-1, 1, (n, 2)) * free / focal[:, None]
    wide = rng.random(n) < ranges.wide_roll_share
    roll = np.radians(np.where(wide, rng.uniform(*ranges.roll_deg, n), rng.normal(0, 4.0, n)))
    r = _about_z(roll) @ _turn_away(offset) @ looking
    t = -(r @ (pelvis + away * distance[:, None])[..., None])[..., 0]
    joints_camera = bodies @ np.swapaxes(r, -1, -2) + t[:, None]
    views = Views(joints_camera, np.empty((*bodies.shape[:2], 2)), size, focal, r, t)
    views.keypoints[:] = views.project(joints_camera)
    return views


def _log_uniform(low_high: tuple[float, float], count: int, rng: np.random.Generator) -> np.ndarray:
    return np.exp(rng.uniform(np.log(low_high[0]), np.log(low_high[1]), count))


def _about_z(angle: np.ndarray) -> np.ndarray:
    r = np.zeros((len(angle), 3, 3))
    r[:, 0, 0] = r[:, 1, 1] = np.cos(angle)
    r[:, 0, 1] = -np.sin(angle)
    r[:, 1, 0] = np.sin(angle)
    r[:, 2, 2] = 1
    return r


def _turn_away(offset: np.ndarray) -> np.ndarray:
    """Pan then tilt that move what was on the axis to about ``offset`` (N, 2) on the normalised plane."""
    pan, tilt = np.arctan(offset[:, 0]), -np.arctan(offset[:, 1])
    c, s = np.cos(pan), np.sin(pan)
    zero, one = np.zeros_like(c), np.ones_like(c)
    a = np.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).reshape(-1, 3, 3)
    c, s = np.cos(tilt), np.sin(tilt)
    b = np.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).reshape(-1, 3, 3)
    return b @ a
