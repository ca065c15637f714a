"""The papers' sizes, losses and schedules of the supervised lifters, on our inputs.

What a schedule does per epoch it does here by the share of the training that is done, so that a shorter training
(``steps``) goes through all of it. Numbers of steps are those of Human3.6M at 50 Hz with its four cameras
(1.56 million frames).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from posemill.skeleton import JOINT_SETS
from posemill.training.recipes import RECIPES
from posemill.training.supervised import Critic, Recipe, Schedule

__all__ = ["SMOOTHNESS", "of", "own", "share_schedule"]

_SET = JOINT_SETS["h36m17"]


def of(name: str, preset: str) -> Recipe:
    """Recipe of a lifter: ``short`` is for CPUs and minutes, ``paper`` as published."""
    return _PAPER[name](RECIPES[name]) if preset == "paper" and name in _PAPER else RECIPES[name]


def own(name: str, preset: str, recipe: Recipe) -> Recipe:
    """Recipe of a lifter that is taught by its own loss and sees less 3D; of ``short``, with steps for that."""
    if name == "temporal":
        # What projects to the picture is where the person is before the camera as it stands.
        recipe = replace(recipe, card={**recipe.card, "normaliser": "rays"})
    if preset == "paper":
        return replace(recipe, schedule=replace(recipe.schedule, noise=_OWN[name].noise))
    return replace(recipe, schedule=_OWN[name])


def share_schedule(optimiser: Any, steps: int, factor: Callable[[float], float]) -> Any:
    """Learning rates by the share of the training that is done, as a factor of the optimiser's."""
    import torch

    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: factor(step / steps))


def _decaying(total: float, **adam: Any) -> Callable[[Any, Schedule], tuple[Any, Any]]:
    """Adam or AdamW (with ``weight_decay``) whose rate falls exponentially to ``total`` of itself over the training."""

    def optimise(network: Any, schedule: Schedule) -> tuple[Any, Any]:
        import torch

        kind = torch.optim.AdamW if "weight_decay" in adam else torch.optim.Adam
        optimiser = kind(network.parameters(), lr=schedule.learning_rate, **adam)
        return optimiser, share_schedule(optimiser, schedule.steps, lambda share: total**share)

    return optimise


# ---------------------------------------------------------------------------------------------- temporal


def _decay_momentum(network: Any, share: float) -> None:
    network.set_momentum(0.1 * (0.001 / 0.1) ** share)


def _temporal(recipe: Recipe) -> Recipe:
    """Pavllo et al.: 243 frames, dropout 0.25, 80 epochs of 0.95; batch norm's momentum falls from 0.1 to 0.001."""
    return replace(
        recipe,
        network={"filter_widths": [3, 3, 3, 3, 3], "channels": 1024, "dropout": 0.25},
        schedule=Schedule(steps=243_700, batch=1024, learning_rate=1e-3),
        optimise=_decaying(0.95**80, amsgrad=True),
        before=_decay_momentum,
        clip_norm=None,
    )


# ---------------------------------------------------------------------------------------------- seq2seq

_BY_JOINT = (1, 2.5, 2.5, 1, 2.5, 2.5, 1, 1, 1, 1, 1, 4, 4, 1, 4, 4)
SMOOTHNESS = np.repeat(_BY_JOINT, 3).astype(np.float32)
"""Weights (48,) of the smoothness term: ends of limbs may not jump."""


def _loss_seq2seq(network: Any, batch: dict[str, Any]) -> Any:
    import torch

    from posemill.training.losses import smoothness

    # In millimetres, as published: the two terms are of one unit.
    spread = 1000 * batch["spread"][:, None]
    answer = network(batch["inputs"]).float()
    steps = smoothness(answer * spread, torch.from_numpy(SMOOTHNESS).to(answer.device))
    return ((answer - batch["pose"]) * spread).square().mean() + 5 * steps


def _build_seq2seq(**sizes: Any) -> Any:
    from posemill.networks.seq2seq import Seq2Seq

    return Seq2Seq(**sizes, dropout=0.5)


