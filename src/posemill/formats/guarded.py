"""Strangers' HDF5 files, read in a process of its own.

The HDF5 library was written for files that mean well: some damaged ones keep it busy without end, or make it ask for
all memory. So whoever reads a file that posemill did not write itself (whose artifacts carry a checksum that is checked
before HDF5 sees them) does so in a process with limits of time and memory that follow from the file's size.

What comes back over the pipe is one line of JSON, ``error`` or ``found`` and the arrays' types and shapes; the arrays'
bytes follow.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.checkpoints.zip_member import DAMAGE

__all__ = ["Found", "read_guarded"]

Found = tuple[Any, list[np.ndarray]]
"""What a reader returns: plain data that JSON can hold, and arrays of numbers."""

_PATIENCE_S = 600
# CPU time for a file of no size, and bytes that a second may be spent on beyond it: slow compression is slow to undo.
_LEAST_S, _BYTES_PER_S = 5, 2**23
_LEAST_MEMORY, _MEMORY_PER_BYTE = 2 * 2**30, 8


def read_guarded(reader: Callable[..., Found], path: Path, what: str, **arguments: Any) -> Found:
    """Call ``reader(path, **arguments)`` in a process of its own.

    Parameters
    ----------
    reader
        A public function of a module.
    path
        A file, or a folder of such files that are read together.
    what
        What the file should be, for messages: ``weights``, ``motion file``.
    arguments
        Further ones that JSON can hold.

    Raises
    ------
    InputError
        The reader's own, or the file is one on which the HDF5 library fails or does not end.
    """
    # -P: a module is not looked for in the folder that happens to be the current one. One thread: each reserves memory.
    command = [sys.executable, "-P", "-m", __name__, reader.__module__, reader.__name__, str(path), what]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [*command, json.dumps(arguments)],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(expected(what, "a whole HDF5 file", "one that does not end", where=path)) from None
    if done.returncode:
        why = f"one on which the HDF5 library fails (exit code {done.returncode})"
        raise InputError(expected(what, "a whole HDF5 file", why, where=path))
    head, _, data = done.stdout.partition(b"\n")
    answer = json.loads(head)
    if "error" in answer:
        raise InputError(answer["error"])
    arrays, at = [], 0
    for text, shape in answer["arrays"]:
        dtype, count = np.dtype(text), math.prod(shape)
        # A copy, which may be written to.
        arrays.append(np.frombuffer(data, dtype, count, at).reshape(shape).copy())
        at += count * dtype.itemsize
    return answer["found"], arrays


def _main(module: str, reader: str, file: str, what: str, arguments: str) -> None:
    """Call the reader within limits, and print what it found."""
    path = Path(file)
    read = getattr(importlib.import_module(module), reader)
    _limit(sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size)
    arrays: list[np.ndarray] = []
    try:
        found, arrays = read(path, **json.loads(arguments))
        answer = {"found": found, "arrays": [(array.dtype.str, array.shape) for array in arrays]}
    except InputError as error:
        answer = {"error": str(error)}
    except (*DAMAGE, OSError, AttributeError) as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        answer = {"error": expected(what, "a whole HDF5 file", text, where=path)}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    for array in arrays:
        sys.stdout.buffer.write(np.ascontiguousarray(array).tobytes())
    sys.stdout.buffer.flush()


def _limit(size: int) -> None:
    """End this process when it computes for longer, or asks for more memory, than a file of this size can need."""
    try:
        import resource
    except ImportError:  # not on this system: the parent's patience is the limit
        return
    seconds, memory = _LEAST_S + size // _BYTES_PER_S, _LEAST_MEMORY + _MEMORY_PER_BYTE * size
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _main(*sys.argv[1:])
