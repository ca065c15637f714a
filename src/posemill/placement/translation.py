"""The root's path through a clip: each frame solved by itself, smoothed over time, and what is not known added up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Times, Vector3, part_of
from posemill.camera import Camera
from posemill.placement.options import PlaceOptions
from posemill.placement.own_root import OwnRoot, fuse
from posemill.placement.roots import Roots, solve_roots
from posemill.skeleton import JOINT_SETS, LIMBS
from posemill.smoothing import smooth

__all__ = ["Trajectory", "root_trajectory", "smooth_roots"]

_GATE = 16.0
_PART, _MEMORY = 6144, 256


@dataclass(frozen=True)
class Trajectory:
    """Root over time: ``root`` (T, 3) m in the camera frame, ``sigma`` (T, 3) m per axis, ``valid`` (T,)."""

    root: Vector3
    sigma: Vector3
    valid: np.ndarray


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
    offset: Vector3 | None = None,
    scale_sigma: float,
    options: PlaceOptions,
    own: OwnRoot | None = None,
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
    offset
        (T, 3) m, where in the camera's frame each frame was taken from, if not at 0; the path is smoothed with it.
    scale_sigma
        Relative; moves the whole root. The camera's ``focal_sigma`` moves its depth.
    own
        A root that is known apart from the keypoints, at the subject's scale and in its place, with the offset.
    """
    frames = len(time)
    out = Trajectory(np.empty((frames, 3)), np.empty((frames, 3)), np.empty(frames, dtype=bool))
    step = float(np.median(np.diff(time))) if temporal and frames > 1 else 1.0
    margin = _MEMORY + (int(np.ceil(options.max_gap_s / step)) + 1 if temporal else 0)
    pick = JOINT_SETS["h36m17"].indices(LIMBS) if options.joints == "limbs" else np.arange(joints.shape[1])
    # A long clip goes through in parts, so that memory stays flat; they overlap by more than the smoother remembers.
    for start in range(0, frames, _PART):
        stop = min(start + _PART, frames)
        part = slice(max(start - margin, 0), min(stop + margin, frames))
        core = slice(start - part.start, stop - part.start)
        roots = solve_roots(
            joints[part].take(pick, axis=1),
            camera.normalise(keypoints[part].take(pick, axis=1)),
            keypoint_sigma_px[part].take(pick, axis=1) / camera.focal_px,
            pose_sigma[part].take(pick, axis=1),
            valid[part].take(pick, axis=1),
            min_joints=options.min_joints,
            min_depth_m=options.min_depth_m,
            robust=options.robust,
        )
        if offset is not None:
            roots = replace(roots, root=roots.root + offset[part])
        if own is not None:
            roots = fuse(roots, part_of(own, part))
        if temporal and options.smoothing:
            roots = smooth_roots(time[part], roots, q=options.smoothing_q, max_gap_s=options.max_gap_s)
        distance = roots.root if offset is None else roots.root - offset[part]
        variance = np.diagonal(roots.covariance, axis1=1, axis2=2) + (distance * scale_sigma) ** 2
        variance = variance + (distance * (0.0, 0.0, camera.focal_sigma)) ** 2
        out.root[start:stop], out.sigma[start:stop] = roots.root[core], np.sqrt(variance)[core]
        out.valid[start:stop] = roots.valid[core]
    return out
