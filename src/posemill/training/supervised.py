"""Short supervised training of the lifters that come without weights of their own.

Each method keeps its architecture, its input and the unit of its answer; a :class:`Recipe` says them. What they are
taught is alike: windows of motion capture through virtual cameras, mean distance of the answer. This is not the
papers' training (adversarial or on Human3.6M): it gives small weights that run everywhere and whose terms are clear.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from posemill.formats.weights import check_tensors
from posemill.training.engine import Arrays, Training
from posemill.training.noise import NoiseLevels
from posemill.training.sequences import Source, Windows
from posemill.training.steps import fast, step_optimiser
from posemill.training.stills import frames_of, silence_neighbours, with_matrix_convolutions

__all__ = [
    "Arrays",
    "Critic",
    "Recipe",
    "Schedule",
    "Supervised",
    "adamw_one_cycle",
    "begin_with",
    "noise_of",
    "one_cycle",
    "stills_then_windows",
]

_WARM_UP = 0.08


@dataclass(frozen=True)
class Critic:
    """How a critic is set against a generator, where that is not as published.

    Attributes
    ----------
    width
        Of its hidden layers.
    scale
        Poses are multiplied by that before it sees them.
    reprojection
        Weight of the reprojection beside its judgement.
    steps
        Its updates for each of the generator's.
    rate
        Its learning rate over the generator's.
    """

    width: int
    scale: float = 1.0
    reprojection: float = 1.0
    steps: int = 1
    rate: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """How long and how.

    Attributes
    ----------
    steps, batch
        Batches, and windows in each.
    learning_rate
        Peak of a one-cycle schedule of AdamW.
    pool, passes
        So many windows are drawn at a time, and each is used so often.
    noise
        Whether the 2D has a detector's errors.
    recombined
        Whether legs, trunk and arms of several recordings are put together.
    stills
        Share of the steps, the first ones, that see single frames: a pose is learnt from them at a fraction of a
        window's cost, and what time adds afterwards.
    critic
        None: as published, and the learning rate too.
    """

    steps: int = 6000
    batch: int = 256
    learning_rate: float = 2e-3
    pool: int = 4096
    passes: int = 2
    seed: int = 0
    noise: bool = True
    recombined: bool = False
    stills: float = 0.0
    critic: Critic | None = None


def noise_of(schedule: Schedule) -> NoiseLevels | None:
    """Errors of the 2D that a schedule asks for."""
    return NoiseLevels() if schedule.noise else None


def adamw_one_cycle(
    network: Any, learning_rate: float, steps: int, *, weight_decay: float = 1e-4, fused: bool = False
) -> tuple[Any, Any]:
    """AdamW whose step grows to the learning rate over the first tenth and falls to nothing."""
    import torch

    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=fused)
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )


def one_cycle(network: Any, schedule: Schedule) -> tuple[Any, Any]:
    """:func:`adamw_one_cycle` as the schedule says."""
    return adamw_one_cycle(network, schedule.learning_rate, schedule.steps)


def stills_then_windows(network: Any, schedule: Schedule) -> tuple[Any, Any]:
    """AdamW whose step falls to half while stills are seen, and from there to nothing over the windows after them.

    Without stills it is :func:`one_cycle`, whose step at their end would be too small to learn from windows.
    """
    import torch

    if not schedule.stills:
        return one_cycle(network, schedule)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=1e-4)

    def factor(step: int) -> float:
        share = step / schedule.steps
        if share < _WARM_UP:
            return max(share / _WARM_UP, 0.04)
        if share < schedule.stills:
            return 1 - 0.5 * (share - _WARM_UP) / (schedule.stills - _WARM_UP)
        return 0.25 * (1 + math.cos(math.pi * min(1.0, (share - schedule.stills) / (1 - schedule.stills))))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


@dataclass(frozen=True)
class Recipe:
    """How one method is taught.

    Attributes
    ----------
    frames
        Frames per window.
    build
        Makes the network from ``network``.
    network
        Its arguments, as they stand in the card.
    prepare
        Windows and constants to inputs and targets by name, each (N, ...).
    loss
        Network, inputs and targets (tensors by name) to a mean distance in the method's unit.
    card
        What the method's card needs beside the network.
    constants
        From the first windows: vectors that belong to the weights (means and deviations).
    schedule
        How long, unless the user says otherwise.
    optimise
        Network and schedule to an optimiser and what changes its step after each batch.
    before
        Called before each step with the network and the share of the training that is done.
    clip_norm
        Gradients longer than that are shortened.
    """

    frames: int
    build: Callable[..., Any]
    network: dict[str, Any]
    prepare: Callable[[Windows, Arrays], Arrays]
    loss: Callable[[Any, dict[str, Any]], Any]
    card: dict[str, Any] = field(default_factory=dict)
    constants: Callable[[Windows], Arrays] | None = None
    schedule: Schedule = field(default_factory=Schedule)
    optimise: Callable[[Any, Schedule], tuple[Any, Any]] = one_cycle
    before: Callable[[Any, float], None] | None = None
    clip_norm: float | None = 1.0

    def sized(self, network: dict[str, Any]) -> Recipe:
        """Return the recipe of a network of other sizes; windows are as long as those say."""
        frames = network.get(
            "frames", math.prod(network["filter_widths"]) if "filter_widths" in network else self.frames
        )
        # One that sees single frames alone has no windows to go on to.
        schedule = self.schedule if frames > 1 else replace(self.schedule, stills=0.0)
        return replace(self, network=network, frames=frames, schedule=schedule)


class Supervised(Training):
    """A recipe on windows with 3D, as the one loop wants it.

    Parameters
    ----------
    source
        What to learn from.
    start
        Tensors of a weights file of the same network to begin with, the recipe's constants among them.

    Attributes
    ----------
    network
        What is trained; ``extras`` has the recipe's constants.

    Raises
    ------
    InputError
        ``start`` is of another network.
    """

    def __init__(
        self,
        recipe: Recipe,
        source: Source,
        schedule: Schedule,
        *,
        start: Arrays | None = None,
    ) -> None:
        rows = min(schedule.pool, schedule.steps * schedule.batch)
        super().__init__(
            seed=schedule.seed,
            steps=schedule.steps,
            batch=schedule.batch,
            pool_rows=rows,
            passes=schedule.passes,
        )
        self._recipe, self._source, self._schedule = recipe, source, schedule
        self.network = with_matrix_convolutions(recipe.build(**recipe.network)).to(self.device)
        if schedule.stills and start is None:
            silence_neighbours(self.network)
        constants = recipe.constants
        self.extras = constants(self._windows(self.rng(0, 1), recipe.frames)) if constants else {}
        if start is not None:
            rest = begin_with(self.network, start)
            self.extras = {name: rest.get(name, value) for name, value in self.extras.items()}
        optimiser, scheduler = recipe.optimise(self.network, schedule)
        self.modules["network"] = self.network
        self.optimisers["network"], self.schedulers["network"] = optimiser, scheduler

    def pool(self, index: int) -> Arrays:
        """Draw windows, or single frames first, and make the recipe's inputs and targets of them."""
        frames = frames_of(self, index, self._recipe.frames, self._schedule.stills)
        return self._recipe.prepare(self._windows(self.rng(index), frames), self.extras)

    def step(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """One batch of the recipe's loss."""
        if self._recipe.before is not None:
            self._recipe.before(self.network, number / self.steps)
        with fast(self.device):
            loss = self._recipe.loss(self.network, batch)
        step_optimiser(loss, self.optimisers["network"], self.schedulers["network"], clip_norm=self._recipe.clip_norm)
        return {"loss": loss}

    def _windows(self, rng: np.random.Generator, frames: int) -> Windows:
        return self._source.draw(self.pool_rows, frames, rng)


def begin_with(network: Any, tensors: Arrays) -> Arrays:
    """Put a weights file's tensors into a network in place; returns those that are not the network's.

    Raises
    ------
    InputError
        Naming the first tensor that is absent, of another shape or not finite.
    """
    import torch

    state = network.state_dict()
    needed = {name: tuple(t.shape) for name, t in state.items() if t.is_floating_point()}
    check_tensors({n: t for n, t in tensors.items() if n in needed}, needed, "start")
    with torch.no_grad():
        for name in needed:
            state[name].copy_(torch.from_numpy(np.array(tensors[name], dtype=np.float32)))
    return {name: t for name, t in tensors.items() if name not in needed}
