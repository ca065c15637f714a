"""PyTorch's files (.bin, .pth, .pth.tar, .pt) without PyTorch: the zip format (1.6 on) and the pickles before it.

References
----------
The format is that of ``torch.save``: a zip archive with ``data.pkl`` and one member per storage; before, five pickles
(magic number, version, system, object, keys of the storages) and then the storages, each after its length.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.checkpoints import zip_member
from posemill.formats.checkpoints.checkpoint import Checkpoint
from posemill.formats.checkpoints.pickle_data import DAMAGE, Name, load
from posemill.formats.checkpoints.pickle_names import CONTAINERS, settled

__all__ = ["read_legacy", "read_zip"]

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "bool", "UntypedStorage": "u1",
}  # fmt: skip
_SIZES = {"bfloat16": 2, "bool": 1}
_NODES = 1_000_000
_DEPTH = 32


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    start: int = 0
    """First element of a view of a larger storage (files before 0.4)."""


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_zip(path: Path) -> Checkpoint:
    """Read a file in the zip format.

    Raises
    ------
    InputError
        Damaged, or with code in it.
    """
    with zip_member.opened(path) as archive:
        members = archive.infolist()
        zip_member.check_sizes(path, members, growth=1)
        pickled = next(info.filename for info in members if info.filename.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        names = {info.filename for info in members}
        if root + "byteorder" in names and archive.read(root + "byteorder") != b"little":
            raise InputError(expected("byte order", "little", "another", where=path))
        content = load(BytesIO(archive.read(pickled)), _table(), _persistent, path)

        # Once each: tensors that share a storage share its memory.
        @cache
        def storage(key: str) -> bytes:
            return archive.read(f"{root}data/{key}")

        return _checkpoint(content, storage, path)


def read_legacy(path: Path) -> Checkpoint:
    """Read a file as PyTorch before 1.6 wrote it.

    Raises
    ------
    InputError
        Damaged, of another program, or with code in it.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        magic = load(mapped, {}, _persistent, path)
        if not isinstance(magic, int) or magic != _MAGIC:
            raise InputError(expected("weights", "a file of torch.save", "another pickle", where=path))
        version, system = load(mapped, {}, _persistent, path), load(mapped, CONTAINERS, _persistent, path)
        if version != 1001 or not isinstance(system, dict) or system.get("little_endian") is not True:
            raise InputError(expected("weights", "torch's format 1001, little endian", "another", where=path))
        seen: dict[str, str] = {}

        def persistent(value: Any) -> _Storage:
            found = _persistent(value)
            seen[found.key] = found.dtype
            return found

        content = load(mapped, _table(), persistent, path)
        keys = load(mapped, {}, _persistent, path)
        places = _legacy_storages(mapped, keys, seen, path)

        @cache
        def storage(key: str) -> bytes:
            start, size = places[key]
            return mapped[start : start + size]

        return _checkpoint(content, storage, path)


def _legacy_storages(mapped: mmap.mmap, keys: Any, seen: dict[str, str], path: Path) -> dict[str, tuple[int, int]]:
    """Place in the file and size in bytes of every storage."""
    places = {}
    for key in keys if isinstance(keys, list) else []:
        if not isinstance(key, str) or key not in seen or key in places:
            raise InputError(expected("storage", "one that a tensor uses", "another", where=path))
        count = int.from_bytes(mapped.read(8), "little", signed=True)
        size, start = count * _item(seen[key]), mapped.tell()
        if count < 0 or start + size > len(mapped):
            left = len(mapped) - start
            raise InputError(expected(f"storage {key[:60]!r}", f"at most {left} bytes", size, where=path))
        places[key] = (start, size)
        mapped.seek(start + size)
    if mapped.tell() != len(mapped):
        raise InputError(expected("end of file", f"at byte {mapped.tell()}", len(mapped), where=path))
    return places


def _item(dtype: str) -> int:
    return _SIZES.get(dtype) or np.dtype(dtype).itemsize


# ------------------------------------------------------------------------------------------ what pickles name


def _persistent(value: Any) -> _Storage:
    """Make a storage of its id: ("storage", type, key, device, length), in old files with a view of it."""
    if not isinstance(value, tuple) or len(value) not in (5, 6) or value[0] != "storage":
        raise ValueError("a reference to something else than a storage")
    kind, key = value[1], value[2]
    if not isinstance(kind, Name) or kind.name not in _STORAGES or not isinstance(key, str):
        raise ValueError("a storage of an unknown type")
    view = value[5] if len(value) == 6 else None
    start = view[1] if isinstance(view, tuple) and len(view) == 3 else 0
    if not isinstance(start, int) or not 0 <= start < 2**48:
        raise ValueError("a view that begins nowhere")
    return _Storage(key, _STORAGES[kind.name], start)


