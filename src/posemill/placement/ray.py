"""Poses of lifters that do not see where in the picture the person is.

Such a lifter is shown the keypoints relative to the root, and answers as if the person stood on the optical axis. A
person who stands beside it is seen from another side than the camera's axis says: the pose is turned by the shortest
rotation that takes the axis to the ray through the person's root. Place solves the translation of the turned pose and
merge joins the two, both from this one function, so that pose and translation belong together.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, Matrix3, Points2, Points3, Times
from posemill.camera import Camera
from posemill.geometry import rotation_between
from posemill.skeleton import JOINT_SETS, convert

__all__ = ["root_rays", "turned_to_ray"]

_HIPS = JOINT_SETS["limbs12"].indices(("left_hip", "right_hip"))


def root_rays(
    time: Times, keypoints: Points2, joint_set: str, valid: Flags, camera: Camera, *, temporal: bool
) -> np.ndarray:
    """Direction from the camera to the root in each frame, (T, 3) camera axes, third component 1.

    The middle of the hips; of one hip where the other is missing, and of all limb joints where both are. A frame
    without any keypoint takes its direction from its neighbours in time; stills have none, and it is NaN.

    Parameters
    ----------
    time
        (T,) seconds.
    keypoints, joint_set, valid
        (T, J, 2) px of the joints of that set, and (T, J) flags.
    """
    points, known, _, _ = convert(np.asarray(keypoints, dtype=np.float64), joint_set, "limbs12", valid=valid)
    plane = camera.normalise(points)
    known = known & np.isfinite(plane).all(-1)
    hips = np.zeros_like(known)
    hips[:, _HIPS] = known[:, _HIPS]
    used = np.where(hips.any(-1, keepdims=True), hips, known)
    count = used.sum(-1)
    mean = np.where(used[..., None], plane, 0.0).sum(-2) / np.maximum(count, 1)[:, None]
    seen = count > 0
    if temporal and seen.any():
        mean = np.stack([np.interp(time, time[seen], mean[seen, axis]) for axis in range(2)], -1)
    else:
        mean[~seen] = np.nan
    return np.concatenate([mean, np.ones((len(mean), 1))], -1)


def turned_to_ray(joints: Points3, rays: np.ndarray) -> Points3:
    """Turn poses (T, 17, 3) about their root from the optical axis to the rays (T, 3) of :func:`root_rays`.

    Lengths stay, and so does sigma, which is one number for all axes.
    """
    known = np.isfinite(rays).all(-1)
    axis = np.array([0.0, 0.0, 1.0])
    rotation: Matrix3 = rotation_between(axis, np.where(known[:, None], rays, axis))
    out = np.asarray(joints, dtype=np.float64) @ np.swapaxes(rotation, -1, -2)
    return np.where(known[:, None, None], out, np.nan)
