"""How poses of another system stand before the camera: one rotation for a whole clip, from where the picture has them.

Other systems answer in a world of their own. The camera stands still in it, so one rotation takes all poses of a clip
to the camera's axes: the one with which they project onto the detected keypoints, each frame with its own translation.
It begins with weak perspective, where the picture is linear in the pose, and is refined by orthogonal iteration: poses
are moved onto their rays, and the rotation that fits best (Kabsch) is taken.

References
----------
Lu, Hager, Mjolsness, "Fast and globally convergent pose estimation from video images", TPAMI 2000.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, Matrix3, Points2, Points3
from posemill.errors import ClipError
from posemill.geometry import procrustes
from posemill.placement.equations import closed_form

__all__ = ["camera_orientation", "miss"]

_MOST_FRAMES, _MIN_JOINTS = 400, 6
_WEAK_STEPS, _STEPS = 8, 60
# Thickness of all poses together over their length, below which front and back are told apart by noise.
_FLAT = 0.05
# Joints that miss their rays by more of the body's size than that, in the median, belong to another motion.
_MISS = 0.12
# A mirrored body misses its rays as little before a distant camera; nearer ones tell them apart.
_MIRRORED = 0.5


def camera_orientation(joints: Points3, rays: Points2, valid: Flags) -> tuple[Matrix3, float]:
    """Rotation from the axes of ``joints`` to the camera's.

    Parameters
    ----------
    joints
        (T, J, 3) in any unit and any right-handed frame in which the camera does not turn; NaN where not valid.
    rays
        (T, J, 2) the same joints on the undistorted normalised plane.
    valid
        (T, J) flags.

    Returns
    -------
    (3, 3), and the median distance of joints from their rays over the body's size (root mean square radius)

    Raises
    ------
    ClipError
        Too few joints, poses all but flat, mirrored ones, or poses that are not those of the picture.
    """
    p, xy, w, size = _usable(joints, rays, valid)
    if size <= 0 or np.linalg.svd(p[w > 0], compute_uv=False)[-1] / np.sqrt(w.sum()) < _FLAT * size:
        raise ClipError("imported poses: all of them are flat, so front and back cannot be told")
    rotation, off = _turned(p, xy, w, size)
    _check(off)
    if _turned(p * [-1.0, 1.0, 1.0], xy, w, size)[1] < _MIRRORED * off:
        raise ClipError(
            f"imported poses: expected right-handed axes, got poses whose mirror image fits the picture and which do "
            f"not ({off:.0%} of the body's size off); mirror one axis of the file"
        )
    return rotation, off


def miss(joints: Points3, rays: Points2, valid: Flags) -> float:
    """How far poses in the camera's axes miss the picture: as :func:`camera_orientation` says it, without turning them.

    Raises
    ------
    ClipError
        Too few joints, or poses that are not those of the picture.
    """
    p, xy, w, size = _usable(joints, rays, valid)
    off = _miss(p, xy, w, size)
    _check(off)
    return off


def _usable(joints: Points3, rays: Points2, valid: Flags) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Centred joints, rays and weights (0 or 1) of frames with enough of them, and the size of the body."""
    valid = valid & np.isfinite(joints).all(-1) & np.isfinite(rays).all(-1)
    frames = np.flatnonzero(valid.sum(-1) >= _MIN_JOINTS)
    if not len(frames):
        raise ClipError(f"imported poses: no frame has {_MIN_JOINTS} joints that are also seen in the picture")
    frames = frames[:: -(-len(frames) // _MOST_FRAMES)]
    w = valid[frames].astype(np.float64)
    p = _centred(np.where(valid[frames][..., None], joints[frames], 0.0), w)
    xy = np.where(valid[frames][..., None], rays[frames], 0.0)
    return p, xy, w, float(np.sqrt((w[..., None] * p**2).sum() / w.sum()))


def _turned(p: np.ndarray, xy: np.ndarray, w: np.ndarray, size: float) -> tuple[Matrix3, float]:
    """The rotation, and how far joints are then from their rays; infinity where they are behind the camera."""
    rotation = _weak_perspective(p, _centred(xy, w), w)
    for _ in range(_STEPS):
        turned = p @ rotation.T
        root, _, _ = closed_form(turned, xy, w)
        away, onto = _onto_rays(turned + root[:, None], xy)
        # What is far from its ray says little; depths count as the camera sees them.
        scale = np.median(away[w > 0]) + 1e-9
        weight = w / (1 + (away / (2 * scale)) ** 2) / np.maximum(root[:, None, 2], 1e-3) ** 2
        new = _kabsch(_centred(p, weight), _centred(onto, weight), weight)
        done = np.abs(new - rotation).max() < 1e-7
        rotation = new
        if done:
            break
    return rotation, _miss(p @ rotation.T, xy, w, size)


def _miss(p: np.ndarray, xy: np.ndarray, w: np.ndarray, size: float) -> float:
    root, _, _ = closed_form(p, xy, w)
    away, _ = _onto_rays(p + root[:, None], xy)
    return float(np.median(away[w > 0]) / size) if (root[:, 2] > 0).mean() > 0.5 else np.inf


def _check(off: float) -> None:
    if not off < _MISS:
        how = f"miss the picture's by {off:.0%} of the body's size" if np.isfinite(off) else "are behind the camera"
        raise ClipError(
            f"imported poses: expected those of this clip, got poses whose joints {how}; check clip, time and frame "
            "of the file"
        )


def _centred(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    mean = (weights[..., None] * points).sum(1, keepdims=True) / weights.sum(1)[:, None, None]
    return np.where(weights[..., None] > 0, points - mean, 0.0)


def _weak_perspective(p: np.ndarray, xy: np.ndarray, w: np.ndarray) -> Matrix3:
    """Rotation whose first two rows explain the picture, each frame with its own size."""
    across = np.sqrt((w[..., None] * xy**2).sum((1, 2)))
    matrix = np.eye(2, 3)
    flat = np.sqrt((w[..., None] * p**2).sum((1, 2)) * 2 / 3)
    for _ in range(_WEAK_STEPS):
        # Picture over the frame's size, so that frames near the camera do not count more.
        scaled = xy / np.where(flat > 0, across / np.maximum(flat, 1e-12), 1.0)[:, None, None]
        solution, *_ = np.linalg.lstsq(p[w > 0], scaled[w > 0], rcond=None)
        u, _, vt = np.linalg.svd(solution.T, full_matrices=False)
        matrix = u @ vt
        flat = np.sqrt((w[..., None] * (p @ matrix.T) ** 2).sum((1, 2)))
    return np.stack([*matrix, np.cross(matrix[0], matrix[1])])


def _onto_rays(points: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (T, J) of points from their rays, and the nearest points on them (T, J, 3)."""
    ray = np.concatenate([xy, np.ones((*xy.shape[:2], 1))], -1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    onto = (points * ray).sum(-1, keepdims=True) * ray
    return np.linalg.norm(points - onto, axis=-1), onto


def _kabsch(p: np.ndarray, q: np.ndarray, w: np.ndarray) -> Matrix3:
    rotation, _, _ = procrustes(p.reshape(-1, 3), q.reshape(-1, 3), weights=w.reshape(-1), scale=False)
    return rotation
