"""2D training: heatmaps of pictures, as the one loop wants it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from posemill.training.engine import Arrays, Training
from posemill.training.pictures.targets import coarse_errors, heatmap_loss, heatmaps
from posemill.training.steps import fast
from posemill.training.supervised import begin_with

__all__ = ["Pictures", "Pose2d", "Schedule2d"]


class Pictures(Protocol):
    """Where examples come from."""

    def draw(self, count: int, side: int, index: int, rng: np.random.Generator) -> Arrays:
        """Draw examples of an input of ``side`` px.

        Parameters
        ----------
        index
            Number of the pool that they are for: a source that grows says by it what is there already.

        Returns
        -------
        ``picture`` (N, R, R, 3) uint8 RGB, ``joints`` (N, 16, 2) float32 input px, ``present`` and ``asked`` (N, 16)
        bool: in the picture, and annotated.
        """
        ...


@dataclass(frozen=True)
class Schedule2d:
    """How long and how.

    Attributes
    ----------
    steps, batch, chunk
        Batches, pictures in each, and how many go through the network at a time.
    optimiser, learning_rate, weight_decay
        ``one_cycle``: AdamW whose step grows and falls; ``rmsprop``, ``adam``: as published, times ``decay`` after each
        share of the steps in ``milestones``.
    sides
        (share, px): input sizes, and which share of the steps is done when each ends.
    sigma
        Of the target, heatmap px.
    emphasis
        See :func:`posemill.training.pictures.targets.heatmap_loss`.
    average
        Share of the averaged weights that each step keeps; 0: the last weights are what is stored.
    """

    steps: int = 8000
    batch: int = 16
    chunk: int = 8
    optimiser: str = "one_cycle"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    decay: float = 0.1
    milestones: tuple[float, ...] = ()
    sides: tuple[tuple[float, int], ...] = ((1.0, 192),)
    sigma: float = 1.0
    emphasis: float = 0.0
    average: float = 0.0
    pool: int = 512
    passes: int = 1
    seed: int = 0


class Pose2d(Training):
    """A network of heatmaps on pictures.

    Parameters
    ----------
    network
        (N, 3, R, R) in 0..1 to heatmaps (N, 16, R/4, R/4), or a list of such.
    normalise
        Mean and deviation (3,) of the channels that the network wants, or None for numbers as they are.
    start
        Tensors of the same network to begin with.

    Attributes
    ----------
    modules
        ``network`` is what is stored in the end: averaged weights, if the schedule says so; ``live`` what is taught.
    """

    def __init__(
        self, network: Any, source: Pictures, schedule: Schedule2d, *,
        normalise: tuple[tuple[float, ...], tuple[float, ...]] | None = None, start: Arrays | None = None,
    ) -> None:  # fmt: skip
        import torch

        pool = max(schedule.batch, min(schedule.pool, schedule.steps * schedule.batch))
        super().__init__(
            seed=schedule.seed, steps=schedule.steps, batch=schedule.batch, pool_rows=pool, passes=schedule.passes
        )
        self._source, self._schedule = source, schedule
        if start is not None:
            begin_with(network, start)
        self.live = network.to(self.device, memory_format=torch.channels_last)
        self._normalise = (
            None if normalise is None else [torch.tensor(v, device=self.device).view(3, 1, 1) for v in normalise]
        )
        self.modules["network"] = self.live
        if schedule.average:
            self.modules["live"] = self.live
            self.modules["network"] = copy.deepcopy(self.live).requires_grad_(requires_grad=False)
        self.optimisers["live"], self.schedulers["live"] = _optimiser(self.live, schedule)

    def side(self, number: int) -> int:
        """Input size in px at a step."""
        share = number / self.steps
        return next((px for until, px in self._schedule.sides if share < until), self._schedule.sides[-1][1])

    def pool(self, index: int) -> Arrays:
        """Draw pictures of the size that the pool's first step has."""
        per_pool = self.passes * (self.pool_rows // self.batch)
        return self._source.draw(self.pool_rows, self.side(index * per_pool), index, self.rng(index))

    def step(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """One batch, some pictures at a time."""
        import torch

        self.optimisers["live"].zero_grad()
        parts = -(-len(batch["picture"]) // self._schedule.chunk)
        total, errors = 0.0, []
        for i in range(parts):
            picture, joints, present, asked = (
                batch[name].chunk(parts)[i] for name in ("picture", "joints", "present", "asked")
            )
            answers = self._answers(self.live, picture)
            target = heatmaps(joints, present, answers[-1].shape[-1], self._schedule.sigma)
            loss = heatmap_loss(answers, target, asked.float(), self._schedule.emphasis) / parts
            loss.backward()
            total = total + loss.detach()
            errors.append(coarse_errors(answers[-1].detach(), joints, present & asked) / picture.shape[1])
        torch.nn.utils.clip_grad_norm_(self.live.parameters(), 5.0)
        self.optimisers["live"].step()
        self.schedulers["live"].step()
        if self._schedule.average:
            # Young weights are not worth remembering for long.
            self._remember(min(self._schedule.average, (1 + number) / (10 + number)))
        far = torch.cat(errors)
        return {"loss": total, "near": (far < 0.04).float().mean() if len(far) else torch.tensor(0.0)}

    def _answers(self, network: Any, picture: Any) -> list[Any]:
        import torch

        x = picture.to(torch.float32).permute(0, 3, 1, 2).div(255).contiguous(memory_format=torch.channels_last)
        if self._normalise is not None:
            x = (x - self._normalise[0]) / self._normalise[1]
        with fast(self.device):
            answer = network(x)
        return answer if isinstance(answer, list) else [answer]

    def _remember(self, keep: float) -> None:
        import torch

        with torch.no_grad():
            for kept, now in zip(
                self.modules["network"].state_dict().values(), self.live.state_dict().values(), strict=True
            ):
                if kept.is_floating_point():
                    kept.lerp_(now, 1 - keep)
                else:
                    kept.copy_(now)


def _optimiser(network: Any, schedule: Schedule2d) -> tuple[Any, Any]:
    import torch

    if schedule.optimiser == "one_cycle":
        # Not the fused one: it takes parameters and what it remembers of them for equally laid out in memory, and after
        # a checkpoint was read they are not.
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        return optimiser, torch.optim.lr_scheduler.OneCycleLR(
            optimiser, schedule.learning_rate, total_steps=schedule.steps, pct_start=0.1, cycle_momentum=False
        )
    if schedule.optimiser == "adam":
        optimiser = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate)
    else:
        # Torch7's: the mean square decays by 0.99, and 1e-8 is added to its root.
        optimiser = torch.optim.RMSprop(network.parameters(), lr=schedule.learning_rate, alpha=0.99, eps=1e-8)
    at = [max(1, round(share * schedule.steps)) for share in schedule.milestones]
    return optimiser, torch.optim.lr_scheduler.MultiStepLR(optimiser, at, gamma=schedule.decay)
