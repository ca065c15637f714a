"""The pose at the subject's bone lengths, on the root's path, in one frame.

The pose is normalised by the same function and the same lengths as when its translation was solved, so that pose and
translation are at one scale. Smoothing turns bones; their lengths are set again after it. Where the lifter gives heels
and toes, they are joints as the others, and each foot is rigid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.anthropometry import ANKLE_HEIGHT
from posemill.arrays import Flags, PerJoint, Points3, Times, Vector3
from posemill.camera import Camera
from posemill.geometry import axis_sigma
from posemill.merging.feet import PersonInWorld, SeenPerson, flat_on_floor, lock_feet
from posemill.merging.image_fit import Standing, fit_body, seen_rays
from posemill.merging.legs import bend_forwards
from posemill.merging.options import MergeOptions
from posemill.merging.parallax import standing_still
from posemill.merging.soles import ANKLES, SOLES, rigid_feet, soles_of
from posemill.merging.steady import path_sigma, smooth_motion
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import JOINT_SETS, normalise_pose

__all__ = ["Merged", "merge"]

_BODY_JOINTS = len(JOINT_SETS["h36m17"])


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
    seen: SeenPerson | None = None,
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
        Without a place in the world the result stays in the camera's frame, contacts are unknown, and no foot is
        locked; None, and nothing is fitted to the image either.
    temporal
        False: stills; nothing is smoothed or locked, and contacts are unknown.
    seen
        The person in the image; None: feet are judged by the placed pose alone, and nothing is fitted.
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
    moves = temporal and len(time) > 1

    def in_world(before_camera: Points3) -> PersonInWorld | None:
        if camera is None or camera.R is None or not moves:
            return None
        still, feet = camera, seen
        if offset is not None and seen is not None:
            still, feet = standing_still(seen, camera, offset, before_camera)
        joints = camera.camera_to_world(before_camera)
        return PersonInWorld(time, joints, sigma, path, skeleton, still, feet, shared_sigma)

    if options.fit_image and camera is not None and seen is not None:
        begun = pose + root_camera[:, None]
        person = in_world(begun) if options.use_floor else None
        flat = None if person is None else flat_on_floor(person, options)
        fitted = _fitted(begun, sigma, path, skeleton, camera, seen, offset, flat)
        root = fitted[:, 0]
        pose = _of_bones(fitted - root[:, None], skeleton)
        del begun, person, fitted
    if moves and options.cutoff_hz is not None:
        spread = np.sqrt((sigma**2).mean(-1))
        pose = _of_bones(smooth_motion(time, pose, spread, options), skeleton)
        spread = np.sqrt((path**2).mean(-1, keepdims=True))
        root = smooth_motion(time, root[:, None], spread, options)[:, 0]
    joints_camera = pose + root[:, None]
    # Over an hour's clip each such array is a hundred megabytes.
    del pose
    valid = np.isfinite(joints_camera).all(-1) & np.isfinite(sigma).all(-1) & np.isfinite(root_sigma).all(-1)[:, None]
    joints_camera[~valid] = np.nan
    joints, locked = joints_camera, None
    if camera is not None and camera.R is not None:
        person = in_world(joints_camera)
        if person is None:
            joints = camera.camera_to_world(joints_camera)
        else:
            del joints_camera, joints
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


def _fitted(
    joints: Points3,
    sigma: np.ndarray,
    root_sigma: Vector3,
    skeleton: Skeleton,
    camera: Camera,
    seen: SeenPerson,
    offset: Vector3 | None,
    flat: Flags | None,
) -> Points3:
    """Joints (T, J, 3) m before the camera, fitted to the image; ``flat`` (T, 2) says which feet are on the floor."""
    body = slice(_BODY_JOINTS)
    taken_from = np.zeros((len(joints), 3)) if offset is None else offset
    standing = None
    if flat is not None and camera.R is not None:
        over = camera.camera_to_world(taken_from)[:, 2]
        standing = Standing(camera.up, over, ANKLE_HEIGHT * skeleton.stature_m, flat)
    out = joints.copy()
    rays = seen_rays(seen.keypoints, seen.sigma_px, seen.valid, seen.joints_of, camera)
    before = joints[:, body] - taken_from[:, None]
    fitted = fit_body(before, sigma[:, body], root_sigma, skeleton.body_lengths_m, rays, standing)
    out[:, body] = fitted + taken_from[:, None]
    if joints.shape[1] > _BODY_JOINTS:
        out[:, SOLES] = out[:, ANKLES, None] + soles_of(joints)
    return out


def _of_bones(joints: Points3, skeleton: Skeleton) -> Points3:
    """Pose (T, J, 3) with the person's bones, and with their feet."""
    return rigid_feet(normalise_pose(joints, skeleton.lengths_m, skeleton.joints_of), skeleton)
