"""Input and output of lifters that work on rays: one network for every camera.

The twelve limb joints are taken as rays of a calibrated camera. The shortest rotation that brings the root ray (to
the middle of the hips) to the optical axis is a *virtual* rotation of the camera about its own centre: it moves no
ray against another and loses nothing, but makes the network's input independent of where in the picture the person
is. In the rotated frame the rays meet the plane z = 1; there the pose is centred on the root and divided by its
size, and the size, which tells how strong the perspective is, becomes an input of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.arrays import Flags, Matrix3, Points2
from posemill.geometry import rotation_between
from posemill.skeleton import JOINT_SETS

__all__ = ["INPUT_WIDTH", "JOINTS_IN", "OUTPUT_WIDTH", "RayPose", "mirror_inputs", "mirror_outputs", "ray_pose"]

_LIMBS = JOINT_SETS["limbs12"]
_BODY = JOINT_SETS["h36m17"]
JOINTS_IN = len(_LIMBS)
INPUT_WIDTH = 3 * JOINTS_IN + 1
"""x, y of each limb joint, its presence, and the logarithm of the size."""
OUTPUT_WIDTH = 4 * (len(_BODY) - 1)
"""x, y, z of each h36m17 joint but the pelvis, then the logarithm of its sigma."""

_HIPS = _LIMBS.indices(("right_hip", "left_hip"))
_FLIP_IN = _LIMBS.flip_permutation
_FLIP_OUT = _BODY.flip_permutation[1:] - 1
# Body of 1.7 m at 4 m: brings the input's mean near zero.
_TYPICAL_LOG_SIZE = -2.0


@dataclass(frozen=True)
class RayPose:
    """What the network sees of each frame, and the way back.

    Attributes
    ----------
    inputs
        (T, INPUT_WIDTH) float32; zeros with presence 0 where a joint is missing.
    present
        (T, 12) bool.
    usable
        (T,) bool: at least two distinct joints are present. Inputs of other frames are zeros.
    rotation
        (T, 3, 3) camera frame to virtual frame; identity where not usable.
    """

    inputs: np.ndarray
    present: Flags
    usable: np.ndarray
    rotation: Matrix3


def ray_pose(plane: Points2, present: Flags) -> RayPose:
    """Build the network's input.

    Parameters
    ----------
    plane
        (T, 12, 2) limb joints on the undistorted normalised plane of the camera (x right, y down).
    present
        (T, 12) which of them are known; others may hold anything, NaN too.
    """
    present = present & np.isfinite(plane).all(-1)
    rays = np.concatenate([np.where(present[..., None], plane, 0.0), np.ones((*plane.shape[:-1], 1))], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    # The root ray; without hips the middle of what is there, which the network learns to tell by the presence flags.
    anchors = np.zeros_like(present)
    anchors[:, _HIPS] = present[:, _HIPS]
    anchors = np.where(anchors.any(-1, keepdims=True), anchors, present)
    root = (rays * anchors[..., None]).sum(-2)
    root[~anchors.any(-1)] = (0.0, 0.0, 1.0)
    rotation = rotation_between(root, np.array([0.0, 0.0, 1.0]))
    turned = rays @ np.swapaxes(rotation, -1, -2)
    present = present & (turned[..., 2] > 0.05)
    xy = turned[..., :2] / np.where(present, turned[..., 2], 1.0)[..., None]
    anchors = anchors & present
    centre = (xy * anchors[..., None]).sum(-2) / np.maximum(anchors.sum(-1), 1)[..., None]
    xy = np.where(present[..., None], xy - centre[..., None, :], 0.0)
    size = np.sqrt((xy**2).sum((-1, -2)) / np.maximum(present.sum(-1), 1))
    usable = (present.sum(-1) >= 2) & (size > 1e-6)
    size = np.where(usable, size, 1.0)
    inputs = np.concatenate(
        [
            (xy / size[:, None, None]).reshape(len(xy), 2 * JOINTS_IN),
            present.astype(np.float64),
            (np.log(size) - _TYPICAL_LOG_SIZE)[:, None],
        ],
        -1,
    )
    inputs = np.where(usable[:, None], inputs, 0.0).astype(np.float32)
    return RayPose(inputs, present, usable, np.where(usable[:, None, None], rotation, np.eye(3)))


def mirror_inputs(inputs: np.ndarray) -> np.ndarray:
    """Return the inputs of the mirrored person, (T, INPUT_WIDTH)."""
    xy = inputs[:, : 2 * JOINTS_IN].reshape(len(inputs), JOINTS_IN, 2)[:, _FLIP_IN] * np.array([-1, 1], inputs.dtype)
    present = inputs[:, 2 * JOINTS_IN : 3 * JOINTS_IN][:, _FLIP_IN]
    return np.concatenate([xy.reshape(len(inputs), 2 * JOINTS_IN), present, inputs[:, -1:]], -1)


def mirror_outputs(joints: np.ndarray, log_sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror back what the network said of a mirrored person: (T, 16, 3) and (T, 16)."""
    return joints[:, _FLIP_OUT] * np.array([-1, 1, 1], joints.dtype), log_sigma[:, _FLIP_OUT]
