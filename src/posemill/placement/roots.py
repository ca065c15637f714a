"""Where the root is in one frame: the translation that makes a pose of known size project onto its keypoints.

Each joint gives two equations that are linear in the root (:mod:`posemill.placement.equations`), so that all frames are
solved at once. Only the translation is sought: perspective-n-point would turn the pose as well.

Depth is known about ten times worse than the sides: ``sigma_Tz ≈ Tz² sigma_px / (f S)`` with S the root of the summed
squares of the joints' distances from their mean in the image plane, against ``Tz sigma_px / (f √N)``.

Arrays inside have frames last, (axes, J, T).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Vector3
from posemill.placement.equations import Equations, Fit

__all__ = ["Roots", "solve_roots"]

# Frames at a time: what is kept of them stays in a core's cache.
_CHUNK = 768
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
    given, frames = (joints, rays, ray_sigma, pose_sigma, valid), len(joints)
    out = Roots(np.empty((frames, 3)), np.empty((frames, 3, 3)), np.empty(frames), np.empty(frames, dtype=bool))
    odd = [np.zeros(0, dtype=np.int64)]
    with np.errstate(invalid="ignore", divide="ignore"):
        for k in range(0, frames, _CHUNK):
            part = slice(k, k + _CHUNK)
            seen = _Seen.of([a[part] for a in given], min_depth_m)
            plain = _plain(seen)
            if robust:
                plain, contradicted = _doubted(seen, plain)
                odd.append(k + contradicted)
            _put(out, part, seen, plain, min_joints)
        few = np.concatenate(odd)
        for k in range(0, len(few), _CHUNK):
            rows = few[k : k + _CHUNK]
            seen = _Seen.of([a[rows] for a in given], min_depth_m)
            _put(out, rows, seen, _robust(seen, _plain(seen)), min_joints)
    return out


class _Seen(NamedTuple):
    """What is known of some frames, frames last; zeros with an infinite variance where not known."""

    equations: Equations
    depths: np.ndarray  # (J, T) of the pose's joints behind its root
    ray_var: np.ndarray  # (J, T)
    pose_var: np.ndarray  # (J, T) of the equations
    known: np.ndarray  # (J, T)
    number: np.ndarray  # (T,) of the known
    min_depth_m: float

    @classmethod
    def of(cls, given: list[np.ndarray], min_depth_m: float) -> _Seen:
        """From what :func:`solve_roots` is given of them: joints, rays, their sigmas, and flags."""
        joints, rays, ray_sigma, pose_sigma, valid = given
        p, r = (np.ascontiguousarray(a.transpose(2, 1, 0), dtype=np.float64) for a in (joints, rays))
        ray_sigma, pose_sigma = (np.ascontiguousarray(a.T, dtype=np.float64) for a in (ray_sigma, pose_sigma))
        finite = np.isfinite(p).all(0) & np.isfinite(r).all(0)
        known = valid.T & finite & (ray_sigma > 0) & (pose_sigma >= 0)
        if not known.all():
            p, r = np.where(known, p, 0.0), np.where(known, r, 0.0)
            ray_sigma, pose_sigma = np.where(known, ray_sigma, np.inf), np.where(known, pose_sigma, 0.0)
        number = known.sum(0)
        pose_var = np.einsum("kjt,kjt->jt", r, r)
        pose_var *= 0.5
        pose_var += 1
        pose_var *= pose_sigma
        pose_var *= pose_sigma
        return cls(Equations.of(p, r, number), p[2], ray_sigma * ray_sigma, pose_var, known, number, min_depth_m)

    def precision(self, root: np.ndarray) -> np.ndarray:
        """(J, T) 1/m², of each joint's equations if the root is there; 0 where not known."""
        # Where there is no solution, any depth will do.
        depth = self.depths + np.where(np.isfinite(root[2]), root[2], 0.0)
        np.maximum(depth, self.min_depth_m, out=depth)
        depth *= depth
        depth *= self.ray_var
        depth += self.pose_var
        return np.divide(1.0, depth, out=depth)


class _Solved(NamedTuple):
    fit: Fit
    precision: np.ndarray  # (J, T) of the equations
    weights: np.ndarray  # (J, T) of the fit
    accepted: np.ndarray  # (T,) how many joints
    excess: np.ndarray  # (T,) by how much their errors are above what sigma says


