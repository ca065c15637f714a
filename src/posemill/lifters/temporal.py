"""``temporal``: dilated convolutions over time, VideoPose3D of Pavllo et al. 2019.

Weights
-------
Ours are safetensors: the network's tensors by their published names, ``trajectory.*`` for a trajectory network, and
``sigma_floor`` (17,) in metres where errors were measured. Their card may say

``network``
    Arguments of :class:`~posemill.networks.temporal.TemporalModel`; what is absent is read off the shapes.
``joint_set_in``
    ``h36m17`` or ``coco17``.
``normaliser``
    ``screen``, as published: pixels to [-1, 1] by the picture's width. Or ``rays``: the undistorted normalised plane
    times the same factor for Human3.6M's lens, so that the field of view of the camera does not matter. Or ``turned``:
    so too, every frame as a camera sees it that looks at the pelvis (``h36m17``, no trajectory network).
``fps``
    The rate it was trained at; other clips are resampled to it inside. Null: any rate.

A published ``.bin`` says none of it: it is ``screen`` and 50 fps. Which joints it reads is known of the two published
files by their names; of any other the option ``joint_set_in`` must say it.

References
----------
D. Pavllo, C. Feichtenhofer, D. Grangier, M. Auli, "3D human pose estimation in video with temporal convolutions and
semi-supervised training", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.lifters.options import BridgeOptions
from posemill.lifters.protocol import LifterCard

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint
    from posemill.lifters.temporal_lift import Setup, Temporal
    from posemill.networks.temporal import TemporalModel

NAME = "temporal"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "temporal.safetensors"
OFFICIAL_FPS = 50.0
_TRAJECTORY = "trajectory."
_PUBLISHED_JOINTS = {"pretrained_h36m_cpn.bin": "h36m17", "pretrained_h36m_detectron_coco.bin": "coco17"}
_NORMALISERS = {
    "screen": "pixels to [-1, 1] by the picture's width",
    "rays": "undistorted rays times 2.29, what Human3.6M's lens makes of them",
    "turned": "undistorted rays, in each frame turned until the pelvis's is the axis, times 2.29",
}

CARD = LifterCard(
    joint_set_in="h36m17",
    joint_set_out="h36m17",
    channels=("x", "y"),
    normaliser=_NORMALISERS["screen"],
    output_unit="m",
    window="whole clip at once, its ends replicated; gaps to max_gap_s bridged, longer ones end it; stills one by one",
    receptive_field=243,
    needs_camera=False,
    ray_blind=False,
    licences={
        "code": "Apache-2.0",
        "weights": "the user's; published ones CC BY-NC 4.0",
        "data": "as the weights say; published ones Human3.6M (academic use)",
    },
    libraries=("numpy", "torch"),
)


class Options(BridgeOptions, extra="forbid"):
    """Options of ``temporal``."""

    weights: Annotated[
        Path | None, Field(description="safetensors of posemill train or convert, or a published .bin; null: ours")
    ] = None
    joint_set_in: Annotated[
        Literal["h36m17", "coco17"] | None,
        Field(description="Joints that the weights read; null: as their card says (a .bin has none)"),
    ] = None
    causal: Annotated[
        bool | None, Field(description="Weights that look at the past only; null: as their card says, else no")
    ] = None


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def card(options: Options) -> LifterCard:
    """Return the card of the weights that these options choose."""
    return _read(options).card


def create(options: Options) -> Temporal:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights; the message has the command that trains them and the place for others.
    InputError
        Weights of another network, or an option that contradicts their card.
    """
    from posemill.lifters.temporal_lift import Temporal

    return Temporal(_read(options), flip=options.flip, max_gap_s=options.max_gap_s, max_missing=options.max_missing)


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Bring a published checkpoint to what our own file holds: tensors and card.

    ``model_pos`` and, if it is there, ``model_traj``; a plain state_dict is the former. What the file does not say
    (``joint_set_in``, ``causal``) is taken from the options into the card.

    Raises
    ------
    InputError
        Not such a checkpoint.
    """
    tensors = checkpoint.part("model_pos", "state_dict", "")
    if any(name.startswith("model_traj.") for name in checkpoint.tensors):
        tensors |= {_TRAJECTORY + name: tensor for name, tensor in checkpoint.part("model_traj").items()}
    joints = options.joint_set_in or _PUBLISHED_JOINTS.get(Path(checkpoint.where).name)
    about: dict[str, Any] = {
        "lifter": NAME,
        "normaliser": "screen",
        "fps": OFFICIAL_FPS,
        "source": "VideoPose3D",
        "licences": {"weights": "CC BY-NC 4.0", "data": "Human3.6M (academic use)"},
    }
    if joints:
        about["joint_set_in"] = joints
    if options.causal is not None:
        about["network"] = {"causal": options.causal}
    return tensors, about


def _read(options: Options) -> Setup:
    from posemill.lifters.answers import DEFAULT_SIGMA_M
    from posemill.lifters.cards import agreed, card_arguments, card_choice, card_fps, take_sigma_floor
    from posemill.lifters.loading import read
    from posemill.lifters.temporal_lift import Setup

    path = weights(options)
    tensors, about = read(path, NAME, convert, options, "a published VideoPose3D .bin")
    joints_in = agreed("joint_set_in", options.joint_set_in, about.get("joint_set_in"), None, path)
    if joints_in not in ("h36m17", "coco17"):
        do = f"set lifters.{NAME}.joint_set_in to the joints that these weights were trained on"
        raise InputError(expected("joint_set_in", "h36m17 or coco17", joints_in, where=path, do=do))
    sizes = card_arguments(about, path)
    causal = bool(agreed("causal", options.causal, sizes.get("causal"), False, path))
    normaliser, fps = card_choice(about, "normaliser", tuple(_NORMALISERS), path), card_fps(about, path)
    floor = take_sigma_floor(tensors, DEFAULT_SIGMA_M, path)
    trajectory = {n.removeprefix(_TRAJECTORY): tensors.pop(n) for n in list(tensors) if n.startswith(_TRAJECTORY)}
    network = _network(tensors, {**sizes, "causal": causal}, 17, path)
    root = _network(trajectory, {"causal": causal}, 1, path) if trajectory else None
    if normaliser == "turned" and (root or joints_in != "h36m17"):
        raise InputError(
            expected("card: normaliser", "turned for h36m17 and no trajectory network alone", "turned", where=path)
        )
    if root and root.receptive_field != network.receptive_field:
        want, got = network.receptive_field, root.receptive_field
        raise InputError(expected("trajectory network", f"{want} frames like the pose's", got, where=path))
    chosen = replace(
        CARD,
        joint_set_in=joints_in,
        channels=("x", "y", "score")[: network.features_in],
        normaliser=_NORMALISERS[normaliser],
        receptive_field=network.receptive_field,
        needs_camera=normaliser != "screen",
        ray_blind=normaliser == "turned",
        licences={**CARD.licences, **about.get("licences", {})},
    )
    return Setup(network, root, floor, normaliser, fps, chosen)


def _network(tensors: dict[str, np.ndarray], sizes: Mapping[str, Any], joints_out: int, path: Path) -> TemporalModel:
    from posemill.lifters.loading import build
    from posemill.networks.temporal import TemporalModel, sizes_of

    found = sizes_of({name: tensor.shape for name, tensor in tensors.items()})
    # What the shapes do not tell is tried as published, so that the misfit is named tensor by tensor.
    network = build(TemporalModel, {**found, **sizes, "joints_out": joints_out}, tensors, path)
    if network.joints_in != 17 or network.features_in not in (2, 3):
        want, got = "34 (x, y) or 51 (x, y, score) inputs", tuple(tensors["expand_conv.weight"].shape)
        raise InputError(expected("tensor expand_conv.weight", want, got, where=path))
    return network
