"""Train a lifter of the zoo on windows, of motion through virtual cameras or of a dataset; measure it on the former.

What is measured is the stored file, through its own adapter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from posemill.errors import InputError, expected
from posemill.provenance import code_hash
from posemill.stages.train.data import TrainOptions, check_options, read_split, request_options, terms
from posemill.stages.train.dataset import read_dataset
from posemill.stages.train.dataset_layouts import DatasetOptions
from posemill.stages.train.measuring import floors, quick, results
from posemill.stages.train.running import Start, go, tell
from posemill.stages.train.supervision import SUPERVISIONS, make

if TYPE_CHECKING:
    import numpy as np

    from posemill.training.supervised import Recipe, Schedule

__all__ = ["TrainWindowsOptions", "planned", "run"]

# Windows of each held-out subject for the measurements during a training.
_QUICK = 30


class TrainWindowsOptions(TrainOptions, DatasetOptions, extra="forbid"):
    """Options of ``posemill train`` for the lifters that learn from windows; null: the preset's."""

    preset: Annotated[
        Literal["short", "paper"],
        Field(description="Sizes, losses and schedule: for CPUs, or as published"),
    ] = "short"
    steps: Annotated[int | None, Field(ge=1, description="Batches to learn from")] = None
    batch: Annotated[int | None, Field(ge=2, le=65536, description="Windows per batch")] = None
    learning_rate: Annotated[float | None, Field(gt=0, le=1, description="At its highest")] = None
    noise: Annotated[bool | None, Field(description="Whether the 2D has a detector's errors")] = None
    recombined: Annotated[
        bool | None, Field(description="Whether legs, trunk and arms of several recordings are put together")
    ] = None
    windows: Annotated[int, Field(ge=1, description="Windows of each held-out subject to measure on")] = 150

    @property
    def said(self) -> dict[str, Any]:
        """As of every training; of a dataset only where there is one."""
        if self.dataset is None:
            return {key: value for key, value in super().said.items() if key not in DatasetOptions.model_fields}
        file = None if self.dataset_2d is None else Path(self.dataset_2d).name
        return {**super().said, "dataset_2d": file}


def planned(name: str, seed: int, values: dict[str, Any], output: Path) -> tuple[Any, Recipe, Schedule]:
    """Options checked, and the recipe and schedule that they ask for."""
    from posemill.training.presets import of, own

    ways = SUPERVISIONS.get(name, ("supervised",))
    # The network's sizes are options too, each of the type of its default.
    sizes: dict[str, Any] = {key: (type(value) | None, None) for key, value in of(name, "short").network.items()}
    sizes["supervision"] = (Literal[ways], Field("supervised", description="What 3D is seen"))
    model = create_model("Options", __base__=TrainWindowsOptions, **sizes)
    options: Any = check_options(name, model, values, output)
    recipe = of(name, options.preset)
    if options.supervision != "supervised":
        recipe = own(name, options.preset, recipe)
    given = {key: getattr(options, key) for key in sizes if key != "supervision"}
    recipe = recipe.sized({**recipe.network, **{key: value for key, value in given.items() if value is not None}})
    chosen = {key: getattr(options, key) for key in ("steps", "batch", "learning_rate", "noise", "recombined")}
    schedule = replace(recipe.schedule, seed=seed, **{k: v for k, v in chosen.items() if v is not None})
    return options, recipe, schedule


def run(name: str, motion: Path, output: Path, seed: int, values: dict[str, Any]) -> float:
    """Train a lifter and write its weights; see :func:`posemill.stages.train.run`."""
    options, recipe, schedule = planned(name, seed, values, output)
    split = read_split(motion, options, measured_only=options.dataset is not None)
    dataset = read_dataset(options)
    data = split.card
    if dataset is not None:
        own_2d = not dataset.needs_motion(options.supervision)
        if own_2d and options.noise:
            raise InputError(
                expected("noise", "none: a dataset's own 2D is learnt from", "true", where=options.dataset)
            )
        schedule = replace(schedule, noise=schedule.noise and not own_2d, recombined=schedule.recombined and not own_2d)
        data = dataset.beside(data, options.supervision)
    start = None if options.start is None else Start(options.start, name)

    import torch

    torch.set_num_threads(options.threads)
    training, seen = make(
        name, options.supervision, recipe, split.training, schedule, None if start is None else start.tensors, dataset
    )
    network = training.modules["network"]
    about = {"lifter": name, "network": recipe.network, **recipe.card}
    request = {
        "train": name,
        "card": about,
        **data,
        "schedule": asdict(schedule),
        "supervision": seen,
        "options": request_options(options),
        "start": None if start is None else start.card,
        **({} if dataset is None else {"reader": code_hash("posemill.stages.train.dataset")}),
    }

    def evaluate() -> Mapping[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "now.safetensors")
            _store(path, network, training.extras, about)
            return quick(name, path, split, _QUICK)

    pace = go(name, training, output, request, options, evaluate)
    network = network.cpu()
    card = {
        **about,
        **data,
        "supervision": seen,
        "options": options.said,
        "schedule": asdict(schedule),
        "licences": terms(options),
        **({} if start is None else {"start": start.card}),
    }
    with tempfile.TemporaryDirectory() as folder:
        # Without floors first: what is measured is the stored network in its own adapter.
        bare = Path(folder, output.name)
        _store(bare, network, training.extras, card)
        extras = {**training.extras, "sigma_floor": floors(name, bare, split, options.windows)}
        _store(bare, network, extras, card)
        card["results"] = results(name, bare, split, options.windows)
    _store(output, network, extras, card)
    tell(output, card["results"])
    return pace


def _store(path: Path, network: Any, extras: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> None:
    from posemill.lifters.loading import store

    store(path, network, card, extras)
