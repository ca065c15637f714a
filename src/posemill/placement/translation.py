"""Where the root is: the translation that makes a pose of known size project onto its keypoints.

A joint ``P`` (root-relative, camera axes) seen on the undistorted ray ``(x, y, 1)`` gives two equations that are
linear in the root ``T``: ``Tx - x Tz = x Z - X`` and ``Ty - y Tz = y Z - Y``. Their weighted least squares have a
closed form, so all frames are solved at once. Only the translation is sought: perspective-n-point would turn the pose
as well.

Depth is known about ten times worse than the sides: ``sigma_Tz ≈ Tz² sigma_px / (f S)`` with S the root of the summed
squares of the joints' distances from their mean in the image plane, against ``Tz sigma_px / (f √N)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Times, Vector3
from posemill.camera import Camera
from posemill.placement.options import PlaceOptions
from posemill.skeleton import JOINT_SETS, LIMBS
from posemill.smoothing import smooth

__all__ = ["Roots", "Trajectory", "closed_form", "root_trajectory", "smooth_roots", "solve_roots"]

_CHUNK = 4096
# Residuals are lengths of 2-vectors in units of their sigma (Rayleigh): median 1.177; 95 % efficient tuning constants.
_MEDIAN, _HUBER, _BIWEIGHT = 1.177, 2.0, 5.2
# A dozen residuals tell their own scale to about 20 %; only what is clearly above the stated sigma inflates it.
_SCALE_SLACK = 1.4
_GATE = 16.0


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


@dataclass(frozen=True)
class Trajectory:
    """Root over time: ``root`` (T, 3) m in the camera frame, ``sigma`` (T, 3) m per axis, ``valid`` (T,)."""

    root: Vector3
    sigma: Vector3
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
    used = weights > 0
    w = np.where(used, weights, 0.0)[..., None]
    xy = np.where(used[..., None], rays, 0.0)
    p = np.where(used[..., None], joints, 0.0)
    a = xy * p[..., 2:] - p[..., :2]
    with np.errstate(invalid="ignore", divide="ignore"):
        total = w.sum(-2)
        mean_xy, mean_a = (w * xy).sum(-2) / total, (w * a).sum(-2) / total
        deviation = xy - mean_xy[..., None, :]
        spread = (w * deviation**2).sum((-1, -2))
        depth = -(w * deviation * a).sum((-1, -2)) / spread
        side = mean_a + mean_xy * depth[..., None]
    return np.concatenate([side, depth[..., None]], -1), mean_xy, spread


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
    squares are the weights. Joints that contradict the others count less: Huber's weights first, which have one
    minimum, then Tukey's biweight, which leaves far outliers out altogether.

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
    parts = [
        _solve(
            np.asarray(joints[k : k + _CHUNK], dtype=np.float64),
            np.asarray(rays[k : k + _CHUNK], dtype=np.float64),
            np.asarray(ray_sigma[k : k + _CHUNK], dtype=np.float64),
            np.asarray(pose_sigma[k : k + _CHUNK], dtype=np.float64),
            valid[k : k + _CHUNK],
            min_joints,
            min_depth_m,
            robust,
        )
        for k in range(0, max(len(joints), 1), _CHUNK)
    ]
    return Roots(*(np.concatenate([getattr(p, name) for p in parts]) for name in Roots.__dataclass_fields__))


def _solve(
    joints: np.ndarray,
    rays: np.ndarray,
    ray_sigma: np.ndarray,
    pose_sigma: np.ndarray,
    valid: np.ndarray,
    min_joints: int,
    min_depth_m: float,
    robust: bool,
) -> Roots:
    valid = valid & np.isfinite(joints).all(-1) & np.isfinite(rays).all(-1)
    valid = valid & (ray_sigma > 0) & (pose_sigma >= 0)
    joints, rays = np.where(valid[..., None], joints, 0.0), np.where(valid[..., None], rays, 0.0)
    ray_var = np.where(valid, ray_sigma, 1.0) ** 2
    pose_var = np.where(valid, pose_sigma, 0.0) ** 2 * (1 + 0.5 * (rays**2).sum(-1))
    count = valid.sum(-1)
    root, mean, spread = closed_form(joints, rays, valid / ray_var)
    accept = np.ones(valid.shape)
    excess = np.ones(len(joints))
    variance, weights = ray_var, valid / ray_var
    for step in range(10 if robust else 3):
        depth = np.maximum(joints[..., 2] + np.nan_to_num(root[:, None, 2]), min_depth_m)
        variance = depth**2 * ray_var + pose_var
        if robust:
            miss = joints[..., :2] + root[:, None, :2] - rays * (joints[..., 2:] + root[:, None, 2:])
            distance = np.sqrt((miss**2).sum(-1) / variance)
            ordered = np.sort(np.where(valid, distance, np.inf), axis=-1)
            middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[:, None] // 2, axis=-1)[:, 0]
            excess = np.maximum(1.0, np.where(np.isfinite(middle), middle, 1.0) / _MEDIAN)
            u = np.where(valid, distance, 0.0) / excess[:, None]
            accept = np.minimum(1.0, _HUBER / np.maximum(u, 1e-12)) if step < 5 else _biweight(u)
        weights = np.where(valid, accept, 0.0) / variance
        root, mean, spread = closed_form(joints, rays, weights)
    inflate = np.maximum(1.0, excess / _SCALE_SLACK) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        depth_var = inflate / spread
        side_var = inflate / weights.sum(-1)
        deviation = ((rays - mean[:, None]) ** 2).sum(-1)
        share = (weights * deviation * pose_var / variance).sum(-1) / (weights * deviation).sum(-1)
        ok = (valid & (accept > 0.1)).sum(-1) >= min_joints
        # Beyond 50 % the sigma rule, which is linear, says nothing any more: edge-on, or joints all but in one place.
        ok &= (root[:, 2] > min_depth_m) & (np.sqrt(depth_var) < 0.5 * root[:, 2]) & np.isfinite(root).all(-1)
        ray = np.concatenate([mean, np.ones((len(mean), 1))], -1)
        covariance = depth_var[:, None, None] * ray[:, :, None] * ray[:, None, :]
        covariance[:, [0, 1], [0, 1]] += side_var[:, None]
    hide = np.where(ok, 0.0, np.nan)
    return Roots(root + hide[:, None], covariance + hide[:, None, None], share + hide, ok)


def _biweight(u: np.ndarray) -> np.ndarray:
    return np.maximum(1 - (u / _BIWEIGHT) ** 2, 0.0) ** 2


def smooth_roots(time: Times, roots: Roots, *, q: float, max_gap_s: float) -> Roots:
    """Smooth the path and bridge its gaps, each frame weighing by its own covariance (depth far less than the sides).

    The share of the uncertainty that comes from the pose stays: a lifter's error lasts longer than a frame.
    """
    valid = roots.valid
    if not valid.any():
        return roots
    points, covariance, placed = smooth(
        time, roots.root[None, :, :, None], roots.covariance[None], valid[None], q=q, max_gap_s=max_gap_s, gate=_GATE
    )
    frames = np.flatnonzero(valid)
    share = np.interp(time, time[frames], roots.pose_share[frames])
    lasting = roots.covariance[frames] * roots.pose_share[frames, None, None]
    near = np.clip(np.searchsorted(frames, np.arange(len(time)), side="right") - 1, 0, len(frames) - 1)
    total = covariance[0] * (1 - share)[:, None, None] + lasting[near]
    bridged = placed[0] & ~valid
    total[bridged] = covariance[0][bridged] + lasting[near][bridged]
    hide = np.where(placed[0], 0.0, np.nan)
    return Roots(points[0, :, :, 0], total + hide[:, None, None], share + hide, placed[0])


def root_trajectory(
    time: Times,
    joints: Points3,
    pose_sigma: PerJoint,
    keypoints: Points2,
    keypoint_sigma_px: PerJoint,
    valid: Flags,
    camera: Camera,
    *,
    temporal: bool,
    scale_sigma: float,
    options: PlaceOptions,
) -> Trajectory:
    """Place one clip: solve, smooth, and add up what is not known.

    Parameters
    ----------
    joints, pose_sigma
        (T, 17, 3) and (T, 17) m: h36m17 at the subject's bone lengths, camera axes, root at 0.
    keypoints, keypoint_sigma_px, valid
        (T, 17, 2), (T, 17) px and flags: the same joints in the image.
    temporal
        False: stills; frames do not know of each other.
    scale_sigma
        Relative; moves the whole root. The camera's ``focal_sigma`` moves its depth.
    """
    if options.joints == "limbs":
        pick = JOINT_SETS["h36m17"].indices(LIMBS)
        joints, pose_sigma, keypoints = joints[:, pick], pose_sigma[:, pick], keypoints[:, pick]
        keypoint_sigma_px, valid = keypoint_sigma_px[:, pick], valid[:, pick]
    roots = solve_roots(
        joints,
        camera.normalise(keypoints),
        keypoint_sigma_px / camera.focal_px,
        pose_sigma,
        valid,
        min_joints=options.min_joints,
        min_depth_m=options.min_depth_m,
        robust=options.robust,
    )
    if temporal and options.smoothing:
        roots = smooth_roots(time, roots, q=options.smoothing_q, max_gap_s=options.max_gap_s)
    variance = np.diagonal(roots.covariance, axis1=1, axis2=2) + (roots.root * scale_sigma) ** 2
    variance = variance + (roots.root * (0.0, 0.0, camera.focal_sigma)) ** 2
    return Trajectory(roots.root, np.sqrt(variance), roots.valid)
