"""Weights of detectors that come as files: read, or converted on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemill.errors import InputError, MissingError, expected

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint

__all__ = ["card_of", "missing", "numbers", "read", "whole_number"]

Converted = tuple[dict[str, np.ndarray], dict[str, Any]]


def missing(path: Path, detector: str) -> str:
    """The line for who has no weights."""
    return (
        f"detector {detector}: expected weights at {path}, got nothing; train them: posemill train {detector}, or "
        f"name published ones: detectors.{detector}.weights"
    )


def read(path: Path, detector: str, convert: Callable[[Checkpoint, Any], Converted], options: Any) -> Converted:
    """Tensors and card: of our own safetensors as they are, of a published file converted.

    Raises
    ------
    MissingError
        No file; the message says how to get one.
    InputError
        The file cannot be read, or is another detector's.
    """
    if not path.is_file():
        raise MissingError(missing(path, detector))
    from posemill.formats.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(path)
    if checkpoint.kind != "safetensors":
        return convert(checkpoint, options)
    card = dict(checkpoint.extras)
    if card.get("detector") != detector:
        raise InputError(expected("weights", f"those of detector {detector}", card.get("detector"), where=path))
    return dict(checkpoint.tensors), card


def card_of(path: Path, detector: str, convert: Callable[[Checkpoint, Any], Converted], options: Any) -> dict[str, Any]:
    """The card alone, or what a published file is made to say; {} where there is no file."""
    from posemill.formats.weights import read_card

    if not path.is_file():
        return {}
    return read_card(path) or read(path, detector, convert, options)[1]


def whole_number(card: Mapping[str, Any], key: str, least: int, most: int, otherwise: int, where: object) -> int:
    """A whole number of the card within limits.

    Raises
    ------
    InputError
        The card has something else there.
    """
    value = card.get(key, otherwise)
    if type(value) is not int or not least <= value <= most:
        raise InputError(expected(f"card: {key}", f"{least} to {most}", value, where=where))
    return value


def numbers(card: Mapping[str, Any], key: str, otherwise: tuple[float, ...], where: object) -> np.ndarray:
    """As many finite numbers as ``otherwise`` has, or one for all of them.

    Raises
    ------
    InputError
        The card has something else there.
    """
    value = card.get(key, otherwise)
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.array(np.nan)
    if found.shape not in ((), (len(otherwise),)) or not np.isfinite(found).all():
        raise InputError(expected(f"card: {key}", f"{len(otherwise)} numbers", value, where=where))
    return np.broadcast_to(found, (len(otherwise),)).copy()
