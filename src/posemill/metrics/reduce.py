"""Averages that say how much they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from posemill.arrays import Flags
from posemill.errors import InputError, expected

__all__ = ["ActionMean", "Mean", "frame_blocks", "mean_error", "per_action", "pooled"]


@dataclass(frozen=True)
class Mean:
    """A mean over what counts.

    Attributes
    ----------
    value
        In the unit of the errors; NaN if nothing counts.
    counted, of
        Number of values in the mean, and of those that could have been.
    """

    value: float
    counted: int
    of: int

    @property
    def coverage(self) -> float:
        """Share of what could have counted, 0 to 1; NaN of nothing."""
        return self.counted / self.of if self.of else float("nan")


@dataclass(frozen=True)
class ActionMean:
    """Unweighted mean over actions; frames are pooled inside an action."""

    value: float
    actions: dict[str, Mean]


def frame_blocks(frames: int, size: int = 8192) -> Iterator[slice]:
    """Consecutive slices of at most ``size`` frames, which bound the memory of what is computed by frame."""
    for start in range(0, frames, size):
        yield slice(start, min(start + size, frames))


def mean_error(errors: np.ndarray) -> float:
    """Mean over all that counts, every frame and joint alike; NaN if nothing does."""
    return pooled(errors).value


def pooled(errors: np.ndarray, *, of: Flags | None = None) -> Mean:
    """Mean over frames and joints alike, of the errors that are finite.

    Parameters
    ----------
    errors
        Any shape; NaN where there is nothing to compare.
    of
        Same shape: what should have been compared (joints that the truth knows, say); errors elsewhere are left out.

    >>> pooled(np.array([1.0, np.nan, 3.0]))
    Mean(value=2.0, counted=2, of=3)
    """
    values = np.asarray(errors, dtype=np.float64).reshape(-1)
    asked = None if of is None else np.broadcast_to(of, np.shape(errors)).reshape(-1)
    total, counted = 0.0, 0
    for part in frame_blocks(len(values), 1 << 20):
        block = values[part]
        finite = np.isfinite(block) if asked is None else np.isfinite(block) & asked[part]
        counted += int(np.count_nonzero(finite))
        total += float(block.sum() if finite.all() else block[finite].sum())
    return Mean(
        total / counted if counted else float("nan"), counted, len(values) if asked is None else int(asked.sum())
    )


def per_action(errors: Mapping[str, np.ndarray]) -> ActionMean:
    """Mean of each action over its pooled frames, then the unweighted mean over actions.

    This is how Human3.6M figures are printed; it differs from the pooled mean by up to a millimetre.

    Parameters
    ----------
    errors
        Action to its errors, of any shape.

    Raises
    ------
    InputError
        There is no action, or nothing counts in one: the mean over the others would be of another protocol.
    """
    means = {action: pooled(values) for action, values in errors.items()}
    empty = sorted(action for action, mean in means.items() if mean.counted == 0)
    if empty or not means:
        raise InputError(expected("errors to average per action", "some in each action", f"none in {empty or 'any'}"))
    return ActionMean(float(np.mean([mean.value for mean in means.values()])), means)
