"""``gan``: depths for a pose in the image, learnt without any 3D (Kudo et al. 2018); one frame at a time.

x and y of the answer are those of the image (orthographic), only z is the network's. It sees neither where the person
is nor how large: it is ray-blind, and its unit is brought to metres of the standard body frame by frame.

Sigma is that of the 2D and half of what the answer for the mirrored person differs, on top of a floor per joint: the
weights' ``sigma_floor``, else 0.09 m (1 cm for the pelvis): the mean error of 131 mm that is cited for exact 2D, all
of it in depth, as a standard deviation per axis.

References
----------
Y. Kudo, K. Ogaki, Y. Matsui, Y. Odagiri, "Unsupervised Adversarial Learning of 3D Human Pose from 2D Joint
Locations", arXiv:1803.08244, 2018.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.lifters.options import BodyOptions
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.skeleton import JOINT_SETS

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint

NAME = "gan"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "gan.safetensors"
_FLIP = JOINT_SETS["h36m17"].flip_permutation
_FLOOR_M = np.array([0.01] + [0.09] * 16)

CARD = LifterCard(
    joint_set_in="h36m17",
    channels=("x", "y"),
    normaliser="undistorted, relative to the pelvis, divided by the mean distance of the other 16 joints from it",
    output_unit="m of the standard body",
    window="one frame, all joints; gaps up to max_gap_s bridged with growing sigma, frames that lack a joint left out",
    receptive_field=1,
    needs_camera=True,
    ray_blind=True,
    licences={
        "code": "Apache-2.0",
        "weights": "the authors' are MIT; posemill's are Apache-2.0",
        "data": "the authors' weights: Human3.6M, research only",
    },
    libraries=("numpy", "torch"),
)


class Options(BodyOptions, extra="forbid"):
    """Options of ``gan``."""

    weights: Annotated[
        Path | None,
        Field(description="safetensors of posemill, or the authors' gen_epoch_N.npz; null: the shipped ones"),
    ] = None
    activation: Annotated[
        Literal["leaky_relu", "relu"] | None,
        Field(description="null: the card's; of the authors' files leaky_relu, with batch norm relu"),
    ] = None


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Bring the authors' Chainer file to the network's names, and make its card; the options may say more."""
    from posemill.networks.gan import from_official

    if checkpoint.kind != "chainer_npz":
        raise InputError(expected("weights of gan", "a Chainer .npz", checkpoint.kind, where=checkpoint.where))
    tensors = from_official(checkpoint.tensors)
    normed = "bn1.weight" in tensors
    network = {"activation": options.activation or ("relu" if normed else "leaky_relu"), "batch_norm": normed}
    view = options.view or "picture"
    return tensors, {"lifter": NAME, "network": network, "view": view, "licences": dict(CARD.licences)}


def create(options: Options) -> Gan:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights; the message has the command that trains them.
    InputError
        Weights of another network; the message names the tensor.
    """
    return Gan(options)


class Gan:
    """The lifter with its weights; ``device`` is ``cpu`` or the GPU's name."""

    def __init__(self, options: Options) -> None:
        from posemill.lifters.body_view import VIEWS
        from posemill.lifters.cards import card_choice, card_network, take_sigma_floor
        from posemill.lifters.loading import build, device_name, read
        from posemill.networks.gan import GanMLP

        self._options = options
        path = weights(options)
        tensors, card = read(path, NAME, convert, options, "the authors' gen_epoch_500.npz")
        sizes = card_network(card, tensors, "l1.weight", ("activation", "batch_norm"), path)
        if options.activation:
            sizes["activation"] = options.activation
        self._view = options.view or card_choice(card, "view", VIEWS, path)
        self._floor_m = take_sigma_floor(tensors, _FLOOR_M, path)
        self._where, self.device = device_name()
        self._network = build(GanMLP, sizes, tensors, path).to(self._where)

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift every frame that has all joints; see :class:`~posemill.lifters.protocol.LiftOutput`."""
        from posemill.lifters.answers import aged_sigma, fill, nothing
        from posemill.lifters.body_view import standard_body, whole_bodies
        from posemill.networks.gan import image_pose

        output = nothing(len(clip.time))
        for bodies in whole_bodies(clip, max_gap_s=self._options.max_gap_s, view=self._view):
            image, scale = image_pose(bodies.plane)
            depth, spread = self._depths(image)
            joints, factor = standard_body(np.concatenate([image, depth], -1))
            in_plane = bodies.sigma / scale[:, None]
            # One figure for three axes: x and y err with the keypoint, z with the network.
            variance = (2 * in_plane**2 + spread) / 3 * factor[:, None] ** 2
            sigma = aged_sigma(np.sqrt(self._floor_m**2 + variance), bodies.age, "h36m17")
            fill(output, bodies.frames, joints, sigma)
        return output

    def _depths(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Depths relative to the pelvis (N, 17, 1), and the variance that the mirrored answer shows (N, 17)."""
        from posemill.lifters.answers import averaged

        other = self._run(image[:, _FLIP] * (-1, 1))[:, _FLIP] if self._options.flip else None
        depth, variance = averaged(self._run(image), other)
        return depth - depth[:, :1], variance

    def _run(self, image: np.ndarray) -> np.ndarray:
        import torch

        inputs = torch.from_numpy(image.reshape(-1, 34).astype(np.float32)).to(self._where)
        with torch.inference_mode():
            return self._network(inputs).double().cpu().numpy()[..., None]
