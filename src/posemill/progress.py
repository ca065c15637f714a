"""Progress on a terminal as a bar, in a log as a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["Ticker", "progress"]

T = TypeVar("T")
_EVERY_S = 10.0


class Ticker:
    """Counts steps of long work and says on stderr how far it is; a context manager.

    On a terminal it is a bar. In a log it is a line every ten seconds, so that shorter work leaves none.
    """

    def __init__(self, total: int | None, label: str, unit: str = "frame") -> None:
        self._total, self._label, self._unit = total, label, unit
        self._done = 0
        self._begin = self._said = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=label, unit=unit, leave=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, note: str = "") -> None:
        """One more is done; ``note`` stands behind the count."""
        self._done += 1
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update()
            return
        now = time.monotonic()
        if now - self._said >= _EVERY_S:
            self._said = now
            of = f" of {self._total}" if self._total else ""
            rate = self._done / (now - self._begin)
            tail = f", {note}" if note else ""
            line = f"{self._label}: {self._done}{of} {self._unit}s, {rate:.1f}/s{tail}"
            print(line, file=sys.stderr, flush=True)


def progress(iterable: Iterable[T], total: int | None, label: str, unit: str = "frame") -> Iterator[T]:
    """Pass items through and count them with a :class:`Ticker`."""
    with Ticker(total, label, unit) as ticker:
        for item in iterable:
            yield item
            ticker.step()
