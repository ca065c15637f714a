"""What lifters take from the card inside a weights file: a user's file may hold anything there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from posemill.errors import InputError, expected

__all__ = ["agreed", "card_arguments", "card_choice", "card_fps", "card_network", "card_numbers", "take_sigma_floor"]

_MOST_HIDDEN = 8192


def agreed(name: str, option: Any, said: Any, otherwise: Any, where: object) -> Any:
    """Option, else what the card says, else ``otherwise``.

    Raises
    ------
    InputError
        Option and card say two things.
    """
    if option is not None and said is not None and option != said:
        raise InputError(expected(name, f"{said}, as the card of the weights says", option, where=where))
    return next((value for value in (option, said) if value is not None), otherwise)


def card_fps(card: Mapping[str, Any], where: object) -> float | None:
    """Frames per second that the weights were trained at; None: any.

    Raises
    ------
    InputError
        The card has something else there.
    """
    fps = card.get("fps")
    if fps is not None and not (isinstance(fps, int | float) and 1 <= fps <= 1000):
        raise InputError(expected("card: fps", "1 to 1000 or null", fps, where=where))
    return None if fps is None else float(fps)


def card_arguments(card: Mapping[str, Any], where: object) -> dict[str, Any]:
    """Arguments of the network that the card states; {} where it says nothing.

    Raises
    ------
    InputError
        The card has something else there.
    """
    arguments = card.get("network", {})
    if not isinstance(arguments, dict):
        raise InputError(expected("card: network", "arguments of the network", arguments, where=where))
    return arguments


def card_network(
    card: Mapping[str, Any], tensors: Mapping[str, np.ndarray], first: str, allowed: tuple[str, ...], where: object
) -> dict[str, Any]:
    """Arguments of a network: the card's ``network``, and ``hidden`` from the tensor ``first`` where it says nothing.

    Raises
    ------
    InputError
        Others than ``hidden`` and ``allowed``, or a width that is none.
    """
    arguments = card_arguments(card, where)
    if set(arguments) - {"hidden", *allowed}:
        raise InputError(expected("card: network", f"only {', '.join(('hidden', *allowed))}", arguments, where=where))
    shape = tensors[first].shape if first in tensors else (1,)
    hidden = arguments.get("hidden", shape[0] if shape else 0)
    if type(hidden) is not int or not 1 <= hidden <= _MOST_HIDDEN:
        raise InputError(expected("hidden units", f"1 to {_MOST_HIDDEN}", hidden, where=where))
    return {**arguments, "hidden": hidden}


def card_choice(card: Mapping[str, Any], key: str, choices: tuple[Any, ...], where: object) -> Any:
    """One of ``choices``; the first where the card says nothing.

    Raises
    ------
    InputError
        The card says something else.
    """
    value = card.get(key, choices[0])
    if value not in choices:
        raise InputError(expected(f"card: {key}", " or ".join(map(str, choices)), value, where=where))
    return value


def card_numbers(card: Mapping[str, Any], key: str, default: np.ndarray, where: object) -> np.ndarray:
    """Positive numbers of the default's shape; the default where the card says nothing.

    Raises
    ------
    InputError
        The card has something else there.
    """
    if key not in card:
        return default
    try:
        numbers = np.asarray(card[key], dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if numbers.shape != default.shape or not np.isfinite(numbers).all() or (numbers <= 0).any():
        raise InputError(expected(f"card: {key}", f"{default.size} positive numbers", card[key], where=where))
    return numbers


def take_sigma_floor(tensors: dict[str, np.ndarray], default: np.ndarray, where: object) -> np.ndarray:
    """Take the tensor ``sigma_floor`` out, (17,) m per axis; the default where there is none.

    Raises
    ------
    InputError
        It is not 17 positive numbers.
    """
    floor = tensors.pop("sigma_floor", default)
    if floor.shape != default.shape or not np.isfinite(floor).all() or (floor <= 0).any():
        raise InputError(expected("tensor sigma_floor", "17 positive numbers", floor.shape, where=where))
    return floor.astype(np.float64)
