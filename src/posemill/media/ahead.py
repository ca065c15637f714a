"""Frames decoded in a thread of their own, while somebody is busy with those before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from queue import Empty, Full, Queue
from typing import TypeVar

__all__ = ["ahead", "batched"]

Item = TypeVar("Item")
_LOOK_S = 0.1


def ahead(items: Iterator[Item], count: int) -> Iterator[Item]:
    """The same items in the same order, up to ``count`` of them made before they are asked for.

    An error of ``items`` is raised here after the items before it. When this iterator is closed the thread ends, and
    ``items`` with it, before the call returns.
    """
    waiting: Queue[tuple[Item | None, BaseException | None]] = Queue(maxsize=max(count, 1))
    closed = threading.Event()

    def put(item: Item | None, error: BaseException | None) -> bool:
        while not closed.is_set():
            try:
                waiting.put((item, error), timeout=_LOOK_S)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        end: BaseException = StopIteration()
        try:
            for item in items:
                if not put(item, None):
                    break
        except BaseException as error:  # whatever it is, it belongs to whoever asks for the next item
            end = error
        finally:
            # A decoder is closed in the thread that opened it.
            close = getattr(items, "close", None)
            if close is not None:
                close()
        put(None, end)

    thread = threading.Thread(target=work, name="frames ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = _next(waiting, thread)
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # pyright: ignore[reportReturnType]
    finally:
        closed.set()
        thread.join()


def _next(
    waiting: Queue[tuple[Item | None, BaseException | None]], thread: threading.Thread
) -> tuple[Item | None, BaseException | None]:
    while True:
        try:
            return waiting.get(timeout=10 * _LOOK_S)
        except Empty:
            if not thread.is_alive() and waiting.empty():
                return None, RuntimeError("the thread that decodes ended without a word")


def batched(items: Iterator[Item], count: int) -> Iterator[list[Item]]:
    """Lists of ``count`` items in turn, the last one shorter."""
    while some := list(islice(items, count)):
        yield some
