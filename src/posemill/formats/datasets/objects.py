"""numpy files with dictionaries in them (``np.savez(..., positions_3d=dict)``), read as data.

numpy stores such an array as a pickle, which its own loader runs. Here the pickle is interpreted by
:mod:`posemill.formats.checkpoints.pickle_data`: dictionaries, lists, texts, numbers and arrays of numbers are made, any
other name ends the reading.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.checkpoints import zip_member
from posemill.formats.checkpoints.pickle_data import Built, Name, load
from posemill.formats.checkpoints.pickle_names import CONTAINERS, settled

__all__ = ["read_npy", "read_npz_objects"]

_HEADER = re.compile(
    r"\{'descr': '(?P<dtype>[<>|=]?(?:[fiub]\d{1,2}|U\d{1,4}|S\d{1,4}|O))', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,15}, ?){0,16}\d{0,15})\), *\} *\n?"
)
_LONGEST = 4096
# Coordinates shrink to about a third; what grows far more is made to fill the memory.
_GROWTH = 50
_DEPTH = 24


def read_npz_objects(path: Path) -> dict[str, Any]:
    """Every member of an npz: an array, or what its 0-d array of objects holds.

    Raises
    ------
    InputError
        No such file, a damaged one, or one with code in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(expected("dataset", "an npz file", "no file", where=path))
    with zip_member.opened(path, "dataset") as archive:
        members = archive.infolist()
        zip_member.check_sizes(path, members, growth=_GROWTH)
        return {info.filename.removesuffix(".npy"): _member(archive, info, path) for info in members}


def read_npy(path: Path) -> Any:
    """One array of a npy file, or what its array of objects holds.

    Raises
    ------
    InputError
        As :func:`read_npz_objects`.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return _array(io.BytesIO(data), str(path), path)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Any:
    with archive.open(info) as file:
        return _array(io.BytesIO(file.read()), f"array {info.filename[:120]!r}", path)


def _array(file: io.BytesIO, what: str, path: Path) -> Any:
    start = file.read(8)
    length = {1: 2, 2: 4, 3: 4}.get(start[6], 0) if start[:6] == b"\x93NUMPY" and len(start) == 8 else 0
    size = int.from_bytes(file.read(length), "little")
    if not length or size > _LONGEST:
        raise InputError(expected(what, "an array of numpy", "something else", where=path))
    header = _HEADER.fullmatch(file.read(size).decode("latin-1"))
    if header is None:
        raise InputError(expected(what, "a description of numbers, texts or objects", "another", where=path))
    shape = tuple(int(n) for n in header["shape"].split(",") if n.strip())
    if not header["dtype"].endswith("O"):
        dtype = np.dtype(header["dtype"])
        data = file.read()
        if math.prod(shape) * dtype.itemsize != len(data):
            raise InputError(expected(what, f"shape {shape}", f"{len(data)} bytes", where=path))
        return np.frombuffer(data, dtype).reshape(shape, order="F" if header["fortran"] == "True" else "C").copy()
    found = plain(load(file, _TABLE, _no_persistent, f"{path}: {what}"), f"{path}: {what}")
    if isinstance(found, list) and not shape and len(found) == 1:
        return found[0]
    return found


class _ObjectDtype(Built):
    """dtype('O'), or one of numbers by the table of checkpoints."""

    def __init__(self, text: Any, *rest: Any) -> None:
        self.objects = text in ("O", "O8", "|O")
        self.inner = None if self.objects else CONTAINERS[Name("numpy", "dtype")](text, *rest)  # pyright: ignore[reportOptionalCall]

    def build(self, state: Any) -> None:
        if self.inner is not None:
            self.inner.build(state)


class _Array(Built):
    """A numpy array of numbers, or a list for one of objects."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = None

    def build(self, state: Any) -> None:
        version, shape, dtype, fortran, data = state
        if not isinstance(dtype, _ObjectDtype):
            raise ValueError("an array without a type")
        if dtype.objects:
            if not isinstance(data, list) or not isinstance(shape, tuple) or math.prod(shape) != len(data):
                raise ValueError("an array of objects whose list has another length")
            self.value = data
            return
        made = _RECONSTRUCT()
        made.build((version, shape, dtype.inner, fortran, data))
        self.value = settled(made)


_RECONSTRUCT: Any = CONTAINERS[Name("numpy.core.multiarray", "_reconstruct")]


def _scalar(dtype: Any, data: Any) -> Any:
    inner = dtype.inner if isinstance(dtype, _ObjectDtype) else None
    return CONTAINERS[Name("numpy.core.multiarray", "scalar")](inner, data)  # pyright: ignore[reportOptionalCall]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    inner = dtype.inner if isinstance(dtype, _ObjectDtype) else None
    out = _Array()
    out.value = settled(CONTAINERS[Name("numpy.core.numeric", "_frombuffer")](data, inner, shape, order))  # pyright: ignore[reportOptionalCall]
    return out


_TABLE = {
    **CONTAINERS,
    Name("numpy", "dtype"): _ObjectDtype,
    **{Name(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{Name(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{Name(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


def _no_persistent(_: Any) -> Any:
    raise ValueError("a persistent id")


def plain(value: Any, where: object) -> Any:
    """Containers with arrays in them, every stand-in replaced; each object once, however often it is referred to."""
    done: dict[int, Any] = {}
    keep: list[Any] = []

    def walk(item: Any, depth: int) -> Any:
        if depth > _DEPTH:
            raise InputError(expected("contents", f"at most {_DEPTH} levels of containers", "more", where=where))
        if id(item) in done:
            return done[id(item)]
        # Kept, so that no later object gets the same id.
        keep.append(item)
        if isinstance(item, _Array):
            out = walk(item.value, depth + 1) if isinstance(item.value, list) else item.value
        elif isinstance(item, dict):
            out = {key: walk(inner, depth + 1) for key, inner in item.items()}
        elif isinstance(item, list | tuple):
            out = [walk(inner, depth + 1) for inner in item]
        else:
            out = settled(item)
        done[id(item)] = out
        return out

    return walk(value, 0)
