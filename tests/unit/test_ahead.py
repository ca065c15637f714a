"""Items made ahead in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from posemill.media.ahead import ahead, batched


def test_same_items_same_order() -> None:
    """Whatever the depth."""
    for count in (1, 3, 100):
        assert list(ahead(iter(range(50)), count)) == list(range(50))


def test_errors_come_after_what_was_before() -> None:
    """An error of the source is the consumer's."""

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = ahead(broken(), 4)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_no_more_than_asked_for_and_an_end() -> None:
    """The source is at most so far ahead, runs in one thread, and is closed when nobody wants more."""
    made: list[int] = []
    threads: set[int] = set()
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            for i in range(1000):
                threads.add(threading.get_ident())
                made.append(i)
                yield i
        finally:
            threads.add(threading.get_ident())
            closed.set()

    items = ahead(source(), 3)
    assert next(items) == 0
    time.sleep(0.3)
    # One is in the consumer's hands, three wait, one waits to be put.
    assert len(made) <= 5
    items.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert closed.is_set() and len(threads) == 1 and threading.get_ident() not in threads


def test_batches() -> None:
    """The last one is shorter."""
    assert list(batched(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]
