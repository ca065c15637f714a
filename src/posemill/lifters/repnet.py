"""``repnet``: a pose and the camera that reprojects it (Wandt and Rosenhahn 2019); one frame at a time.

The network's pose stands in a frame of its own. The rotation in the camera that it answers beside (or, for files
without the camera's path, in the least-squares weak-perspective camera) turns it to camera axes. It sees neither
where the person is nor how large: it is ray-blind, and its unit is brought to metres of the standard body. Two forms
are read, the authors' Keras one and a PyTorch one (:mod:`posemill.networks.repnet`); the weights say which. RepNet has
no spine: the middle of hips and shoulders stands for it.

The sign in the kinematic chain space matters to the critic in training only; the card's ``kcs_sign`` says with which
one (``released`` or ``corrected``) the weights were made, and :attr:`RepNet.kcs_sign` has it.

Sigma is half of what the answer for the mirrored person differs, on top of a floor per joint: the weights'
``sigma_floor``, else 0.056 m (1 cm for the pelvis): the published mean error of 89.9 mm with detected 2D as a standard
deviation per axis (an isotropic error of sigma 1 is 1.6 long).

References
----------
B. Wandt, B. Rosenhahn, "RepNet: Weakly Supervised Training of an Adversarial Reprojection Network for 3D Human Pose
Estimation", CVPR 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.lifters.options import BodyOptions
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.skeleton import JOINT_SETS

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint

NAME = "repnet"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "repnet.safetensors"
_BODY = JOINT_SETS["h36m17"]
_FLIP = _BODY.flip_permutation
_SPINE = _BODY.index("spine")
_AROUND_SPINE = _BODY.indices(("left_hip", "right_hip", "left_shoulder", "right_shoulder"))
_FLOOR_M = np.array([0.01] + [0.056] * 16)
# The PyTorch form divides pixels of Human3.6M's cameras, whose mean focal length this is.
_PIXELS, _TRAINING_FOCAL_PX = 500.0, np.array(1146.8)
_UPWARDS = np.array([1.0, -1.0, -1.0])

CARD = LifterCard(
    joint_set_in="h36m17",
    channels=("x", "y"),
    normaliser="undistorted; 16 joints centred and divided by their standard deviation; in the PyTorch form pixels "
    "of a camera of 1147 px focal length over 500, relative to the pelvis",
    output_unit="m of the standard body",
    window="one frame, all joints; gaps up to max_gap_s bridged with growing sigma, frames that lack a joint left out",
    receptive_field=1,
    needs_camera=True,
    ray_blind=True,
    licences={
        "code": "Apache-2.0",
        "weights": "the authors' README says MIT, without a licence file; posemill's are Apache-2.0",
        "data": "the authors' weights: Human3.6M, research only",
    },
    libraries=("numpy", "torch"),
)


class Options(BodyOptions, extra="forbid"):
    """Options of ``repnet``."""

    weights: Annotated[
        Path | None,
        Field(description="safetensors of posemill, a Keras .h5 or a PyTorch checkpoint; null: the shipped ones"),
    ] = None
    y_up: Annotated[
        bool | None, Field(description="Whether the weights want the image's y upwards; null: what their card says")
    ] = None


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Bring a Keras or PyTorch generator to the network's names, and make its card.

    Whether a Keras generator wants y upwards is in no file: unless the option says it, a standing body is shown both
    ways, and the one that it reprojects better is taken and written into the card.
    """
    from posemill.networks.repnet import from_official

    card: dict[str, Any] = {"lifter": NAME, "kcs_sign": "released", "licences": dict(CARD.licences)}
    card["view"] = options.view or "picture"
    if checkpoint.kind == "keras_h5":
        try:
            tensors = from_official(checkpoint.tensors)
        except ValueError as error:
            raise InputError(f"{checkpoint.where}: {error}") from None
        card["network"] = {"form": "repnet"}
        if options.y_up is not None:
            return tensors, {**card, "y_up": options.y_up, "y_up_source": "option"}
        network = _network(tensors, card, checkpoint.where)
        misfit = {up: reprojection_misfit(network, y_up=up) for up in (False, True)}
        card["y_up"] = misfit[True] < misfit[False]
        card["y_up_source"] = f"reprojection of standing bodies: {misfit[False]:.4f} y down, {misfit[True]:.4f} y up"
        return tensors, card
    if checkpoint.kind == "torch":
        card |= {"network": {"form": "torch"}, "y_up": bool(options.y_up)}
        return checkpoint.part("model_G", ""), card
    raise InputError(
        expected("weights of repnet", "a Keras .h5 or PyTorch file", checkpoint.kind, where=checkpoint.where)
    )


