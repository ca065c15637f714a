"""Whether a body keeps its shape; no truth is needed."""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, Points3
from posemill.metrics.reduce import frame_blocks
from posemill.skeleton import bone_lengths, joint_set

__all__ = ["bone_length_deviation", "mean_bone_lengths", "symmetry_deviation"]


def _lengths(joints: Points3, joints_of: str, valid: Flags | None) -> np.ndarray:
    """Bone lengths (N, B) of all frames."""
    points = joints.reshape(-1, *joints.shape[-2:])
    flags = None if valid is None else np.asarray(valid).reshape(points.shape[:-1])
    out = np.empty((len(points), len(joint_set(joints_of).bones)))
    for part in frame_blocks(len(points)):
        block = np.asarray(points[part], dtype=np.float64)
        block = block if flags is None else np.where(flags[part][..., None], block, np.nan)
        out[part] = bone_lengths(block, joints_of)
    return out


def _mean_and_std(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over frames, per bone; NaN of no frame."""
    known = np.isfinite(lengths)
    count = known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, lengths, 0.0).sum(0) / count
        std = np.sqrt((np.where(known, lengths - mean, 0.0) ** 2).sum(0) / count)
    return mean, std


def mean_bone_lengths(joints: Points3, *, joints_of: str = "h36m17", valid: Flags | None = None) -> np.ndarray:
    """Mean length over frames of each bone, (B,) in the unit of the joints, in the order of ``JointSet.bones``."""
    return _mean_and_std(_lengths(joints, joints_of, valid))[0]


def bone_length_deviation(joints: Points3, *, joints_of: str = "h36m17", valid: Flags | None = None) -> np.ndarray:
    """Standard deviation over frames of each bone's length, by its mean.

    Parameters
    ----------
    joints
        (..., J, 3), any unit and frame.
    joints_of
        Joint set, which gives the bones.
    valid
        (..., J) joints that count; a bone needs both ends.

    Returns
    -------
    (B,) in the order of ``JointSet.bones``, 0 for a rigid body; NaN for a bone that is never seen.
    """
    mean, std = _mean_and_std(_lengths(joints, joints_of, valid))
    with np.errstate(invalid="ignore", divide="ignore"):
        return std / mean


def symmetry_deviation(joints: Points3, *, joints_of: str = "h36m17", valid: Flags | None = None) -> dict[str, float]:
    """Difference between a left bone and its right twin, by their mean: ``|L - R| / ((L + R) / 2)``.

    Lengths are means over frames. The keys name the bones by their far ends without the side (``knee`` is the thigh).
    Parameters as in :func:`bone_length_deviation`.
    """
    bodies = joint_set(joints_of)
    mean = mean_bone_lengths(joints, joints_of=joints_of, valid=valid)
    by_child = {child: mean[bone] for bone, (_, child) in enumerate(bodies.bones)}
    out = {}
    for left, right in bodies.flip_pairs:
        if left in by_child and right in by_child:
            a, b = by_child[left], by_child[right]
            total = a + b
            out[bodies.joints[left].removeprefix("left_")] = (
                float(2 * abs(a - b) / total) if total != 0 else float("nan")
            )
    return out
