"""Run a training beside its output: checkpoints and log in ``{output}.run``, progress on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from posemill.errors import InputError, expected
from posemill.progress import Ticker
from posemill.provenance import code_hash, library_versions, sha256_file

if TYPE_CHECKING:
    from posemill.training.engine import Training

__all__ = ["RunOptions", "Start", "go", "run_folder", "tell"]


class RunOptions(BaseModel, extra="forbid"):
    """How a training is run; none of it but ``stop_at`` changes the weights."""

    resume: Annotated[
        bool,
        Field(description="Go on from the newest checkpoint; false: remove what is there and begin anew"),
    ] = True
    checkpoint_every: Annotated[int, Field(ge=1, description="Steps between checkpoints")] = 1000
    keep: Annotated[int, Field(ge=1, description="So many of the last checkpoints stay")] = 2
    series_every: Annotated[
        int | None, Field(ge=1, description="Checkpoints of the multiples of this step stay too, for posemill curve")
    ] = None
    log_every: Annotated[int, Field(ge=1, description="Steps that a line of the log is the mean of")] = 50
    evaluate_every: Annotated[
        int | None, Field(ge=1, description="Steps between measurements on the held-out subjects, into the log")
    ] = None
    tensorboard: Annotated[Path | None, Field(description="Folder for TensorBoard's event file")] = None
    workers: Annotated[int, Field(ge=0, le=256, description="Processes that draw examples ahead; 0: none")] = 0
    stop_at: Annotated[
        int | None,
        Field(ge=1, description="Step after which to stop before the schedule's end, and write what there is"),
    ] = None


class Start:
    """A weights file that a training begins with.

    Attributes
    ----------
    tensors
        By name.
    card
        What the new weights' card says of it.

    Raises
    ------
    InputError
        The file is another lifter's, or cannot be read.
    """

    def __init__(self, path: Path, name: str) -> None:
        from posemill.formats.weights import read_weights

        self.tensors, card = read_weights(path)
        said = card.get("lifter", card.get("detector", card.get("method", name)))
        if said != name:
            raise InputError(expected("start", f"weights of {name}", f"{said}'s", where=path))
        self.card = {"file": path.name, "sha256": sha256_file(path)}


_MODULES = {"linear": "linear", "posemill": "posemill", "hourglass": "pose2d", "pose_resnet": "pose2d"}


def stage_module(name: str) -> str:
    """Module that trains a method."""
    return f"posemill.stages.train.{_MODULES.get(name, 'windows')}"


def run_folder(output: Path) -> Path:
    """Folder of the run that makes ``output``."""
    return output.with_name(f"{output.name}.run")


def go(
    name: str,
    training: Training,
    output: Path,
    request: Mapping[str, Any],
    options: RunOptions,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
) -> float:
    """Train, or go on; see :func:`posemill.training.engine.run`.

    Parameters
    ----------
    request
        What decides the bytes beside code, libraries and device, which are added here.

    Returns
    -------
    Seconds per step (:func:`posemill.training.pace.clock`), examples and checkpoints included; NaN if none was left
    """
    from posemill.training.engine import Running, run
    from posemill.training.pace import clock
    from posemill.training.steps import reduced

    ticker: Ticker | None = None

    def report(done: int, scalars: Mapping[str, float]) -> None:
        nonlocal ticker
        if ticker is None:
            if done > 1:
                print(f"train {name}: goes on from step {done - 1} in {run_folder(output)}", file=sys.stderr)
            ticker = Ticker(running.last(training.steps) - done + 1, f"train {name}", "step")
        ticker.step(", ".join(f"{key} {value:.4g}" for key, value in scalars.items()))

    running = Running(**{key: getattr(options, key) for key in RunOptions.model_fields})
    whole = {
        **request,
        # The stage's module has all that decides the bytes: examples and networks, too.
        "code": code_hash(type(training).__module__, stage_module(name)),
        "libraries": library_versions(("numpy", "scipy", "torch")),
        "device": training.device.type,
        "reduced": reduced(training.device),
    }
    now = clock(training)
    began = now()
    try:
        first = run(
            training,
            folder=run_folder(output),
            request=whole,
            running=running,
            evaluate=evaluate if options.evaluate_every else None,
            report=report,
        )
    finally:
        if ticker is not None:
            ticker.__exit__(None, None, None)
    done = running.last(training.steps) - first
    return (now() - began) / done if done else float("nan")


def tell(output: Path, results: Mapping[str, Any]) -> None:
    """Print what was measured of a weights file, and which file it is."""
    print(json.dumps(results, indent=1))
    print(f"{output}: sha256 {sha256_file(output)}, {output.stat().st_size} bytes")