def create(options: Options) -> RepNet:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights; the message has the command that trains them.
    InputError
        Weights of another network; the message names the tensor.
    """
    return RepNet(options)


class RepNet:
    """The lifter with its weights.

    Attributes
    ----------
    device
        ``cpu`` or the GPU's name.
    kcs_sign
        ``released`` or ``corrected``: see :func:`posemill.networks.kcs.kcs_matrix`.
    y_up
        Whether the network is shown the image's y upwards.
    """

    def __init__(self, options: Options) -> None:
        from posemill.lifters.body_view import VIEWS
        from posemill.lifters.cards import card_choice, card_numbers, take_sigma_floor
        from posemill.lifters.loading import device_name, read
        from posemill.networks.kcs import KCS_SIGNS

        self._options = options
        path = weights(options)
        tensors, card = read(path, NAME, convert, options, "the authors' generator_repnet_h36m_17j_late.h5")
        self._floor_m = take_sigma_floor(tensors, _FLOOR_M, path)
        network = _network(tensors, card, path)
        self._form = network.form
        self._view = options.view or card_choice(card, "view", VIEWS, path)
        self.kcs_sign = card_choice(card, "kcs_sign", KCS_SIGNS, path)
        self.y_up = bool(card_choice(card, "y_up", (False, True), path)) if options.y_up is None else options.y_up
        self._focal_px = float(card_numbers(card, "focal_px", _TRAINING_FOCAL_PX, path))
        self._where, self.device = device_name()
        self._network = network.to(self._where)

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift every frame that has all joints; see :class:`~posemill.lifters.protocol.LiftOutput`."""
        from posemill.lifters.answers import aged_sigma, averaged, fill, mirror_back, nothing
        from posemill.lifters.body_view import standard_body, whole_bodies

        output = nothing(len(clip.time))
        for bodies in whole_bodies(clip, max_gap_s=self._options.max_gap_s, view=self._view):
            mirrored = mirror_back(self._run(bodies.plane[:, _FLIP] * (-1, 1))) if self._options.flip else None
            joints, variance = averaged(self._run(bodies.plane), mirrored)
            age = bodies.age
            if self._form == "repnet":
                age[:, _SPINE] = age[:, _AROUND_SPINE].max(1)
            joints, factor = standard_body(joints)
            sigma = np.sqrt(self._floor_m**2 + variance * factor[:, None] ** 2)
            fill(output, bodies.frames, joints, aged_sigma(sigma, age, "h36m17"))
        return output

    def _run(self, plane: np.ndarray) -> np.ndarray:
        """Pose (N, 17, 3) in the network's unit, camera axes, pelvis at 0; NaN where the camera turns to nowhere."""
        return lift_plane(self._network, plane, y_up=self.y_up, focal_px=self._focal_px)


def lift_plane(network: Any, plane: np.ndarray, *, y_up: bool, focal_px: float) -> np.ndarray:
    """Lift h36m17 on the normalised plane (N, 17, 2) to (N, 17, 3): network's unit, camera axes, pelvis at 0."""
    from posemill.networks.repnet import camera_rotation

    pose, camera, _ = _answer(network, plane, y_up=y_up, focal_px=focal_px)
    rotation = camera_rotation(camera)
    if y_up:
        # Half a turn about x brings axes right, up, backwards to right, down, forwards.
        rotation = rotation * _UPWARDS[:, None]
    return _to_body(pose @ np.swapaxes(rotation, -1, -2), network.form)


