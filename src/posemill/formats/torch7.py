"""Torch7's binary files (.t7) without Torch7, as data: stored Lua functions are skipped, nothing is run.

A file is one object, little endian: a type (4 bytes), and then

- 1 number: 8 bytes; 5 boolean: 4 bytes; 2 string: length (4 bytes) and bytes; 0 nil: nothing;
- 3 table: index, number of pairs, keys and values in turn;
- 4 object of a class: index, ``V 1`` and the class's name as strings, then its contents: of a tensor, dimensions,
  sizes, strides, offset and storage; of a storage, its length and numbers; of any other class, a table of fields;
- 6, 7, 8 function: index (not of 6), bytes of code, a table of what it refers to.

An index that was seen before means the same object, without contents. Sizes of tensors and storages are of the C type
``long`` of the machine that wrote the file: 8 bytes, or 4.

The reader keeps a stack of its own, so nesting costs no recursion; every length is held against what is left of the
file before memory is asked for. What comes out may be cyclic: do not print it, and walk it with a limit.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.torch7_values import FUNCTION, Object, Storage, Table, Tensor

__all__ = ["looks_like_torch7", "read_torch7"]

_NUMBERS = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4",
    "Cuda": "<f4", "CudaDouble": "<f8", "CudaHalf": "<f2", "CudaByte": "u1", "CudaChar": "i1", "CudaShort": "<i2",
    "CudaInt": "<i4",
}  # fmt: skip
_LONGS = ("Long", "CudaLong")
_MOST_DIMENSIONS = 16
_LONGEST_NAME = 256


def looks_like_torch7(head: bytes) -> bool:
    """Whether a file that begins so (64 bytes) is a binary .t7: an object or a table with index 1."""
    if len(head) < 12 or head[4:8] != b"\x01\0\0\0":
        return False
    return head[:4] == b"\x03\0\0\0" or (head[:4] == b"\x04\0\0\0" and head[8:14] == b"\x03\0\0\0V ")


def read_torch7(path: Path) -> Any:
    """Read the object that a file holds.

    Returns
    -------
    None, bool, float, str (Latin-1 where it is not UTF-8), or a class of :mod:`posemill.formats.torch7_values`.

    Raises
    ------
    InputError
        Damaged, cut off, or no binary file of Torch7.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        if file.seek(0, 2) < 4:
            raise InputError(expected("Torch7 file", "an object", "an empty file", where=path))
        file.seek(0)
        # Kept alive by the arrays that are views of it.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    first: ValueError | None = None
    for long_bytes in (8, 4):
        try:
            return _Reader(mapped, long_bytes).read()
        except ValueError as error:
            first = first or error
    raise InputError(expected("Torch7 file", "a whole binary .t7", first, where=path)) from None


class _Pending:
    """An object that waits for others: what it is, and how many it still wants."""

    __slots__ = ("key", "value", "wants")

    def __init__(self, value: Any, wants: int) -> None:
        self.value, self.wants, self.key = value, wants, None


