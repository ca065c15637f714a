"""What the network ``posemill`` sees of a clip: rays instead of pixels, frame by frame, and how they move.

The twelve limb joints, and heels and toes where a detector has them, are taken as rays of a calibrated camera. In every
frame the camera is turned about its own centre until the root ray (to the middle of the hips) is its axis, which loses
nothing; there the rays meet the plane z = 1, are centred on the root and divided by their size. So one network serves
every camera and every place in the picture. Size, and how the root's ray and the size changed since the frame before,
are inputs of their own, as are what is known of each joint, of the focal length, of who says where joints are, and of
where up is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posemill.arrays import Flags, Points2
from posemill.geometry import roll_and_elevation
from posemill.skeleton import JOINT_SETS

__all__ = ["DEFINITIONS", "INPUT_WIDTH", "JOINTS_IN", "ClipInputs", "clip_inputs", "definition_of", "mirrored"]

JOINTS_IN = JOINT_SETS["limbs16"]
_COUNT, _LIMBS = len(JOINTS_IN), len(JOINT_SETS["limbs12"])
_HIPS = JOINTS_IN.indices(("right_hip", "left_hip"))
_FLIP = JOINTS_IN.flip_permutation

DEFINITIONS: tuple[str, ...] = ("capture", "mediapipe", "other")
"""Who says where a joint is: motion capture, a detector whose errors were fitted, or somebody else."""
_CAPTURE_SOURCES = ("exact", "noisy")

INPUT_WIDTH = 4 * _COUNT + 1 + 4 + 1 + len(DEFINITIONS) + 1 + 4
"""x, y, presence and confidence of each joint; size; motion of the root's ray (x, y, size, known); time step;
definition of joints; uncertainty of the focal length; up (x, y, z, known). Further inputs are added at the end, so that
weights from before them can be gone on from."""

# Body of 1.7 m at 4 m, frames at 20 Hz: bring the inputs' means near zero.
_TYPICAL_LOG_SIZE, _TYPICAL_LOG_STEP = -2.0, -3.0
# RMS radius of a standing body's limb joints in statures, and the error, in statures, that counts half.
_RADIUS, _HALF_CONFIDENCE = 0.3, 0.01
_UNKNOWN_CONFIDENCE = 0.5
_SPEED_UNIT, _FASTEST = 0.3, 2.0
# A camera that looks down or up further, or rolls further, is not one that a training was told up of.
_STEEPEST_DEG, _MOST_ROLL_DEG = 60.0, 45.0


@dataclass(frozen=True)
class ClipInputs:
    """N clips of T frames as the network sees them, and the way back.

    Attributes
    ----------
    inputs
        (N, T, INPUT_WIDTH) float32; zeros in frames that are not usable.
    usable
        (N, T) bool: at least two distinct limb joints are present.
    rotation
        (N, T, 3, 3) float32, camera frame to the frame whose z axis is the root's ray; identity where not usable.
    """

    inputs: np.ndarray
    usable: Flags
    rotation: np.ndarray


def definition_of(detector: str) -> str:
    """Name in :data:`DEFINITIONS` of who finds the joints for a detector; ``other`` for those that are not known."""
    if detector in _CAPTURE_SOURCES:
        return "capture"
    return detector if detector in DEFINITIONS else "other"


def clip_inputs(
    plane: Points2,
    present: Flags,
    sigma: np.ndarray,
    step_s: np.ndarray,
    definition: Sequence[str],
    focal_sigma: np.ndarray,
    up: np.ndarray,
    *,
    stride: int = 1,
) -> ClipInputs:
    """Build the network's input; float32 throughout.

    Parameters
    ----------
    plane
        (N, T, 16, 2) joints on the undistorted normalised plane of the camera (x right, y down).
    present
        (N, T, 16) which of them are known; others may hold anything, NaN too.
    sigma
        (N, T, 16) standard deviation per coordinate, same plane; NaN where nobody says.
    step_s
        (N,) seconds between a frame and the one ``stride`` frames before it.
    definition
        N names of :data:`DEFINITIONS`.
    focal_sigma
        (N,) relative standard deviation of the focal length.
    up
        (N, 3) unit vectors against gravity, camera frame; NaN where nobody knows.
    """
    present = present & np.isfinite(plane).all(-1)
    flat = np.where(present[..., None], plane, 0).astype(np.float32)
    rays = np.concatenate([flat, np.ones((*flat.shape[:-1], 1), np.float32)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    body = present.copy()
    body[..., _LIMBS:] = False
    # The root ray; without hips the middle of what is there, which the network can tell by the presence flags.
    anchors = np.zeros_like(present)
    anchors[..., _HIPS] = present[..., _HIPS]
    anchors = np.where(anchors.any(-1, keepdims=True), anchors, body)
    root = np.einsum("ntji,ntj->nti", rays, anchors.astype(np.float32))
    root[~anchors.any(-1)] = (0.0, 0.0, 1.0)
    root /= np.linalg.norm(root, axis=-1, keepdims=True)
    rotation = _to_axis(root)
    turned = rays @ np.swapaxes(rotation, -1, -2)
    present = present & (turned[..., 2] > 0.05)
    anchors, body = anchors & present, body & present
    xy = turned[..., :2] / np.maximum(turned[..., 2:], np.float32(0.05))
    centre = (xy * anchors[..., None]).sum(-2) / np.maximum(anchors.sum(-1), 1)[..., None]
    xy = np.where(present[..., None], xy - centre[..., None, :], np.float32(0))
    known = body.sum(-1)
    size = np.sqrt((xy**2 * body[..., None]).sum((-1, -2)) / np.maximum(known, 1))
    usable = (known >= 2) & (size > 1e-6)
    size = np.where(usable, size, np.float32(1)).astype(np.float32)
    told = np.asarray(sigma, np.float32) * np.float32(_RADIUS / _HALF_CONFIDENCE) / size[..., None]
    confidence = np.where(np.isfinite(told), 1 / (1 + np.where(np.isfinite(told), told, 0) ** 2), _UNKNOWN_CONFIDENCE)

    def per_clip(values: np.ndarray) -> np.ndarray:
        columns = np.asarray(values, np.float32).reshape(len(size), 1, -1)
        return np.broadcast_to(columns, (*size.shape, columns.shape[-1]))

    inputs = np.concatenate(
        [
            (xy / size[..., None, None]).reshape(*size.shape, 2 * _COUNT),
            present.astype(np.float32),
            np.where(present, confidence, 0).astype(np.float32),
            (np.log(size) - np.float32(_TYPICAL_LOG_SIZE))[..., None],
            _motion(root, size, rotation, usable, np.asarray(step_s, np.float32), stride),
            per_clip(np.log(step_s) - _TYPICAL_LOG_STEP),
            per_clip(np.eye(len(DEFINITIONS))[[DEFINITIONS.index(name) for name in definition]]),
            per_clip(5 * np.asarray(focal_sigma)),
            _upward(up, rotation),
        ],
        -1,
        dtype=np.float32,
    )
    inputs[~usable] = 0
    rotation[~usable] = np.eye(3, dtype=np.float32)
    return ClipInputs(inputs, usable, rotation)


def mirrored(inputs: np.ndarray) -> np.ndarray:
    """Return the inputs (..., INPUT_WIDTH) of the mirrored person."""
    out = inputs.copy()
    lead = inputs.shape[:-1]
    sides = np.array([-1, 1], inputs.dtype)
    out[..., : 2 * _COUNT] = (inputs[..., : 2 * _COUNT].reshape(*lead, _COUNT, 2)[..., _FLIP, :] * sides).reshape(
        *lead, 2 * _COUNT
    )
    for start in (2 * _COUNT, 3 * _COUNT):
        out[..., start : start + _COUNT] = inputs[..., start : start + _COUNT][..., _FLIP]
    out[..., 4 * _COUNT + 1] *= -1
    out[..., -4] *= -1
    return out


def _upward(up: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Up (N, 3) in the turned frames (N, T, 3, 3), and whether it is known, (N, T, 4); zeros where it is not."""
    turned = np.einsum("ntij,nj->nti", rotation, np.asarray(up, np.float32))
    with np.errstate(invalid="ignore"):
        roll, elevation = np.abs(roll_and_elevation(turned))
        known = (elevation < _STEEPEST_DEG) & (roll < _MOST_ROLL_DEG)
    return np.where(known[..., None], np.concatenate([turned, np.ones_like(turned[..., :1])], -1), np.float32(0))


