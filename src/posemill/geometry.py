"""Rotations and alignments, batched over any leading axes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from posemill.arrays import Matrix3, PerJoint, Points3, Vector3

__all__ = [
    "about_x",
    "about_z",
    "align",
    "axis_sigma",
    "procrustes",
    "residuals",
    "roll_and_elevation",
    "rotation_between",
    "skew",
    "unit",
]


def unit(v: np.ndarray, axis: int = -1) -> np.ndarray:
    """Scale vectors to length 1; a zero vector becomes NaN."""
    length = np.linalg.norm(v, axis=axis, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 0, v / length, np.nan)


def about_x(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn vectors (..., 3) about x by (...) radians; with z up, a positive angle swings what hangs down towards -y."""
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([x, c * y + s * z, c * z - s * y], -1)


def about_z(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn vectors (..., 3) about z by (...) radians, x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([c * x - s * y, s * x + c * y, z], -1)


def skew(v: Vector3) -> Matrix3:
    """Cross-product matrix: ``skew(a) @ b == cross(a, b)``; (..., 3) to (..., 3, 3)."""
    zero = np.zeros(v.shape[:-1])
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)


def roll_and_elevation(up: Vector3) -> tuple[np.ndarray, np.ndarray]:
    """Degrees (...) by which up (..., 3), camera axes, is turned from the picture's up, and leans out of its plane."""
    return np.degrees(np.arctan2(up[..., 0], -up[..., 1])), np.degrees(np.arcsin(np.clip(up[..., 2], -1, 1)))


