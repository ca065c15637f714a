"""``linear``: the fully connected lifter of Martinez et al. 2017, one frame at a time.

The network is the paper's; the input of our own weights is not pixels but the rays of the twelve limb joints that every
detector shares, turned so that the root ray is the optical axis (:mod:`posemill.networks.rays`). So one set of weights
serves every camera, every detector and every place in the picture, and missing joints are part of its input.

The published TensorFlow checkpoint reads standardised pixels of 16 joints instead, does not contain its statistics (the
option ``statistics``), and clips each weight matrix to Frobenius norm 1 whenever it is used. It cannot be told that a
joint is missing: keypoints that are missing for up to half a second are bridged, as for lifters that see many frames
(:mod:`posemill.lifters.timeline`), and more than four unknown joints end it.

References
----------
J. Martinez, R. Hossain, J. Romero, J. J. Little, "A simple yet effective baseline for 3d human pose estimation",
ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.lifters.answers import DEFAULT_SIGMA_M, nothing
from posemill.lifters.cards import agreed, card_arguments, take_sigma_floor
from posemill.lifters.options import PublishedOptions
from posemill.lifters.protocol import OWN_TERMS, LifterCard, LiftInput, LiftOutput
from posemill.networks.rays import INPUT_WIDTH, JOINTS_IN, OUTPUT_WIDTH, ray_pose

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint
    from posemill.lifters.standardised import Setup, Standardised
    from posemill.networks.linear import LinearLifter

NAME = "linear"
_CHUNK = 512
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "linear.safetensors"

RAYS = "linear rays 1"
# What the published weights were trained with; lens: the mean of Human3.6M's four cameras.
_MAX_GAP_S, _MAX_MISSING = 0.5, 4
_FOCAL_PX, _CENTRE_PX = 1146.0, (514.0, 507.0)

CARD = LifterCard(
    joint_set_in="limbs12",
    joint_set_out="h36m17",
    channels=("x", "y", "present"),
    normaliser="undistorted rays, root ray turned to the optical axis, divided by the RMS radius of the joints",
    output_unit="m",
    window="one frame; any number of frames",
    receptive_field=1,
    needs_camera=True,
    ray_blind=False,
    licences=OWN_TERMS,
    libraries=("numpy", "torch"),
)


class Options(PublishedOptions, extra="forbid"):
    """Options of ``linear``."""

    weights: Annotated[
        Path | None,
        Field(description="safetensors of posemill train or convert, or a TensorFlow .index; null: the shipped ones"),
    ] = None
    max_missing: Annotated[
        int, Field(ge=0, le=JOINTS_IN - 2, description="Frames that lack more of the 12 limb joints are not lifted")
    ] = 6


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def card(options: Options) -> LifterCard:
    """Return the card of the weights that these options choose."""
    made = _read(options)
    return CARD if isinstance(made, _Rays) else made.card


def create(options: Options) -> Linear | Standardised:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights, or no statistics for published ones; the message has the way out.
    InputError
        Weights of another network, or an option that contradicts their card.
    """
    from posemill.lifters.standardised import Standardised

    made = _read(options)
    if isinstance(made, _Rays):
        return Linear(made, flip=options.flip, max_missing=options.max_missing)
    missing = min(options.max_missing, _MAX_MISSING)
    return Standardised(made, flip=options.flip, blend="last", max_gap_s=_MAX_GAP_S, max_missing=missing)


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Bring the published TensorFlow checkpoint to what our own file holds; the options say what is not in it.

    Raises
    ------
    InputError
        Not such a checkpoint.
    """
    from posemill.lifters.standardised import PREFIX, read_statistics
    from posemill.networks.linear import from_official

    tensors = from_official(checkpoint.tensors)
    about: dict[str, Any] = {
        "lifter": NAME,
        "network": {"norm_eps": 1e-3, "max_norm": True},
        "source": "Martinez et al. 2017",
        "licences": {"weights": "MIT", "data": "Human3.6M (academic use)"},
    }
    said = {"use_sh": options.use_sh, "camera_frame": options.camera_frame}
    about |= {name: value for name, value in said.items() if value is not None}
    if options.statistics is not None:
        tensors |= {PREFIX + name: vector for name, vector in read_statistics(options.statistics).items()}
    return tensors, about


@dataclass(frozen=True)
class _Rays:
    """A network on rays, and by how much its sigma was off where errors were measured, (16,)."""

    network: LinearLifter
    sigma_factor: np.ndarray


def _read(options: Options) -> _Rays | Setup:
    from posemill.lifters.loading import read

    path = weights(options)
    tensors, about = read(path, NAME, convert, options, "a published TensorFlow checkpoint's .index")
    if about.get("network") == RAYS:
        return _Rays(*_rays(tensors, path))
    return _published(options, tensors, about, path)


def _rays(tensors: dict[str, np.ndarray], path: Path) -> tuple[LinearLifter, np.ndarray]:
    from posemill.formats.weights import check_tensors
    from posemill.lifters.loading import build
    from posemill.networks.linear import LinearLifter

    factor = {"sigma_factor": tensors.pop("sigma_factor")} if "sigma_factor" in tensors else {}
    check_tensors(factor, {"sigma_factor": (OUTPUT_WIDTH // 4,)}, path)
    sizes = {"width_in": INPUT_WIDTH, "width_out": OUTPUT_WIDTH, "hidden": _hidden(tensors, path)}
    return build(LinearLifter, sizes, tensors, path), factor["sigma_factor"].astype(np.float64)


def _hidden(tensors: Mapping[str, np.ndarray], path: Path) -> int:
    shape = tensors["first.dense.bias"].shape if "first.dense.bias" in tensors else ()
    if len(shape) != 1 or not 1 <= shape[0] <= 8192:
        raise InputError(expected("tensor first.dense.bias", "1 to 8192 values", shape, where=path))
    return shape[0]


def _published(options: Options, tensors: dict[str, np.ndarray], about: Mapping[str, Any], path: Path) -> Setup:
    """Of weights that read standardised pixels."""
    from posemill.lifters.loading import build
    from posemill.lifters.standardised import NORMALISERS, Setup, take_statistics
    from posemill.networks.linear import LinearLifter

    said = about.get("network")
    if not isinstance(said, dict):
        raise InputError(expected("network", f"{RAYS}, or that of the published weights", said, where=path))
    use_sh = agreed("use_sh", options.use_sh, about.get("use_sh"), False, path)
    camera_frame = agreed("camera_frame", options.camera_frame, about.get("camera_frame"), True, path)
    for name, value in {"use_sh": use_sh, "camera_frame": camera_frame}.items():
        if not isinstance(value, bool):
            raise InputError(expected(f"card: {name}", "true or false", value, where=path))
    statistics = take_statistics(tensors, options.statistics, NAME, path)
    floor = take_sigma_floor(tensors, DEFAULT_SIGMA_M, path)
    sizes = {"width_in": 32, "width_out": 48, "hidden": _hidden(tensors, path), **card_arguments(about, path)}
    described = replace(
        CARD,
        joint_set_in="mpii16" if use_sh else "h36m16",
        channels=("x", "y"),
        normaliser=NORMALISERS["camera"],
        licences={**CARD.licences, **about.get("licences", {})},
    )
    return Setup(
        build(LinearLifter, sizes, tensors, path),
        statistics,
        floor,
        frames=1,
        camera_frame=camera_frame,
        lens=(_FOCAL_PX, np.array(_CENTRE_PX)),
        card=described,
    )


class Linear:
    """The lifter with its weights; ``device`` is ``cpu`` or the GPU's name."""

    def __init__(self, made: _Rays, *, flip: bool, max_missing: int) -> None:
        from posemill.lifters.loading import device_name

        self._flip = flip
        self._max_missing = max_missing
        self._sigma_factor = made.sigma_factor
        place, self.device = device_name()
        self._network = made.network.to(place)

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift every frame that has enough joints; see :class:`~posemill.lifters.protocol.LiftOutput`.

        A joint whose own 2D is missing is still answered, with the larger sigma that the network learnt for that.
        """
        output = nothing(len(clip.keypoints))
        for start in range(0, len(clip.keypoints), _CHUNK):
            self._lift(clip, output, slice(start, start + _CHUNK))
        return output

    def _lift(self, clip: LiftInput, output: LiftOutput, part: slice) -> None:
        """Fill one part of the output: memory beside the output stays bounded for clips of any length."""
        from posemill.networks.linear import predict

        valid = clip.valid[part]
        keypoints = np.where(valid[..., None], clip.keypoints[part], np.nan).astype(np.float64)
        pose = ray_pose(clip.camera.normalise(keypoints), valid)
        usable = pose.usable & (pose.present.sum(-1) >= JOINTS_IN - self._max_missing)
        turned, spread = predict(self._network, pose.inputs[usable], flip=self._flip)
        # The pelvis is the origin: here 0 without error by definition, its uncertainty is that of its place.
        output.joints_relative[part][usable] = np.pad(turned @ pose.rotation[usable], ((0, 0), (1, 0), (0, 0)))
        output.sigma[part][usable] = np.pad(spread * self._sigma_factor, ((0, 0), (1, 0)))
        output.valid[part][usable] = True


def store(path: Path, network: LinearLifter, sigma_factor: np.ndarray, card: dict) -> None:
    """Write what :func:`create` reads of weights on rays, matrices in half precision."""
    from posemill.lifters.loading import store

    store(path, network, {**card, "network": RAYS}, {"sigma_factor": sigma_factor})
