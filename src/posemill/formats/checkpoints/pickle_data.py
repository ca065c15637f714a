"""Pickles read as data: an interpreter that builds plain containers and calls nothing.

A pickle is a program for a small stack machine, and Python's own loader calls whatever it names. Here the program is
read instruction by instruction; a name of a class or function stays a name, and the few that mean data (a tensor, an
array, an ordered dictionary) are handled by a table of the caller. Any other name ends the reading with that name in
the message. Every instruction takes time and memory in proportion to its own length, so that no short file can take
long or grow.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from posemill.errors import InputError, expected

__all__ = ["DAMAGE", "Built", "Name", "Source", "Table", "load"]

# What a damaged program lets out: an empty stack, a wrong type on it, a text that is no text.
DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error, EOFError)


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names; never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Built:
    """What a call in the pickle makes, where it is more than a plain container; ``build`` takes its state."""

    def build(self, state: Any) -> None:
        """Take the state that the pickle gives to the object after making it."""


Table = Mapping[Name, Callable[..., Any] | None]
"""What a name means: a function of the pickled arguments, or None for a name that is only mentioned."""

_MARK = object()
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SIMPLE = (str, bytes, int, float, bool, type(None))


class Source(Protocol):
    """What a pickle is read from: a file in memory, or mapped."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes."""
        ...

    def readline(self) -> bytes:
        """Up to the next line's begin."""
        ...

    def tell(self) -> int:
        """Where the next byte is."""
        ...


def load(file: Source, table: Table, persistent: Callable[[Any], Any], where: object) -> Any:
    """Read one pickle from where ``file`` stands; afterwards it stands behind the pickle.

    Parameters
    ----------
    file
        In memory (or mapped): a read of more than there is must cost nothing.
    table
        The names that mean data.
    persistent
        Makes the object of a persistent id.

    Raises
    ------
    InputError
        A name that is not in the table (with the name), or a damaged pickle.
    """
    machine = _Machine(table, persistent, where)
    try:
        for opcode, argument, _ in pickletools.genops(file):  # pyright: ignore[reportArgumentType]
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except DAMAGE as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(expected("pickle", "a whole one", text, where=where)) from None
    raise InputError(expected("pickle", "a whole one", "one without end", where=where))


class _Machine:
    def __init__(self, table: Table, persistent: Callable[[Any], Any], where: object) -> None:
        self._table, self._persistent, self._where = table, persistent, where
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value belongs")
        return value

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def step(self, op: str, argument: Any) -> None:
        if op in _VALUES:
            self._stack.append(argument)
        elif op in _CONSTANTS:
            self._stack.append(_CONSTANTS[op])
        elif op in ("BINGET", "LONG_BINGET", "GET"):
            self._stack.append(self._memo[int(argument)])
        elif op in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[int(argument)] = self._top()
        elif op == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif op not in ("PROTO", "FRAME"):
            act = getattr(self, f"_{op.lower()}", None)
            if act is None:
                raise ValueError(f"instruction {op}")
            act() if argument is None else act(argument)

    def _top(self) -> Any:
        if self._stack[-1] is _MARK:
            raise ValueError("a mark where a value belongs")
        return self._stack[-1]

    # -------------------------------------------------------------------------------------- stack and containers

    def _mark(self) -> None:
        self._stack.append(_MARK)

    def _pop(self) -> None:
        self._stack.pop()

    def _pop_mark(self) -> None:
        self._pop_to_mark()

    def _dup(self) -> None:
        self._stack.append(self._top())

    def _empty_list(self) -> None:
        self._stack.append([])

    def _empty_dict(self) -> None:
        self._stack.append({})

    def _empty_tuple(self) -> None:
        self._stack.append(())

    def _empty_set(self) -> None:
        self._stack.append([])

    def _list(self) -> None:
        self._stack.append(self._pop_to_mark())

    def _tuple(self) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _frozenset(self) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _dict(self) -> None:
        items = self._pop_to_mark()
        self._stack.append({})
        self._set(items)

    def _tuple1(self) -> None:
        self._stack.append((self.pop(),))

    def _tuple2(self) -> None:
        last = self.pop()
        self._stack.append((self.pop(), last))

    def _tuple3(self) -> None:
        last, middle = self.pop(), self.pop()
        self._stack.append((self.pop(), middle, last))

    def _append(self) -> None:
        value = self.pop()
        self._extend([value])

    def _appends(self) -> None:
        self._extend(self._pop_to_mark())

    _additems = _appends

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise ValueError(f"items for a {type(target).__name__}")
        target.extend(values)

    def _setitem(self) -> None:
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def _setitems(self) -> None:
        self._set(self._pop_to_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError(f"pairs for a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nested tuples as keys are refused: their hash takes time exponential in the length of the pickle.
            if not isinstance(key, _SIMPLE):
                raise ValueError(f"a {type(key).__name__} as key")
            target[key] = value

    # -------------------------------------------------------------------------------------- names and calls

    def _global(self, text: str) -> None:
        module, _, name = text.partition(" ")
        self._named(module, name)

    def _stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError("a name that is no text")
        self._named(module, name)

    def _named(self, module: str, name: str) -> None:
        found = Name(module, name)
        if found not in self._table:
            shown = repr(str(found)[:120])
            raise InputError(expected("pickle", "data only", f"the code {shown}, which is not run", where=self._where))
        self._stack.append(found)

    def _reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        self._stack.append(self.call(function, arguments))

    _newobj = _reduce

    def _newobj_ex(self) -> None:
        keywords = self.pop()
        if keywords:
            raise ValueError("an object made with keywords")
        self._reduce()

    def _inst(self, text: str) -> None:
        items = self._pop_to_mark()
        self._global(text)
        self._stack.append(self.call(self.pop(), tuple(items)))

    def _obj(self) -> None:
        function, *items = self._pop_to_mark()
        self._stack.append(self.call(function, tuple(items)))

    def call(self, function: Any, arguments: Any) -> Any:
        meaning = self._table.get(function) if isinstance(function, Name) else None
        if meaning is None or not isinstance(arguments, tuple):
            raise ValueError(f"a call of {function}" if isinstance(function, Name) else "a call of no function")
        return meaning(*arguments)

    def _build(self) -> None:
        state, target = self.pop(), self._top()
        if isinstance(target, Built):
            target.build(state)
        elif not isinstance(target, dict):
            # A dictionary's attributes (a state_dict's versions) say nothing about its contents.
            raise ValueError(f"a state for a {type(target).__name__}")

    def _persid(self, text: str) -> None:
        self._stack.append(self._persistent(text))

    def _binpersid(self) -> None:
        self._stack.append(self._persistent(self.pop()))
