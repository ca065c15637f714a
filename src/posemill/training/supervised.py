"""Short supervised training of the lifters that come without weights of their own.

Each method keeps its architecture, its input and the unit of its answer; a :class:`Recipe` says them. What they are
taught is alike: windows of motion capture through virtual cameras, mean distance of the answer. This is not the
papers' training (adversarial or on Human3.6M): it gives small weights that run everywhere and whose terms are clear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posemill.training.noise import NoiseLevels
from posemill.training.sequences import Windows, draw_windows

__all__ = ["Arrays", "Recipe", "Schedule", "train_recipe"]


Arrays = dict[str, np.ndarray]


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
    """

    steps: int = 6000
    batch: int = 256
    learning_rate: float = 2e-3
    pool: int = 4096
    passes: int = 2
    seed: int = 0


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
    """

    frames: int
    build: Callable[..., Any]
    network: dict[str, Any]
    prepare: Callable[[Windows, Arrays], Arrays]
    loss: Callable[[Any, dict[str, Any]], Any]
    card: dict[str, Any] = field(default_factory=dict)
    constants: Callable[[Windows], Arrays] = lambda windows: {}
    schedule: Schedule = field(default_factory=Schedule)


def train_recipe(
    recipe: Recipe,
    clips: Sequence[np.ndarray],
    fps: float,
    schedule: Schedule,
    *,
    report: Callable[[float], None] = lambda loss: None,
) -> tuple[Any, Arrays]:
    """Train a network; returns it in evaluation mode on the CPU, and the recipe's constants.

    Parameters
    ----------
    clips
        Motion to learn from, each (T, 17, 3) metres, z up.
    report
        Called after each step with its loss.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    torch.manual_seed(schedule.seed)
    rng = np.random.default_rng(schedule.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # On processors the fused attention takes five times as long backwards in reduced precision as its plain form.
    attention = (lambda: sdpa_kernel(SDPBackend.MATH)) if device.type == "cpu" else nullcontext
    network = _with_matrix_convolutions(recipe.build(**recipe.network)).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=1e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, total_steps=schedule.steps, pct_start=0.1, cycle_momentum=False
    )
    network.train()
    pool = min(schedule.pool, schedule.steps * schedule.batch)
    constants = recipe.constants(draw_windows(clips, fps, pool, recipe.frames, rng, noise=NoiseLevels()))
    done = 0
    while done < schedule.steps:
        windows = draw_windows(clips, fps, pool, recipe.frames, rng, noise=NoiseLevels())
        prepared = recipe.prepare(windows, constants)
        drawn = {name: torch.from_numpy(a.astype(np.float32)).to(device) for name, a in prepared.items()}
        for _ in range(schedule.passes):
            for chosen in torch.randperm(pool).to(device).split(schedule.batch):
                if done == schedule.steps:
                    break
                # Reduced precision is several times as fast where the processor has it; losses are in float32.
                with torch.autocast(device.type, dtype=torch.bfloat16), attention():
                    loss = recipe.loss(network, {name: a[chosen] for name, a in drawn.items()})
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                cycle.step()
                done += 1
                report(float(loss.detach()))
    return network.cpu().eval(), constants


def _with_matrix_convolutions(network: Any) -> Any:
    """Let convolutions whose stride is their width run as matrix products: many times as fast backwards on CPUs."""
    from torch import nn
    from torch.nn import functional

    def forward(self: Any, x: Any) -> Any:
        (width,) = self.kernel_size
        n, channels, frames = x.shape
        if self.stride != self.kernel_size or frames % width:
            return nn.Conv1d.forward(self, x)
        rows = x.reshape(n, channels, frames // width, width).transpose(1, 2).flatten(2)
        return functional.linear(rows, self.weight.flatten(1), self.bias).transpose(1, 2)

    for module in network.modules():
        if isinstance(module, nn.Conv1d):
            module.forward = forward.__get__(module)
    return network
