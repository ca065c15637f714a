"""Sizes and schedules of 2D trainings: as published, and what a processor's core can do in an hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from posemill.training.pictures.pose2d import Schedule2d

__all__ = ["Preset2d", "build", "preset2d"]

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Preset2d:
    """A network's sizes and how it is taught.

    Attributes
    ----------
    network
        Arguments of the network's class.
    normalise
        Mean and deviation of the channels; None: numbers in [0, 1] as they are.
    """

    network: dict[str, Any]
    schedule: Schedule2d
    normalise: tuple[tuple[float, ...], tuple[float, ...]] | None = None


_PRESETS = {
    # 100 epochs of 8000 batches of 6; the step falls to a fifth once the score stands still, here after 80 %.
    ("hourglass", "paper"): Preset2d(
        {"stacks": 8, "features": 256},
        Schedule2d(
            steps=800_000, batch=6, chunk=6, optimiser="rmsprop", learning_rate=2.5e-4, decay=0.2, milestones=(0.8,),
            sides=((1.0, 256),), pool=600,
        ),
    ),
    # 140 epochs of MPII's 22 246 people in batches of 128, the step a tenth after 90 and 120 of them.
    ("pose_resnet", "paper"): Preset2d(
        {"depth": 50, "joints": 16},
        Schedule2d(
            steps=24_332, batch=128, chunk=32, optimiser="adam", learning_rate=1e-3, milestones=(90 / 140, 120 / 140),
            sides=((1.0, 256),), sigma=2.0, pool=1024,
        ),
        _IMAGENET,
    ),
    ("hourglass", "short"): Preset2d(
        {"stacks": 2, "features": 128, "stem": 32},
        Schedule2d(steps=8000, learning_rate=2e-3, sides=((0.72, 128), (1.0, 192)), average=0.998),
    ),
    ("pose_resnet", "short"): Preset2d(
        {"depth": 50, "joints": 16},
        Schedule2d(steps=8000, learning_rate=1e-3, sides=((0.72, 128), (1.0, 192)), sigma=1.5, average=0.998),
        _IMAGENET,
    ),
}  # fmt: skip


def preset2d(name: str, preset: str) -> Preset2d:
    """Preset of a network: ``short`` or ``paper``."""
    return _PRESETS[name, preset]


def build(name: str, sizes: dict[str, Any]) -> Any:
    """Make a network of these sizes with weights to begin with."""
    if name == "hourglass":
        from posemill.networks.hourglass import Hourglass

        return Hourglass(**sizes)
    from posemill.networks.pose_resnet import PoseResnet

    return PoseResnet(**sizes)
