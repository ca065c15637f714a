"""What detectors do to exact projections: other definitions of joints, bias, jitter, outliers, missing joints.

Measured detectors err mostly by bias: their hips, shoulders and ankles lie elsewhere on the body than motion
capture's, by one to three per cent of stature, and jitter little. Definitions are therefore disturbed on the body,
in 3D and alike on both sides; the rest in the image, in units of the person's height there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.arrays import Flags, Points2, Points3
from posemill.geometry import unit
from posemill.skeleton import JOINT_SETS

__all__ = ["NoiseLevels", "constant_white_noise", "drop_joints", "image_noise", "redefine_joints"]

_BODY = JOINT_SETS["h36m17"]
_LIMBS = JOINT_SETS["limbs12"]


def _i(name: str) -> int:
    return _BODY.index(name)


@dataclass(frozen=True)
class NoiseLevels:
    """Standard deviations as shares of stature (definitions) or of the person's height in the image.

    Attributes
    ----------
    hips, shoulders, ankles, others
        By how much a detector's definition of these joints differs.
    bias
        Range of the per-joint image error that is constant over a clip, drawn log-uniformly per clip.
    jitter
        Range of the image error that is new in every frame.
    outliers
        Share of keypoints whose jitter is five times as large.
    """

    hips: float = 0.02
    shoulders: float = 0.015
    ankles: float = 0.01
    others: float = 0.007
    bias: tuple[float, float] = (0.001, 0.015)
    jitter: tuple[float, float] = (0.001, 0.01)
    outliers: float = 0.03


def redefine_joints(joints: Points3, stature: np.ndarray, rng: np.random.Generator, levels: NoiseLevels) -> Points3:
    """Move joints to where some detector would see them; one detector per body, alike on both sides.

    Parameters
    ----------
    joints
        (N, 17, 3) metres, any frame. stature: (N,) metres.

    Returns
    -------
    (N, 17, 3) in the same frame.
    """
    n = len(joints)
    out = joints.copy()
    up = unit(joints[:, _i("thorax")] - joints[:, 0])

    def draw(level: float) -> np.ndarray:
        return (rng.normal(0, level, n) * stature)[:, None]

    for level, right, left in (
        (levels.hips, "right_hip", "left_hip"),
        (levels.shoulders, "right_shoulder", "left_shoulder"),
    ):
        across = unit(joints[:, _i(left)] - joints[:, _i(right)])
        ahead = np.cross(up, across)
        shift = up * draw(level) + ahead * draw(0.5 * level)
        wider = across * draw(level)
        out[:, _i(left)] += shift + wider
        out[:, _i(right)] += shift - wider
    for level, start, end in (
        (levels.ankles, "knee", "ankle"),
        (levels.others, "hip", "knee"),
        (levels.others, "shoulder", "elbow"),
        (levels.others, "elbow", "wrist"),
    ):
        along = draw(level)
        for side in ("right", "left"):
            bone = unit(joints[:, _i(f"{side}_{end}")] - joints[:, _i(f"{side}_{start}")])
            out[:, _i(f"{side}_{end}")] += bone * along
    return out


def image_noise(keypoints: Points2, height_px: np.ndarray, rng: np.random.Generator, levels: NoiseLevels) -> Points2:
    """Add clip-constant bias, jitter and outliers.

    Parameters
    ----------
    keypoints
        (N, T, J, 2) px: N clips of T frames.
    height_px
        (N,) the person's height in the image.
    """
    n, frames, joints, _ = keypoints.shape

    def level(low_high: tuple[float, float]) -> np.ndarray:
        return (np.exp(rng.uniform(np.log(low_high[0]), np.log(low_high[1]), n)) * height_px)[:, None, None, None]

    bias = rng.normal(size=(n, 1, joints, 2)) * level(levels.bias)
    jitter = rng.normal(size=(n, frames, joints, 2)) * level(levels.jitter)
    jitter *= np.where(rng.random((n, frames, joints, 1)) < levels.outliers, 5.0, 1.0)
    return keypoints + bias + jitter


def constant_white_noise(keypoints: Points2, height_px: np.ndarray, share: float, rng: np.random.Generator) -> Points2:
    """White noise of one level: standard deviation ``share`` of the height per axis; (N, J, 2) px."""
    return keypoints + rng.normal(size=keypoints.shape) * share * height_px[:, None, None]


# What goes missing together: a limb's end, a limb, a side, the lower body.
_GROUPS = tuple(
    _LIMBS.indices(names)
    for names in (
        *((joint,) for joint in _LIMBS.joints),
        *((f"{s}_elbow", f"{s}_wrist") for s in ("right", "left")),
        *((f"{s}_knee", f"{s}_ankle") for s in ("right", "left")),
        ("right_ankle", "left_ankle"),
        ("right_knee", "left_knee", "right_ankle", "left_ankle"),
        ("right_hip", "left_hip"),
        *((f"{s}_shoulder", f"{s}_elbow", f"{s}_wrist") for s in ("right", "left")),
    )
)


def drop_joints(count: int, rng: np.random.Generator, *, complete: float = 0.6) -> Flags:
    """Presence (count, 12) of the limb joints; ``complete`` is the share of frames where none is missing."""
    present = np.ones((count, len(_LIMBS)), dtype=bool)
    groups = np.array([[j in g for j in range(len(_LIMBS))] for g in _GROUPS])
    times = np.where(rng.random(count) < complete, 0, rng.integers(1, 4, count))
    for i in range(3):
        gone = groups[rng.integers(len(_GROUPS), size=count)]
        present &= ~(gone & (times > i)[:, None])
    return present
