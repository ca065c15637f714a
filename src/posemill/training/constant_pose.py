"""Poses that do not look at the picture: what any lifter must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posemill.geometry import align
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.training.sequences import draw_windows

__all__ = ["CARD", "Constant", "aligned_mean", "training_poses"]

CARD = LifterCard(joint_set_in="h36m17")


class Constant:
    """A lifter that answers one pose (17, 3) m to everything."""

    device = "cpu"

    def __init__(self, pose: np.ndarray) -> None:
        self._pose = pose - pose[:1]

    def lift(self, clip: LiftInput) -> LiftOutput:
        """The pose, for every frame."""
        shape = (len(clip.time), len(self._pose))
        return LiftOutput(np.broadcast_to(self._pose, (*shape, 3)).copy(), np.full(shape, 0.1), np.ones(shape, bool))


def training_poses(clips: Sequence[np.ndarray], fps: float, count: int, seed: int) -> np.ndarray:
    """Draw poses (N, 17, 3) m of one size, pelvis at 0, camera axes, as trainings see them."""
    return draw_windows(clips, fps, count, 1, np.random.default_rng([seed, 4])).standard[:, 0]


def aligned_mean(poses: np.ndarray, *, rounds: int = 5) -> np.ndarray:
    """Mean (17, 3) of poses (N, 17, 3) that are turned, moved and scaled onto it: generalised Procrustes analysis."""
    mean = poses[0]
    for _ in range(rounds):
        mean = align(poses, np.broadcast_to(mean, poses.shape)).mean(0)
    return mean