class _Reader:
    """One pass over the bytes. Damage is a ValueError."""

    def __init__(self, data: mmap.mmap, long_bytes: int) -> None:
        self._data, self._size, self._at = data, len(data), 0
        self._long = "q" if long_bytes == 8 else "i"
        self._long_bytes = long_bytes
        self._seen: dict[int, Any] = {}

    def read(self) -> Any:
        stack: list[_Pending] = []
        while True:
            item = self._next()
            if isinstance(item, _Pending) and item.wants:
                stack.append(item)
                continue
            value = item.value if isinstance(item, _Pending) else item
            while stack:
                _take(stack[-1], value)
                if stack[-1].wants:
                    break
                value = stack.pop().value
            else:
                if self._at != self._size:
                    raise ValueError(f"{self._size - self._at} bytes after its end")
                return value

    # ---------------------------------------------------------------------------------------------- bytes

    def _take_bytes(self, count: int, what: str) -> int:
        """Go on by so many bytes; where they begin."""
        if not 0 <= count <= self._size - self._at:
            raise ValueError(f"{what} of {count} bytes where {self._size - self._at} are left")
        at, self._at = self._at, self._at + count
        return at

    def _int(self) -> int:
        return struct.unpack_from("<i", self._data, self._take_bytes(4, "number"))[0]

    def _longs(self, count: int) -> tuple[int, ...]:
        at = self._take_bytes(count * self._long_bytes, "sizes")
        return struct.unpack_from(f"<{count}{self._long}", self._data, at)

    def _text(self, longest: int | None = None) -> str:
        length = self._int()
        if longest is not None and length > longest:
            raise ValueError(f"name of {length} bytes")
        at = self._take_bytes(length, "string")
        raw = self._data[at : at + length]
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    # ---------------------------------------------------------------------------------------------- objects

    def _next(self) -> Any:
        """The next object, or what waits for its parts."""
        kind = self._int()
        if kind == 0:
            return None
        if kind == 1:
            return struct.unpack_from("<d", self._data, self._take_bytes(8, "number"))[0]
        if kind == 2:
            return self._text()
        if kind == 5:
            return self._int() == 1
        if kind == 6:
            self._take_bytes(self._int(), "function")
            return _Pending(FUNCTION, 1)
        if kind not in (3, 4, 7, 8):
            raise ValueError(f"an object of unknown type {kind} at byte {self._at - 4}")
        index = self._int()
        if index in self._seen:
            return self._seen[index]
        if kind == 3:
            return self._table(index)
        if kind == 4:
            return self._object(index)
        self._seen[index] = FUNCTION
        self._take_bytes(self._int(), "function")
        return _Pending(FUNCTION, 1)

    def _table(self, index: int) -> _Pending:
        pairs = self._int()
        # A key has at least 8 bytes (type and index), a value 4 (nil).
        if not 0 <= 12 * pairs <= self._size - self._at:
            raise ValueError(f"table of {pairs} pairs where {self._size - self._at} bytes are left")
        table = self._seen[index] = Table()
        return _Pending(table, 2 * pairs)

    def _object(self, index: int) -> Any:
        name, version = self._text(_LONGEST_NAME), 0
        if name.startswith("V "):
            number = name[2:].strip()
            version = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 0
            name = self._text(_LONGEST_NAME)
        package, _, kind = name.partition(".")
        if package == "torch" and kind.endswith("Storage") and self._dtype(kind.removesuffix("Storage")):
            return self._storage(index, self._dtype(kind.removesuffix("Storage")))
        if package == "torch" and kind.endswith("Tensor") and self._dtype(kind.removesuffix("Tensor")):
            return self._tensor(index, kind)
        made = self._seen[index] = Object(name, version)
        return _Pending(made, 1)

    def _dtype(self, kind: str) -> str:
        return f"<i{self._long_bytes}" if kind in _LONGS else _NUMBERS.get(kind, "")

    def _storage(self, index: int, dtype: str) -> Storage:
        (count,) = self._longs(1)
        at = self._take_bytes(count * np.dtype(dtype).itemsize, "storage")
        made = self._seen[index] = Storage(np.frombuffer(self._data, dtype, count, at))
        return made

    def _tensor(self, index: int, kind: str) -> _Pending:
        dimensions = self._int()
        if not 0 <= dimensions <= _MOST_DIMENSIONS:
            raise ValueError(f"tensor of {dimensions} dimensions")
        sizes, strides = self._longs(dimensions), self._longs(dimensions)
        (offset,) = self._longs(1)
        made = self._seen[index] = Tensor(kind, sizes, strides, offset - 1)
        return _Pending(made, 1)


def _take(pending: _Pending, value: Any) -> None:
    """Give a waiting object its next part."""
    pending.wants -= 1
    whole = pending.value
    if isinstance(whole, Table):
        if pending.wants % 2:
            if value is None or value != value:
                raise ValueError("a table with a key that is none")
            pending.key = value
        else:
            whole[pending.key] = value
    elif isinstance(whole, Object):
        whole.fields = value
    elif isinstance(whole, Tensor):
        if value is not None and not isinstance(value, Storage):
            raise ValueError("a tensor without a storage")
        whole.storage = value
        whole.check()