def _plain(seen: _Seen) -> _Solved:
    """Every joint by its sigma."""
    fit = seen.equations.fit(1 / seen.ray_var)
    precision = seen.ray_var
    for _ in range(2):
        precision = seen.precision(fit.root)
        fit = seen.equations.fit(precision)
    return _Solved(fit, precision, precision, seen.number, np.ones(len(seen.number)))


def _doubted(seen: _Seen, plain: _Solved) -> tuple[_Solved, np.ndarray]:
    """State the excess of a plain solution, and find the frames (N,) in which a joint contradicts the others."""
    squares = seen.equations.squared_miss(plain.fit.root)
    squares *= plain.precision
    farthest = squares.max(0, initial=0.0)
    # Where at least half of the joints are nearer than the slack allows, and none is far, there is nothing to say.
    high = (squares > (_MEDIAN * _SCALE_SLACK) ** 2).sum(0)
    some = np.flatnonzero((farthest > _SUSPICIOUS**2) | (2 * high > plain.accepted - 1))
    plain.excess[some] = _excess(squares[:, some], seen.known[:, some], seen.number[some])
    return plain, some[farthest[some] > (_SUSPICIOUS * plain.excess[some]) ** 2]


def _robust(seen: _Seen, plain: _Solved) -> _Solved:
    """Every joint by its sigma and by how well it agrees with the others, from the plain solution."""
    solved = plain
    for accept in (*[_huber] * _HUBER_STEPS, *[_biweight] * _BIWEIGHT_STEPS):
        solved = _reweighed(seen, solved.fit.root, accept)
    return solved


def _reweighed(seen: _Seen, root: np.ndarray, accept: Callable[[np.ndarray], np.ndarray]) -> _Solved:
    """Fit anew, with joints accepted by how far they are from the root (3, T)."""
    precision = seen.precision(root)
    squares = seen.equations.squared_miss(root)
    squares *= precision
    excess = _excess(squares, seen.known, seen.number)
    squares /= excess**2
    accepted = accept(squares)
    weights = accepted * precision
    number = (seen.known & (accepted > 0.1)).sum(0)
    return _Solved(seen.equations.fit(weights), precision, weights, number, excess)


def _put(out: Roots, rows: slice | np.ndarray, seen: _Seen, solved: _Solved, min_joints: int) -> None:
    """Write the roots of some frames, with what is known of them."""
    fit = solved.fit
    inflate = np.maximum(1.0, solved.excess / _SCALE_SLACK) ** 2
    depth_var, side_var = inflate / fit.spread, inflate / fit.total
    pose = seen.equations.about(fit.mean, solved.weights * solved.precision * seen.pose_var)
    # Beyond 50 % the sigma rule, which is linear, says nothing any more: edge-on, or joints all but in one place.
    ok = (fit.root[2] > seen.min_depth_m) & (np.sqrt(depth_var) < 0.5 * fit.root[2])
    ok &= (solved.accepted >= min_joints) & np.isfinite(fit.root).all(0)
    hide = np.where(ok, 0.0, np.nan)
    ray = np.concatenate([fit.mean, np.ones((1, len(ok)))])
    covariance = (depth_var + hide) * ray[:, None] * ray
    covariance[0, 0] += side_var
    covariance[1, 1] += side_var
    out.root[rows], out.covariance[rows] = (fit.root + hide).T, covariance.transpose(2, 0, 1)
    out.pose_share[rows], out.valid[rows] = pose / fit.spread + hide, ok


def _excess(squares: np.ndarray, known: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(T,) by how much the middle one of the joints' distances is above what sigma says; at least 1.

    Parameters
    ----------
    squares, known, count
        (J, T) of the distances in units of their sigma, (J, T) flags, and how many of them (T,) are set.
    """
    ordered = np.sort(np.where(known, squares, np.inf), axis=0)
    middle = ordered[np.maximum(count - 1, 0) // 2, np.arange(len(count))]
    return np.maximum(1.0, np.sqrt(np.where(np.isfinite(middle), middle, 1.0)) / _MEDIAN)


def _huber(squares: np.ndarray) -> np.ndarray:
    return np.minimum(1.0, _HUBER / np.sqrt(np.maximum(squares, 1e-24)))


def _biweight(squares: np.ndarray) -> np.ndarray:
    return np.maximum(1 - squares / _BIWEIGHT**2, 0.0) ** 2