def _to_axis(ray: np.ndarray) -> np.ndarray:
    """Shortest rotation that brings unit vectors (..., 3) in front of the camera to the z axis."""
    x, y, z = ray[..., 0], ray[..., 1], ray[..., 2]
    share = 1 / (1 + z)
    rows = [1 - x * x * share, -x * y * share, -x, -x * y * share, 1 - y * y * share, -y, x, y, z]
    return np.stack(rows, -1).reshape(*ray.shape[:-1], 3, 3)


def _motion(
    root: np.ndarray, size: np.ndarray, rotation: np.ndarray, usable: Flags, step_s: np.ndarray, stride: int
) -> np.ndarray:
    """Velocity of the root's ray in sizes per second, growth rate of the size, and whether both are known, (N, T, 4).

    Backwards in time, so that a causal network can have it.
    """
    out = np.zeros((*size.shape, 4), np.float32)
    if size.shape[1] <= stride:
        return out
    now, before = slice(stride, None), slice(None, -stride)
    came_from = np.einsum("ntij,ntj->nti", rotation[:, now], root[:, before])
    moved = -came_from[..., :2] / np.maximum(came_from[..., 2:], np.float32(0.2)) / size[:, now, None]
    grown = np.log(size[:, now] / size[:, before])[..., None]
    speed = np.concatenate([moved, grown], -1) * np.float32(_SPEED_UNIT) / step_s[:, None, None]
    both = usable[:, now] & usable[:, before]
    out[:, now, :3] = np.where(both[..., None], np.clip(speed, -_FASTEST, _FASTEST), 0)
    out[:, now, 3] = both
    return out
