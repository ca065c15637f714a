"""The process in which :mod:`posemill.formats.checkpoints.keras_h5` opens a stranger's HDF5 file.

Prints one line of JSON: ``error``, or ``layers``, ``keras_version`` and name, type and shape of each tensor; the
tensors' bytes follow in that order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected

__all__ = ["main"]

_NAMES = 100_000


def main(path: Path) -> None:
    """Read ``path`` within limits of time and memory that follow from its size, and print what is in it."""
    import h5py

    _limit(path.stat().st_size)
    tensors: dict[str, np.ndarray] = {}
    try:
        with h5py.File(path, "r") as file:
            tensors, layers = _tensors(file, path)
            found: dict[str, Any] = {"layers": layers, "keras_version": _text(file.attrs.get("keras_version", b""))}
        found["tensors"] = [(name, value.dtype.str, value.shape) for name, value in tensors.items()]
    except InputError as error:
        found, tensors = {"error": str(error)}, {}
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError) as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        found, tensors = {"error": expected("weights", "a whole HDF5 file", text, where=path)}, {}
    sys.stdout.buffer.write(json.dumps(found).encode() + b"\n")
    for value in tensors.values():
        sys.stdout.buffer.write(np.ascontiguousarray(value).tobytes())
    sys.stdout.buffer.flush()


def _limit(size: int) -> None:
    """End this process when it computes for longer, or asks for more memory, than a file of this size can need."""
    try:
        import resource
    except ImportError:  # not on this system: the parent's patience is the limit
        return
    seconds, memory = 5 + size // 2**26, 2 * 2**30 + 4 * size
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _tensors(file: Any, path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    root = _inside(file, "model_weights", path) if "model_weights" in file else file
    if not any(name.startswith("layer_names") for name in root.attrs):
        got = ", ".join(list(file)[:6]) or "nothing"
        raise InputError(expected("weights", "a file of Keras 1 or 2 with layer_names", got, where=path))
    layers = _names(root, "layer_names")
    tensors: dict[str, np.ndarray] = {}
    left = path.stat().st_size
    for layer in layers:
        group = _inside(root, layer, path)
        for name in _names(group, "weight_names"):
            data = _inside(group, name, path)
            if name in tensors:
                raise InputError(expected(f"weight {name!r}", "once", "twice", where=path))
            left -= _size(data, name, path)
            if left < 0:
                raise InputError(expected("weights", "no larger than the file", "larger", where=path))
            tensors[name] = data[()]
    return tensors, layers


def _inside(group: Any, name: str, path: Path) -> Any:
    """Follow a path that stays in this file: no link to another file or round about is followed."""
    import h5py

    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise InputError(expected(f"{name[:120]!r}", "a group or dataset of this file", "none", where=path))
        group = group[part]
    return group


def _size(data: Any, name: str, path: Path) -> int:
    """Bytes of a dataset in memory, which are those in the file: weights are stored as they are."""
    import h5py

    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "fiub" or data.is_virtual or data.external:
        raise InputError(expected(f"weight {name!r}", "numbers in this file", "something else", where=path))
    if data.compression is not None or data.chunks is not None:
        raise InputError(expected(f"weight {name!r}", "stored in one piece", "in chunks", where=path))
    if data.id.get_storage_size() < data.nbytes:
        raise InputError(expected(f"weight {name!r}", f"{data.nbytes} bytes", "fewer", where=path))
    return data.nbytes


def _names(group: Any, attribute: str) -> list[str]:
    """Read a list of names that may be split over numbered attributes."""
    parts = [attribute]
    if attribute not in group.attrs:
        count = next(n for n in range(_NAMES) if f"{attribute}{n}" not in group.attrs)
        parts = [f"{attribute}{n}" for n in range(count)]
    names = [_text(name) for part in parts for name in np.atleast_1d(group.attrs[part]).tolist()]
    if len(names) > _NAMES or not all(names):
        raise ValueError(f"{attribute}: {len(names)} names")
    return names


def _text(value: Any) -> str:
    if isinstance(value, bytes | np.bytes_):
        return bytes(value).decode("utf-8", "replace")
    return str(value)[:1000]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