def axis_sigma(sigma: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Per-axis sigma (..., 3) after a rotation (3, 3) of the axes, errors taken as independent along the old ones."""
    return np.sqrt(sigma**2 @ (rotation**2).T)


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
    lead = source.shape[:-2]
    r, t, s = np.empty((*lead, 3, 3)), np.empty((*lead, 3)), np.empty(lead)
    flat = r.reshape(-1, 3, 3), t.reshape(-1, 3), s.reshape(-1)
    for part, fit in _fits(source, target, weights, scale):
        flat[0][part] = np.moveaxis(fit.rotation, -1, 0)
        flat[1][part] = (fit.mean_y - fit.scale * np.einsum("abn,bn->an", fit.rotation, fit.mean_x)).T
        flat[2][part] = fit.scale
    return r, t, s


def align(source: Points3, target: Points3, *, weights: PerJoint | None = None, scale: bool = True) -> Points3:
    """``source`` moved onto ``target`` by :func:`procrustes`; same shape."""
    out = np.empty(source.shape)
    flat = out.reshape(-1, *source.shape[-2:])
    for part, fit in _fits(source, target, weights, scale):
        flat[part] = np.moveaxis(fit.moved() + fit.mean_y, -1, 0)
    return out


def residuals(source: Points3, target: Points3, *, weights: PerJoint | None = None, scale: bool = True) -> PerJoint:
    """Distances (..., J) that :func:`align` leaves, ``|s R x + t - y|``, in the unit of the input.

    The same as taking them from :func:`align`, without the aligned copy: what millions of frames are compared by.
    """
    out = np.empty(source.shape[:-1])
    flat = out.reshape(-1, source.shape[-2])
    for part, fit in _fits(source, target, weights, scale):
        offset = fit.moved()
        offset -= fit.y
        flat[part] = np.sqrt(np.einsum("jan,jan->jn", offset, offset)).T
    return out


# ------------------------------------------------------------------------------------------ how it is computed
#
# In blocks of frames with the frame as the last axis, so that each step is one pass over contiguous numbers that fit
# into the cache: eight times as fast as a batched SVD of frames in rows, in memory that does not grow.

_BLOCK = 2048 * 17
_TILE = 256
_NEWTON_STEPS = 12
_CONVERGED = 1e-9
# Below this distance from the ambiguous case the closed form loses digits (its error grows with 1/zeta²), and the
# singular value decomposition takes over.
_ZETA = 0.01


class _Fit(NamedTuple):
    """Alignment of n frames: centred points (J, 3, n), their means (3, n), rotation (3, 3, n) and scale (n,)."""

    x: np.ndarray
    y: np.ndarray
    mean_x: np.ndarray
    mean_y: np.ndarray
    rotation: np.ndarray
    scale: np.ndarray

    def moved(self) -> np.ndarray:
        """Centred source, turned and scaled, (J, 3, n)."""
        return np.einsum("abn,jbn->jan", self.rotation * self.scale, self.x)


def _fits(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray | None, scale: bool
) -> Iterator[tuple[slice, _Fit]]:
    joints = source.shape[-2]
    target = np.broadcast_to(target, source.shape)
    x, y = source.reshape(-1, joints, 3), target.reshape(-1, joints, 3)
    w = None if weights is None else np.broadcast_to(weights, source.shape[:-1]).reshape(-1, joints)
    step = max(1, _BLOCK // max(joints, 1))
    for start in range(0, len(x), step):
        part = slice(start, min(start + step, len(x)))
        yield part, _fit(_frames_last(x[part]), _frames_last(y[part]), None if w is None else w[part].T, scale)


def _frames_last(points: np.ndarray) -> np.ndarray:
    """(n, J, 3) to contiguous float64 (J, 3, n), by tiles that stay in the cache while they are turned."""
    rows = points.reshape(len(points), -1)
    out = np.empty((rows.shape[1], len(rows)))
    for start in range(0, len(rows), _TILE):
        out[:, start : start + _TILE] = rows[start : start + _TILE].astype(np.float64).T
    return out.reshape(*points.shape[1:], len(points))


def _fit(x: np.ndarray, y: np.ndarray, w: np.ndarray | None, scale: bool) -> _Fit:
    """Align (J, 3, n) by weights (J, n); ``x`` and ``y`` are centred in place."""
    with np.errstate(all="ignore"):
        if w is None:
            any_used = np.full(x.shape[-1], len(x) > 0)
            mean_x, mean_y = x.sum(0) / len(x), y.sum(0) / len(x)
            x -= mean_x
            y -= mean_y
            used_x, used_y = x, y
        else:
            used, any_used = (w > 0)[:, None], (w > 0).any(0)
            share = (w / w.sum(0))[:, None]
            mean_x = (np.where(used, x, 0.0) * share).sum(0)
            mean_y = (np.where(used, y, 0.0) * share).sum(0)
            x -= mean_x
            y -= mean_y
            root = np.sqrt(w)[:, None]
            used_x, used_y = np.where(used, x * root, 0.0), np.where(used, y * root, 0.0)
        covariance = np.empty((3, 3, x.shape[-1]))
        for a in range(3):
            for b in range(3):
                np.einsum("jn,jn->n", used_y[:, a], used_x[:, b], out=covariance[a, b])
        size = np.einsum("jan,jan->n", used_x, used_x)
        known = any_used & np.isfinite(size) & np.isfinite(covariance.sum((0, 1)))
        all_known = known.all()
        if not all_known:
            covariance[:, :, ~known] = 0.0
        rotation, trace = _nearest_rotation(covariance)
        factor = np.where(size > 0, trace / size, 0.0) if scale else np.ones_like(size)
    if not all_known:
        for part in (mean_x, mean_y, rotation, factor):
            part[..., ~known] = np.nan
    return _Fit(x, y, mean_x, mean_y, rotation, factor)


def _nearest_rotation(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Proper rotation R (3, 3, n) with the largest ``trace(R.T B)``, and that trace (n,), of finite B (3, 3, n).

    With the singular values s of B, the last negated where det B < 0, the trace is their sum: the largest root of
    Wahba's quartic. R then follows in closed form, divided by ``zeta = (s1 + s2) (s2 + s3) (s3 + s1)``, which is 0
    where the best rotation is not unique.

    References
    ----------
    Markley: "Attitude determination using vector observations: a fast optimal matrix algorithm", Journal of the
    Astronautical Sciences 41, 1993.
    """
    with np.errstate(all="ignore"):
        norm = np.sqrt(np.einsum("ikn,ikn->n", b, b))
        unit_b = b / norm
        cofactor, product = np.empty_like(unit_b), np.empty_like(norm)
        for i in range(3):
            for k in range(3):
                (i1, i2), (k1, k2) = ((i + 1) % 3, (i + 2) % 3), ((k + 1) % 3, (k + 2) % 3)
                np.multiply(unit_b[i1, k1], unit_b[i2, k2], out=cofactor[i, k])
                np.multiply(unit_b[i1, k2], unit_b[i2, k1], out=product)
                cofactor[i, k] -= product
        det = np.einsum("kn,kn->n", unit_b[0], cofactor[0])
        root, last_step = _largest_root(det, 4 * np.einsum("ikn,ikn->n", cofactor, cofactor))
        kappa = 0.5 * (root * root - 1)
        zeta = kappa * root - det
        # ((kappa + 1) B + root cofactor - B Bᵀ B) / zeta, with |B| = 1
        cofactor *= root
        r = unit_b * (kappa + 1)
        r += cofactor
        r -= np.einsum("ijn,jkn->ikn", np.einsum("ikn,jkn->ijn", unit_b, unit_b), unit_b)
        r /= zeta
        trace = root * norm
        # The negation keeps what is not a number.
        hard = ~((zeta > _ZETA * root * root * root) & (np.abs(last_step) < _CONVERGED))
    if hard.any():
        r[..., hard], trace[hard] = _nearest_rotation_svd(b[..., hard])
    return r, trace


def _largest_root(det: np.ndarray, constant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest root of ``(q² - 1)² - 8 det q - constant``, and the last step of Newton's method from above, (n,)."""
    # q² is 1 + 2 (s1 s2 + s2 s3 + s3 s1), and that sum at most sqrt(3) times the length of its terms.
    root = np.sqrt(1 + np.sqrt(3 * constant))
    det = 8 * det
    excess, step, slope = np.empty_like(root), np.empty_like(root), np.empty_like(root)
    for _ in range(_NEWTON_STEPS):
        np.multiply(root, root, out=excess)
        excess -= 1
        np.multiply(excess, excess, out=step)
        step -= constant
        np.multiply(root, det, out=slope)
        step -= slope
        np.multiply(root, excess, out=slope)
        slope *= 4
        slope -= det
        step /= slope
        root -= step
        # Digits double with each step: after one this small nothing changes any more.
        if not (step > _CONVERGED).any():
            break
    return root, step


def _nearest_rotation_svd(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same by singular value decomposition: slower, for every B."""
    u, d, vt = np.linalg.svd(np.moveaxis(b, -1, 0))
    sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    s = np.stack([np.ones_like(sign), np.ones_like(sign), sign], -1)
    return np.moveaxis((u * s[..., None, :]) @ vt, 0, -1), (d * s).sum(-1)
