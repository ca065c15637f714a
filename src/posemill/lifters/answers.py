"""From a network's answers to a lifter's output: how sure they are, and where there is none."""

from __future__ import annotations

import numpy as np

from posemill.lifters.protocol import LiftOutput
from posemill.skeleton import JOINT_SETS, converter, joint_set

__all__ = ["DEFAULT_SIGMA_M", "DRIFT_M_PER_S", "aged_sigma", "averaged", "fill", "mirror_back", "nothing"]

_BODY = JOINT_SETS["h36m17"]
_FLIP = _BODY.flip_permutation
_SIDES = np.array([-1.0, 1.0, 1.0])

DRIFT_M_PER_S = 0.5
"""How fast the error of a bridged joint grows with the time to its nearest sighting."""

_BY_JOINT = {
    "pelvis": 0.01, "hip": 0.02, "knee": 0.05, "ankle": 0.07, "spine": 0.03, "thorax": 0.04, "nose": 0.05,
    "top": 0.05, "shoulder": 0.05, "elbow": 0.07, "wrist": 0.09,
}  # fmt: skip
DEFAULT_SIGMA_M = np.array([_BY_JOINT[name.rpartition("_")[2]] for name in _BODY.joints])
"""(17,) metres per axis for weights that do not say how well they do: an assumption, not a calibration.

About twice what is published for Human3.6M (50 mm over all joints, 29 mm per axis; wrists worst), because nobody's
video is Human3.6M.
"""


def mirror_back(joints: np.ndarray) -> np.ndarray:
    """Return the pose (..., 17, 3) of the person whose mirror image has this one."""
    return joints[..., _FLIP, :] * _SIDES.astype(joints.dtype)


def averaged(one: np.ndarray, other: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Average two answers to one question, of the person and of the mirrored person turned back.

    Parameters
    ----------
    one, other
        (..., J, axes); None where it was not asked twice.

    Returns
    -------
    mean (..., J, axes), and the variance per axis that their disagreement shows, (..., J)
    """
    if other is None:
        return one, np.zeros(one.shape[:-1])
    return (one + other) / 2, ((one - other) ** 2).mean(-1) / 4


def aged_sigma(sigma: np.ndarray, age: np.ndarray, joints_in: str) -> np.ndarray:
    """Let sigma grow where the joint's own keypoints were bridged; NaN where they are unknown.

    Parameters
    ----------
    sigma
        (N, 17) metres.
    age
        (N, J_in) seconds to the nearest sighting, inf where unknown.
    """
    oldest = np.empty(sigma.shape)
    for joint, row in enumerate(converter(joints_in, _BODY.name)):
        # A joint that the input has nothing for is as good as the joint that it hangs on.
        oldest[:, joint] = oldest[:, _BODY.parents[joint]] if np.isnan(row).any() else age[:, row != 0].max(1)
    known = np.isfinite(oldest)
    return np.where(known, np.hypot(sigma, DRIFT_M_PER_S * np.where(known, oldest, 0.0)), np.nan)


def nothing(frames: int, *, root: bool = False) -> LiftOutput:
    """Return an output to fill: nothing valid yet; with ``root`` for lifters that answer where the pelvis is."""
    joints = len(joint_set("h36m17"))
    return LiftOutput(
        np.full((frames, joints, 3), np.nan),
        np.full((frames, joints), np.nan),
        np.zeros((frames, joints), dtype=bool),
        np.full((frames, 3), np.nan) if root else None,
        np.full((frames, 3), np.nan) if root else None,
    )


def fill(output: LiftOutput, frames: np.ndarray | slice, joints: np.ndarray, sigma: np.ndarray) -> None:
    """Put answers into an output: valid wherever joints (N, 17, 3) and sigma (N, 17) are numbers."""
    valid = np.isfinite(joints).all(-1) & np.isfinite(sigma)
    output.joints_relative[frames] = np.where(valid[..., None], joints, np.nan)
    output.sigma[frames] = np.where(valid, sigma, np.nan)
    output.valid[frames] = valid