def _network(tensors: dict[str, np.ndarray], card: dict[str, Any], where: object) -> Any:
    from posemill.lifters.cards import card_network
    from posemill.lifters.loading import build
    from posemill.networks.repnet import RepNet as Network

    sizes = {"camera": "w3.weight" in tensors} | card_network(card, tensors, "w1.weight", ("form", "camera"), where)
    return build(Network, sizes, tensors, where)


def _answer(network: Any, plane: np.ndarray, *, y_up: bool, focal_px: float) -> tuple[np.ndarray, ...]:
    """Pose (N, 16, 3), camera rows (N, 2, 3), and what the network saw (N, 16, 2)."""
    import torch

    from posemill.networks.repnet import JOINTS, solve_camera

    points = (plane[:, JOINTS[network.form]] - plane[:, :1]) * (1, -1 if y_up else 1)
    if network.form == "repnet":
        points = points - points.mean(1, keepdims=True)
        size = points.std(axis=(1, 2), keepdims=True)
        points = points / np.where(size > 0, size, np.nan)
    else:
        points = points * (focal_px / _PIXELS)
    inputs = torch.from_numpy(points.astype(np.float32)).to(next(network.parameters()).device)
    with torch.inference_mode():
        answered, rows = network.lift(inputs)
    pose = answered.double().cpu().numpy()
    if rows is not None:
        camera = rows.double().cpu().numpy()
    else:
        # An image without size has no camera.
        known = np.isfinite(points).all((1, 2)) & np.isfinite(pose).all((1, 2))
        camera = np.full((len(pose), 2, 3), np.nan)
        centre = pose.mean(1, keepdims=True) if network.form == "repnet" else 0.0
        camera[known] = solve_camera((pose - centre)[known], points[known])
    return pose, camera, points


def _to_body(pose: np.ndarray, form: str) -> np.ndarray:
    """The form's 16 joints to h36m17 with the pelvis at 0."""
    from posemill.networks.repnet import JOINTS

    body = np.zeros((len(pose), len(_BODY), 3))
    body[:, JOINTS[form]] = pose
    if form == "repnet":
        body[:, _SPINE] = body[:, _AROUND_SPINE].mean(1)
    # The other form has the pelvis at 0 by its training.
    return body - body[:, :1]


def reprojection_misfit(network: Any, *, y_up: bool) -> float:
    """Mean distance between standing bodies as shown from eight sides and as the network's camera reprojects them."""
    angle = np.arange(8) * np.pi / 4
    across = _STANDING[:, 0] * np.cos(angle)[:, None] + _STANDING[:, 2] * np.sin(angle)[:, None]
    turned = np.stack([across, np.broadcast_to(_STANDING[:, 1], across.shape)], -1)
    pose, camera, seen = _answer(network, turned, y_up=y_up, focal_px=float(_TRAINING_FOCAL_PX))
    again = pose @ np.swapaxes(camera, -1, -2)
    return float(np.linalg.norm(again - again.mean(1, keepdims=True) - seen, axis=-1).mean())


_STANDING = np.array(
    [
        *((0, 0, 0), (-0.12, 0, 0), (-0.13, 0.42, 0.01), (-0.14, 0.84, 0.06)),
        *((0.12, 0, 0), (0.13, 0.42, 0.01), (0.14, 0.84, 0.06)),
        *((0, -0.22, 0), (0, -0.46, 0.02), (0, -0.57, -0.05), (0, -0.68, -0.01)),
        *((0.16, -0.42, 0.01), (0.23, -0.16, 0.03), (0.25, 0.07, -0.08)),
        *((-0.16, -0.42, 0.01), (-0.23, -0.16, 0.03), (-0.25, 0.07, -0.08)),
    ]
)
