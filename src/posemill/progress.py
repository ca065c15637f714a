"""Progress on a terminal as a bar, in a log as a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["progress"]

T = TypeVar("T")
_EVERY_S = 10.0


def progress(iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """Pass items through and say on stderr how far it is; work shorter than ten seconds leaves no line in a log."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(iterable, total=total, desc=label, unit="frame", leave=False)
        return
    begin = said = time.monotonic()
    for done, item in enumerate(iterable, 1):
        yield item
        now = time.monotonic()
        if now - said >= _EVERY_S:
            said = now
            of = f" of {total}" if total else ""
            print(f"{label}: {done}{of} frames, {done / (now - begin):.1f}/s", file=sys.stderr, flush=True)