def _seq2seq(recipe: Recipe) -> Recipe:
    """Hossain and Little: hidden 1024, dropout 0.5, squared error and 5 times the smoothness term."""
    return replace(
        recipe,
        build=_build_seq2seq,
        network={"hidden": 1024},
        loss=_loss_seq2seq,
        schedule=Schedule(steps=1_798_202, batch=32, learning_rate=1e-5, pool=8192),
        optimise=_decaying(0.96 ** (1_798_202 / 100_000)),
        clip_norm=None,
    )


# ---------------------------------------------------------------------------------------------- dstformer, agformer


def _loss_picture(network: Any, batch: dict[str, Any]) -> Any:
    from posemill.training.losses import distance, scale_free_distance, velocity_distance

    answer = network(batch["inputs"]).float()
    answer, pose = answer - answer[:, :, :1], batch["pose"]
    return distance(answer, pose) + 0.5 * scale_free_distance(answer, pose) + 20 * velocity_distance(answer, pose)


def _build_agformer(**sizes: Any) -> Any:
    from posemill.networks.agformer import MotionAGFormer

    return MotionAGFormer(**sizes)


def _dstformer(recipe: Recipe) -> Recipe:
    """MotionBERT from scratch: 243 frames, 120 epochs of 0.99."""
    return replace(
        recipe,
        network={"width": 512, "depth": 5, "heads": 8, "ratio": 2, "frames": 243, "representation": 512},
        loss=_loss_picture,
        schedule=Schedule(steps=72_000, batch=32, learning_rate=2e-4, pool=1024, passes=1),
        optimise=_decaying(0.99**120, weight_decay=0.01),
        clip_norm=None,
    )


def _agformer(recipe: Recipe) -> Recipe:
    """MotionAGFormer XS: 27 frames, 60 epochs of 0.99; its branches start almost shut."""
    return replace(
        recipe,
        build=_build_agformer,
        network={"width": 64, "depth": 12, "heads": 8, "ratio": 4, "frames": 27},
        loss=_loss_picture,
        schedule=Schedule(steps=650_000, batch=16, learning_rate=5e-4, pool=1024, passes=1),
        optimise=_decaying(0.99**60, weight_decay=0.01),
        clip_norm=None,
    )


# ---------------------------------------------------------------------------------------------- gan, repnet, video_gan


def _gan(recipe: Recipe) -> Recipe:
    """Kudo et al.: 20 epochs of Human3.6M at 10 Hz; the supervised form is relu with batch norm."""
    return replace(
        recipe,
        network={"hidden": 1024, "activation": "leaky_relu", "batch_norm": False},
        schedule=Schedule(steps=390_000, batch=16, learning_rate=2e-4, pool=16384),
    )


def _repnet(recipe: Recipe) -> Recipe:
    """Wandt and Rosenhahn: 20 epochs."""
    return replace(
        recipe,
        network={"hidden": 1000, "form": "repnet", "camera": True},
        schedule=Schedule(steps=975_000, batch=32, learning_rate=1e-4, pool=16384),
    )


def _video_gan(recipe: Recipe) -> Recipe:
    """50 000 updates of the generators, five of the critic for each."""
    return replace(
        recipe, network={"hidden": 1000}, schedule=Schedule(steps=250_000, batch=64, learning_rate=1e-4, pool=8192)
    )


_AGAINST: dict[str, Any] = {"learning_rate": 1e-3, "passes": 8, "noise": False}
_OWN = {
    "temporal": Schedule(steps=4000, batch=128, learning_rate=2e-3),
    "gan": Schedule(steps=12_000, batch=256, learning_rate=2e-4, pool=16384, noise=False),
    "repnet": Schedule(
        **_AGAINST, steps=12_000, batch=128, pool=16384, critic=Critic(200, scale=10.0, reprojection=30.0, rate=4.0)
    ),
    "video_gan": Schedule(
        **_AGAINST,
        steps=12_000,
        batch=128,
        pool=4096,
        stills=0.85,
        critic=Critic(200, scale=10.0, reprojection=300.0, rate=2.0),
    ),
}
_PAPER: dict[str, Callable[[Recipe], Recipe]] = {
    "temporal": _temporal,
    "seq2seq": _seq2seq,
    "dstformer": _dstformer,
    "agformer": _agformer,
    "gan": _gan,
    "repnet": _repnet,
    "video_gan": _video_gan,
}
