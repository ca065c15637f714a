"""Rotations and focal lengths of a camera at one place, from directions that it saw in several frames.

A corner of the background is a direction ``d``; the camera of frame k sees it at ``f_k (X, Y) / Z`` with
``(X, Y, Z) = R_k d``, in pixels from the principal point. All of it is solved at once by damped Gauss-Newton steps with
Cauchy's weights; the directions, two unknowns each, are eliminated first (Schur's complement).

References
----------
Triggs et al.: "Bundle adjustment - a modern synthesis", Vision Algorithms 1999. Hartley: "Self-calibration of
stationary cameras", International Journal of Computer Vision 22, 1997.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from posemill.geometry import skew, unit

__all__ = ["Bundle", "Sights", "residuals", "solve", "turn_frame"]

# Far from the true focal length the valley is long and flat.
_STEPS, _CONVERGED = 100, 1e-8
_CAUCHY = 2.0
_SHARED = 4.0
# A lens zooms by at most about this much in a second, as the standard deviation of the logarithm of its focal length.
ZOOM_PER_S = 1.0


class Sights(NamedTuple):
    """Corner ``corner[n]`` at ``xy[n]`` px from the principal point in camera ``camera[n]``."""

    camera: np.ndarray
    corner: np.ndarray
    xy: np.ndarray


@dataclass(frozen=True)
class Bundle:
    """A solution.

    Attributes
    ----------
    R
        (K, 3, 3) from common axes to the cameras'.
    log_focal
        (K,) logarithm of the focal length in px.
    directions
        (P, 3) unit vectors in the common axes.
    residual_px
        Median length of what is left of the sights.
    rotation_sigma_deg, focal_sigma
        Of each rotation about each axis, against the mean of all; of the focal length, relative.
    """

    R: np.ndarray
    log_focal: np.ndarray
    directions: np.ndarray
    residual_px: float = float("nan")
    rotation_sigma_deg: float = float("nan")
    focal_sigma: float = float("nan")


def residuals(at: Bundle, sights: Sights) -> tuple[np.ndarray, np.ndarray]:
    """Predicted minus seen (N, 2) px, and the directions in camera axes (N, 3)."""
    turned = np.einsum("nij,nj->ni", at.R[sights.camera], at.directions[sights.corner])
    focal = np.exp(at.log_focal[sights.camera])[:, None]
    return focal * turned[:, :2] / turned[:, 2:] - sights.xy, turned


def _slopes(focal: np.ndarray, turned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the pixel by the direction in camera axes (N, 2, 3), and by the logarithm of the focal length."""
    inverse = 1 / turned[:, 2]
    xy = turned[:, :2] * inverse[:, None]
    slope = np.zeros((len(turned), 2, 3))
    slope[:, 0, 0] = slope[:, 1, 1] = focal * inverse
    slope[:, :, 2] = -xy * (focal * inverse)[:, None]
    return slope, xy * focal[:, None]


def _weights(error: np.ndarray, noise_px: float) -> np.ndarray:
    """Cauchy's, over the square of the noise."""
    return 1 / (1 + (error**2).sum(-1) / (_CAUCHY * noise_px) ** 2) / noise_px**2


def solve(
    start: Bundle, sights: Sights, time: np.ndarray, *, focal: tuple[float, float], zooms: bool, noise_px: float
) -> Bundle:
    """Solve for all at once.

    Parameters
    ----------
    start
        Where to begin.
    time
        (K,) s of the cameras.
    focal
        What is known of the focal length: px, and its relative sigma (0: it is held).
    zooms
        The focal length is each camera's own; else one for all.
    noise_px
        Of a sight.
    """
    # A corner's errors last as long as it is followed, so all its sights are worth one, and that one is shared with its
    # neighbours. So much more does what is known of the focal length weigh, and so much less certain is what comes out.
    shared = max(1.0, _SHARED * len(sights.xy) / max(len(start.directions), 1))
    focal = focal[0], focal[1] / np.sqrt(shared)
    at, damping = start, 1e-4
    cost = _cost(at, sights, time, focal, zooms, noise_px)
    system = None
    for _ in range(_STEPS):
        system = _normal(at, sights, time, focal, zooms, noise_px)
        for _ in range(6):
            step = system.step(damping)
            there = _moved(at, *step)
            lower = _cost(there, sights, time, focal, zooms, noise_px)
            if lower <= cost:
                break
            damping *= 10
        else:
            break
        gained, at, cost, damping = cost - lower, there, lower, max(damping / 10, 1e-9)
        if gained < _CONVERGED * cost:
            break
    error = residuals(at, sights)[0]
    covariance = _normal(at, sights, time, focal, zooms, noise_px).covariance()
    cameras = len(at.R)
    # What the sights miss by is the noise; below what is assumed of it nothing is claimed.
    excess = max(1.0, float(np.median((error**2).sum(-1))) / (1.386 * noise_px**2))
    excess *= shared
    sigma = _rotation_sigma(at.R, covariance[: 3 * cameras, : 3 * cameras] * excess)
    rest = covariance[3 * cameras :, 3 * cameras :] * excess
    focal_sigma = float(np.sqrt(np.diagonal(rest).mean()))
    median = float(np.median(np.linalg.norm(error, axis=-1)))
    return replace(at, residual_px=median, rotation_sigma_deg=sigma, focal_sigma=focal_sigma)


