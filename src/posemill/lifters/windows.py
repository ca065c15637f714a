"""Windows of fixed length over a run of frames of any length."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["slide", "stretch", "triangle"]


def stretch(frames: int, window: int) -> np.ndarray:
    """Indices (window,) that fill a window with a shorter run: each frame in turn, repeated as evenly as can be.

    >>> stretch(3, 7).tolist()
    [0, 0, 0, 1, 1, 2, 2]
    """
    return np.arange(window) * frames // window


def triangle(window: int) -> np.ndarray:
    """Weights (window,) of a window's frames: most in the middle, never 0."""
    return np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float64)


def slide(
    frames: int,
    window: int,
    step: int,
    batch: int,
    answer: Callable[[np.ndarray], np.ndarray],
) -> Iterator[tuple[int, np.ndarray]]:
    """Blend the answers of overlapping windows with triangular weights.

    Answers are passed on as soon as they are final, so that memory does not grow with the run.

    Parameters
    ----------
    frames
        Length of the run, at least ``window``.
    step
        Frames from one window to the next, at most ``window``. The last window ends with the run.
    batch
        Windows answered at once.
    answer
        First frames of windows (n,) to answers (n, window, ...).

    Yields
    ------
    First frame, and answers (m, ...) of it and those that follow; in order, each frame once.
    """
    starts = np.append(np.arange(0, frames - window, step), frames - window)
    weight = triangle(window)
    begin, total, sums = 0, np.zeros(0), None
    for first in range(0, len(starts), batch):
        some = starts[first : first + batch]
        answers = np.asarray(answer(some), dtype=np.float64)
        shape = answers.shape[2:]
        grown = int(some[-1]) + window - begin - len(total)
        sums = np.zeros((0, *shape)) if sums is None else sums
        total = np.concatenate([total, np.zeros(grown)])
        sums = np.concatenate([sums, np.zeros((grown, *shape))])
        for start, values in zip(some - begin, answers, strict=True):
            total[start : start + window] += weight
            sums[start : start + window] += weight.reshape(-1, *(1,) * len(shape)) * values
        # What comes before the next window is final.
        ready = (int(starts[first + batch]) if first + batch < len(starts) else frames) - begin
        yield begin, sums[:ready] / total[:ready].reshape(-1, *(1,) * len(shape))
        begin, total, sums = begin + ready, total[ready:], sums[ready:]
