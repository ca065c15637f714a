"""The record that a benchmark leaves: its figures, the command, and what ran it."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["write_record"]


def write_record(file: Path | None, found: Mapping[str, Any]) -> None:
    """Write what was found, after the command and the machine, if there is a file to write it to."""
    if file:
        # A record says which files, not where somebody keeps them.
        command = " ".join(re.sub(r"(^|=)[^\s=]*/", r"\1", word) for word in sys.argv)
        machine = {
            "processor": _processor(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            **{library: version(library) for library in ("posemill", "numpy", "torch")},
        }
        file.write_text(json.dumps({"command": command, "machine": machine, **found}, indent=1) + "\n")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", information.read_text()) if information.is_file() else None
    return named[1] if named else platform.machine()
