"""Poses that another system made of the same clip, as if a lifter had answered them.

What is lifted elsewhere gets the same world, merge, metrics and exports as what is lifted here. Poses in the camera's
axes are taken as they are; those in a world are turned to the camera by where the picture has their joints
(:mod:`posemill.placement.orientation`). The pelvis' path there comes along: place gives it its place before the camera,
and fuses it with the root that the keypoints give.
"""

from __future__ import annotations

import numpy as np

from posemill.anthropometry import LEG_M, leg_length
from posemill.arrays import Flags, Points2, Times
from posemill.camera import Camera
from posemill.errors import ClipError, expected
from posemill.formats.poses import PoseClip
from posemill.lifters.protocol import LiftOutput
from posemill.placement.orientation import camera_orientation, miss
from posemill.skeleton import LIMBS, convert, joint_set

__all__ = ["SIGMA_M", "imported_pose"]

SIGMA_M = 0.03
"""Assumed standard deviation of a joint per axis, relative to the pelvis: files do not say it."""

PATH_SIGMA_M = 0.02
"""Assumed standard deviation of the pelvis' path per axis, relative to where the clip has it on average."""

_CAMERA_AXES = ("relative", "camera")


def imported_pose(
    poses: PoseClip,
    joints: str,
    joints_out: str,
    time: Times,
    keypoints: Points2,
    detected: str,
    valid: Flags,
    camera: Camera,
) -> tuple[LiftOutput, str]:
    """Poses of a file at the times of a clip, relative to the pelvis, in the camera's axes.

    Parameters
    ----------
    poses, joints
        The file's clip, and its joint set.
    joints_out
        The joint set to answer in; what the file lacks is not valid.
    time
        (T,) s of the clip. Between the file's poses they are interpolated; beyond its ends nothing is known. Stills
        take them in order.
    keypoints, detected, valid
        (T, J, 2) px of that joint set, and flags: what was seen.

    Returns
    -------
    The poses, and how they came to the camera's axes in a few words

    Raises
    ------
    ClipError
        No poses at these times, other stills, legs that are no person's, or poses that are not those of the picture.
    """
    frame = next((name for name in (*_CAMERA_AXES, *poses.joints) if name in poses.joints), None)
    if poses.failed or frame is None:
        raise ClipError(f"imported poses: {poses.failed or 'expected 3D joints, got none'}")
    points = _at(poses, frame, time)
    found, known, _, _ = convert(points, joints, joints_out)
    pelvis = joint_set(joints_out).index("pelvis")
    known &= known[:, [pelvis]]
    if not known.any():
        raise ClipError(
            expected(
                "imported poses",
                f"some with a pelvis between {time[0]:.2f} and {time[-1]:.2f} s",
                f"none; the file's are from {poses.time[0]:.2f} to {poses.time[-1]:.2f} s",
            )
        )
    relative, path = found - found[:, [pelvis]], found[:, pelvis]
    limbs = joint_set(joints_out).indices(LIMBS)
    _check_size(relative[:, limbs])
    seen, usable, _, _ = convert(np.asarray(keypoints, dtype=np.float64), detected, "limbs12", valid=valid)
    to_compare = relative[:, limbs], camera.normalise(seen), usable & known[:, limbs]
    if frame in _CAMERA_AXES:
        how = f"in the file, frame {frame}, {miss(*to_compare):.1%} of the body's size off the picture"
    else:
        rotation, off = camera_orientation(*to_compare)
        relative, path = relative @ rotation.T, path @ rotation.T
        how = f"by one rotation from the keypoints, {off:.1%} of the body's size off"
    relative = np.where(known[..., None], relative, np.nan)
    sigma = np.where(known, SIGMA_M, np.nan)
    sigma[:, pelvis] = np.where(known[:, pelvis], 0.0, np.nan)
    if frame == "relative" or not poses.temporal:
        return LiftOutput(relative, sigma, known), how
    path = np.where(known[:, [pelvis]], path, np.nan)
    spread = np.where(np.isfinite(path), PATH_SIGMA_M, np.nan)
    return LiftOutput(relative, sigma, known, path, spread, root_free=True), how


def _check_size(limbs: np.ndarray) -> None:
    """Refuse poses (T, 12, 3) that are not in metres: files say their unit or are taken to have that one."""
    leg = leg_length(limbs, "limbs12")
    if np.isfinite(leg) and not LEG_M[0] <= leg <= LEG_M[1]:
        want = f"metres, legs of {LEG_M[0]:g} to {LEG_M[1]:g}"
        raise ClipError(expected("imported poses", want, f"{leg:.4g}", do="say the file's units"))


def _at(poses: PoseClip, frame: str, time: Times) -> np.ndarray:
    """(T, J, 3) of the file at these times; NaN beside poses that are NaN, beyond the ends and in gaps."""
    points = np.asarray(poses.joints[frame], dtype=np.float64)
    if not poses.temporal or len(points) == 1:
        if len(points) != len(time):
            raise ClipError(expected("imported poses", f"{len(time)}, one for each image", len(points)))
        return points
    step = 1 / poses.rate
    after = np.clip(np.searchsorted(poses.time, time), 1, len(points) - 1)
    before = after - 1
    gap = poses.time[after] - poses.time[before]
    share = ((time - poses.time[before]) / gap)[:, None, None]
    # At a pose itself its neighbour does not matter, even if it is unknown.
    mixed = np.where(share < 1e-6, points[before], np.where(share > 1 - 1e-6, points[after], 0.0))
    between = (share >= 1e-6) & (share <= 1 - 1e-6)
    mixed = np.where(between, (1 - share) * points[before] + share * points[after], mixed)
    inside = (share[:, 0, 0] > -0.5) & (share[:, 0, 0] < 1.5) & (gap <= 1.5 * step)
    return np.where(inside[:, None, None], mixed, np.nan)
