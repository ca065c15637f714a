"""What a binary file of Torch7 holds, as data: tables, objects, storages and tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["FUNCTION", "Object", "Storage", "Table", "Tensor"]

FUNCTION = "<lua function>"
"""What stands for a stored function."""


class Table(dict[Any, Any]):
    """A Lua table. Equal only to itself, as in Lua, so that a table may be another's key."""

    __slots__ = ()
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __repr__(self) -> str:
        return f"<table of {len(self)}>"

    def sequence(self) -> list[Any]:
        """Values of the keys 1, 2, 3, ..."""
        values = []
        while len(values) + 1 in self:
            values.append(self[len(values) + 1])
        return values


@dataclass(eq=False, slots=True)
class Object:
    """An object of a class neither tensor nor storage: its ``kind`` and version, and the table of its fields."""

    kind: str
    version: int
    fields: Any = field(default=None, repr=False)

    def get(self, name: str) -> Any:
        """The field's value; None if there is none."""
        return self.fields.get(name) if isinstance(self.fields, Table) else None


@dataclass(eq=False, slots=True)
class Storage:
    """Numbers, as they are in the file."""

    numbers: np.ndarray = field(repr=False)


@dataclass(eq=False, slots=True)
class Tensor:
    """A view of a storage that lies inside it; ``offset`` counts from 0, strides are in elements."""

    kind: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: Storage | None = None

    @property
    def count(self) -> int:
        """Numbers that the tensor has; a stride of 0 makes many of one."""
        count = 1 if self.sizes else 0
        for size in self.sizes:
            count *= size
        return count

    def array(self) -> np.ndarray:
        """A copy, of this shape. Ask :attr:`count` first, for memory's sake."""
        if self.storage is None or not self.count:
            return np.zeros(self.sizes or (0,))
        numbers = self.storage.numbers
        # The stride of a single element means nothing, and may be anything.
        steps = [s * numbers.itemsize if n > 1 else 0 for n, s in zip(self.sizes, self.strides, strict=True)]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.sizes, steps, writeable=False)
        return np.array(view)

    def check(self) -> None:
        """Raise ValueError unless the first and the last element lie in the storage."""
        if any(size < 0 for size in self.sizes) or any(stride < 0 for stride in self.strides):
            raise ValueError("a tensor of negative size")
        if not self.count:
            return
        last = self.offset + sum((n - 1) * s for n, s in zip(self.sizes, self.strides, strict=True))
        there = 0 if self.storage is None else len(self.storage.numbers)
        if self.offset < 0 or last >= there:
            raise ValueError(f"a tensor up to element {last} of a storage of {there}")