def _cost(
    at: Bundle, sights: Sights, time: np.ndarray, focal: tuple[float, float], zooms: bool, noise_px: float
) -> float:
    error, turned = residuals(at, sights)
    if not (turned[:, 2] > 0.05).all():
        return float("inf")
    scale = (_CAUCHY * noise_px) ** 2
    cost = float(_CAUCHY**2 * np.log1p((error**2).sum(-1) / scale).sum())
    off = at.log_focal - np.log(focal[0])
    cost += float(off.mean() / max(focal[1], 1e-6)) ** 2
    if zooms:
        cost += float((np.diff(at.log_focal) ** 2 / (ZOOM_PER_S**2 * np.diff(time))).sum())
    return cost


class _Normal(NamedTuple):
    """Normal equations: of the cameras, of the directions, and between."""

    cameras: np.ndarray
    corners: np.ndarray
    between: sparse.csr_matrix
    right: np.ndarray
    right_corners: np.ndarray
    tangents: np.ndarray
    zooms: bool
    size: int

    def step(self, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        reduced, inverse = self._reduced(damping)
        y = inverse @ self.right_corners.ravel()
        unknown = -np.linalg.solve(reduced, self.right - self.between @ y)
        corners = -(y + inverse @ (self.between.T @ unknown))
        tangents = np.einsum("pij,pj->pi", self.tangents, corners.reshape(-1, 2))
        focal = unknown[3 * self.size :]
        return unknown[: 3 * self.size].reshape(-1, 3), np.broadcast_to(focal, self.size), tangents

    def _reduced(self, damping: float) -> tuple[np.ndarray, sparse.csr_matrix]:
        own = self.corners * (1 + damping * np.eye(2)) + 1e-9 * np.eye(2)
        count = len(own)
        blocks = sparse.bsr_matrix((np.linalg.inv(own), np.arange(count), np.arange(count + 1)))
        inverse = sparse.csr_matrix(blocks)
        reduced = self.cameras - (self.between @ inverse @ self.between.T).toarray()
        reduced[np.diag_indices(len(reduced))] += damping * np.diagonal(self.cameras)
        return reduced, inverse

    def covariance(self) -> np.ndarray:
        return np.linalg.inv(self._reduced(0.0)[0])


def _normal(
    at: Bundle, sights: Sights, time: np.ndarray, focal: tuple[float, float], zooms: bool, noise_px: float
) -> _Normal:
    count, corners = len(at.R), len(at.directions)
    error, turned = residuals(at, sights)
    weight = _weights(error, noise_px)
    slope, by_focal = _slopes(np.exp(at.log_focal[sights.camera]), turned)
    by_turn = -slope @ skew(turned)
    tangents = _tangents(at.directions)
    by_corner = slope @ at.R[sights.camera] @ tangents[sights.corner]
    focals = count if zooms else 1
    column = 3 * count + (sights.camera if zooms else np.zeros_like(sights.camera))
    of_camera = np.concatenate([by_turn, by_focal[..., None]], -1)
    columns = np.concatenate([3 * sights.camera[:, None] + np.arange(3), column[:, None]], -1)
    rows = 2 * np.arange(len(error))[:, None] + np.arange(2)
    root = np.sqrt(weight)[:, None, None]

    def spread(values: np.ndarray, where: np.ndarray, width: int) -> sparse.csr_matrix:
        r, c = np.broadcast_arrays(rows[:, :, None], where[:, None, :])
        return sparse.csr_matrix(((values * root).ravel(), (r.ravel(), c.ravel())), (2 * len(error), width))

    j = spread(of_camera, columns, 3 * count + focals)
    k = spread(by_corner, 2 * sights.corner[:, None] + np.arange(2), 2 * corners)
    left = (error * np.sqrt(weight)[:, None]).ravel()
    cameras, right = (j.T @ j).toarray(), j.T @ left
    own = np.zeros((corners, 2, 2))
    np.add.at(own, sights.corner, np.swapaxes(by_corner, -1, -2) @ by_corner * weight[:, None, None])
    # The axes are the first camera's.
    cameras[range(3), range(3)] += 1e12
    _focal_prior(cameras, right, at.log_focal, time, focal, 3 * count, zooms)
    return _Normal(cameras, own, (j.T @ k).tocsr(), right, (k.T @ left).reshape(-1, 2), tangents, zooms, count)


def _focal_prior(
    matrix: np.ndarray,
    right: np.ndarray,
    log_focal: np.ndarray,
    time: np.ndarray,
    focal: tuple[float, float],
    first: int,
    zooms: bool,
) -> None:
    """What is known of the focal length: its mean, and that it does not leap."""
    weight = 1 / max(focal[1], 1e-6) ** 2
    off = float((log_focal - np.log(focal[0])).mean())
    size = len(matrix) - first
    matrix[first:, first:] += weight / size**2
    right[first:] += weight * off / size
    if zooms and size > 1:
        tie = 1 / (ZOOM_PER_S**2 * np.diff(time))
        change = np.diff(log_focal) * tie
        here, there = first + np.arange(size - 1), first + np.arange(1, size)
        np.add.at(matrix, (here, here), tie)
        np.add.at(matrix, (there, there), tie)
        matrix[here, there] -= tie
        matrix[there, here] -= tie
        np.add.at(right, here, -change)
        np.add.at(right, there, change)


def _tangents(directions: np.ndarray) -> np.ndarray:
    """Two unit vectors across each direction, (P, 3, 2)."""
    least = np.eye(3)[np.argmin(np.abs(directions), -1)]
    first = unit(np.cross(directions, least))
    return np.stack([first, np.cross(directions, first)], -1)


def _moved(at: Bundle, turns: np.ndarray, focal: np.ndarray, tangents: np.ndarray) -> Bundle:
    r = Rotation.from_rotvec(turns).as_matrix() @ at.R
    return replace(at, R=r, log_focal=at.log_focal + focal, directions=unit(at.directions + tangents))


def _rotation_sigma(rotations: np.ndarray, covariance: np.ndarray) -> float:
    """Median over cameras of the sigma about each axis, degrees, against the mean of all cameras."""
    count = len(rotations)
    blocks = covariance.reshape(count, 3, count, 3)
    # From each camera's axes to the common ones.
    blocks = np.einsum("kai,kalb,lbj->kilj", rotations, blocks, rotations)
    mean = blocks.mean(2)
    spread = np.einsum("kiki->k", blocks) - 2 * np.einsum("kii->k", mean) + np.einsum("ii->", mean.mean(0))
    return float(np.degrees(np.sqrt(np.median(np.maximum(spread, 0)) / 3)))


def turn_frame(
    r: np.ndarray, log_focal: float, directions: np.ndarray, xy: np.ndarray, *, focal_sigma: float, noise_px: float
) -> tuple[np.ndarray, float]:
    """Turn one camera (and zoom it, unless ``focal_sigma`` is 0) to known directions (P, 3) at ``xy`` (P, 2)."""
    sights = Sights(np.zeros(len(xy), int), np.arange(len(xy)), xy)
    begun = log_focal
    for _ in range(10):
        error, turned = residuals(Bundle(r[None], np.array([log_focal]), directions), sights)
        weight = np.where(turned[:, 2] > 0.05, _weights(error, noise_px), 0.0)
        slope, by_focal = _slopes(np.full(len(xy), np.exp(log_focal)), turned)
        j = np.concatenate([-slope @ skew(turned), by_focal[..., None]], -1)
        matrix = np.einsum("nai,nab,nbj->ij", j, weight[:, None, None] * np.eye(2), j)
        right = np.einsum("nai,na->i", j, weight[:, None] * error)
        tie = 1 / max(focal_sigma, 1e-9) ** 2
        matrix[3, 3] += tie
        right[3] += tie * (log_focal - begun)
        step = -np.linalg.solve(matrix + 1e-9 * np.eye(4), right)
        r, log_focal = Rotation.from_rotvec(step[:3]).as_matrix() @ r, log_focal + float(step[3])
        if np.abs(step).max() < 1e-7:
            break
    return r, log_focal
