"""Network weights as safetensors, with the card (what they are, who may use them) inside.

The header's metadata has one key, ``card``: sorted JSON. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, MissingError, expected
from posemill.formats.atomic import write_bytes
from posemill.provenance import sha256_file

__all__ = ["STATES", "check_tensors", "read_card", "read_weights", "weights_state", "weights_terms", "write_weights"]

STATES = ("shipped", "made by rule", "user's")
"""Where weights are from: with the method's package; made by ``posemill train`` from motion capture; anything else."""


def write_weights(path: Path, tensors: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> None:
    """Write tensors and their card in one step; equal content gives equal bytes.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    from safetensors.numpy import save

    ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    write_bytes(path, save(ordered, {"card": json.dumps(card, sort_keys=True)}))


def read_weights(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read all tensors and the card ({} if there is none).

    Raises
    ------
    MissingError
        There is no such file.
    InputError
        It is not a safetensors file, damaged, or its card is not JSON.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise MissingError(f"{path}: expected weights, got no file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        card = json.loads(metadata.get("card", "{}"))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        raise InputError(expected("weights", "a whole safetensors file", text, where=path)) from error
    if not isinstance(card, dict):
        raise InputError(expected("card", "a JSON object", type(card).__name__, where=path))
    return tensors, card


def read_card(path: Path) -> dict[str, Any]:
    """Read the card alone; {} for a file of another format, or one without a card. No tensor is read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > path.stat().st_size - 8:
                return {}
            header = json.loads(file.read(size))
        card = json.loads(header["__metadata__"]["card"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return card if isinstance(card, dict) else {}


def weights_terms(path: Path | None, otherwise: Mapping[str, str]) -> dict[str, str]:
    """Terms of code, weights and data: what the file's card says, else what is said of the method's files at large."""
    said = read_card(path).get("licences") if path else None
    return {**otherwise, **({str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else {})}


def weights_state(path: Path) -> str:
    """Say which of :data:`STATES` a weights file is in.

    Shipped weights have a page beside them (``linear.md`` beside ``linear.safetensors``) that states their SHA-256;
    another file under the same name, put there by a user, is not taken for them.
    """
    try:
        page = path.with_suffix(".md").read_text()
    except (OSError, UnicodeDecodeError):
        page = ""
    if sha256_file(path) in page:
        return "shipped"
    return "made by rule" if "trained_on" in read_card(path) else "user's"


def check_tensors(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], where: object) -> None:
    """Compare what a file holds with what a network needs.

    Raises
    ------
    InputError
        Naming the first tensor that is absent, of another shape, unknown, or not finite.
    """
    for name, shape in shapes.items():
        if name not in tensors:
            raise InputError(expected(f"tensor {name}", f"shape {tuple(shape)}", "none", where=where))
        if tensors[name].shape != tuple(shape):
            raise InputError(expected(f"tensor {name}", f"shape {tuple(shape)}", tensors[name].shape, where=where))
        if not np.isfinite(tensors[name]).all():
            raise InputError(expected(f"tensor {name}", "finite numbers", "NaN or infinity", where=where))
    for name in tensors:
        if name not in shapes:
            raise InputError(expected("tensors", "only the network's", f"{name} as well", where=where))
