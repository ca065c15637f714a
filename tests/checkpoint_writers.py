"""Stand-ins for files that other frameworks write: the same bytes' structure, without those frameworks."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np

from posemill.formats.checkpoints.crc32c import crc32c


def write_torch(path: Path, content: object, *, legacy: bool = False) -> Path:
    """As ``torch.save``, in the format of 1.6 on or (``legacy``) the one before."""
    import torch

    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def write_chainer(path: Path, arrays: dict[str, np.ndarray], *, compressed: bool = True) -> Path:
    """As ``chainer.serializers.save_npz``: names with slashes."""
    with path.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return path


def write_keras(
    path: Path, layers: dict[str, dict[str, np.ndarray]], *, whole_model: bool = True, split_names: bool = False
) -> Path:
    """As Keras 2's ``save`` (``whole_model``) or ``save_weights``: layer, weight (``dense_1/kernel:0``), array."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        names = [name.encode() for name in layers]
        if split_names:
            for i, name in enumerate(names):
                root.attrs[f"layer_names{i}"] = [name]
        else:
            root.attrs["layer_names"] = names
        file.attrs["keras_version"] = b"2.2.4"
        for layer, weights in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, value in weights.items():
                group[name] = value
    return path


# ------------------------------------------------------------------------------------------ TensorFlow

_TF_TYPES = {"<f4": 1, "<f8": 2, "<i4": 3, "|u1": 4, "<i8": 9, "|b1": 10, "<f2": 19}


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """Protocol buffer of (field number, number or bytes)."""
    out = b""
    for number, value in fields:
        if isinstance(value, bytes):
            out += varint(number << 3 | 2) + varint(len(value)) + value
        else:
            out += varint(number << 3) + varint(value)
    return out


def block(entries: list[tuple[bytes, bytes]], *, restart_every: int = 16) -> bytes:
    """One block of the table with its trailer."""
    out, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart_every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(last), len(key)) and last[shared] == key[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    out += b"".join(struct.pack("<I", r) for r in restarts) + struct.pack("<I", len(restarts)) + b"\0"
    return out + struct.pack("<I", masked(out))


def table(entries: list[tuple[bytes, bytes]], *, per_block: int = 20) -> bytes:
    """Whole table; ``entries`` in order of key."""
    out, index = b"", []
    for i in range(0, len(entries), per_block):
        part = block(entries[i : i + per_block])
        index.append((entries[i : i + per_block][-1][0], varint(len(out)) + varint(len(part) - 5)))
        out += part
    handles = b""
    for part in (block([]), block(index, restart_every=1)):
        handles += varint(len(out)) + varint(len(part) - 5)
        out += part
    return out + handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def write_bundle(prefix: Path, tensors: dict[str, np.ndarray]) -> Path:
    """As TensorFlow 1's ``Saver``: ``prefix.index`` (returned) and one data file."""
    data, entries = b"", [(b"", message((1, 1), (3, message((1, 1)))))]
    for name in sorted(tensors, key=str.encode):
        value = np.asarray(tensors[name])
        raw = value.tobytes()
        shape = b"".join(message((2, message((1, size)) if size else b"")) for size in value.shape)
        kind = _TF_TYPES[value.dtype.str]
        offset = [(4, len(data))] if data else []
        entry = message((1, kind), (2, shape), *offset, (5, len(raw)))
        entries.append((name.encode(), entry + varint(6 << 3 | 5) + struct.pack("<I", masked(raw))))
        data += raw
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)
    index = prefix.with_name(prefix.name + ".index")
    index.write_bytes(table(entries))
    return index
