"""TensorFlow's checkpoints (.index and .data-00000-of-00001) without TensorFlow.

References
----------
Format: ``tensor_bundle.proto`` of TensorFlow: the table's empty key has a header, every other key is a variable's name
with type, shape, shard, offset, size and masked CRC-32C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from posemill.errors import InputError, MissingError, expected
from posemill.formats.checkpoints.checkpoint import Checkpoint
from posemill.formats.checkpoints.crc32c import crc32c, unmasked
from posemill.formats.checkpoints.tf_table import fields, table

__all__ = ["Entry", "read_bundle", "read_index"]

_TYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "bool", 14: "bfloat16", 17: "<u2",
    19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
_SLOTS = ("Adam", "Adam_1", "Momentum", "RMSProp", "RMSProp_1", "Adagrad", "ExponentialMovingAverage")
_INDEX_LIMIT = 64 * 2**20
_SHARDS = 4096


@dataclass(frozen=True)
class Entry:
    """Where a variable is: numpy type (or ``bfloat16``), shape, shard, first byte, size in bytes, masked CRC-32C."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def read_index(path: Path) -> tuple[dict[str, Entry], int]:
    """Read an ``.index`` file: its variables by name, and in how many data files they are.

    Raises
    ------
    InputError
        Damaged, or of a kind of checkpoint that holds other things than whole tensors.
    """
    if path.stat().st_size > _INDEX_LIMIT:
        raise InputError(expected("index", f"at most {_INDEX_LIMIT} bytes", path.stat().st_size, where=path))
    entries, shards = {}, 0
    try:
        for key, value in table(path.read_bytes()):
            if not key:
                shards = _header(value)
            elif (entry := _entry(value)) is not None:
                entries[key.decode()] = entry
        if not shards:
            raise ValueError("a table without header")
    except ValueError as error:
        raise InputError(expected("index", "a whole one of TensorFlow", error, where=path)) from None
    return entries, shards


def read_bundle(path: Path) -> Checkpoint:
    """Read a checkpoint by its ``.index`` file; the optimiser's slots are left out.

    Raises
    ------
    MissingError
        A data file is not beside the index.
    InputError
        Damaged.
    """
    entries, shards = read_index(path)
    wanted = {name: entry for name, entry in entries.items() if not _is_slot(name, entries)}
    stem = path.name.removesuffix(".index")
    tensors = {}
    for shard in sorted({entry.shard for entry in wanted.values()}):
        data = path.with_name(f"{stem}.data-{shard:05d}-of-{shards:05d}")
        if not data.is_file():
            raise MissingError(f"{path}: expected its data beside it, {data.name}, got no such file")
        own = {name: entry for name, entry in wanted.items() if entry.shard == shard}
        size = data.stat().st_size
        total = sum(entry.size for entry in own.values())
        if total > size:
            raise InputError(expected("variables", f"{size} bytes at most", total, where=data))
        with data.open("rb") as file:
            tensors.update({name: _read(file, name, entry, size, data) for name, entry in own.items()})
    ordered = {name: tensors[name] for name in wanted}
    return Checkpoint("tf_bundle", ordered, {"slots_left_out": len(entries) - len(wanted)}, str(path))


def _is_slot(name: str, entries: dict[str, Entry]) -> bool:
    """Whether a variable is an optimiser's memory of another one."""
    of, _, slot = name.rpartition("/")
    return slot in _SLOTS and of in entries and entries[of].shape == entries[name].shape


def _read(file: BinaryIO, name: str, entry: Entry, available: int, path: Path) -> np.ndarray:
    if entry.offset + entry.size > available:
        got = f"bytes {entry.offset} to {entry.offset + entry.size}"
        raise InputError(expected(f"tensor {name}", f"inside {available} bytes", got, where=path))
    file.seek(entry.offset)
    data = file.read(entry.size)
    if crc32c(data) != unmasked(entry.crc):
        raise InputError(expected(f"tensor {name}", "the index's checksum", "another", where=path))
    raw = np.frombuffer(data, {"bfloat16": "<u2", "bool": "u1"}.get(entry.dtype, entry.dtype)).reshape(entry.shape)
    if entry.dtype == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw != 0 if entry.dtype == "bool" else raw


# ------------------------------------------------------------------------------------------ messages of the index


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes where a number belongs")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where a message belongs")
    return value


def _header(message: bytes) -> int:
    """Read a BundleHeaderProto: the number of shards."""
    found = {number: value for number, value in fields(message)}
    shards = _number(found.get(1, 0))
    if found.get(2, 0) != 0:
        raise ValueError("big-endian numbers")
    if not 1 <= shards <= _SHARDS:
        raise ValueError(f"{shards} data files")
    return shards


def _entry(message: bytes) -> Entry | None:
    """Read a BundleEntryProto; None for text, which is no tensor of numbers."""
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    for number, value in fields(message):
        if number == 2:
            shape = _shape(_bytes(value))
        elif number == 7:
            raise ValueError("a variable in slices")
        elif number in numbers:
            numbers[number] = _number(value)
    if numbers[1] == 7:
        return None
    dtype = _TYPES.get(numbers[1])
    if dtype is None:
        raise ValueError(f"a tensor of type {numbers[1]}")
    item = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    if math.prod(shape) * item != numbers[5]:
        raise ValueError(f"{numbers[5]} bytes for a tensor of shape {shape}")
    return Entry(dtype, shape, numbers[3], numbers[4], numbers[5], numbers[6])


def _shape(message: bytes) -> tuple[int, ...]:
    """Read a TensorShapeProto."""
    out = []
    for number, value in fields(message):
        if number == 3 and value:
            raise ValueError("a tensor of unknown rank")
        if number == 2:
            size = next((_number(v) for n, v in fields(_bytes(value)) if n == 1), 0)
            out.append(size)
    if len(out) > 16:
        raise ValueError(f"a tensor of {len(out)} axes")
    return tuple(out)
