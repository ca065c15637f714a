"""Where the root is in one frame: the translation that makes a pose of known size project onto its keypoints.

A joint ``P`` (root-relative, camera axes) seen on the undistorted ray ``(x, y, 1)`` gives two equations that are
linear in the root ``T``: ``Tx - x Tz = x Z - X`` and ``Ty - y Tz = y Z - Y``. Their weighted least squares have a
closed form, so all frames are solved at once. Only the translation is sought: perspective-n-point would turn the pose
as well.

Depth is known about ten times worse than the sides: ``sigma_Tz ≈ Tz² sigma_px / (f S)`` with S the root of the summed
squares of the joints' distances from their mean in the image plane, against ``Tz sigma_px / (f √N)``.

Arrays inside have frames last, (axes, J, T): sums over a dozen joints are then sums of long rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Vector3

__all__ = ["Roots", "closed_form", "solve_roots"]

_CHUNK = 4096
# Residuals are lengths of 2-vectors in units of their sigma (Rayleigh): median 1.177; 95 % efficient tuning constants.
_MEDIAN, _HUBER, _BIWEIGHT = 1.177, 2.0, 5.2
# Of twelve joints without outliers one is farther off than this in 3 % of the frames.
_SUSPICIOUS = 3.5
_HUBER_STEPS, _BIWEIGHT_STEPS = 4, 4
# A dozen residuals tell their own scale to about 20 %; only what is clearly above the stated sigma inflates it.
_SCALE_SLACK = 1.4


@dataclass(frozen=True)
class Roots:
    """Root per frame, each frame by itself.

    Attributes
    ----------
    root
        (T, 3) m, camera frame; NaN where not valid.
    covariance
        (T, 3, 3) m², from the noise of keypoints and pose; scale and focal length are not in it.
    pose_share
        (T,) the part of the depth variance that is the pose's, 0 to 1. It does not average out over time.
    valid
        (T,) flags.
    """

    root: Vector3
    covariance: np.ndarray
    pose_share: np.ndarray
    valid: np.ndarray


def closed_form(joints: Points3, rays: Points2, weights: PerJoint) -> tuple[Vector3, np.ndarray, np.ndarray]:
    """Weighted least-squares translation.

    Parameters
    ----------
    joints
        (..., J, 3) m, root-relative, camera axes.
    rays
        (..., J, 2) undistorted normalised image points x/z, y/z.
    weights
        (..., J), 0 to leave a joint out (its numbers may then be NaN).

    Returns
    -------
    root (..., 3) m, mean ray (..., 2), and the weighted sum of squares of the rays about it (...), whose inverse is the
    variance of depth if the weights are inverse variances. NaN or infinite where there is no solution.
    """
    used = np.moveaxis(np.asarray(weights) > 0, -1, 0)
    w = np.where(used, np.moveaxis(np.asarray(weights, dtype=np.float64), -1, 0), 0.0)
    p = np.where(used, np.moveaxis(joints, (-1, -2), (0, 1)), 0.0)
    r = np.where(used, np.moveaxis(rays, (-1, -2), (0, 1)), 0.0)
    fit = _fit(r, r * p[2] - p[:2], w)
    return np.moveaxis(fit.root, 0, -1), np.moveaxis(fit.mean, 0, -1), fit.spread


class _Fit(NamedTuple):
    root: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    spread: np.ndarray
    total: np.ndarray


def _fit(rays: np.ndarray, offsets: np.ndarray, weights: np.ndarray) -> _Fit:
    """Least squares for rays and right-hand sides (2, J, ...) and weights (J, ...)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(0)
        mean = (weights * rays).sum(1) / total
        mean_offset = (weights * offsets).sum(1) / total
        deviation = rays - mean[:, None]
        weighted = weights * deviation
        spread = (weighted * deviation).sum((0, 1))
        depth = -(weighted * offsets).sum((0, 1)) / spread
        root = np.concatenate([mean_offset + mean * depth, depth[None]])
    return _Fit(root, mean, deviation, spread, total)


