"""Train a 2D detector's network on painted pictures or on annotated photographs; measure it, write it with its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.provenance import sha256_file
from posemill.stages.train.data import TrainOptions, check_options, request_options, terms
from posemill.stages.train.running import go, tell

if TYPE_CHECKING:
    from posemill.training.pictures.painted import Variety
    from posemill.training.pictures.pose2d import Pictures, Schedule2d
    from posemill.training.pictures.presets import Preset2d

__all__ = ["TrainPose2dOptions", "planned", "run"]


_MARGIN = 1.1
"""Crop over box for networks that learnt from painted pictures; decision 14."""


class TrainPose2dOptions(TrainOptions, extra="forbid"):
    """Options of ``posemill train hourglass`` and ``posemill train pose_resnet``."""

    preset: Annotated[Literal["short", "paper"], Field(description="Sizes, loss and schedule")] = "short"
    pictures: Annotated[Path | None, Field(description="Folder of posemill draw-people to learn from")] = None
    dataset: Annotated[
        Path | None,
        Field(description="Annotations to learn from instead: MPII (.h5, .json), COCO (.json), Human3.6M (.npz)"),
    ] = None
    images: Annotated[Path | None, Field(description="Folder of the annotations' pictures; null: the file's own")] = (
        None
    )
    shards: Annotated[int | None, Field(ge=1, description="How many of them; null: those that are there now")] = None
    first_shards: Annotated[
        int | None, Field(ge=1, description="How many to begin with, while others are being drawn; null: all")
    ] = None
    growth: Annotated[float, Field(ge=0, description="Shards that each pool of pictures may have more")] = 0.0
    variety: Annotated[
        Literal["wide", "likely"], Field(description="How hard painted pictures are: anything goes, or as people film")
    ] = "wide"
    unseen: Annotated[Path | None, Field(description="Folder of pictures of people held out, to measure on")] = None
    measured: Annotated[int, Field(ge=50, description="Pictures to measure on")] = 1000
    steps: Annotated[int | None, Field(ge=1, description="Batches to learn from")] = None
    batch: Annotated[int | None, Field(ge=2, le=4096, description="Pictures per batch")] = None
    learning_rate: Annotated[float | None, Field(gt=0, le=1, description="Peak of the step")] = None
    sides: Annotated[
        tuple[tuple[float, int], ...] | None,
        Field(description="Input sizes: [[share of the steps at which it ends, px], ...]; px a multiple of 64"),
    ] = None
    average: Annotated[float | None, Field(ge=0, lt=1, description="What averaged weights keep at each step")] = None
    emphasis: Annotated[float | None, Field(ge=0, le=100, description="Weight of a peak's pixels, minus 1")] = None
    passes: Annotated[int | None, Field(ge=1, description="How often each painted picture is used")] = None
    stacks: Annotated[int | None, Field(ge=1, le=32, description="Of the hourglass")] = None
    features: Annotated[int | None, Field(ge=4, le=2048, description="Of the hourglass")] = None
    stem: Annotated[int | None, Field(ge=4, le=1024, description="Of the hourglass")] = None
    depth: Annotated[int | None, Field(description="Of the ResNet: 50, 101 or 152")] = None


def planned(name: str, seed: int, values: dict[str, Any], output: Path) -> tuple[TrainPose2dOptions, Preset2d]:
    """Options checked, and the network and the schedule that they ask for."""
    from posemill.training.pictures.presets import preset2d

    options = check_options(name, TrainPose2dOptions, values, output)
    preset = preset2d(name, options.preset)
    own = ("stacks", "features", "stem") if name == "hourglass" else ("depth",)
    foreign = [k for k in ("stacks", "features", "stem", "depth") if k not in own and getattr(options, k) is not None]
    if foreign:
        raise InputError(expected(f"train {name}: sizes", ", ".join(own), ", ".join(foreign)))
    sizes = preset.network | {k: v for k in own if (v := getattr(options, k)) is not None}
    keys = ("steps", "batch", "learning_rate", "sides", "average", "emphasis", "passes")
    chosen = {k: v for k in keys if (v := getattr(options, k)) is not None}
    schedule: Schedule2d = replace(preset.schedule, seed=seed, **chosen)
    if any(px % 64 or not 64 <= px <= 1024 for _, px in schedule.sides):
        raise InputError(expected(f"train {name}: sides", "multiples of 64 from 64 to 1024", schedule.sides))
    return options, replace(preset, network=sizes, schedule=schedule)


def run(name: str, output: Path, seed: int, values: dict[str, Any]) -> float:
    """Train a 2D network and write its weights; see :func:`posemill.stages.train.run`."""
    options, preset = planned(name, seed, values, output)
    source, about = _source(name, options)

    import torch

    from posemill.stages.train.running import Start
    from posemill.training.pictures.pose2d import Pose2d
    from posemill.training.pictures.presets import build

    torch.set_num_threads(options.threads)
    torch.manual_seed(seed)
    start = None if options.start is None else Start(options.start, name)
    training = Pose2d(
        build(name, preset.network), source, preset.schedule, normalise=preset.normalise,
        start=None if start is None else start.tensors,
    )  # fmt: skip
    side = preset.schedule.sides[-1][1]
    card: dict[str, Any] = {
        "detector": name,
        "network": preset.network,
        "resolution": side if name == "hourglass" else [side, side],
        **about,
        "schedule": asdict(preset.schedule),
    }
    request = {"train": name, "card": card, "options": request_options(options), "start": start and start.card}
    pace = go(name, training, output, request, options)

    from posemill.detectors.top_down import says_parabola
    from posemill.formats.weights import write_weights
    from posemill.lifters.loading import as_stored

    state = {key: tensor.cpu().numpy() for key, tensor in training.modules["network"].state_dict().items()}
    tensors = as_stored(state)
    if options.pictures is not None:
        card |= {"margin": _MARGIN, "peaks": "parabola"}
    if preset.normalise is not None:
        card |= {"channels": "rgb", "mean": list(preset.normalise[0]), "deviation": list(preset.normalise[1])}
    card |= {"options": options.said, "licences": terms(options), **({} if start is None else {"start": start.card})}
    if options.unseen is not None:
        card |= _measured(name, tensors, preset, options, parabola=says_parabola(card, output))
    write_weights(output, tensors, card)
    tell(output, card.get("results", {}))
    return pace


def _source(name: str, options: TrainPose2dOptions) -> tuple[Pictures, Mapping[str, Any]]:
    """What is learnt from, and what the card says of it."""
    from posemill.formats.pictures import SHARD, read_request, shards
    from posemill.training.pictures.growing import PaintedPictures

    if (options.pictures is None) == (options.dataset is None):
        found = "neither" if options.pictures is None else "both"
        do = "draw some with posemill draw-people" if options.pictures is None else "name one"
        raise InputError(expected(f"train {name}: what to learn from", "option pictures or dataset", found, do=do))
    if options.dataset is not None:
        from posemill.formats.datasets.annotated import read_annotated
        from posemill.training.pictures.photographs import Photographs

        people = read_annotated(options.dataset)
        source = Photographs(people, options.images or options.dataset.parent, "mpii16")
        return source, {"trained_on": {"dataset_sha256": sha256_file(options.dataset), "people": len(people)}}
    assert options.pictures is not None
    made = read_request(options.pictures)
    count = options.shards or len(shards(options.pictures))
    if count < 1:
        raise InputError(expected("pictures", "at least one shard", "none", where=options.pictures))
    source = PaintedPictures(
        options.pictures, count, first=options.first_shards, growth=options.growth, variety=_variety(options)
    )
    return source, {"trained_on": {"pictures": SHARD * count, **made}}


def _measured(
    name: str, tensors: dict[str, np.ndarray], preset: Preset2d, options: TrainPose2dOptions, *, parabola: bool
) -> dict[str, Any]:
    """Sigma and results for the card, of the weights as they are stored."""
    assert options.unseen is not None
    from posemill.detectors.inference import Runner
    from posemill.formats.pictures import read_request, shards
    from posemill.lifters.loading import build as load
    from posemill.lifters.loading import device_name
    from posemill.networks.hourglass import Hourglass
    from posemill.networks.pose_resnet import PoseResnet
    from posemill.stages.train.measuring2d import measure
    from posemill.training.pictures.growing import PaintedPictures

    made = read_request(options.unseen)
    source = PaintedPictures(options.unseen, len(shards(options.unseen)), variety=_variety(options))
    drawn = source.draw(options.measured, preset.schedule.sides[-1][1], 0, np.random.default_rng(1))
    network = load(Hourglass if name == "hourglass" else PoseResnet, preset.network, tensors, options.unseen)
    mean, deviation = (None, None) if preset.normalise is None else (np.array(v) for v in preset.normalise)
    runner = Runner(
        network, device_name()[0], half=False, mean=np.zeros(3) if mean is None else mean, deviation=deviation
    )
    return measure(runner, drawn, parabola=parabola) | {
        "measured_on": {"people": made["people"], "motion_sha256": made["motion_sha256"]}
    }


def _variety(options: TrainPose2dOptions) -> Variety:
    from posemill.training.pictures.painted import LIKELY, WIDE

    return LIKELY if options.variety == "likely" else WIDE
