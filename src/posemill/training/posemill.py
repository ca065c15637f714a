"""Train ``posemill``: recombined motion before virtual cameras, through the errors of many detectors.

The loss is the mean distance of joints on bodies of one standard size, because one camera does not tell a person's
size; a small Gaussian likelihood beside it teaches the network its own sigma for each joint and axis. Early pools are
short windows, which are more different from each other; the last are long ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posemill.formats.motion import MotionClip
from posemill.networks.clip_rays import INPUT_WIDTH
from posemill.training.engine import Arrays, Training
from posemill.training.recombined import Changes, MotionLibrary, draw_motions
from posemill.training.seen import Sources, as_seen
from posemill.training.steps import fast, step_optimiser
from posemill.training.supervised import adamw_one_cycle, begin_with

__all__ = ["FRAMES", "PosemillTraining", "Schedule", "halfway"]

FRAMES = 27
"""Frames of a row of a pool: one window of so many, or several shorter ones."""
# Lengths of windows by how far the training is; every one divides FRAMES.
_LENGTHS = ((0.4, (9, 3, 9, 1)), (0.75, (9, 27, 9, 3)), (1.0, (27, 9, 27, 27)))


@dataclass(frozen=True)
class Schedule:
    """How long and how.

    Attributes
    ----------
    steps, batch
        Batches, and rows of 27 frames in each.
    learning_rate
        Peak of a one-cycle schedule of AdamW.
    pool, passes
        So many rows are drawn at a time, and each is used so often.
    causal
        Share of windows in which later frames are hidden.
    """

    steps: int = 42000
    batch: int = 76
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    pool: int = 608
    passes: int = 2
    causal: float = 0.15
    seed: int = 0
    balance: float = 0.5
    changes: Changes = field(default_factory=Changes)
    sources: Sources = field(default_factory=Sources)


class PosemillTraining(Training):
    """See the module's head.

    Parameters
    ----------
    clips
        Motion to learn from, all of one frame rate.
    sizes
        Arguments of the network.
    start
        Tensors of a weights file to begin with.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        schedule: Schedule,
        sizes: dict[str, Any] | None = None,
        *,
        start: Arrays | None = None,
    ) -> None:
        from posemill.networks.posemill import PosemillNet

        super().__init__(
            seed=schedule.seed,
            steps=schedule.steps,
            batch=schedule.batch,
            pool_rows=min(schedule.pool, schedule.steps * schedule.batch),
            passes=schedule.passes,
        )
        self.schedule = schedule
        self._library = MotionLibrary(clips, balance=schedule.balance, seed=schedule.seed)
        self.network = PosemillNet(**(sizes or {})).to(self.device)
        if start is not None:
            begin_with(self.network, _with_all_inputs(start))
        optimiser, cycle = adamw_one_cycle(
            self.network, schedule.learning_rate, schedule.steps, weight_decay=schedule.weight_decay, fused=True
        )
        self.modules["network"] = self.network
        self.optimisers["network"], self.schedulers["network"] = optimiser, cycle

    def length(self, index: int) -> int:
        """Frames of the windows of a pool."""
        pools = self.steps * self.batch / (self.pool_rows * self.passes)
        lengths = next((some for share, some in _LENGTHS if index < share * pools), _LENGTHS[-1][1])
        return lengths[index % len(lengths)]

    def pool(self, index: int) -> Arrays:
        """Draw windows as cameras and detectors see them, rows of 27 frames."""
        rng, frames = self.rng(index), self.length(index)
        motions = draw_motions(
            self._library, self.pool_rows * FRAMES // frames, frames, rng, changes=self.schedule.changes
        )
        inputs, targets = as_seen(motions, rng, self.schedule.sources)
        rows = (self.pool_rows, FRAMES)
        weights = np.broadcast_to(inputs.usable[..., None], targets.shape[:3]).astype(np.float32)
        weights[..., -4:] *= 0.5 * motions.feet[:, None, None]
        return {
            "inputs": inputs.inputs.reshape(*rows, -1),
            "targets": targets.reshape(*rows, *targets.shape[2:]),
            "weights": weights.reshape(*rows, -1),
            "frames": np.full(self.pool_rows, frames),
        }

    def step(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """One batch: mean distance in metres, and the likelihood of the errors under the network's own sigma."""
        import torch

        frames = int(batch["frames"][0])
        inputs, targets, weights = (batch[key].flatten(0, 1).unflatten(0, (-1, frames)) for key in _PARTS)
        after = (torch.rand(len(inputs), 1, 1) >= self.schedule.causal).to(inputs)
        with fast(self.device):
            out = self.network(inputs, after)
        out = out.float().unflatten(-1, (2, -1, 3))
        error = out[:, :, 0] - targets
        total = weights.sum()
        distance = ((error.square().sum(-1) + 1e-8).sqrt() * weights).sum() / total
        log_sigma = out[:, :, 1]
        # The error is a fact for the likelihood: only sigma learns from it.
        nats = 0.5 * error.detach().square() * torch.exp(-2 * log_sigma) + log_sigma
        likelihood = (nats.mean(-1) * weights).sum() / total
        step_optimiser(
            distance + 0.01 * likelihood,
            self.optimisers["network"],
            self.schedulers["network"],
            clip_norm=1.0,
        )
        return {"distance_mm": 1000 * distance.detach(), "nats": likelihood.detach()}


def halfway(network: Any, tensors: Arrays) -> None:
    """Bring a network to the mean of it and of weights that its training began with, in place.

    What was learnt last is kept by half, and so is what was known before: on data that neither was taught, the mean is
    seldom worse than the better one (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).

    Raises
    ------
    InputError
        As :func:`~posemill.training.supervised.begin_with`.
    """
    import torch

    before = deepcopy(network)
    begin_with(before, _with_all_inputs(tensors))
    with torch.no_grad():
        for ours, theirs in zip(network.parameters(), before.parameters(), strict=True):
            ours.lerp_(theirs, 0.5)


def _with_all_inputs(start: Arrays) -> Arrays:
    """Weights from before the last of the inputs were known: those count nothing to begin with."""
    name = "first.weight"
    if name not in start or start[name].ndim != 2 or start[name].shape[1] >= INPUT_WIDTH:
        return start
    return start | {name: np.pad(start[name], ((0, 0), (0, INPUT_WIDTH - start[name].shape[1])))}


_PARTS = ("inputs", "targets", "weights")