def solve_roots(
    joints: Points3,
    rays: Points2,
    ray_sigma: PerJoint,
    pose_sigma: PerJoint,
    valid: Flags,
    *,
    min_joints: int = 4,
    min_depth_m: float = 0.3,
    robust: bool = True,
) -> Roots:
    """Solve each frame's translation, weighing every joint by what is known of its errors.

    A joint's equations err by ``depth · ray_sigma`` (its keypoint) and by ``pose_sigma`` (its 3D), so their inverse
    squares are the weights. In frames where a joint contradicts the others it counts less: Huber's weights first, which
    have one minimum, then Tukey's biweight, which leaves far outliers out altogether.

    Parameters
    ----------
    joints
        (T, J, 3) m at the subject's bone lengths.
    rays, ray_sigma
        (T, J, 2) and (T, J) on the normalised plane (pixels / focal length).
    pose_sigma
        (T, J) m per axis.
    valid
        (T, J) both the keypoint and the joint are known.
    """
    frames = len(joints)
    out = Roots(np.empty((frames, 3)), np.empty((frames, 3, 3)), np.empty(frames), np.empty(frames, dtype=bool))
    for k in range(0, frames, _CHUNK):
        part = slice(k, k + _CHUNK)
        seen = _Seen.of(joints[part], rays[part], ray_sigma[part], pose_sigma[part], valid[part], min_depth_m)
        solved = _solve(seen, min_joints, robust=robust)
        out.root[part], out.covariance[part], out.pose_share[part], out.valid[part] = solved
    return out


