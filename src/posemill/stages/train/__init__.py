"""Train a method's weights, evaluate them on subjects held out, write them with their card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posemill.errors import InputError, expected

__all__ = ["DETECTORS", "TRAINED", "run"]

TRAINED = ("posemill", "linear", "temporal", "seq2seq", "gan", "repnet", "video_gan", "dstformer", "agformer")
"""Lifters that can be trained."""
DETECTORS = ("hourglass", "pose_resnet")
"""Detectors that can be trained."""


def run(name: str, motion: Path | None, output: Path, *, seed: int = 0, options: dict[str, Any] | None = None) -> float:
    """Train a method and write its weights to ``output`` (safetensors, card inside); returns seconds per step.

    Raises
    ------
    InputError
        No trainer of that name, bad options, a motion file that cannot be used, or an output that cannot be written.
    """
    known = (*TRAINED, *DETECTORS)
    if name not in known:
        raise InputError(f"train: expected {', '.join(known[:-1])} or {known[-1]}, got {name!r}")
    if seed < 0:
        raise InputError(expected("train: --seed", "0 or more", seed))
    if not output.name or output.is_dir():
        raise InputError(expected("train: --output", "a file to write", f"the folder {output}"))
    if name in DETECTORS:
        from posemill.stages.train import pose2d

        return pose2d.run(name, output, seed, options or {})
    if motion is None:
        raise InputError(f"train {name}: expected --motion FILE, motion capture to learn from, got none")
    if name == "linear":
        from posemill.stages.train import linear

        return linear.run(motion, output, seed, options or {})
    if name == "posemill":
        from posemill.stages.train import posemill

        return posemill.run(motion, output, seed, options or {})
    from posemill.stages.train import windows

    return windows.run(name, motion, output, seed, options or {})
