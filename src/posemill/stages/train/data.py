"""What every training starts from: options, motion to learn from, and subjects held out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from posemill import registry
from posemill.errors import InputError, expected
from posemill.formats.motion import MotionClip, read_motion
from posemill.provenance import sha256_file
from posemill.stages.train.running import RunOptions

__all__ = ["MotionSplit", "TrainOptions", "check_options", "read_split", "request_options", "terms"]

# Said of the weights or measured afterwards: of no consequence to the training.
_AFTERWARDS = ("stop_at", "weights_terms", "data_terms", "windows", "start", "mean_with", "unseen", "measured")


class TrainOptions(RunOptions, extra="forbid"):
    """Options of every training."""

    groups: Annotated[tuple[str, ...], Field(description="Groups of the motion file to train on")] = ("train", "extra")
    held_out: Annotated[
        tuple[str, ...], Field(description="Subjects of the first group never trained on: validation")
    ] = ("S007", "S011", "S026", "S080", "S094")
    weights_terms: Annotated[str, Field(description="Terms of the weights, for their card")] = "as their data allow"
    data_terms: Annotated[str, Field(description="Terms of what is learnt from, for the card")] = (
        "not stated at training"
    )
    threads: Annotated[int, Field(ge=1, description="CPU threads; part of what decides the bytes")] = 1
    start: Annotated[Path | None, Field(description="Weights file of the same lifter and sizes to begin with")] = None

    @property
    def said(self) -> dict[str, Any]:
        """What a card says of them: without what changes no weights, and files by name."""
        values = self.model_dump(mode="json", exclude=set(RunOptions.model_fields) - {"stop_at"})
        files = {name: value.name for name in values if isinstance(value := getattr(self, name), Path)}
        return values | files


OptionsT = TypeVar("OptionsT", bound=TrainOptions)


class MotionSplit:
    """Clips of a motion file, apart by subject.

    Attributes
    ----------
    training
        Clips of all groups whose subject is not held out; perhaps none where a dataset is learnt from.
    held_out
        Subject to clips of the first group.
    """

    def __init__(self, training: list[MotionClip], held_out: dict[str, list[MotionClip]], path: Path) -> None:
        self.training = training
        self.held_out = held_out
        self._path = path

    @property
    def fps(self) -> float:
        """Frames per second of the file."""
        return next(iter(self.held_out.values()))[0].fps

    @property
    def card(self) -> dict[str, Any]:
        """What a weights card says of its data."""
        frames = sum(len(clip.joints) for clip in self.training)
        return {
            "trained_on": {"motion_sha256": sha256_file(self._path), "clips": len(self.training), "frames": frames},
            "held_out_subjects": sorted(self.held_out),
        }


def check_options(name: str, model: type[OptionsT], values: dict[str, Any], output: Path) -> OptionsT:
    """Check a training's options and that its output can be written, before hours are spent.

    Raises
    ------
    InputError
        One line that says which options there are, or where one may not write.
    """
    if "dataset" in values and "dataset" not in model.model_fields:
        raise InputError(
            expected(
                f"train {name}: dataset",
                "none, for it learns from motion capture alone",
                values["dataset"],
                do="train temporal, seq2seq, gan, repnet, video_gan, dstformer or agformer with it",
            )
        )
    try:
        options = model.model_validate(values)
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        raise InputError(f"train {name}: {registry.one_line(error)}; options: {known}") from None
    if not os.access(output.parent if output.parent.exists() else Path(), os.W_OK):
        raise InputError(f"{output}: cannot be written; choose a folder that you may write to")
    return options


def request_options(options: TrainOptions) -> dict[str, Any]:
    """Options that decide the bytes of a training."""
    return {key: value for key, value in options.said.items() if key not in _AFTERWARDS}


def terms(options: TrainOptions) -> dict[str, str]:
    """What a weights card says under ``licences``."""
    return {"code": "Apache-2.0", "weights": options.weights_terms, "data": options.data_terms}


def read_split(path: Path, options: TrainOptions, *, measured_only: bool = False) -> MotionSplit:
    """Read motion, and keep the held-out subjects apart.

    Parameters
    ----------
    measured_only
        All subjects may be held out.

    Raises
    ------
    InputError
        The file cannot be used, or lacks a held-out subject, or there are fewer than two.
    """
    clips = read_motion(path, groups=options.groups)
    first = options.groups[0] if options.groups else ""
    subjects = sorted({clip.subject for clip in clips if clip.group == first})
    unknown = [s for s in options.held_out if s not in subjects]
    if unknown or len(options.held_out) < 2:
        raise InputError(
            expected("held_out", f"two or more of {', '.join(subjects)}", ", ".join(options.held_out), where=path)
        )
    # A held-out subject is left out under whichever group its name appears.
    training = [clip for clip in clips if clip.subject not in options.held_out]
    if not training and not measured_only:
        raise InputError(expected("clips to train on", "some", "none", where=path))
    held_out = {s: [c for c in clips if c.subject == s and c.group == first] for s in options.held_out}
    return MotionSplit(training, held_out, path)