class _Seen(NamedTuple):
    """What is known of some frames, frames last; zeros and a weight of 0 where not valid."""

    depths: np.ndarray  # (J, T) of the pose's joints behind its root
    rays: np.ndarray  # (2, J, T)
    offsets: np.ndarray  # (2, J, T) the equations' right-hand sides
    ray_var: np.ndarray  # (J, T)
    pose_var: np.ndarray  # (J, T) of the equations
    valid: np.ndarray  # (J, T)
    min_depth_m: float

    @classmethod
    def of(
        cls,
        joints: np.ndarray,
        rays: np.ndarray,
        ray_sigma: np.ndarray,
        pose_sigma: np.ndarray,
        valid: np.ndarray,
        min_depth_m: float,
    ) -> _Seen:
        p, r = (np.ascontiguousarray(a.transpose(2, 1, 0), dtype=np.float64) for a in (joints, rays))
        ray_sigma, pose_sigma = (np.ascontiguousarray(a.T, dtype=np.float64) for a in (ray_sigma, pose_sigma))
        finite = np.isfinite(p).all(0) & np.isfinite(r).all(0)
        known = valid.T & finite & (ray_sigma > 0) & (pose_sigma >= 0)
        if not known.all():
            p, r = np.where(known, p, 0.0), np.where(known, r, 0.0)
            ray_sigma, pose_sigma = np.where(known, ray_sigma, 1.0), np.where(known, pose_sigma, 0.0)
        pose_var = pose_sigma**2 * (1 + 0.5 * (r**2).sum(0))
        return cls(p[2], r, r * p[2] - p[:2], ray_sigma**2, pose_var, known, min_depth_m)

    def some(self, frames: np.ndarray) -> _Seen:
        """These frames alone."""
        depths, rays, offsets, ray_var, pose_var, valid = (np.ascontiguousarray(a[..., frames]) for a in self[:-1])
        return _Seen(depths, rays, offsets, ray_var, pose_var, valid, self.min_depth_m)

    def variance(self, root: np.ndarray) -> np.ndarray:
        """(J, T) m², of each joint's equations if the root is there."""
        # Where there is no solution, any depth will do.
        depth = np.maximum(self.depths + np.where(np.isfinite(root[2]), root[2], 0.0), self.min_depth_m)
        return depth**2 * self.ray_var + self.pose_var

    def distance(self, root: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """(J, T) what each joint's equations miss, in units of their sigma; 0 where not valid."""
        miss = root[:2, None] - self.rays * root[2] - self.offsets
        return np.where(self.valid, np.sqrt((miss**2).sum(0) / variance), 0.0)


def _solve(seen: _Seen, min_joints: int, *, robust: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Root (T, 3), covariance (T, 3, 3), the pose's share and flags (T,)."""
    count = seen.valid.sum(0)
    fit = _fit(seen.rays, seen.offsets, seen.valid / seen.ray_var)
    variance, weights = seen.ray_var, seen.valid / seen.ray_var
    for _ in range(2):
        variance = seen.variance(fit.root)
        weights = seen.valid / variance
        fit = _fit(seen.rays, seen.offsets, weights)
    accepted, excess = count, np.ones(len(count))
    if robust:
        distance = seen.distance(fit.root, variance)
        excess = _excess(distance, seen.valid, count)
        odd = np.flatnonzero(distance.max(0, initial=0.0) > _SUSPICIOUS * excess)
        if len(odd):
            some = seen.some(odd)
            better, one_variance, accept, excess[odd] = _robust(some, fit.root[:, odd], count[odd])
            one_weights = some.valid * accept / one_variance
            for whole, part in ((variance, one_variance), (weights, one_weights), *zip(fit, better, strict=True)):
                whole[..., odd] = part
            accepted = count.copy()
            accepted[odd] = (some.valid & (accept > 0.1)).sum(0)
    inflate = np.maximum(1.0, excess / _SCALE_SLACK) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        depth_var, side_var = inflate / fit.spread, inflate / fit.total
        lever = weights * (fit.deviation**2).sum(0)
        share = (lever * seen.pose_var / variance).sum(0) / lever.sum(0)
        # Beyond 50 % the sigma rule, which is linear, says nothing any more: edge-on, or joints all but in one place.
        ok = (fit.root[2] > seen.min_depth_m) & (np.sqrt(depth_var) < 0.5 * fit.root[2])
        ok &= (accepted >= min_joints) & np.isfinite(fit.root).all(0)
        ray = np.concatenate([fit.mean, np.ones((1, len(count)))])
        covariance = depth_var * ray[:, None] * ray[None]
        covariance[[0, 1], [0, 1]] += side_var
    hide = np.where(ok, 0.0, np.nan)
    return (fit.root + hide).T, (covariance + hide).transpose(2, 0, 1), share + hide, ok


def _excess(distance: np.ndarray, valid: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(T,) by how much the middle one of the joints' distances is above what sigma says; at least 1."""
    ordered = np.sort(np.where(valid, distance, np.inf), axis=0)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    return np.maximum(1.0, np.where(np.isfinite(middle), middle, 1.0) / _MEDIAN)


def _robust(seen: _Seen, root: np.ndarray, count: np.ndarray) -> tuple[_Fit, np.ndarray, np.ndarray, np.ndarray]:
    """Fit, variances (J, T), how much of each joint is accepted (J, T), and the excess (T,)."""
    fit = None
    variance = accept = excess = np.ones(0)
    for step in range(_HUBER_STEPS + _BIWEIGHT_STEPS):
        variance = seen.variance(root)
        distance = seen.distance(root, variance)
        excess = _excess(distance, seen.valid, count)
        u = distance / excess
        accept = np.minimum(1.0, _HUBER / np.maximum(u, 1e-12)) if step < _HUBER_STEPS else _biweight(u)
        fit = _fit(seen.rays, seen.offsets, seen.valid * accept / variance)
        root = fit.root
    assert fit is not None
    return fit, variance, accept, excess


def _biweight(u: np.ndarray) -> np.ndarray:
    return np.maximum(1 - (u / _BIWEIGHT) ** 2, 0.0) ** 2
