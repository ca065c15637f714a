"""The one loop of all trainings: pools drawn ahead, steps, checkpoints, a log, and going on where a killed run stopped.

What step N learns from and draws depends on the seed and on N alone: pool ``i`` is made by ``default_rng([seed, i])``,
the order inside it by another generator of (seed, i), and torch's generators are set anew before each step. So a run
that goes on from a checkpoint gives byte for byte the weights of one that was never disturbed (same processor, same
number of threads, same libraries).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.training.board import Board
from posemill.training.checkpoints import RunFolder
from posemill.training.pools import ahead, order
from posemill.training.steps import as_tensor, pick_device

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

__all__ = ["Arrays", "Running", "Training", "finite", "run"]

Arrays = dict[str, np.ndarray]
Scalars = Mapping[str, Any]


class Training(ABC):
    """What is trained, on what, and by which steps; subclasses fill the dictionaries in their ``__init__``.

    Everything that decides the bytes must be a function of the constructor's arguments: a run that goes on makes the
    same object again and reads tensors of networks and optimisers into it.

    Attributes
    ----------
    seed, steps
        Of everything that is drawn; how many steps there are.
    batch, pool_rows, passes
        Rows per step; rows per pool, and how often each is used. A pool serves ``passes * (pool_rows // batch)``
        steps whatever number of rows it turns out to have.
    device
        Where networks and batches live.
    modules, optimisers, schedulers
        By name; what a checkpoint keeps. The network that is stored in the end is the module ``network``.
    extras
        Vectors that belong to its weights, fixed from the beginning; checkpoints have them too.
    """

    def __init__(
        self, *, seed: int, steps: int, batch: int, pool_rows: int, passes: int = 1, device: torch.device | None = None
    ) -> None:
        import torch

        self.seed, self.steps = seed, steps
        self.batch = min(batch, pool_rows)
        self.pool_rows, self.passes = pool_rows, passes
        self.device = device or pick_device()
        self.modules: dict[str, nn.Module] = {}
        self.optimisers: dict[str, Optimizer] = {}
        self.schedulers: dict[str, LRScheduler] = {}
        self.extras: Arrays = {}
        # What a subclass initialises its networks with.
        torch.manual_seed(seed)

    def rng(self, *index: int) -> np.random.Generator:
        """Give the generator of (seed, index)."""
        return np.random.default_rng([self.seed, *index])

    @abstractmethod
    def pool(self, index: int) -> Arrays:
        """Draw pool ``index`` from (seed, index) alone, with numpy alone: arrays by name, all of one length.

        Other processes may call it ahead of time.
        """

    @abstractmethod
    def step(self, batch: dict[str, torch.Tensor], number: int) -> Scalars:
        """Go forward, backward, and move the weights, once; ``number`` counts from 0.

        Parameters
        ----------
        batch
            Rows of the pool on ``device``; numbers in float32.

        Returns
        -------
        Scalars by name for the log; tensors may stay where they are (nothing waits for them then).
        """

    def evaluate(self) -> Scalars:
        """Measure the networks as they are, in evaluation mode without gradients; {} where nothing is measured."""
        return {}


@dataclass(frozen=True)
class Running:
    """How a training is run; nothing here but ``stop_at`` changes the weights.

    Attributes
    ----------
    checkpoint_every, keep
        Steps between checkpoints, and how many of the last are kept.
    series_every
        Checkpoints of every multiple of this step stay for good; None: none do.
    resume
        Go on from the newest checkpoint of the folder; False: begin anew and remove what is there.
    log_every
        Steps over which the logged scalars are means.
    evaluate_every
        Steps between evaluations; None: never.
    tensorboard
        Folder for TensorBoard's event file; None: none.
    workers
        Processes that draw pools ahead; 0: this one draws each when it is needed.
    stop_at
        Step after which to stop, though the schedule is longer; what is there then can go on later. None: its last.
    """

    checkpoint_every: int = 1000
    keep: int = 2
    series_every: int | None = None
    resume: bool = True
    log_every: int = 50
    evaluate_every: int | None = None
    tensorboard: Path | None = None
    workers: int = 0
    stop_at: int | None = None

    def last(self, steps: int) -> int:
        """Step after which a training of so many steps ends."""
        return min(steps, self.stop_at or steps)


@dataclass
class _Means:
    """Means of scalars since the last time they were taken."""

    sums: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, scalars: Scalars) -> None:
        for name, value in scalars.items():
            value = value.detach() if hasattr(value, "detach") else value
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums.clear()
        self.counts.clear()
        return means


def run(
    training: Training,
    *,
    folder: Path | None = None,
    request: Mapping[str, Any] | None = None,
    running: Running | None = None,
    evaluate: Callable[[], Scalars] | None = None,
    report: Callable[[int, Mapping[str, float]], None] = lambda done, scalars: None,
) -> int:
    """Train to the end; the networks are left in evaluation mode.

    Parameters
    ----------
    folder
        Where checkpoints and log go; None: nothing is written.
    request
        What decides the bytes, as JSON holds it. A folder that holds another request's checkpoints is refused.
    evaluate
        In place of the training's own.
    report
        Called after each step with the number of steps done, and the newest means.

    Returns
    -------
    Steps that were done before, by the run that this one goes on from

    Raises
    ------
    InputError
        The folder is another request's, cannot be written or holds a damaged checkpoint, or one later than ``stop_at``;
        a scalar is not finite; ``tensorboard`` without the package.
    """
    import torch

    running = running or Running()
    board = Board(running.tensorboard)
    for module in training.modules.values():
        module.to(training.device).train()
    place = None if folder is None else RunFolder(folder, request or {})
    first = 0 if place is None else place.open(training, resume=running.resume)
    last = running.last(training.steps)
    if first > last:
        raise InputError(expected("stop_at", f"{first} or more", last, where=folder, do="so many are done already"))
    means, newest = _Means(), {}
    per_pass = training.pool_rows // training.batch
    per_pool = per_pass * training.passes
    last_pool = -(-last // per_pool) if first < last else 0
    with board, ahead(training.pool, range(first // per_pool, last_pool), running.workers) as pools:
        done = first
        for index, arrays in pools:
            rows = order(training.seed, index, len(next(iter(arrays.values()))), training.batch, per_pass)
            drawn = {name: as_tensor(a).to(training.device) for name, a in arrays.items()}
            for number in range(done, min((index + 1) * per_pool, last)):
                # What a step draws (dropout, a critic's mixtures) depends on its number alone.
                torch.manual_seed(int(np.random.SeedSequence([training.seed, number, 2]).generate_state(1)[0]))
                chosen = torch.from_numpy(rows(number - index * per_pool)).to(training.device)
                means.add(training.step({name: a[chosen] for name, a in drawn.items()}, number))
                done = number + 1
                saving = _falls(done, running.checkpoint_every, running.series_every) or done == last
                if saving or done % running.log_every == 0:
                    newest = finite(means.take(), done)
                    board.add(done, newest)
                    if place is not None:
                        place.log(done, newest)
                if running.evaluate_every and (done % running.evaluate_every == 0 or done == last):
                    measured = {f"evaluate/{k}": v for k, v in _evaluated(training, evaluate).items()}
                    board.add(done, measured)
                    if place is not None:
                        place.log(done, measured)
                if saving and place is not None:
                    place.save(training, done, keep=running.keep, series_every=running.series_every)
                report(done, newest)
    for module in training.modules.values():
        module.eval()
    return first


def _falls(done: int, *every: int | None) -> bool:
    return any(n is not None and done % n == 0 for n in every)


def _evaluated(training: Training, evaluate: Callable[[], Scalars] | None) -> dict[str, float]:
    import torch

    for module in training.modules.values():
        module.eval()
    with torch.no_grad():
        measured = {name: float(value) for name, value in (evaluate or training.evaluate)().items()}
    for module in training.modules.values():
        module.train()
    return measured


def finite(scalars: Mapping[str, float], step: int) -> dict[str, float]:
    """Refuse scalars that are no numbers: what comes after is worth nothing.

    Raises
    ------
    InputError
        Naming the first one.
    """
    for name, value in scalars.items():
        if not np.isfinite(value):
            raise InputError(
                f"training: step {step}: {name}: expected a finite number, got {value}; the training has diverged: "
                "lower learning_rate, or go on from an earlier checkpoint with other options"
            )
    return dict(scalars)
