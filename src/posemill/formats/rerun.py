"""What repeating a record needs: its inputs, and the comparison of the numbers."""

from __future__ import annotations

import os
from pathlib import Path

from posemill.errors import InputError
from posemill.formats.artifact import file_sha256
from posemill.formats.records import RecordBook
from posemill.formats.truth import read_truth

__all__ = ["differences", "find_input"]


def find_input(base: Path, file: str, sha256: str) -> Path:
    """Find the file or folder of this name and content, at ``base`` or below; hidden folders are left out.

    Raises
    ------
    InputError
        There is none.
    """
    others = 0
    for folder, below, files in os.walk(base):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if file in files or file in below:
            path = Path(folder) / file
            found = read_truth(path).sha256 if path.is_dir() else file_sha256(path)
            if found == sha256:
                return path
            others += 1
    got = f"{others} of this name with another content" if others else "none of this name"
    raise InputError(f"{base}: expected input {file} with sha256 {sha256}, got {got}; name its folder by --folder")


def differences(before: RecordBook, after: RecordBook) -> list[str]:
    """One line per number that is not the same in both; method and source are the files' own and not compared."""
    old, new = ({r.key[2:]: r for r in book} for book in (before, after))
    lines = []
    for key in sorted(old.keys() | new.keys()):
        values = [book[key].value if key in book else "missing" for book in (old, new)]
        if values[0] != values[1]:
            record = old.get(key) or new[key]
            joints = ", ".join(record.joints) if len(record.joints) < 4 else f"{len(record.joints)} joints"
            lines.append(
                f"{record.metric} of {record.part} ({record.counted}, {joints}): was {values[0]}, is {values[1]}"
            )
    return lines
