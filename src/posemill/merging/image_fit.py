"""Pose and root fitted together to where the joints are seen, to the person's bones, and to the floor.

Lifted poses err along the line of sight, and where they do, the root that was placed with them errs too: a leg that
leans too little takes the whole body nearer. What the lifter did not know decides most of it: each joint is on its ray,
bones are as long as in all other frames, and the ankle of a foot that stands flat is at its height over the floor.
The likeliest body under these and under lifter and place, each by its sigma, is found for each frame by itself.

Rays, floor, lifter and place are linear in the joints; bones are taken along their last direction, which takes a few
rounds (Gauss-Newton).

References
----------
Triggs et al., "Bundle adjustment: a modern synthesis", 2000. Mehta et al., "VNect", SIGGRAPH 2017: pose and root fitted
to keypoints over a skeleton.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Vector3
from posemill.camera import Camera
from posemill.geometry import unit
from posemill.skeleton import JOINT_SETS, LIMBS, convert

__all__ = ["Fit", "Rays", "Standing", "fit_body", "seen_rays"]

_SET = JOINT_SETS["h36m17"]
_JOINTS = len(_SET)
_LIMBS = _SET.indices(LIMBS)
_ANKLES = _SET.indices(("left_ankle", "right_ankle"))
# Frames at a time, so that memory stays flat.
_CHUNK = 512
# Rounds from what was lifted, and from an answer to nearly the same.
_ROUNDS, _AGAIN = 5, 2
# A lifter's joints err together, leaning as a whole: a dozen of them say no more than four that err alone.
_TOGETHER = 1.7
# A bone's length over its usual one; a joint's from its ray, m, however surely it is seen; a flat foot's ankle, m.
_BONE, _RAY_M, _FLOOR_M = 0.015, 0.002, 0.01
# From so many sigmas off its ray, or m over the floor, on, a joint is likelier another's, and a foot on a step.
_OUTLIER, _STEP_M = 3.0, 0.06
_LEAST_SIGMA_M, _NEAREST_M = 0.004, 0.3


@dataclass(frozen=True)
class Rays:
    """Where joints are seen: ``points`` (T, 17, 2) x/z, y/z and ``sigma`` (T, 17) there; NaN where unseen."""

    points: Points2
    sigma: PerJoint


@dataclass(frozen=True)
class Fit:
    """Bodies that were fitted, and what the fit leaves open; camera axes, m.

    Attributes
    ----------
    joints
        (T, 17, 3) before the camera; bones are near their lengths. Frames with unknown joints are as they were.
    root_covariance
        (T, 3, 3) of the root; NaN where nothing was fitted.
    sigma
        (T, 17, 3) of the joints relative to the root, never more than was said before.
    """

    joints: Points3
    root_covariance: np.ndarray
    sigma: np.ndarray


@dataclass(frozen=True)
class Standing:
    """Feet on the floor.

    Attributes
    ----------
    up
        (3,) unit vector against gravity, camera axes.
    camera_m, ankle_m
        Heights over the floor: (T,) of where each frame was taken from, and of the ankle of a flat foot.
    flat
        (T, 2) whether the left and the right foot stand flat.
    """

    up: np.ndarray
    camera_m: np.ndarray
    ankle_m: float
    flat: Flags


def seen_rays(keypoints: Points2, sigma_px: PerJoint, valid: Flags, joints_of: str, camera: Camera) -> Rays:
    """Rays of the limb joints, which all detectors define alike, from keypoints (T, J, 2) px of a joint set."""
    points, valid, _, sigma_px = convert(keypoints, joints_of, _SET.name, valid=valid, sigma=sigma_px)
    limbs = np.isin(np.arange(_JOINTS), _LIMBS)
    known = valid & limbs & np.isfinite(points).all(-1) & (sigma_px >= 0)
    rays = camera.normalise(np.where(known[..., None], points, np.nan))
    return Rays(rays, np.where(known, sigma_px / camera.focal_px, np.nan))


def fit_body(
    joints: Points3,
    sigma: np.ndarray,
    root_sigma: Vector3,
    lengths_m: np.ndarray,
    rays: Rays,
    standing: Standing | None = None,
    start: Points3 | None = None,
) -> Fit:
    """Fit each frame.

    Parameters
    ----------
    joints
        (T, 17, 3) m before the camera, camera axes, of h36m17: the lifted pose on the placed root; NaN where unknown.
    sigma, root_sigma
        (T, 17, 3) m of the joints relative to the root, and (T, 3) m of the root.
    lengths_m
        (16,) the person's bones.
    start
        (T, 17, 3) m where to begin, if that is nearer to the answer.
    """
    out = Fit(joints.copy(), np.full((len(joints), 3, 3), np.nan), sigma.copy())
    frames = np.flatnonzero(np.isfinite(joints).all((-1, -2)) & np.isfinite(sigma).all((-1, -2)))
    frames = frames[np.isfinite(root_sigma[frames]).all(-1)]
    for first in range(0, len(frames), _CHUNK):
        k = frames[first : first + _CHUNK]
        begun = _Normal.of_prior(joints[k], sigma[k], root_sigma[k])
        here = Rays(rays.points[k], rays.sigma[k])
        feet = standing and Standing(standing.up, standing.camera_m[k], standing.ankle_m, standing.flat[k])
        x, rows = (joints if start is None else start)[k], begun
        for _ in range(_ROUNDS if start is None else _AGAIN):
            rows = begun.copy()
            _on_rays(rows, x, here)
            _of_lengths(rows, x, lengths_m)
            if feet is not None:
                _on_floor(rows, x, feet)
            x = rows.solve()
        out.joints[k] = x
        out.root_covariance[k], relative = rows.left_open()
        # That joints err together is in the weights of all, and no doubt of each.
        out.sigma[k] = np.minimum(relative, sigma[k])
    return out


@dataclass(frozen=True)
class _Normal:
    """Normal equations of joints: ``matrix`` (T, J, J, 3, 3) and ``right`` (T, J, 3)."""

    matrix: np.ndarray
    right: np.ndarray

    @classmethod
    def of_prior(cls, joints: Points3, sigma: np.ndarray, root_sigma: Vector3) -> _Normal:
        """Joints relative to the root, and the root, as they are said to be."""
        frames = len(joints)
        rows = cls(np.zeros((frames, _JOINTS, _JOINTS, 3, 3)), np.zeros(joints.shape))
        eye = np.eye(3)
        weight = eye / np.maximum(root_sigma, _LEAST_SIGMA_M)[:, None] ** 2
        rows.matrix[:, 0, 0] += weight
        rows.right[:, 0] += np.einsum("tab,tb->ta", weight, joints[:, 0])
        for joint in range(1, _JOINTS):
            weight = eye / (_TOGETHER * np.maximum(sigma[:, joint], _LEAST_SIGMA_M))[:, None] ** 2
            rows.apart(0, joint, weight, joints[:, joint] - joints[:, 0])
        return rows

    def copy(self) -> _Normal:
        return _Normal(self.matrix.copy(), self.right.copy())

    def apart(self, first: int, second: int, weight: np.ndarray, way: Vector3) -> None:
        """Two joints are apart by ``way`` (T, 3) m, with the inverse covariance ``weight`` (T, 3, 3)."""
        pull = np.einsum("tab,tb->ta", weight, way)
        for joint, sign in ((first, -1), (second, 1)):
            self.matrix[:, joint, joint] += weight
            self.right[:, joint] += sign * pull
        self.matrix[:, first, second] -= weight
        self.matrix[:, second, first] -= weight

    def solve(self) -> Points3:
        """Least squares, (T, J, 3)."""
        return np.linalg.solve(self._square, self.right.reshape(len(self.right), -1, 1)).reshape(self.right.shape)

    def left_open(self) -> tuple[np.ndarray, np.ndarray]:
        """Covariance (T, 3, 3) of the root, and sigma (T, J, 3) of the joints relative to it."""
        inverse = np.linalg.inv(self._square).reshape(-1, _JOINTS, 3, _JOINTS, 3)
        own = np.einsum("tjaja->tja", inverse)
        variance = own + own[:, :1] - 2 * np.einsum("tjaa->tja", inverse[:, :, :, 0])
        return inverse[:, 0, :, 0], np.sqrt(np.maximum(variance, 0.0))

    @property
    def _square(self) -> np.ndarray:
        size = _JOINTS * 3
        return self.matrix.transpose(0, 1, 3, 2, 4).reshape(-1, size, size)


def _on_rays(rows: _Normal, x: Points3, rays: Rays) -> None:
    """A joint (X, Y, Z) on the ray (a, b, 1) has X = a Z and Y = b Z."""
    at, seen = x[:, _LIMBS], rays.points[:, _LIMBS]
    depth = np.maximum(at[..., 2], _NEAREST_M)
    known = np.isfinite(seen).all(-1)
    seen = np.where(known[..., None], seen, 0.0)
    weight = np.where(known, 1 / ((rays.sigma[:, _LIMBS] * depth) ** 2 + _RAY_M**2), 0.0)
    miss = ((at[..., :2] - seen * at[..., 2:]) ** 2).sum(-1)
    weight /= 1 + miss * weight / _OUTLIER**2
    across = np.concatenate([np.broadcast_to(np.eye(2), (*seen.shape, 2)), -seen[..., None]], -1)
    rows.matrix[:, _LIMBS, _LIMBS] += np.einsum("tj,tjka,tjkb->tjab", weight, across, across)


def _of_lengths(rows: _Normal, x: Points3, lengths_m: np.ndarray) -> None:
    """A bone has its length along where it points now."""
    for (first, second), length in zip(_SET.bones, lengths_m, strict=True):
        along = unit(x[:, second] - x[:, first])
        weight = along[:, :, None] * along[:, None] / (_BONE * length) ** 2
        rows.apart(first, second, weight, length * along)


def _on_floor(rows: _Normal, x: Points3, standing: Standing) -> None:
    """The ankle of a flat foot is at its height, unless it is clearly on something else."""
    height = np.outer(standing.up, standing.up)
    for foot, ankle in enumerate(_ANKLES):
        target = standing.ankle_m - standing.camera_m
        miss = x[:, ankle] @ standing.up - target
        weight = standing.flat[:, foot] / _FLOOR_M**2 / (1 + (miss / _STEP_M) ** 2) ** 2
        rows.matrix[:, ankle, ankle] += weight[:, None, None] * height
        rows.right[:, ankle] += (weight * target)[:, None] * standing.up
