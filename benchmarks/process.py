"""What a benchmark measures of its own process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["cpu_s", "forget_most", "resident_mb"]


def cpu_s(call: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def forget_most() -> None:
    """Set the mark of the most memory held (VmHWM) back to what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_mb(field: str) -> float:
    """VmRSS (now) or VmHWM (most since the mark was set)."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024
