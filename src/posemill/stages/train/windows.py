"""Train a lifter of the zoo on windows of motion through virtual cameras, measure it through its own adapter."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from posemill.provenance import sha256_file
from posemill.stages.train.data import TrainOptions, check_options, read_split, request_options, terms
from posemill.stages.train.measuring import floors, quick, results
from posemill.stages.train.running import Start, go

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TrainWindowsOptions", "run"]

# Windows of each held-out subject for the measurements during a training.
_QUICK = 30


class TrainWindowsOptions(TrainOptions, extra="forbid"):
    """Options of ``posemill train`` for the lifters that learn from windows; null: the method's own."""

    steps: Annotated[int | None, Field(ge=1, description="Batches to learn from")] = None
    batch: Annotated[int | None, Field(ge=2, le=65536, description="Windows per batch")] = None
    learning_rate: Annotated[float | None, Field(gt=0, le=1, description="Peak of the one-cycle schedule")] = None
    windows: Annotated[int, Field(ge=1, description="Windows of each held-out subject to measure on")] = 150


def run(name: str, motion: Path, output: Path, seed: int, values: dict[str, Any]) -> None:
    """Train a lifter and write its weights; see :func:`posemill.stages.train.run`."""
    from posemill.training.recipes import RECIPES

    recipe = RECIPES[name]
    # The network's sizes are options too, each of the type of its default.
    sizes: dict[str, Any] = {key: (type(value), value) for key, value in recipe.network.items()}
    model = create_model("Options", __base__=TrainWindowsOptions, **sizes)
    options = check_options(name, model, values, output)
    recipe = replace(recipe, network={key: getattr(options, key) for key in sizes})
    chosen = {key: getattr(options, key) for key in ("steps", "batch", "learning_rate")}
    schedule = replace(recipe.schedule, seed=seed, **{k: v for k, v in chosen.items() if v is not None})
    split = read_split(motion, options)
    start = None if options.start is None else Start(options.start, name)

    import torch

    from posemill.training.supervised import Supervised

    torch.set_num_threads(options.threads)
    clips = [clip.joints for clip in split.training]
    training = Supervised(recipe, clips, split.fps, schedule, start=None if start is None else start.tensors)
    about = {"lifter": name, "network": recipe.network, **recipe.card}
    request = {
        "train": name,
        "card": about,
        **split.card,
        "schedule": asdict(schedule),
        "options": request_options(options),
        "start": None if start is None else start.card,
    }

    def evaluate() -> Mapping[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "now.safetensors")
            _store(path, training.network, training.extras, about)
            return quick(name, path, split, _QUICK)

    go(name, training, output, request, options, evaluate)
    card = {
        **about,
        **split.card,
        "options": options.said,
        "schedule": asdict(schedule),
        "licences": terms(options),
        **({} if start is None else {"start": start.card}),
    }
    with tempfile.TemporaryDirectory() as folder:
        # Without floors first: what is measured is the stored network in its own adapter.
        bare = Path(folder, output.name)
        _store(bare, training.network, training.extras, card)
        extras = {**training.extras, "sigma_floor": floors(name, bare, split, options.windows)}
        _store(bare, training.network, extras, card)
        card["results"] = results(name, bare, split, options.windows)
    _store(output, training.network, extras, card)
    print(json.dumps(card["results"], indent=1))
    print(f"{output}: sha256 {sha256_file(output)}, {output.stat().st_size} bytes")


def _store(path: Path, network: Any, extras: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> None:
    from posemill.lifters.loading import store

    store(path, network, card, extras)
