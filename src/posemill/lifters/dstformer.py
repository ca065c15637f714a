"""``dstformer``: MotionBERT's transformer over joints and frames, full and lite, Zhu et al. 2023.

Which of the two a file holds is read off its tensors; see :mod:`posemill.lifters.picture_setup` for what its card
may say. A published file that keeps the place of the pelvis (``…_global…``) needs ``root_relative: false``, and the
published way for any video is ``normaliser: crop``.

References
----------
W. Zhu, X. Ma, Z. Liu, L. Liu, W. Wu, Y. Wang, "MotionBERT: A unified perspective on learning human motion
representations", ICCV 2023.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from posemill.lifters.picture_sequence import PictureSequence
from posemill.lifters.picture_setup import PictureOptions, Setup, picture_card, published, setup
from posemill.lifters.protocol import LifterCard

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint

NAME = "dstformer"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "dstformer.safetensors"

CARD = LifterCard(
    joint_set_in="h36m17",
    joint_set_out="h36m17",
    channels=("x", "y", "score"),
    normaliser="picture",
    output_unit="m",
    window="overlapping windows, blended; shorter clips as they are, single frames replicated; gaps to max_gap_s "
    "bridged, longer ones end a run; stills one by one",
    receptive_field=243,
    needs_camera=True,
    ray_blind=False,
    licences={
        "code": "Apache-2.0",
        "weights": "the user's; published ones Apache-2.0",
        "data": "as the weights say; published ones Human3.6M (academic use) and AMASS",
    },
    libraries=("numpy", "torch"),
)


class Options(PictureOptions, extra="forbid"):
    """Options of ``dstformer``."""

    window: Annotated[
        int | None, Field(ge=1, le=4096, description="Frames looked at once; null: as many as the weights know (243)")
    ] = None


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def card(options: Options) -> LifterCard:
    """Return the card of the weights that these options choose."""
    return picture_card(CARD, *_read(options))


def create(options: Options) -> PictureSequence:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights; the message has the command that trains them and the place for others.
    InputError
        Weights of another network, or an option that contradicts their card.
    """
    return PictureSequence(_read(options)[0], options)


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Bring a published checkpoint to what our own file holds; see :mod:`posemill.lifters.picture_setup`."""
    return published(checkpoint, options, ("model_pos", "model", "state_dict", ""), NAME, "MotionBERT")


def _read(options: Options) -> tuple[Setup, dict[str, Any]]:
    from posemill.lifters.loading import read
    from posemill.networks.dstformer import DSTformer, sizes

    path = weights(options)
    tensors, about = read(path, NAME, convert, options, "a published MotionBERT .bin")
    return setup(DSTformer, sizes, tensors, about, options, path, any_length=True, window=options.window), about
