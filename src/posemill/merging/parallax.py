"""Feet that a travelling camera saw, as a camera that stands still would have seen them.

Before a travelling camera a standing foot moves in the image. Where the foot is in depth is known from the placed pose,
so each keypoint is put there on its ray and projected into one camera that stands still.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from posemill.arrays import Points3, Vector3
from posemill.camera import Camera
from posemill.merging.feet import SeenPerson
from posemill.merging.soles import ANKLES
from posemill.skeleton import joint_set

__all__ = ["standing_still"]


def standing_still(
    seen: SeenPerson, camera: Camera, offset: Vector3, joints_camera: Points3
) -> tuple[Camera, SeenPerson]:
    """Return a camera that stands still, and the feet as it sees them.

    Parameters
    ----------
    seen
        Keypoints in pixels of the reference camera's axes, from each frame's own centre.
    camera
        The reference camera, with its place in the world.
    offset
        (T, 3) m of the frames' centres in its frame.
    joints_camera
        (T, J, 3) m of h36m17 or posemill21 in its frame.

    Returns
    -------
    The reference camera, moved back until nothing is nearer than it was to the frames' own centres, and the feet with
    ``centres``, the true ones, by which their uncertainty lies. Keypoints of other joints than the feet's are left out.
    """
    assert camera.R is not None and camera.t is not None
    back = np.array([0.0, 0.0, max(0.0, float(-offset[:, 2].min()))])
    still = replace(camera, t=camera.t + back)
    plane = camera.normalise(np.where(seen.valid[..., None], seen.keypoints.astype(np.float64), np.nan))
    keypoints, sigma = np.full(seen.keypoints.shape, np.nan), np.full(seen.sigma_px.shape, np.nan)
    for foot, side in enumerate(("left", "right")):
        depth = joints_camera[:, ANKLES[foot], 2] - offset[:, 2]
        for joint, name in enumerate(joint_set(seen.joints_of).joints):
            if name.startswith(f"{side}_"):
                ray = np.concatenate([plane[:, joint], np.ones((len(plane), 1))], -1)
                points = ray * depth[:, None] + offset + back
                keypoints[:, joint] = still.project(points)
                sigma[:, joint] = seen.sigma_px[:, joint] * depth / points[:, 2]
    valid = seen.valid & np.isfinite(keypoints).all(-1)
    centres = camera.centre + offset @ camera.R
    return still, replace(seen, keypoints=keypoints, sigma_px=sigma, valid=valid, centres=centres)
