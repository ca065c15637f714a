"""Train a lifter for so many seconds: the number of steps is found first, written down, and kept to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posemill.errors import InputError, expected
from posemill.formats.atomic import write_text
from posemill.formats.weights import read_card
from posemill.provenance import code_hash, sha256_file
from posemill.stages import train
from posemill.stages.train import linear, posemill, windows
from posemill.stages.train.compare_rows import Row
from posemill.stages.train.data import MotionSplit
from posemill.stages.train.running import stage_module

if TYPE_CHECKING:
    from posemill.training.engine import Training

__all__ = ["Trained", "train_for"]


@dataclass(frozen=True)
class Trained:
    """A row's weights and what they cost.

    Attributes
    ----------
    frames_seen
        Frames of 2D that went through the network, repetitions counted.
    seconds
        Of training, by :func:`posemill.training.pace.clock`.
    code
        Hash of the code that trained: a finished row stays when that changes.
    """

    weights: Path
    steps: int
    frames_seen: int
    seconds: float
    supervision: str
    code: str


def train_for(
    row: Row, motion: Path, split: MotionSplit, folder: Path, *, seconds: float, seed: int, common: Mapping[str, Any]
) -> Trained:
    """Train a row into ``{folder}/{row}.safetensors``, or go on with it, or take what is finished.

    Parameters
    ----------
    common
        Options of this training beside the row's.

    Raises
    ------
    InputError
        The folder holds a training of the row that was another request's.
    """
    output, said = folder / f"{row.slug}.safetensors", folder / f"{row.slug}.json"
    values = {**row.options, **common}
    request = {
        "lifter": row.lifter,
        "motion": sha256_file(motion),
        "seconds": seconds,
        "seed": seed,
        "options": json.loads(json.dumps(values)),
    }
    state = _state(said, request)
    if not state:
        code = code_hash("posemill.training.pace", stage_module(row.lifter))
        state = {
            "request": request,
            "code": code,
            **_planned(row, split, output, seconds=seconds, seed=seed, values=values),
        }
        write_text(said, json.dumps(state, indent=1) + "\n")
    if state.get("weights") is None or not output.is_file() or sha256_file(output) != state["weights"]:
        how = {"checkpoint_every": max(1, state["steps"] // 10), **state["options"]}
        pace = train.run(row.lifter, motion, output, seed=seed, options={**values, **how})
        if math.isfinite(pace) or "seconds" not in state:
            # What was trained before a run was killed has taken as long a step.
            state["seconds"] = state["steps"] * (pace if math.isfinite(pace) else state["seconds_per_step"])
        state["weights"] = sha256_file(output)
        write_text(said, json.dumps(state, indent=1) + "\n")
    supervision = str(read_card(output)["supervision"])
    return Trained(output, state["steps"], state["frames_seen"], state["seconds"], supervision, state["code"])


def _state(path: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        state = json.loads(path.read_text())
        found = state["request"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(expected("a row's state", "JSON with its request", str(error), where=path)) from None
    differs = sorted(key for key in request if found.get(key) != request[key])
    if differs:
        raise InputError(
            f"{path}: {path.stem} was trained with another {', '.join(differs)}: delete {path.name} and "
            f"{path.stem}.safetensors.run to train it anew, or choose another output"
        )
    return state


def _planned(
    row: Row, split: MotionSplit, output: Path, *, seconds: float, seed: int, values: dict[str, Any]
) -> dict[str, Any]:
    """Number of steps, as the lifter's options say it, from the time that a trial takes."""
    import torch

    from posemill.training.pace import seconds_per_step

    training, frames = _trial(row.lifter, split, output, seed, values)
    torch.set_num_threads(int(values.get("threads", 1)))
    each = seconds_per_step(training, seconds=max(2.0, 0.08 * seconds))
    steps = max(1, round(seconds / each))
    options: dict[str, Any] = {"steps": steps}
    if row.lifter == "linear":
        _, schedule = linear.planned(seed, values, output)
        epochs = max(1, round(steps / schedule.steps_per_epoch))
        steps, options = epochs * schedule.steps_per_epoch, {"epochs": epochs}
    return {
        "steps": steps,
        "options": options,
        "seconds_per_step": each,
        "frames_seen": round(steps * training.batch * frames),
    }


def _trial(name: str, split: MotionSplit, output: Path, seed: int, values: dict[str, Any]) -> tuple[Training, float]:
    """The training as it would be of its usual length, and frames of a row of its batches on average."""
    if name == "linear":
        from posemill.training.bodies import pose_library
        from posemill.training.linear import LinearTraining

        _, schedule = linear.planned(seed, values, output)
        return LinearTraining(pose_library([clip.joints for clip in split.training], seed=seed), schedule), 1
    if name == "posemill":
        from posemill.training.posemill import FRAMES, PosemillTraining

        _, schedule, sizes = posemill.planned(seed, values, output)
        return PosemillTraining(split.training, schedule, sizes), FRAMES
    options, recipe, schedule = windows.planned(name, seed, values, output)
    made, _ = windows.make(name, options.supervision, recipe, split.training, schedule, None)
    return made, 1 + (1 - schedule.stills) * (recipe.frames - 1)
