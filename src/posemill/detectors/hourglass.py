"""``hourglass``: the stacked hourglass of Newell et al. 2016, 16 joints of MPII, one person per box.

Reads weights of posemill, the authors' Torch7 file (.t7) and those of the common PyTorch versions. Heatmaps equal
Torch7's; the crop is the published one, and keypoints come back from it without its rounding.

References
----------
A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016, arXiv:1603.06937.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from posemill.detectors.protocol import DetectorCard
from posemill.detectors.top_down import TopDown, TopDownOptions
from posemill.errors import InputError, expected

if TYPE_CHECKING:
    from posemill.detectors.crops import Crop
    from posemill.formats.checkpoints import Checkpoint
    from posemill.formats.torch7_values import Object

__all__ = ["CARD", "NAME", "Options", "convert", "create", "crop", "missing", "to_torch7", "weights"]

NAME = "hourglass"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "hourglass.safetensors"

CARD = DetectorCard(
    joint_set="mpii16",
    people=1,
    weights="a file: posemill's own, the authors' .t7, or a PyTorch version's",
    licences={
        "code": "Apache-2.0",
        "weights": "the authors' code is BSD-3-Clause, of their weights they say nothing; posemill's are Apache-2.0",
        "data": "the authors' weights: MPII Human Pose, research only",
    },
    libraries=("numpy", "scipy", "torch"),
    reference="Newell et al. 2016, arXiv:1603.06937",
)


class Options(TopDownOptions):
    """Options of the stacked hourglass."""

    weights: Annotated[
        Path | None,
        Field(description="safetensors of posemill, the authors' .t7 or a PyTorch version's; null: the shipped ones"),
    ] = None


def card(options: Options) -> DetectorCard:
    """Card for these options.

    The shipped weights were taught motion capture's joints; where theirs are when blended with MediaPipe's was fitted;
    of other weights nobody knows.
    """
    return replace(CARD, profile="hourglass_blend") if options.blend and options.weights is None else CARD


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def missing(path: Path) -> str:
    """The line for who has no weights at ``path``."""
    from posemill.detectors import loading

    return loading.missing(path, NAME)


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Bring a published file to the network's names, and make its card."""
    from posemill.networks.hourglass_names import PYTORCH_MEAN, from_pytorch, from_torch7

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    if checkpoint.kind == "torch7":
        tensors, sizes = from_torch7(checkpoint.tensors, checkpoint.extras, checkpoint.where)
    elif checkpoint.kind == "torch":
        tensors, sizes = from_pytorch(checkpoint.part("state_dict", "model", ""), checkpoint.where)
        mean = PYTORCH_MEAN
    else:
        want = "a Torch7 or PyTorch file"
        raise InputError(expected("weights of hourglass", want, checkpoint.kind, where=checkpoint.where))
    return tensors, {"detector": NAME, "network": sizes, "mean": list(mean), "licences": dict(CARD.licences)}


def to_torch7(tensors: Mapping[str, np.ndarray], card: Mapping[str, Any], where: object) -> Object:
    """The network as Torch7 has it, for the container; it subtracts nothing, so weights with a mean are refused.

    Raises
    ------
    InputError
        Weights of another network, or whose network wants pixels that are not in [0, 1].
    """
    from posemill.detectors.loading import numbers
    from posemill.lifters.loading import build
    from posemill.networks.hourglass import Hourglass
    from posemill.networks.hourglass_torch7 import graph_module

    if card.get("detector") != NAME or numbers(card, "mean", (0.0, 0.0, 0.0), where).any():
        raise InputError(
            expected("weights for Torch7", "those of an hourglass that subtracts nothing", "others", where=where)
        )
    return graph_module(build(Hourglass, _sizes(card, where), tensors, where))


def crop(rgb: np.ndarray, box: np.ndarray, *, margin: float, size: int) -> Crop:
    """The square of a box (4,) px, ``margin`` times its longer side, as the published code crops it."""
    from posemill.detectors.crops import hourglass_crop, hourglass_region

    side = margin * float(max(box[2] - box[0], box[3] - box[1]))
    return hourglass_crop(rgb, hourglass_region((box[:2] + box[2:]) / 2, side), size)


def crop_size(card: Mapping[str, Any], where: object) -> int:
    """Width of the crops in px, as the weights' card says; raises InputError where it is no multiple of 64."""
    from posemill.detectors.loading import whole_number

    size = whole_number(card, "resolution", 64, 1024, 256, where)
    if size % 64:
        raise InputError(expected("card: resolution", "a multiple of 64", size, where=where))
    return size


def create(options: Options, *, temporal: bool) -> TopDown:
    """Load the weights, and what finds the boxes.

    Raises
    ------
    MissingError
        No weights (the message says how to get some), or no MediaPipe for the boxes.
    InputError
        Weights of another network; the message names the tensor.
    """
    from posemill.detectors.heatmaps import found_by
    from posemill.detectors.inference import Runner
    from posemill.detectors.loading import numbers, read
    from posemill.detectors.top_down import says_parabola, sigma_of
    from posemill.lifters.loading import build, device_name
    from posemill.networks.hourglass import Hourglass, fused
    from posemill.people.boxes import box_source
    from posemill.skeleton import joint_set

    path = weights(options)
    tensors, card = read(path, NAME, convert, options)
    sizes = _sizes(card, path)
    size = crop_size(card, path)
    mean = numbers(card, "mean", (0.0, 0.0, 0.0), path)
    names = joint_set(CARD.joint_set)
    joints = len(names)
    if sizes.get("joints", joints) != joints:
        raise InputError(expected("joints", f"the {joints} of {CARD.joint_set}", sizes["joints"], where=path))
    where, device = device_name()
    network = fused(build(Hourglass, sizes, tensors, path))
    sigma = sigma_of(card, joints, path)
    runner = Runner(network, where, half=options.half, mean=mean)
    return TopDown(
        joints=CARD.joint_set,
        device=device,
        boxes=box_source(options, temporal=temporal),
        crop=partial(crop, margin=options.crop_margin(card, path), size=size),
        find=partial(
            found_by,
            network=runner,
            swap=names.flip_permutation,
            flip=options.flip,
            parabola=says_parabola(card, path),
        ),
        sigma=sigma,
        batch=options.frames_at_once(),
        blend=options.blend,
        size=size,
    )


_LIMITS = {"stacks": 32, "features": 2048, "joints": 256, "modules": 8, "stem": 1024, "middle": 2048}


def _sizes(card: Mapping[str, Any], path: object) -> dict[str, Any]:
    sizes = card.get("network", {})
    known = isinstance(sizes, dict) and not set(sizes) - {*_LIMITS, "after"} and type(sizes.get("after", False)) is bool
    if not known or any(type(n) is not int or not 1 <= n <= _LIMITS[k] for k, n in sizes.items() if k != "after"):
        raise InputError(expected("card: network", f"sizes: {', '.join(_LIMITS)}, after", sizes, where=path))
    return sizes
