"""Scalars for TensorBoard, where somebody wants them and the package is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from posemill.errors import InputError

__all__ = ["Board"]


class Board:
    """TensorBoard's event file, or nothing; a context manager.

    Raises
    ------
    InputError
        A folder without the package.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._writer: Any = None
        if folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                text = " ".join(str(error).split())
                raise InputError(
                    f"tensorboard={folder}: expected the package tensorboard, got none ({text}); "
                    "install it with posemill[tensorboard], or leave the option out: log.jsonl has the same numbers"
                ) from None
            self._open = SummaryWriter

    def __enter__(self) -> Self:
        if self._folder is not None:
            self._writer = self._open(str(self._folder))
        return self

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write scalars of a step."""
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()
