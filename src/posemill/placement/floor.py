"""Gravity and floor of a camera that does not move, from the people before it; no calibration.

The floor is the plane ``X · up + height = 0`` in camera axes, with the camera ``height`` above it. Spots where feet
stood give it by least squares. A spot errs along its line of sight by a share of its depth, which tilts the plane
little where the camera looks along the floor, and by some centimetres in height. The upright bodies' own direction
enters as a measurement of ``up``: weaker, but there when somebody stands in one place. Both are one linear system in
the two tilts of ``up`` and the height, robustly weighted, and its inverse is the covariance.

What the figures below are from: captured motion of five people through virtual cameras, and the twin. Directions of
upright bodies err by 2.5 degrees per axis from clip to clip, of which 1.5 are the person's habit and do not average
out.

References
----------
Lv, Zhao, Nevatia, "Camera calibration from video of a walking human", PAMI 2006: up and horizon from people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posemill.geometry import roll_and_elevation, unit
from posemill.placement.standing import Evidence

__all__ = ["Floor", "fit_floor", "height_above"]

_HABIT, _CLIP = np.radians(1.5), np.radians(2.0)
# Of a calibrated camera's up.
_CALIBRATED = np.radians(0.2)
# A spot's error along its line of sight, as a share of its depth, and in height.
_ALONG, _HEIGHT_M = 0.012, 0.025
# Spots in one cell share what a pose does to them: together they weigh as the root of their number.
_CELL_M, _BIWEIGHT, _ROUNDS = 0.3, 5.0, 10
# Spots that are this many sigma off their plane, in the median of at least four, are on none.
_NO_PLANE, _FEW = 4.0, 4
_UPRIGHT_S, _AGREEING, _MAX_ROLL_DEG, _MAX_ELEVATION_DEG = 0.5, 0.5, 50.0, 75.0


@dataclass(frozen=True)
class Floor:
    """A floor that was found.

    Attributes
    ----------
    up
        (3,) unit vector against gravity, camera axes: the floor's normal.
    height_m
        Of the camera above the floor; at the scale of the people that it is from.
    up_sigma_deg
        Root mean square angle between ``up`` and the truth.
    height_sigma_m
        Without the scale's.
    upright_s, spots
        The evidence: seconds of upright frames, and the number of spots.
    """

    up: np.ndarray
    height_m: float
    up_sigma_deg: float
    height_sigma_m: float
    upright_s: float
    spots: int


def fit_floor(evidence: Sequence[Evidence], *, focal_sigma: float = 0.0, max_sigma_deg: float = 5.0) -> Floor | str:
    """Fit the floor that all of these people stand on.

    Parameters
    ----------
    evidence
        Of people and clips before one camera that stayed where it was.
    focal_sigma
        Relative, of the camera: a wrong focal length stretches depth and with it the floor's slope.
    max_sigma_deg
        A floor that is known worse than this is not known.

    Returns
    -------
    The floor; or, where the evidence is too thin, one line that says why.
    """
    votes = [e for e in evidence if e.upright_s >= _UPRIGHT_S and e.agreeing >= _AGREEING]
    if not votes:
        longest = max((e.upright_s for e in evidence), default=0.0)
        return f"nobody stands upright on a resting foot for {_UPRIGHT_S:g} s; {longest:.1f} s agree on a direction"
    up = unit(np.sum([e.up for e in votes], axis=0))
    doubt = _not_a_camera(up)
    if doubt:
        return doubt
    points, above_m = _spots_of(evidence)
    if len(points) == 0:
        return "no foot is seen to stand"
    tilt_var = _HABIT**2 + _CLIP**2 / len(votes)
    up, height_m, covariance, spread = _solve(points, above_m, up, tilt_var)
    if spread > _NO_PLANE and len(points) >= _FEW:
        off_cm = 100 * float(np.median(np.abs(points @ up + height_m - above_m)))
        return f"{len(points)} spots where feet stand are {off_cm:.0f} cm off any plane: stairs, or a camera that moves"
    slope = np.arcsin(np.clip(up[2], -1, 1))
    from_focal = focal_sigma * np.sin(2 * slope) / 2
    sigma_deg = float(np.degrees(np.sqrt(covariance[0, 0] + covariance[1, 1] + from_focal**2)))
    if sigma_deg > max_sigma_deg:
        return f"up is known to {sigma_deg:.1f} deg only; expected {max_sigma_deg:g} or better"
    upright_s = float(sum(e.upright_s for e in votes))
    return Floor(up, height_m, sigma_deg, float(np.sqrt(covariance[2, 2])), upright_s, len(points))


def height_above(evidence: Sequence[Evidence], up: np.ndarray) -> tuple[float, float] | None:
    """Height in m, and its sigma, of a camera whose ``up`` (3,) is known over the floor that these people stand on.

    None where no foot is seen to stand, or the feet are on no plane. At the scale of the people, as of :class:`Floor`.
    """
    points, above_m = _spots_of(evidence)
    if len(points) == 0:
        return None
    _, height_m, covariance, spread = _solve(points, above_m, up, _CALIBRATED**2)
    if spread > _NO_PLANE and len(points) >= _FEW:
        return None
    # How a foot stands, and how high its joints are said to be, is the person's and does not average out over spots.
    return height_m, float(np.hypot(np.sqrt(covariance[2, 2]), _HEIGHT_M))


def _spots_of(evidence: Sequence[Evidence]) -> tuple[np.ndarray, np.ndarray]:
    """All known spots (N, 3) and their heights above the floor (N,)."""
    points = np.concatenate([e.spots.points for e in evidence])
    above_m = np.concatenate([e.spots.above_m for e in evidence])
    known = np.isfinite(points).all(-1)
    return points[known], above_m[known]


def _not_a_camera(up: np.ndarray) -> str:
    """Say why people's ``up`` cannot be that of a camera in use, or ""; who lies before a camera is no plumb line."""
    roll, elevation = np.abs(roll_and_elevation(up))
    if elevation > _MAX_ELEVATION_DEG or roll > _MAX_ROLL_DEG:
        return f"bodies point {roll:.0f} deg from the picture's up and {elevation:.0f} deg out of its plane: lying?"
    return ""


