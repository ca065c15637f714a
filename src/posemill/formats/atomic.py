"""The one way in which posemill puts a finished file in place."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from posemill.errors import InputError

__all__ = ["finished_file", "write_bytes", "write_text"]


@contextlib.contextmanager
def finished_file(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; on leaving without an error it becomes ``path``.

    A reader sees the whole new file or the old one, also after a kill or a power cut: the data are flushed to disk
    before the rename. On an error nothing is left behind. The temporary name keeps the suffix, so that writers that
    choose a format by it work.

    Raises
    ------
    InputError
        The folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name}.part-"
        # One writer per file: what an earlier one left when it was killed is rubbish.
        for rubbish in path.parent.glob(f"{glob.escape(prefix)}*"):
            rubbish.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as f:
            os.fsync(f.fileno())
        # mkstemp makes files private; results are shared within a lab as the umask says.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if temporary is not None and error.filename not in (None, str(temporary), str(path.parent)):
            # Not this file, but one that its writer needs.
            raise InputError(f"{path}: cannot be written: {error.filename}: {error.strerror}") from error
        free = shutil.disk_usage(_existing(path.parent)).free
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error} ({free // 2**20} MiB free); "
            "free some space or choose a folder that you may write to"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write ``data`` to ``path`` in one step."""
    with finished_file(path) as temporary, temporary.open("wb") as f:
        f.write(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 with Unix line ends, in one step."""
    write_bytes(path, text.encode())
