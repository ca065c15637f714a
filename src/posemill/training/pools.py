"""Pools of examples: drawn ahead by other processes or when needed, and used in an order that the seed decides."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np

from posemill.errors import InputError

__all__ = ["ahead", "order"]

Arrays = dict[str, np.ndarray]


def order(seed: int, index: int, count: int, batch: int, per_pass: int) -> Callable[[int], np.ndarray]:
    """Rows of the batches of a pool, from (seed, index) alone; each pass goes through the rows in another order.

    Parameters
    ----------
    count
        Rows of the pool. With fewer than ``batch * per_pass``, a pass begins again at its own start.
    per_pass
        Batches of one pass.

    Returns
    -------
    From a batch's number in the pool to its rows (batch,)
    """
    kept: dict[int, np.ndarray] = {}

    def rows(number: int) -> np.ndarray:
        turn, place = divmod(number, per_pass)
        if turn not in kept:
            kept.clear()
            kept[turn] = np.random.default_rng([seed, index, turn, 1]).permutation(count)
        return kept[turn][(place * batch + np.arange(batch)) % count]

    return rows


@contextmanager
def ahead(
    pool: Callable[[int], Arrays], indices: Sequence[int], workers: int
) -> Iterator[Iterator[tuple[int, Arrays]]]:
    """Give pools one after the other, drawn by this process (``workers`` 0) or ahead by others; the same either way.

    Raises
    ------
    InputError
        A process that draws was killed.
    """
    if workers == 0:
        yield ((index, pool(index)) for index in indices)
        return
    # Forked, so that what they draw from need not be sent; they use numpy alone.
    executor = ProcessPoolExecutor(
        workers, mp_context=get_context("fork"), initializer=_begin, initargs=(pool, os.getpid())
    )
    try:
        yield _futures(executor, indices, workers)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _futures(executor: ProcessPoolExecutor, indices: Sequence[int], workers: int) -> Iterator[tuple[int, Arrays]]:
    waiting: deque[tuple[int, Future[Arrays]]] = deque()
    # One more than processes: none waits while its pool is being fetched.
    rest = iter(indices)
    try:
        while True:
            while len(waiting) <= workers and (index := next(rest, None)) is not None:
                waiting.append((index, executor.submit(_draw, index)))
            if not waiting:
                return
            index, future = waiting.popleft()
            yield index, future.result()
    except BrokenProcessPool:
        raise InputError("training: a process that draws examples was killed; lower the option workers") from None


_pool: Callable[[int], Arrays] | None = None


def _begin(pool: Callable[[int], Arrays], parent: int) -> None:
    global _pool
    _pool = pool

    def watch() -> None:
        # A killed training leaves nobody to fetch what is drawn.
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _draw(index: int) -> Arrays:
    assert _pool is not None
    return _pool(index)
