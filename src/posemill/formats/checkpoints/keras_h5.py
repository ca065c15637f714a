"""Keras's HDF5 weights (``save_weights`` and whole models of Keras 1 and 2) without Keras.

Layout: below ``/`` or ``/model_weights`` one group per layer; the attributes ``layer_names`` and, of each layer,
``weight_names`` give the order. A long list is split into ``layer_names0``, ``layer_names1``, …
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.checkpoints.checkpoint import Checkpoint
from posemill.formats.guarded import Found, read_guarded

__all__ = ["open_keras", "read_keras"]

_NAMES = 100_000


def read_keras(path: Path) -> Checkpoint:
    """Read all weights in the order of the layers.

    Raises
    ------
    InputError
        Damaged, of another program, or with data outside the file.
    """
    found, arrays = read_guarded(open_keras, path, "weights")
    tensors = dict(zip(found.pop("names"), arrays, strict=True))
    return Checkpoint("keras_h5", tensors, found, str(path))


def open_keras(path: Path) -> Found:
    """Names of layers and tensors, and the tensors; for :func:`~posemill.formats.guarded.read_guarded`."""
    import h5py

    with h5py.File(path, "r") as file:
        tensors, layers = _tensors(file, path)
        version = _text(file.attrs.get("keras_version", b""))
    return {"layers": layers, "keras_version": version, "names": list(tensors)}, list(tensors.values())


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
