"""Torch7's binary files (.t7), written as :mod:`posemill.formats.torch7` describes them, longs of 8 bytes.

Tables and objects that occur twice are written once and referred to. Torch7 reads with recursion: write what is deeply
linked in an order in which each thing refers only to things before it.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.atomic import write_bytes
from posemill.formats.torch7_values import Object, Table

__all__ = ["LongStorage", "array_table", "write_torch7"]

_TENSORS = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "uint8": "Byte"}


class LongStorage(tuple[int, ...]):
    """Whole numbers that are written as a ``torch.LongStorage``."""

    __slots__ = ()


def array_table(values: list[Any]) -> Table:
    """A table with keys 1, 2, 3, ..."""
    return Table({float(number): value for number, value in enumerate(values, 1)})


def write_torch7(path: Path, value: Any) -> None:
    """Write one object in one step.

    Parameters
    ----------
    value
        None, bool, int, float, str, an array of float32, float64, float16, int64 or uint8, :class:`LongStorage`, and
        tables and objects of such.

    Raises
    ------
    InputError
        The file cannot be written, or something in ``value`` has no place in such a file.
    """
    writer = _Writer()
    writer.write(value)
    write_bytes(path, writer.out.getvalue())


class _Writer:
    def __init__(self) -> None:
        self.out = BytesIO()
        # The values themselves are kept, so that no other gets the id of one that is gone.
        self._written: dict[int, tuple[int, Any]] = {}
        self._count = 0

    def write(self, value: Any) -> None:
        if value is None:
            self._ints(0)
        elif isinstance(value, bool):
            self._ints(5, int(value))
        elif isinstance(value, int | float):
            self._ints(1)
            self.out.write(struct.pack("<d", value))
        elif isinstance(value, str):
            self._ints(2)
            self._text(value)
        elif isinstance(value, Table):
            if self._begin(3, value):
                self._ints(len(value))
                for key, part in value.items():
                    self.write(key)
                    self.write(part)
        elif isinstance(value, Object):
            if self._begin(4, value):
                self._class(value.kind, value.version)
                self.write(value.fields)
        elif isinstance(value, np.ndarray):
            if self._begin(4, value):
                self._tensor(value)
        elif isinstance(value, LongStorage):
            if self._begin(4, value):
                self._class("torch.LongStorage", 1)
                self._longs(len(value), *value)
        else:
            raise InputError(expected("part of a .t7", "a number, text, table, tensor or object", type(value).__name__))

    def _ints(self, *numbers: int) -> None:
        self.out.write(struct.pack(f"<{len(numbers)}i", *numbers))

    def _longs(self, *numbers: int) -> None:
        self.out.write(struct.pack(f"<{len(numbers)}q", *numbers))

    def _text(self, text: str) -> None:
        raw = text.encode()
        self._ints(len(raw))
        self.out.write(raw)

    def _begin(self, kind: int, value: Any) -> bool:
        """Write type and index; whether the contents must follow."""
        self._ints(kind)
        if id(value) in self._written:
            self._ints(self._written[id(value)][0])
            return False
        self._ints(self._new_index())
        self._written[id(value)] = self._count, value
        return True

    def _new_index(self) -> int:
        self._count += 1
        return self._count

    def _class(self, name: str, version: int) -> None:
        self._text(f"V {version}")
        self._text(name)

    def _tensor(self, array: np.ndarray) -> None:
        kind = _TENSORS.get(array.dtype.name)
        if kind is None:
            raise InputError(expected("tensor of a .t7", ", ".join(_TENSORS), array.dtype.name))
        self._class(f"torch.{kind}Tensor", 1)
        sizes = array.shape if array.size else ()
        whole = np.ascontiguousarray(array)
        self._ints(len(sizes))
        self._longs(*sizes, *(step // array.itemsize for step in whole.strides[: len(sizes)]), 1)
        if not sizes:
            self._ints(0)
            return
        self._ints(4, self._new_index())
        self._class(f"torch.{kind}Storage", 1)
        self._longs(array.size)
        self.out.write(whole.astype(whole.dtype.newbyteorder("<")).tobytes())
