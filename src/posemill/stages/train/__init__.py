"""Train a lifter's weights from motion capture, evaluate them on subjects held out, write them with their card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posemill.errors import InputError

__all__ = ["TRAINED", "run"]

TRAINED = ("posemill", "linear", "temporal", "seq2seq", "gan", "repnet", "video_gan", "dstformer", "agformer")
"""Lifters that can be trained."""


def run(name: str, motion: Path, output: Path, *, seed: int = 0, options: dict[str, Any] | None = None) -> float:
    """Train a method and write its weights to ``output`` (safetensors, card inside); returns seconds per step.

    Raises
    ------
    InputError
        No trainer of that name, bad options, a motion file that cannot be used, or an output that cannot be written.
    """
    if name not in TRAINED:
        raise InputError(f"train: expected {', '.join(TRAINED[:-1])} or {TRAINED[-1]}, got {name!r}")
    if name == "linear":
        from posemill.stages.train import linear

        return linear.run(motion, output, seed, options or {})
    if name == "posemill":
        from posemill.stages.train import posemill

        return posemill.run(motion, output, seed, options or {})
    from posemill.stages.train import windows

    return windows.run(name, motion, output, seed, options or {})
