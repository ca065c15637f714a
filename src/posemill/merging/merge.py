"""The pose at the subject's bone lengths, on the root's path, in one frame.

The pose is normalised by the same function and the same lengths as when its translation was solved, so that pose and
translation are at one scale. Smoothing turns bones; their lengths are set again after it. Where the lifter gives heels
and toes, they are joints as the others, and each foot is rigid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from posemill.arrays import PerJoint, Points3, Times, Vector3, part_of
from posemill.camera import Camera
from posemill.geometry import axis_sigma
from posemill.merging.banded import WINDOW, in_windows
from posemill.merging.feet import SeenPerson, lock_feet
from posemill.merging.in_view import Body, InView, as_captured, of_bones
from posemill.merging.legs import bend_forwards
from posemill.merging.options import MergeOptions
from posemill.merging.steady import path_sigma
from posemill.placement.skeleton_scale import Skeleton

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
    seen: SeenPerson | None = None,
    offset: Vector3 | None = None,
    shared_sigma: float = 0.0,
) -> Merged:
    """Merge one person of one clip; a long clip in windows that fade into each other, so that memory stays bounded.

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
    clip = _Frames(time, joints_relative, joint_sigma, root_camera, root_sigma, offset)

    def window(rows: slice) -> Merged:
        here = seen and part_of(seen, rows)
        return _merged(part_of(clip, rows), skeleton, camera, here, shared_sigma, options, moves=temporal)

    if not temporal or len(time) <= WINDOW:
        return window(slice(None))
    return _unpacked(in_windows(len(time), lambda rows: _packed(window(rows))), joints_relative.shape[1])


@dataclass(frozen=True)
class _Frames:
    """What :func:`merge` is given of each frame, of any type as files have it."""

    time: Times
    joints_relative: Points3
    joint_sigma: PerJoint
    root_camera: Vector3
    root_sigma: Vector3
    offset: Vector3 | None


def _merged(
    frames: _Frames,
    skeleton: Skeleton,
    camera: Camera | None,
    seen: SeenPerson | None,
    shared_sigma: float,
    options: MergeOptions,
    *,
    moves: bool,
) -> Merged:
    """Merge frames that are worked on at once; stills do not move."""
    time, offset = np.asarray(frames.time, np.float64), frames.offset
    given = (frames.joints_relative, frames.joint_sigma, frames.root_camera, frames.root_sigma)
    joints_relative, joint_sigma, root_camera, root_sigma = (np.asarray(array, np.float64) for array in given)
    pose = of_bones(joints_relative, skeleton)
    if options.joint_limits:
        pose = bend_forwards(pose)
    path = path_sigma(root_camera if offset is None else root_camera - offset, root_sigma, shared_sigma)
    begun = Body(pose + root_camera[:, None], joint_sigma * skeleton.scale, path)
    if seen is not None and camera is not None and options.joint_offsets:
        seen = as_captured(seen, begun, skeleton.stature_m, camera, offset)
    view = InView(time, moves and len(time) > 1, camera, seen, offset, options)
    flat = view.flat_feet(begun, skeleton)
    fitted = view.fitted(begun, skeleton, flat)
    body = view.without_jitter(fitted, begun, skeleton)
    valid = np.isfinite(body.joints).all(-1) & np.isfinite(body.sigma).all(-1) & np.isfinite(body.path).all(-1)[:, None]
    body.joints[~valid] = np.nan
    joints = joints_camera = body.joints
    # What was fitted is known as the fit leaves it open, and by what the whole path shares.
    shared = shared_sigma * np.abs(body.joints[:, 0] - (0.0 if offset is None else offset))
    root_spread = np.hypot(body.path, shared) if fitted is not begun else root_sigma
    spread, contact = np.hypot(body.sigma, root_spread[:, None]), np.zeros((len(time), 2), dtype=bool)
    if camera is not None and camera.R is not None:
        joints, spread = camera.camera_to_world(joints_camera), axis_sigma(spread, camera.R.T)
    person = view.in_world(body, skeleton)
    if person is not None and camera is not None:
        larger = None
        if options.lock_feet and shared_sigma > 0:
            # What the whole path shares may be wrong, and fit and feet answer to it: most of it is given back.
            factor = 1 + shared_sigma
            size = skeleton.scaled(factor, skeleton.scale_sigma, skeleton.scale_source)
            wrong = view.fitted(begun.larger(factor, offset), size, flat, fitted.larger(factor, offset))
            larger = view.in_world(replace(body, joints=body.joints + wrong.joints - fitted.joints), size)
        locked = lock_feet(person, options, larger)
        joints, joints_camera, contact = locked.joints, camera.world_to_camera(locked.joints), locked.contact
        spread = np.where(np.isfinite(locked.sigma), locked.sigma, spread)
    spread[~valid] = np.nan
    root = np.where(valid.any(-1)[:, None], joints[:, 0], np.nan)
    lifted = joints_relative * skeleton.scale + root_camera[:, None]
    moved = np.linalg.norm(joints_camera - lifted, axis=-1)
    return Merged(joints, joints_camera, root, spread, valid, contact, moved)


def _packed(merged: Merged) -> np.ndarray:
    """All numbers of each frame (T, N), as exact as files keep them."""
    columns = (np.reshape(getattr(merged, f.name), (len(merged.root), -1)) for f in fields(Merged))
    return np.concatenate([column.astype(np.float32) for column in columns], axis=1)


def _unpacked(columns: np.ndarray, joints: int) -> Merged:
    shapes = [(joints, 3), (joints, 3), (3,), (joints, 3), (joints,), (2,), (joints,)]
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    parts = [p.reshape(-1, *shape) for p, shape in zip(np.split(columns, ends, axis=1), shapes, strict=True)]
    flags = {"valid", "contact"}
    named = {f.name: p > 0.5 if f.name in flags else p for f, p in zip(fields(Merged), parts, strict=True)}
    return Merged(**named)
