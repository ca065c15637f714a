"""Methods by name: detectors and lifters, found through entry points.

A method is a module with ``NAME``, ``Options`` (a pydantic model), ``CARD`` and ``create(options)``; a package adds
one with a line in its ``pyproject.toml`` and no change here::

    [project.entry-points."posemill.lifters"]
    mine = "my_package.my_lifter"

Looking up imports the module itself and nothing heavy: methods import torch and the like inside functions.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ValidationError

from posemill.errors import InputError, MissingError

__all__ = ["KINDS", "load", "names", "options"]

KINDS = ("detectors", "lifters")
_CONTRACT = ("NAME", "Options", "CARD", "create")


@cache
def _found(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in sorted(entry_points(group=f"posemill.{kind}"), key=lambda p: p.name)}


def names(kind: str) -> tuple[str, ...]:
    """Names of all installed methods of a kind (``detectors`` or ``lifters``)."""
    return tuple(_found(kind))


@cache
def load(kind: str, name: str) -> ModuleType:
    """Import a method's module.

    Raises
    ------
    InputError
        No method of that name; the message lists those that exist.
    MissingError
        The module cannot be imported or does not keep the contract.
    """
    point = _found(kind).get(name)
    if point is None:
        raise InputError(f"unknown {kind[:-1]} {name!r}; known: {', '.join(names(kind))}")
    try:
        module: Any = point.load()
    except ImportError as error:
        raise MissingError(f"{kind[:-1]} {name}: {point.value} cannot be imported: {error}") from error
    missing = [part for part in _CONTRACT if not hasattr(module, part)]
    if missing:
        raise MissingError(f"{kind[:-1]} {name}: {point.value} lacks {', '.join(missing)}")
    return module


def options(kind: str, name: str, values: dict[str, Any] | None) -> dict[str, Any]:
    """Validate a method's options and fill in its defaults.

    Raises
    ------
    InputError
        An unknown option or a bad value; one line that names the options that exist.
    """
    model: type[BaseModel] = load(kind, name).Options
    try:
        return model.model_validate(values or {}).model_dump(mode="json")
    except ValidationError as error:
        raise InputError(f"{kind}.{name}: {one_line(error)}; options: {', '.join(model.model_fields)}") from None


def one_line(error: ValidationError) -> str:
    """Say a pydantic error in one line: place and complaint of each problem."""
    return "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg'].lower()}" for e in error.errors())
