"""Where the twin's cameras stand."""

from __future__ import annotations

import numpy as np

from posemill.camera import Camera
from posemill.errors import InputError
from posemill.geometry import unit

__all__ = ["looking_at", "studio"]

# Azimuth in degrees (0 is in front of the standing twin), distance and height in metres, distortion. The second lens
# has mild barrel distortion, as action cameras and phones do.
_STANDS = (
    (28.0, 4.3, 1.50, (0.0, 0.0, 0.0, 0.0, 0.0)),
    (-62.0, 4.4, 1.25, (-0.12, 0.03, 0.0005, -0.0003, 0.0)),
    (118.0, 4.3, 1.60, (0.0, 0.0, 0.0, 0.0, 0.0)),
    (-150.0, 4.5, 1.40, (-0.05, 0.01, 0.0, 0.0, 0.0)),
)
_TARGET = np.array([0.05, 0.0, 0.98])


def looking_at(
    centre: np.ndarray,
    target: np.ndarray,
    width: int,
    height: int,
    focal_px: float,
    dist: np.ndarray | None = None,
) -> Camera:
    """Upright camera at ``centre`` aimed at ``target``, (3,) world metres; principal point at the image centre."""
    forward = unit(np.asarray(target, dtype=float) - centre)
    right = unit(np.cross(forward, [0.0, 0.0, 1.0]))
    rotation = np.stack([right, np.cross(forward, right), forward])
    k = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    return Camera(width, height, k, np.zeros(5) if dist is None else dist, rotation, -rotation @ centre)


def studio(count: int, width: int, height: int) -> dict[str, Camera]:
    """Calibrated cameras round the origin by name (cam1, cam2, ...), each with the whole motion in view.

    Parameters
    ----------
    count
        The first four stand front-oblique, side-oblique, behind and opposite; more are spread round the circle.
    width, height
        Picture size in pixels.

    Raises
    ------
    InputError
        If ``count`` is more than 99.
    """
    if count > 99:
        raise InputError(f"cameras: expected at most 99, got {count}")
    # 2.3 m (a raised hand) fit into the height at the middle of the room, 2.6 m of walking into the width.
    focal_px = min(1.36 * height, 1.15 * width)
    out = {}
    for i in range(count):
        azimuth, distance, above, dist = _STANDS[i % 4]
        angle = np.radians(azimuth + 45.0 * (i // 4) / max(1, (count - 1) // 4))
        centre = np.array([distance * np.cos(angle), distance * np.sin(angle), above])
        # Not two alike: every camera has its own focal length and a principal point a little off the centre.
        camera = looking_at(centre, _TARGET, width, height, focal_px * (1 + 0.015 * (i % 3)), np.array(dist))
        camera.K[0, 2] += (3.0, -4.0, 2.0)[i % 3] * width / 640
        camera.K[1, 2] += (-2.0, 3.0, 1.0)[i % 3] * width / 640
        out[f"cam{i + 1}"] = camera
    return out
