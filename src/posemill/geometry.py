"""Rotations and alignments, batched over any leading axes."""

from __future__ import annotations

import numpy as np

from posemill.arrays import Matrix3, PerJoint, Points3, Vector3

__all__ = ["align", "procrustes", "rotation_between", "skew", "unit"]


def unit(v: np.ndarray, axis: int = -1) -> np.ndarray:
    """Scale vectors to length 1; a zero vector becomes NaN."""
    length = np.linalg.norm(v, axis=axis, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 0, v / length, np.nan)


def skew(v: Vector3) -> Matrix3:
    """Cross-product matrix: ``skew(a) @ b == cross(a, b)``; (..., 3) to (..., 3, 3)."""
    zero = np.zeros(v.shape[:-1])
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)


def rotation_between(a: Vector3, b: Vector3) -> Matrix3:
    """Shortest rotation R with ``R @ unit(a) == unit(b)``, (..., 3, 3).

    For opposite vectors, where it is not unique, the half turn about a fixed axis perpendicular to ``a`` is taken.
    """
    a, b = np.broadcast_arrays(unit(a), unit(b))
    k = skew(np.cross(a, b))
    # |a + b|²/2 is 1 + cos without the cancellation near opposite vectors.
    one_plus_cos = 0.5 * np.sum((a + b) ** 2, -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.eye(3) + k + k @ k / one_plus_cos[..., None, None]
    opposite = one_plus_cos < 1e-20
    if np.any(opposite):
        least = np.eye(3)[np.argmin(np.abs(a), -1)]
        axis = unit(np.cross(a, least))
        half_turn = 2 * axis[..., :, None] * axis[..., None, :] - np.eye(3)
        r = np.where(opposite[..., None, None], half_turn, r)
    return r


def procrustes(
    source: Points3, target: Points3, *, weights: PerJoint | None = None, scale: bool = True
) -> tuple[Matrix3, Vector3, np.ndarray]:
    """Least-squares alignment of ``source`` onto ``target`` over the joint axis (Umeyama 1991).

    Minimises ``sum w |s R x + t - y|^2`` with R a proper rotation (no reflection).

    Parameters
    ----------
    source, target
        (..., J, 3) in the same unit. Joints of weight 0 may be NaN.
    weights
        (..., J), default 1.
    scale
        True: similarity. False: rigid, s = 1.

    Returns
    -------
    R (..., 3, 3), t (..., 3), s (...)
        NaN where all weights are 0 or a weighted joint is not finite.
    """
    w = np.ones(source.shape[:-1]) if weights is None else np.broadcast_to(weights, source.shape[:-1])
    used = (w > 0)[..., None]
    source, target = np.where(used, source, 0.0), np.where(used, target, 0.0)
    known = (w > 0).any(-1) & np.isfinite(source).all((-1, -2)) & np.isfinite(target).all((-1, -2))
    source = np.where(known[..., None, None], source, 0.0)
    target = np.where(known[..., None, None], target, 0.0)
    total = np.where(known, w.sum(-1), 1.0)[..., None]
    mean_x = (w[..., None] * source).sum(-2) / total
    mean_y = (w[..., None] * target).sum(-2) / total
    x, y = source - mean_x[..., None, :], target - mean_y[..., None, :]
    covariance = np.swapaxes(y * w[..., None], -1, -2) @ x
    u, d, vt = np.linalg.svd(covariance)
    sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    s = np.stack([np.ones_like(sign), np.ones_like(sign), sign], -1)
    r = (u * s[..., None, :]) @ vt
    size = (w[..., None] * x**2).sum((-1, -2))
    factor = (d * s).sum(-1) / np.where(size > 0, size, 1.0) if scale else np.ones_like(size)
    t = mean_y - factor[..., None] * (r @ mean_x[..., None])[..., 0]
    unknown = np.where(known, 0.0, np.nan)
    return r + unknown[..., None, None], t + unknown[..., None], factor + unknown


def align(source: Points3, target: Points3, *, weights: PerJoint | None = None, scale: bool = True) -> Points3:
    """``source`` moved onto ``target`` by :func:`procrustes`; same shape."""
    r, t, s = procrustes(source, target, weights=weights, scale=scale)
    return s[..., None, None] * source @ np.swapaxes(r, -1, -2) + t[..., None, :]
