"""The pose at the subject's bone lengths, on the root's path, in one frame.

The pose is normalised by the same function and the same lengths as when its translation was solved, so that pose and
translation are at one scale. Smoothing turns bones; their lengths are set again after it. Where the lifter gives heels
and toes, they are joints as the others, and each foot is rigid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.arrays import PerJoint, Points3, Times, Vector3
from posemill.camera import Camera
from posemill.geometry import axis_sigma
from posemill.merging.feet import PersonInWorld, SeenFeet, lock_feet
from posemill.merging.legs import bend_forwards
from posemill.merging.options import MergeOptions
from posemill.merging.parallax import standing_still
from posemill.merging.soles import rigid_feet
from posemill.merging.steady import path_sigma, smooth_motion
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import normalise_pose

__all__ = ["Merged", "merge"]


@dataclass(frozen=True)
class Merged:
    """One person's animation; NaN where not valid.

    Attributes
    ----------
    joints, joints_camera
        (T, J, 3) m, in the world (or the camera's frame where there is none) and in the camera's frame.
    root
        (T, 3) m, in the frame of ``joints``.
    sigma
        (T, J, 3) m per axis of that frame; where feet were held, of what they leave open.
    valid
        (T, J) flags.
    contact
        (T, 2) left and right foot on the floor; all False for stills and without a world, where it is unknown.
    moved
        (T, J) m, from the lifted pose at the subject's scale on the placed root to ``joints``.
    """

    joints: Points3
    joints_camera: Points3
    root: Vector3
    sigma: np.ndarray
    valid: np.ndarray
    contact: np.ndarray
    moved: PerJoint


def merge(
    time: Times,
    joints_relative: Points3,
    joint_sigma: PerJoint,
    root_camera: Vector3,
    root_sigma: Vector3,
    skeleton: Skeleton,
    camera: Camera | None,
    *,
    temporal: bool,
    options: MergeOptions,
    seen: SeenFeet | None = None,
    offset: Vector3 | None = None,
    shared_sigma: float = 0.0,
) -> Merged:
    """Merge one person of one clip.

    Parameters
    ----------
    time
        (T,) seconds.
    joints_relative, joint_sigma
        (T, J, 3) each, as lifted, camera axes, in the lifter's unit; NaN where unknown.
    root_camera, root_sigma
        (T, 3) m, camera frame; NaN where the person is not placed.
    skeleton
        The subject's bones, whose joint set is that of the poses, and metres per unit of the lifter.
    camera
        With its place in the world, or None: then the result stays in the camera's frame, contacts are unknown, and no
        foot is locked.
    temporal
        False: stills; nothing is smoothed or locked, and contacts are unknown.
    seen
        The feet in the image; None: they are judged by the placed pose alone.
    offset
        (T, 3) m, where in the camera's frame each frame was taken from; None: all at its centre.
    shared_sigma
        Relative; the part of ``root_sigma`` that is one error of the whole path (scale, focal length).
    """
    pose = _of_bones(joints_relative, skeleton)
    if options.joint_limits:
        pose = bend_forwards(pose)
    sigma, root = joint_sigma * skeleton.scale, root_camera
    path = path_sigma(root_camera if offset is None else root_camera - offset, root_sigma, shared_sigma)
    if temporal and options.cutoff_hz is not None and len(time) > 1:
        spread = np.sqrt((sigma**2).mean(-1))
        pose = _of_bones(smooth_motion(time, pose, spread, options), skeleton)
        spread = np.sqrt((path**2).mean(-1, keepdims=True))
        root = smooth_motion(time, root_camera[:, None], spread, options)[:, 0]
    joints_camera = pose + root[:, None]
    # Over an hour's clip each such array is a hundred megabytes.
    del pose
    valid = np.isfinite(joints_camera).all(-1) & np.isfinite(sigma).all(-1) & np.isfinite(root_sigma).all(-1)[:, None]
    joints_camera[~valid] = np.nan
    joints, locked = joints_camera, None
    if camera is not None and camera.R is not None:
        joints = camera.camera_to_world(joints_camera)
        if temporal and len(time) > 1:
            still, feet = camera, seen
            if offset is not None and seen is not None:
                still, feet = standing_still(seen, camera, offset, joints_camera)
            del joints_camera
            person = PersonInWorld(time, joints, sigma, path, skeleton, still, feet, shared_sigma)
            locked = lock_feet(person, options)
            joints, joints_camera = locked.joints, camera.world_to_camera(locked.joints)
    spread = np.hypot(sigma, root_sigma[:, None])
    if camera is not None and camera.R is not None:
        spread = axis_sigma(spread, camera.R.T)
    contact = np.zeros((len(time), 2), dtype=bool)
    if locked is not None:
        spread, contact = np.where(np.isfinite(locked.sigma), locked.sigma, spread), locked.contact
    spread[~valid] = np.nan
    root = np.where(valid.any(-1)[:, None], joints[:, 0], np.nan)
    lifted = joints_relative * skeleton.scale + root_camera[:, None]
    moved = np.linalg.norm(joints_camera - lifted, axis=-1)
    return Merged(joints, joints_camera, root, spread, valid, contact, moved)


def _of_bones(joints: Points3, skeleton: Skeleton) -> Points3:
    """Pose (T, J, 3) with the person's bones, and with their feet."""
    return rigid_feet(normalise_pose(joints, skeleton.lengths_m, skeleton.joints_of), skeleton)
