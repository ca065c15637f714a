"""A folder of drawn figures: ``figure.safetensors``, and ``shard-00000.safetensors`` and so on, each with its card.

Every shard is a function of the folder's request (motion, options, seed, code) and of its number: a folder that is not
finished can be gone on with, and learnt from while it grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.weights import read_card, read_weights, write_weights

__all__ = ["SHARD", "read_figure", "read_request", "read_shard", "shard_path", "shards", "write_figure", "write_shard"]

SHARD = 250
"""Pictures of a shard."""
_FIGURE = "figure.safetensors"


def shard_path(folder: Path, number: int) -> Path:
    """File of a shard."""
    return Path(folder) / f"shard-{number:05d}.safetensors"


def shards(folder: Path) -> list[int]:
    """Numbers of the shards that are there, from 0 without a gap."""
    number = 0
    while shard_path(folder, number).is_file():
        number += 1
    return list(range(number))


def write_figure(folder: Path, tables: Mapping[str, np.ndarray], request: Mapping[str, Any]) -> None:
    """Write what all shards share, and what they are made from.

    Raises
    ------
    InputError
        The folder has another request's pictures.
    """
    path = Path(folder) / _FIGURE
    if path.is_file():
        found = read_request(folder)
        if found != request:
            different = sorted(key for key in {*found, *request} if found.get(key) != request.get(key))
            raise InputError(
                expected("pictures", "those of this request", f"others: {', '.join(different)}", where=folder,
                         do="name another folder")
            )  # fmt: skip
        return
    write_weights(path, tables, {"pictures": request})


def read_request(folder: Path) -> dict[str, Any]:
    """What a folder's pictures are made from.

    Raises
    ------
    InputError
        It is no such folder.
    """
    path = Path(folder) / _FIGURE
    if not path.is_file():
        raise InputError(
            expected("pictures", f"a folder with {_FIGURE}, as posemill draw-people writes", "none", where=folder)
        )
    return read_card(path).get("pictures", {})


def read_figure(folder: Path) -> dict[str, np.ndarray]:
    """Tables that all shards share: ``kinds`` (F,) and ``places`` (F, 3) of the figure's triangles."""
    read_request(folder)
    return read_weights(Path(folder) / _FIGURE)[0]


def write_shard(folder: Path, number: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a shard, in one step."""
    write_weights(shard_path(folder, number), arrays, {"shard": number})


def read_shard(folder: Path, number: int) -> dict[str, np.ndarray]:
    """Arrays of a shard by name, as :class:`posemill.training.pictures.drawn.Shard` has them."""
    return read_weights(shard_path(folder, number))[0]
