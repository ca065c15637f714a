"""Train ``posemill``, calibrate its sigma on held-out subjects, measure it, write it with its card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from posemill.stages.train.data import TrainOptions, check_options, read_split, request_options, terms
from posemill.stages.train.running import Start, go, tell

if TYPE_CHECKING:
    from posemill.training.posemill import Schedule

__all__ = ["TrainPosemillOptions", "planned", "run"]


class TrainPosemillOptions(TrainOptions, extra="forbid"):
    """Options of ``posemill train posemill``."""

    steps: Annotated[int, Field(ge=1, description="Batches to learn from")] = 42000
    batch: Annotated[int, Field(ge=1, le=65536, description="Rows of 27 frames per batch")] = 76
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Peak of the one-cycle schedule")] = 2e-3
    width: Annotated[int, Field(ge=8, le=4096, description="Of the network's blocks")] = 384
    before: Annotated[int, Field(ge=0, le=64, description="Blocks of single frames before those over time")] = 2
    dilations: Annotated[
        tuple[int, ...], Field(description="Blocks over time, by how many frames apart they look; (): single frames")
    ] = (1, 3, 9)
    after: Annotated[int, Field(ge=0, le=64, description="Blocks of single frames after those over time")] = 1
    mean_with: Annotated[
        Path | None,
        Field(description="Weights that the start goes back to: the mean of them and what was learnt is written"),
    ] = None
    windows: Annotated[int, Field(ge=1, description="Windows of each held-out subject to measure on")] = 150


def planned(seed: int, values: dict[str, Any], output: Path) -> tuple[TrainPosemillOptions, Schedule, dict[str, Any]]:
    """Options checked, and the schedule and the network's sizes that they ask for."""
    from posemill.training.posemill import Schedule

    options = check_options("posemill", TrainPosemillOptions, values, output)
    chosen = {key: getattr(options, key) for key in ("steps", "batch", "learning_rate")}
    sizes = {key: getattr(options, key) for key in ("width", "before", "dilations", "after")}
    return options, replace(Schedule(), seed=seed, **chosen), sizes


def run(motion: Path, output: Path, seed: int, values: dict[str, Any]) -> float:
    """Train ``posemill`` and write its weights; see :func:`posemill.stages.train.run`."""
    options, schedule, sizes = planned(seed, values, output)
    split = read_split(motion, options)
    start = None if options.start is None else Start(options.start, "posemill")
    earlier = None if options.mean_with is None else Start(options.mean_with, "posemill")

    import torch

    from posemill.training.posemill import PosemillTraining, halfway
    from posemill.training.profile import shipped
    from posemill.training.seen import DETECTORS

    torch.set_num_threads(options.threads)
    about = {"lifter": "posemill", "network": sizes | {"dilations": list(options.dilations)}}
    training = PosemillTraining(split.training, schedule, sizes, start=None if start is None else start.tensors)
    request = {
        "train": "posemill",
        "card": about,
        **split.card,
        "feet_in_clips": sum(clip.feet is not None for clip in split.training),
        "schedule": asdict(schedule),
        "detectors": {name: shipped(name).card for name in DETECTORS},
        "options": request_options(options),
        "start": None if start is None else start.card,
    }

    def evaluate() -> Mapping[str, float]:
        from posemill.lifters.loading import store
        from posemill.stages.train.measuring import quick

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "now.safetensors")
            store(path, training.network, about)
            return quick("posemill", path, split, 30)

    pace = go("posemill", training, output, request, options, evaluate)

    from posemill.lifters.loading import store
    from posemill.stages.train.calibration import calibrate, measured

    network = training.network.cpu()
    if earlier is not None:
        halfway(network, earlier.tensors)
    card: dict[str, Any] = {
        **about,
        **split.card,
        "feet_in_clips": request["feet_in_clips"],
        "supervision": "supervised: the 3D of every window",
        "options": options.said,
        "schedule": asdict(schedule),
        "licences": terms(options),
        **({} if start is None else {"start": start.card}),
        **({} if earlier is None else {"mean_with": earlier.card}),
    }
    with tempfile.TemporaryDirectory() as folder:
        # What is measured is the stored network, in half precision, in its own adapter.
        bare = Path(folder, output.name)
        store(bare, network, card)
        factor = calibrate(bare, split, options.windows)
        store(bare, network, card, {"sigma_factor": factor})
        card["results"] = measured(bare, split, options.windows)
    store(output, network, card, {"sigma_factor": factor})
    tell(output, card["results"])
    return pace
