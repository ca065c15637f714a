"""``agformer``: MotionAGFormer, attention beside graph convolution, sizes XS, S, B and L, Mehraban et al. 2024.

Which size a file holds is read off its tensors; see :mod:`posemill.lifters.picture_setup` for what its card may say.
The network works for one length of clip only, 27, 81 or 243 frames.

References
----------
S. Mehraban, V. Adeli, B. Taati, "MotionAGFormer: Enhancing 3D human pose estimation with a transformer-GCNFormer
network", WACV 2024.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemill.lifters.picture_sequence import PictureSequence
from posemill.lifters.picture_setup import PictureOptions, Setup, picture_card, published, setup
from posemill.lifters.protocol import LifterCard

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint

NAME = "agformer"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "agformer.safetensors"

CARD = LifterCard(
    joint_set_in="h36m17",
    joint_set_out="h36m17",
    channels=("x", "y", "score"),
    normaliser="picture",
    output_unit="m",
    window="overlapping windows, blended; shorter clips stretched to the window; gaps to max_gap_s bridged, longer "
    "ones end a run; stills one by one, replicated",
    receptive_field=243,
    needs_camera=True,
    ray_blind=False,
    licences={
        "code": "Apache-2.0",
        "weights": "the user's; published ones Apache-2.0",
        "data": "as the weights say; published ones Human3.6M (academic use)",
    },
    libraries=("numpy", "torch"),
)


class Options(PictureOptions, extra="forbid"):
    """Options of ``agformer``."""


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
    return published(checkpoint, options, ("model", "model_pos", "state_dict", ""), NAME, "MotionAGFormer")


def _read(options: Options) -> tuple[Setup, dict[str, Any]]:
    from posemill.lifters.loading import read
    from posemill.networks.agformer import MotionAGFormer, sizes

    path = weights(options)
    tensors, about = read(path, NAME, convert, options, "a published MotionAGFormer .pth.tr")
    return setup(MotionAGFormer, sizes, tensors, about, options, path, any_length=False), about
