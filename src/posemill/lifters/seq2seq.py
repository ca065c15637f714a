"""``seq2seq``: an LSTM reads five frames of 2D, another writes five of 3D; Hossain and Little 2018.

Weights
-------
Ours are safetensors: the network's tensors (:class:`~posemill.networks.seq2seq.Seq2Seq`), ``statistics.mean_2d`` and
``statistics.std_2d`` (32,) in px of the training camera, ``statistics.mean_3d`` and ``statistics.std_3d`` (48,) in
metres, and ``sigma_floor`` (17,) in metres where errors were measured. Their card may say ``sequence_length``,
``use_sh``, ``camera_frame``, ``normaliser``, ``focal_px`` and ``centre_px``; each has the published value otherwise.
``view: turned`` says that every frame is shown as the training camera sees it when it looks at the pelvis; without it
the picture is taken as it is, as published.

The published TensorFlow checkpoint does not contain its statistics: the option ``statistics`` names a file of the four
vectors that were used in training, in px and **millimetres** as its authors have them.

Flags of the published program, and of the thesis that reuses it, that say what weights are: ``--use_sh`` (2D of
Stacked Hourglass: MPII's joints in Human3.6M's places), ``--camera_frame`` (without it the pose has world axes),
``--seqlen``, ``--linear_size``. Its ``--dropout``, ``--epochs`` and the like act in training only, ``--procrustes`` and
``--evaluate`` in evaluation; ``--load N`` is the option ``weights`` (``checkpoint-N.index``).

References
----------
M. R. I. Hossain, J. J. Little, "Exploiting temporal information for 3D human pose estimation", ECCV 2018.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.lifters.body_view import VIEWS
from posemill.lifters.cards import agreed, card_choice, take_sigma_floor
from posemill.lifters.options import BridgeOptions, PublishedOptions
from posemill.lifters.protocol import LifterCard
from posemill.lifters.standardised import NORMALISERS, PREFIX, Setup, Standardised, read_statistics, take_statistics

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint

NAME = "seq2seq"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "seq2seq.safetensors"
# What the published weights were trained with; lens: the mean of Human3.6M's four cameras.
_PUBLISHED: dict[str, Any] = {
    "sequence_length": 5,
    "use_sh": False,
    "camera_frame": True,
    "normaliser": "camera",
    "focal_px": 1146.0,
    "centre_px": [514.0, 507.0],
}

CARD = LifterCard(
    joint_set_in="h36m16",
    joint_set_out="h36m17",
    channels=("x", "y"),
    normaliser=NORMALISERS["camera"],
    output_unit="m",
    window="5 frames, sliding by 1, ends replicated; gaps to max_gap_s bridged, longer ones end it; stills one by one",
    receptive_field=9,
    needs_camera=True,
    ray_blind=False,
    licences={
        "code": "Apache-2.0",
        "weights": "the user's; published ones without a licence",
        "data": "as the weights say; published ones Human3.6M (academic use)",
    },
    libraries=("numpy", "torch"),
)


class Options(PublishedOptions, BridgeOptions, extra="forbid"):
    """Options of ``seq2seq``."""

    weights: Annotated[
        Path | None,
        Field(description="safetensors of posemill train or convert, or a TensorFlow checkpoint's .index; null: ours"),
    ] = None
    sequence_length: Annotated[
        int | None, Field(ge=1, le=100, description="Frames per window; null: as the weights' card says, else 5")
    ] = None
    linear_size: Annotated[
        int | None, Field(ge=1, le=8192, description="Width that the weights must have; null: whatever they have")
    ] = None
    normaliser: Annotated[
        Literal["camera", "pixels"] | None,
        Field(description="Pixels of the training camera by the calibration, or as they are; null: card, else camera"),
    ] = None
    blend: Annotated[
        Literal["mean", "last"],
        Field(description="A frame's answer: mean over the windows that see it, or the newest window's as published"),
    ] = "mean"
    flip: Annotated[
        bool, Field(description="Average with the answer for the mirrored person (weights in camera axes only)")
    ] = True
    max_missing: Annotated[
        int, Field(ge=0, le=14, description="Frames in which more of the 16 joints are unknown are not lifted")
    ] = 4


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def card(options: Options) -> LifterCard:
    """Return the card of the weights that these options choose."""
    return _read(options).card


def create(options: Options) -> Standardised:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights, or no statistics for them; the message has the way out.
    InputError
        Weights of another network, or an option that contradicts their card.
    """
    return Standardised(
        _read(options),
        flip=options.flip,
        blend=options.blend,
        max_gap_s=options.max_gap_s,
        max_missing=options.max_missing,
    )


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Bring the published TensorFlow checkpoint to what our own file holds.

    What it does not say is taken from the options: ``statistics`` into the tensors, flags into the card.

    Raises
    ------
    InputError
        Not such a checkpoint.
    """
    from posemill.networks.seq2seq import from_official

    tensors = from_official(checkpoint.tensors)
    about: dict[str, Any] = {
        "lifter": NAME,
        "source": "Hossain and Little 2018",
        "licences": {"weights": "none published", "data": "Human3.6M (academic use)"},
    }
    given = {name: getattr(options, name, None) for name in _PUBLISHED}
    about |= {name: value for name, value in given.items() if value is not None}
    if options.statistics is not None:
        tensors |= {PREFIX + name: vector for name, vector in read_statistics(options.statistics).items()}
    return tensors, about


def _read(options: Options) -> Setup:
    from posemill.lifters.answers import DEFAULT_SIGMA_M
    from posemill.lifters.loading import build, read
    from posemill.networks.seq2seq import Seq2Seq

    path = weights(options)
    tensors, about = read(path, NAME, convert, options, "a TensorFlow checkpoint's .index")
    chosen = _choices(options, about, path)
    statistics = take_statistics(tensors, options.statistics, NAME, path)
    floor = take_sigma_floor(tensors, DEFAULT_SIGMA_M, path)
    width = tensors["encoder.widen.bias"].shape if "encoder.widen.bias" in tensors else ()
    if len(width) != 1 or (options.linear_size or width[0]) != width[0]:
        raise InputError(expected("tensor encoder.widen.bias", f"({options.linear_size or 'n'},)", width, where=path))
    network = build(Seq2Seq, {"hidden": width[0]}, tensors, path)
    normaliser, frames = chosen["normaliser"], chosen["sequence_length"]
    turned = card_choice(about, "view", VIEWS, path) == "turned"
    if turned and (normaliser != "camera" or not chosen["camera_frame"] or chosen["use_sh"]):
        want = "picture for pixels as they are, for world axes and for joints of the hourglass"
        raise InputError(expected("card: view", want, "turned", where=path))
    described = replace(
        CARD,
        joint_set_in="mpii16" if chosen["use_sh"] else "h36m16",
        normaliser=NORMALISERS[normaliser],
        window=CARD.window.replace("5", str(frames), 1),
        receptive_field=2 * frames - 1 if options.blend == "mean" else frames,
        needs_camera=normaliser == "camera" or not chosen["camera_frame"],
        ray_blind=turned,
        licences={**CARD.licences, **about.get("licences", {})},
    )
    return Setup(
        network,
        statistics,
        floor,
        frames=frames,
        camera_frame=chosen["camera_frame"],
        lens=(float(chosen["focal_px"]), np.array(chosen["centre_px"])) if normaliser == "camera" else None,
        card=described,
        turned=turned,
    )


def _choices(options: Options, about: dict[str, Any], path: Path) -> dict[str, Any]:
    """What the weights are: by option, else their card, else as published; option and card must agree."""
    out = {
        name: agreed(name, getattr(options, name, None), about.get(name), published, path)
        for name, published in _PUBLISHED.items()
    }
    checks = {
        "sequence_length": isinstance(out["sequence_length"], int) and 1 <= out["sequence_length"] <= 100,
        "normaliser": out["normaliser"] in NORMALISERS,
        "focal_px": isinstance(out["focal_px"], int | float) and out["focal_px"] > 0,
        "centre_px": isinstance(out["centre_px"], list)
        and len(out["centre_px"]) == 2
        and all(isinstance(value, int | float) for value in out["centre_px"]),
        "use_sh": isinstance(out["use_sh"], bool),
        "camera_frame": isinstance(out["camera_frame"], bool),
    }
    for name, good in checks.items():
        if not good:
            raise InputError(expected(f"card: {name}", f"something like {_PUBLISHED[name]}", out[name], where=path))
    return out