def _rebuilt(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    whole = all(isinstance(part, list | tuple) for part in (shape, strides)) and len(shape) == len(strides) <= 16
    if not isinstance(storage, _Storage) or not whole:
        raise ValueError("a tensor without storage, shape or strides")
    for number in (offset, *shape, *strides):
        if not isinstance(number, int) or not 0 <= number < 2**48:
            raise ValueError("a tensor of impossible shape")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuilt_from_type(function: Any, kind: Any, arguments: Any, *_: Any) -> Any:
    meaning = _TENSORS.get(function) if isinstance(function, Name) else None
    if meaning is None or meaning is _rebuilt_from_type or not isinstance(arguments, tuple):
        raise ValueError("a tensor of an unknown kind")
    return meaning(*arguments)


def _parameter(data: Any, *_: Any) -> Any:
    return data


_TENSORS: dict[Name, Any] = {
    Name("torch._utils", "_rebuild_tensor"): _rebuilt,
    Name("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
    Name("torch._utils", "_rebuild_parameter"): _parameter,
    Name("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    Name("torch._tensor", "_rebuild_from_type_v2"): _rebuilt_from_type,
    Name("torch.nn.parameter", "Parameter"): _parameter,
    Name("torch", "Tensor"): None,
}


def _table() -> dict[Name, Any]:
    storages = {Name(module, name): None for module in ("torch", "torch.storage", "torch.cuda") for name in _STORAGES}
    return {**CONTAINERS, **_TENSORS, **storages}


# ------------------------------------------------------------------------------------------ from objects to tensors


def _checkpoint(content: Any, storage: Callable[[str], bytes], path: Path) -> Checkpoint:
    found: dict[str, Any] = {}
    _flatten(content, "", found, [_NODES], _DEPTH, path)
    tensors: dict[str, np.ndarray] = {}
    extras: dict[str, Any] = {}
    left = 4 * path.stat().st_size + 2**20
    for name, value in found.items():
        if not isinstance(value, _Tensor):
            extras[name] = value
        elif name.rpartition(".")[2] != "num_batches_tracked":
            left -= math.prod(value.shape) * max(4, _item(value.storage.dtype))
            if left < 0:
                raise InputError(expected("tensors", "no more numbers than the file has", "more", where=path))
            try:
                tensors[name] = _array(value, storage(value.storage.key))
            except DAMAGE as error:
                text = " ".join(str(error).split())[:200]
                raise InputError(expected(f"tensor {name[:120]}", "inside its storage", text, where=path)) from None
    return Checkpoint("torch", tensors, extras, str(path))


def _flatten(value: Any, name: str, found: dict[str, Any], nodes: list[int], depth: int, path: Path) -> None:
    """Join nested dictionaries and lists by dots; what recurs or nests without end is refused."""
    nodes[0] -= 1
    if nodes[0] < 0 or depth < 0:
        raise InputError(expected("contents", "dictionaries of tensors", "containers without end", where=path))
    if isinstance(value, dict) and {"state", "param_groups"} <= value.keys():
        found[name] = "optimiser, not read"
    elif isinstance(value, dict | list | tuple):
        pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        parallel = all(isinstance(key, str) and key.startswith("module.") for key, _ in pairs)
        for key, part in pairs:
            if not isinstance(key, str) and not (isinstance(key, int) and abs(key) < 2**48):
                raise InputError(expected("contents", "names of tensors", type(key).__name__, where=path))
            own = str(key).removeprefix("module.") if parallel else str(key)
            _flatten(part, f"{name}.{own}" if name else own, found, nodes, depth - 1, path)
    elif name:
        found[name] = settled(value)
    else:
        raise InputError(expected("contents", "dictionaries of tensors", type(value).__name__, where=path))


def _array(tensor: _Tensor, data: bytes) -> np.ndarray:
    kind = tensor.storage.dtype
    raw = np.frombuffer(data, {"bfloat16": "<u2", "bool": "u1"}.get(kind, kind))
    first = tensor.storage.start + tensor.offset
    empty = 0 in tensor.shape
    last = first + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if not empty and last >= len(raw):
        raise ValueError(f"element {last} of {len(raw)}")
    if empty:
        out = np.zeros(tensor.shape, raw.dtype)
    else:
        steps = [stride * raw.itemsize for stride in tensor.strides]
        out = np.lib.stride_tricks.as_strided(raw[first:], tensor.shape, steps, writeable=False)
    if kind == "bool":
        return out != 0
    if kind == "bfloat16":
        return (out.astype(np.uint32) << 16).view(np.float32)
    return np.ascontiguousarray(out)
