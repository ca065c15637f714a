"""Pinhole cameras with lens distortion.

Axes
----
Camera frame: x right, y down, z forward, metres. World frame: right-handed, z up, metres.
Extrinsics map world to camera: ``X_cam = R @ X_world + t``; the camera centre is ``-R.T @ t``.
Pixels: u right, v down, and the *centre* of the top-left pixel is (0, 0).

Distortion has OpenCV's order (k1, k2, p1, p2, k3) and model, on the normalised plane x = X/Z, y = Y/Z:
``x' = x (1 + k1 r² + k2 r⁴ + k3 r⁶) + 2 p1 x y + p2 (r² + 2 x²)``, and for y with p1 and p2 swapped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.arrays import Points2, Points3
from posemill.errors import InputError

__all__ = ["Camera", "distort", "fold_radius", "undistort"]


def distort(xy: np.ndarray, dist: np.ndarray) -> np.ndarray:
    """Ideal to distorted points on the normalised plane; (..., 2) and (5,)."""
    k1, k2, p1, p2, k3 = dist
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        -1,
    )


def _jacobian(xy: np.ndarray, dist: np.ndarray) -> np.ndarray:
    """Derivative of :func:`distort`, (..., 2, 2)."""
    k1, k2, p1, p2, k3 = dist
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2 * (k1 + r2 * (2 * k2 + 3 * r2 * k3))
    xx = radial + x * x * slope + 2 * p1 * y + 6 * p2 * x
    yy = radial + y * y * slope + 6 * p1 * y + 2 * p2 * x
    xy_ = x * y * slope + 2 * p1 * x + 2 * p2 * y
    return np.stack([np.stack([xx, xy_], -1), np.stack([xy_, yy], -1)], -2)


def fold_radius(dist: np.ndarray) -> float:
    """Radius on the normalised plane where radial distortion stops growing and the image folds back; inf if never.

    The smallest positive root of d/dr (r + k1 r³ + k2 r⁵ + k3 r⁷).
    """
    k1, k2, _, _, k3 = dist
    # In 1/r² the polynomial has leading coefficient 1, so that vanishing distortion divides by nothing.
    roots = np.roots([1.0, 3 * k1, 5 * k2, 7 * k3])
    inverse = roots[np.abs(roots.imag) <= 1e-9 * np.maximum(np.abs(roots), 1e-9)].real
    greatest = inverse.max(initial=0.0)
    return float(1 / np.sqrt(greatest)) if greatest > 1e-12 else float("inf")


def undistort(xy: np.ndarray, dist: np.ndarray, *, iterations: int = 50) -> np.ndarray:
    """Invert :func:`distort` by Newton's method; NaN where it has no solution.

    Strong barrel distortion folds the plane: beyond the fold a pixel belongs to no ray, and the answer is NaN
    rather than a ray that happens to be near.
    """
    if not np.any(dist):
        return np.array(xy, dtype=np.float64)
    target = np.asarray(xy, dtype=np.float64)
    fold = fold_radius(dist)
    guess = _within(target, 0.9 * fold)
    residual = distort(guess, dist) - target
    with np.errstate(all="ignore"):
        for _ in range(iterations):
            j = _jacobian(guess, dist)
            det = j[..., 0, 0] * j[..., 1, 1] - j[..., 0, 1] * j[..., 1, 0]
            dx = (j[..., 1, 1] * residual[..., 0] - j[..., 0, 1] * residual[..., 1]) / det
            dy = (j[..., 0, 0] * residual[..., 1] - j[..., 1, 0] * residual[..., 0]) / det
            # Steps stay inside the fold: outside it there are solutions too, of rays that no lens shows there.
            guess = _within(guess - np.stack([dx, dy], -1), fold)
            residual = distort(guess, dist) - target
            if not np.any(np.abs(residual) > 1e-13):
                break
        solved = np.abs(residual).max(-1) < 1e-9
    return np.where(solved[..., None], guess, np.nan)


def _within(xy: np.ndarray, radius: float) -> np.ndarray:
    """Pull points (..., 2) that are farther than ``radius`` from the axis back onto that circle."""
    if np.isinf(radius):
        return xy
    length = np.linalg.norm(xy, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > radius, xy * (radius / length), xy)


@dataclass(frozen=True)
class Camera:
    """One camera of fixed intrinsics, with or without a place in the world.

    Attributes
    ----------
    width, height
        Image size in pixels, of the upright picture as shown.
    K
        (3, 3) intrinsic matrix in pixels.
    dist
        (5,) OpenCV distortion k1, k2, p1, p2, k3.
    R, t
        World to camera, (3, 3) and (3,) in metres; None if the camera's place is unknown.
    intrinsics_source
        ``calibration``, ``sheet`` (focal length or field of view given), ``metadata`` (the file's own) or ``prior`` (a
        stated assumption).
    focal_sigma
        Relative standard deviation of the focal length (0.25 for the prior).
    """

    width: int
    height: int
    K: np.ndarray
    dist: np.ndarray
    R: np.ndarray | None = None
    t: np.ndarray | None = None
    intrinsics_source: str = "calibration"
    focal_sigma: float = 0.0

    def __post_init__(self) -> None:
        k = np.asarray(self.K, dtype=np.float64)
        dist = np.asarray(self.dist, dtype=np.float64).reshape(-1)
        if k.shape != (3, 3) or not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
            raise InputError(f"camera matrix: expected a finite 3x3 with positive focal lengths, got {k.tolist()}")
        if not np.array_equal(k[2], (0.0, 0.0, 1.0)) or k[1, 0] != 0:
            raise InputError(f"camera matrix: expected [[fx, s, cx], [0, fy, cy], [0, 0, 1]], got {k.tolist()}")
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"image size: expected positive width and height, got {self.width} x {self.height}")
        if dist.shape == (4,):
            dist = np.append(dist, 0.0)
        if dist.shape != (5,) or not np.isfinite(dist).all():
            raise InputError(f"distortion: expected 4 or 5 finite values (k1 k2 p1 p2 [k3]), got {dist.tolist()}")
        if not 0 <= self.focal_sigma < 1:
            raise InputError(f"focal_sigma: expected a share from 0 to 1 of the focal length, got {self.focal_sigma}")
        object.__setattr__(self, "K", k)
        object.__setattr__(self, "dist", dist)
        if (self.R is None) != (self.t is None):
            raise InputError("extrinsics: expected both R and t or neither, got one")
        if self.R is not None and self.t is not None:
            r, t = np.asarray(self.R, dtype=np.float64), np.asarray(self.t, dtype=np.float64).reshape(-1)
            if r.shape != (3, 3) or not np.allclose(r @ r.T, np.eye(3), atol=1e-5) or np.linalg.det(r) < 0:
                raise InputError(f"extrinsics: expected R a 3x3 proper rotation, got {r.tolist()}")
            if t.shape != (3,) or not np.isfinite(t).all():
                raise InputError(f"extrinsics: expected t three finite metres, got {t.tolist()}")
            object.__setattr__(self, "R", r)
            object.__setattr__(self, "t", t)

    @classmethod
    def from_focal(cls, width: int, height: int, focal_px: float, *, source: str, sigma: float) -> Camera:
        """Square pixels, principal point at the image centre, no distortion."""
        k = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
        return cls(width, height, k, np.zeros(5), intrinsics_source=source, focal_sigma=sigma)

    @classmethod
    def from_focal_35mm(cls, width: int, height: int, focal_35mm: float, *, sigma: float) -> Camera:
        """Focal length in mm on a 36 x 24 mm picture of the same diagonal, as files state it."""
        focal_px = focal_35mm * float(np.hypot(width, height) / np.hypot(36, 24))
        return cls.from_focal(width, height, focal_px, source="metadata", sigma=sigma)

    @classmethod
    def prior(cls, width: int, height: int) -> Camera:
        """Return the assumption for an unknown camera: focal length = the longer side (53 degrees), sigma 25 %."""
        return cls.from_focal(width, height, float(max(width, height)), source="prior", sigma=0.25)

    @property
    def in_world(self) -> bool:
        """Whether the camera's place in the world is known."""
        return self.R is not None

    @property
    def focal_px(self) -> float:
        """Geometric mean of the two focal lengths."""
        return float(np.sqrt(self.K[0, 0] * self.K[1, 1]))

    @property
    def up(self) -> np.ndarray:
        """The world's up in camera axes, (3,) unit vector; NaN where the camera's place is unknown."""
        return np.full(3, np.nan) if self.R is None else self.R[:, 2]

    @property
    def centre(self) -> np.ndarray:
        """Camera centre in the world, (3,) metres."""
        r, t = self._extrinsics()
        return -r.T @ t

    def _extrinsics(self) -> tuple[np.ndarray, np.ndarray]:
        if self.R is None or self.t is None:
            raise InputError("this camera's place in the world is unknown; give a calibration with extrinsics")
        return self.R, self.t

    def world_to_camera(self, points: Points3) -> Points3:
        """(..., J, 3) metres, world to camera frame."""
        r, t = self._extrinsics()
        return points @ r.T + t

    def camera_to_world(self, points: Points3) -> Points3:
        """(..., J, 3) metres, camera to world frame."""
        r, t = self._extrinsics()
        return (points - t) @ r

    def project(self, points: Points3) -> Points2:
        """Camera-frame metres (..., J, 3) to pixels (..., J, 2).

        NaN for points that are not in front of the camera, or beyond the fold of its distortion.
        """
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            xy = points[..., :2] / points[..., 2:]
            uv = distort(xy, self.dist) @ self.K[:2, :2].T + self.K[:2, 2]
            seen = (points[..., 2] > 1e-6) & (np.hypot(xy[..., 0], xy[..., 1]) <= fold_radius(self.dist))
        return np.where(seen[..., None], uv, np.nan)

    def normalise(self, pixels: Points2) -> Points2:
        """Pixels (..., J, 2) to the undistorted normalised plane x = X/Z, y = Y/Z."""
        inverse = np.linalg.inv(self.K[:2, :2])
        u, v = (np.asarray(pixels[..., axis], dtype=np.float64) - self.K[axis, 2] for axis in range(2))
        # Axis by axis: products of many small matrices take far longer.
        xy = np.empty((*u.shape, 2))
        np.multiply(v, inverse[1, 1], out=xy[..., 1])
        np.multiply(u, inverse[0, 0], out=xy[..., 0])
        if inverse[0, 1]:
            xy[..., 0] += inverse[0, 1] * v
        return undistort(xy, self.dist)

    def cropped(self, x0: float, y0: float, width: int, height: int) -> Camera:
        """Return the camera of the window whose top-left pixel is (x0, y0)."""
        k = self.K.copy()
        k[:2, 2] -= (x0, y0)
        return replace(self, width=width, height=height, K=k)

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera of the picture scaled to width x height (pixel centres at integers: u' = (u + ½) s - ½)."""
        sx, sy = width / self.width, height / self.height
        k = np.diag([sx, sy, 1.0]) @ self.K
        k[0, 2] += (sx - 1) / 2
        k[1, 2] += (sy - 1) / 2
        return replace(self, width=width, height=height, K=k)

    def mirrored(self) -> Camera:
        """Return the camera of the picture with left and right exchanged; its place in the world is dropped.

        What it sees at (X, Y, Z) is what this one sees at (-X, Y, Z): no rotation does that.
        """
        k, dist = self.K.copy(), self.dist.copy()
        k[0, 2] = self.width - 1 - k[0, 2]
        k[0, 1], dist[3] = -k[0, 1], -dist[3]
        return replace(self, K=k, dist=dist, R=None, t=None)