def _solve(
    points: np.ndarray, above_m: np.ndarray, up: np.ndarray, tilt_var: float
) -> tuple[np.ndarray, float, np.ndarray, float]:
    """Up (3,), camera height, covariance (3, 3) of two tilts (radians) and the height; the spots' spread in sigma."""
    first = unit(np.cross(up, np.eye(3)[np.argmin(np.abs(up))]))
    second = np.cross(up, first)
    along = _ALONG * points[:, 2] * (unit(points) @ up)
    _, cell, count = np.unique(np.floor(points / _CELL_M), axis=0, return_inverse=True, return_counts=True)
    sigma = np.hypot(along, _HEIGHT_M) * count[cell.ravel()] ** 0.25
    a = np.stack([points @ first, points @ second, np.ones(len(points))], -1)
    b = above_m - points @ up
    prior = np.diag([1 / tilt_var, 1 / tilt_var, 0.0])
    # Tukey's weights from the vote's own plane on, at the usual height: a chair among few spots would draw a fit that
    # begins with all of them to itself.
    x, normal, spread = np.array([0.0, 0.0, np.median(b)]), prior, 1.0
    for step in range(_ROUNDS + 1):
        last = step == _ROUNDS
        residual = np.abs(a @ x - b) / sigma
        spread = max(1.0, 1.4826 * float(np.median(residual)))
        tukey = np.maximum(1 - (residual / spread / _BIWEIGHT) ** 2, 0.0) ** 2
        # What the spots err more than they should counts at the end only, or a wrong vote would make them weightless.
        weights = tukey / (sigma * (spread if last else 1.0)) ** 2
        normal = prior + a.T @ (a * weights[:, None])
        x = np.linalg.solve(normal, a.T @ (weights * b))
    tilted = up + x[0] * first + x[1] * second
    length = float(np.linalg.norm(tilted))
    return tilted / length, float(x[2]) / length, np.linalg.inv(normal), spread
