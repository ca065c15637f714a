"""``pose_resnet``: ResNet with deconvolutions (Xiao et al. 2018), joints of MPII or COCO, one person per box.

Reads weights of posemill and the authors' files (``pose_resnet_50_256x192.pth.tar`` and so on), which say their depth
and joints by their tensors; the size of the crop they do not say: it is that of the smaller published models unless
``resolution`` says otherwise. The authors' networks read blue, green, red.

References
----------
B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018, arXiv:1804.06208.
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

__all__ = ["CARD", "NAME", "Options", "card", "convert", "create", "crop", "missing", "weights"]

NAME = "pose_resnet"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "pose_resnet.safetensors"
# Of ImageNet, in the order of the network's channels.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Joints of the network to their set, and the crop of the smaller published models (width, height).
_SETS = {16: ("mpii16", (256, 256)), 17: ("coco17", (192, 256))}

CARD = DetectorCard(
    joint_set="mpii16",
    people=1,
    weights="a file: posemill's own or the authors' .pth.tar",
    licences={
        "code": "Apache-2.0",
        "weights": "the authors': their code is MIT, of the weights they say nothing",
        "data": "the authors' weights: MPII Human Pose (research only) or COCO (CC BY 4.0), and ImageNet",
    },
    libraries=("numpy", "scipy", "torch"),
    reference="Xiao et al. 2018, arXiv:1804.06208",
)


class Options(TopDownOptions):
    """Options of pose_resnet."""

    weights: Annotated[
        Path | None, Field(description="safetensors of posemill, or the authors' .pth.tar; null: beside the others")
    ] = None
    resolution: Annotated[
        tuple[int, int] | None,
        Field(description="Width and height of the crop, for weights that do not say it; multiples of 32."),
    ] = None
    shift: Annotated[bool, Field(description="Move the mirrored heatmaps by a pixel before averaging.")] = False


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def missing(path: Path) -> str:
    """The line for who has no weights at ``path``."""
    from posemill.detectors import loading

    return loading.missing(path, NAME)


def card(options: Options) -> DetectorCard:
    """The card of the weights that the options choose: their joints."""
    from posemill.detectors.loading import card_of

    path = weights(options)
    said = card_of(path, NAME, convert, options)
    return replace(CARD, joint_set=_joints(said, path)[0])


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Take the authors' tensors as they are named, and make their card."""
    from posemill.networks.pose_resnet import BLOCKS

    if checkpoint.kind != "torch":
        raise InputError(expected("weights of pose_resnet", "a PyTorch file", checkpoint.kind, where=checkpoint.where))
    tensors = checkpoint.part("state_dict", "model", "")
    shape = np.shape(tensors.get("final_layer.weight", ()))
    deep = len({name.split(".")[1] for name in tensors if name.startswith("layer3.")})
    depths = [depth for depth, blocks in BLOCKS.items() if blocks[2] == deep]
    if len(shape) != 4 or shape[0] not in _SETS or not depths:
        want, got = "a ResNet of 50, 101 or 152 layers with 16 or 17 joints", f"{deep} blocks in layer3, {shape}"
        raise InputError(expected("weights of pose_resnet", want, got, where=checkpoint.where))
    joint_set, resolution = _SETS[shape[0]]
    said = {
        "detector": NAME,
        "network": {"depth": depths[0], "joints": shape[0]},
        "joint_set": joint_set,
        "resolution": list(options.resolution or resolution),
        "channels": "bgr",
        "mean": list(_MEAN),
        "deviation": list(_DEVIATION),
        "licences": dict(CARD.licences),
    }
    return tensors, said


def crop(rgb: np.ndarray, box: np.ndarray, *, margin: float, size: tuple[int, int]) -> Crop:
    """The region of a box (4,) px, extended to the crop's shape and by ``margin``, as the published code samples it."""
    from posemill.detectors.crops import affine_crop

    width, height = box[2] - box[0], box[3] - box[1]
    return affine_crop(rgb, (box[:2] + box[2:]) / 2, margin * max(width, height * size[0] / size[1]), size)


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
    from posemill.networks.pose_resnet import PoseResnet
    from posemill.people.boxes import box_source
    from posemill.skeleton import joint_set as joints_named

    path = weights(options)
    tensors, said = read(path, NAME, convert, options)
    joint_set, joints = _joints(said, path)
    size = _resolution(said, options, path)
    network = said.get("network")
    if not isinstance(network, dict) or set(network) != {"depth", "joints"} or type(network["depth"]) is not int:
        raise InputError(expected("card: network", "depth and joints", network, where=path))
    mean, deviation = numbers(said, "mean", _MEAN, path), numbers(said, "deviation", _DEVIATION, path)
    if said.get("channels", "rgb") not in ("rgb", "bgr") or (deviation <= 0).any():
        raise InputError(expected("card: channels", "rgb or bgr, deviations above 0", said.get("channels"), where=path))
    where, device = device_name()
    runner = Runner(
        build(PoseResnet, network, tensors, path),
        where,
        half=options.half,
        mean=mean,
        deviation=deviation,
        reverse=said.get("channels") == "bgr",
    )
    return TopDown(
        joints=joint_set,
        device=device,
        boxes=box_source(options, temporal=temporal),
        crop=partial(crop, margin=options.crop_margin(said, path), size=size),
        find=partial(
            found_by,
            network=runner,
            swap=joints_named(joint_set).flip_permutation,
            flip=options.flip,
            shift=options.shift,
            parabola=says_parabola(said, path),
        ),
        sigma=sigma_of(said, joints, path),
        batch=options.frames_at_once(),
        blend=options.blend,
    )


def _joints(said: Mapping[str, Any], path: Path) -> tuple[str, int]:
    """The joint set and its size; that of the network must be the same."""
    network = said.get("network", {"joints": 16})
    count = network.get("joints") if isinstance(network, dict) else None
    if type(count) is not int or count not in _SETS:
        raise InputError(expected("card: network", "joints: 16 or 17", network, where=path))
    name = said.get("joint_set", _SETS[count][0])
    if name != _SETS[count][0]:
        raise InputError(expected("card: joint_set", "mpii16 with 16 joints or coco17 with 17", name, where=path))
    return name, count


def _resolution(said: Mapping[str, Any], options: Options, path: Path) -> tuple[int, int]:
    from posemill.lifters.cards import agreed

    stated = said.get("resolution")
    whole = isinstance(stated, list) and len(stated) == 2 and all(type(side) is int for side in stated)
    if stated is not None and not whole:
        raise InputError(expected("card: resolution", "width and height", stated, where=path))
    option = None if options.resolution is None else list(options.resolution)
    width, height = agreed("resolution", option, stated, [256, 256], path)
    if width % 32 or height % 32 or not 32 <= min(width, height) <= max(width, height) <= 1024:
        raise InputError(expected("resolution", "multiples of 32 up to 1024", (width, height), where=path))
    return width, height
