"""``posemill``: the lifter that comes with posemill, for any camera, any detector and clips of any length and rate.

It reads rays, not pixels, of the twelve limb joints that every detector shares, and of heels and toes where there are
any; joints may be missing, and each counts by the sigma that its detector states (:mod:`posemill.networks.clip_rays`).
It knows how MediaPipe's joints differ from motion capture's; other detectors it takes as they are. Where a calibration
says where up is, it is told: who leans away from a camera looks like one before a camera that looks down. It answers
with a sigma for each joint and axis that was calibrated on people it had never seen. With ``causal`` it looks at no
later frame. The answer is in metres of a body of one standard size, as one camera does not tell a person's.

The network is :mod:`posemill.networks.posemill`, its training :mod:`posemill.training.posemill`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.lifters.cards import card_arguments
from posemill.lifters.options import FlipOptions
from posemill.lifters.protocol import OWN_TERMS, LifterCard, LiftInput, LiftOutput
from posemill.skeleton import JOINT_SETS, normalise_pose

if TYPE_CHECKING:
    from posemill.formats.checkpoints import Checkpoint
    from posemill.networks.posemill import PosemillNet

NAME = "posemill"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "posemill.safetensors"

_JOINTS = len(JOINT_SETS["posemill21"])
_LIMBS = len(JOINT_SETS["limbs12"])
# Faster clips are seen at a half, a quarter, ... of their rate: with detected 2D a wider view of time is worth more
# than a denser one, and by halves a clip and every second frame of it are seen alike.
_FASTEST_HZ = 20.0
_LEAP_S = 0.25
_CHUNK, _STILLS = 1024, 256

CARD = LifterCard(
    joint_set_in="limbs16",
    optional_in=("left_heel", "right_heel", "left_big_toe", "right_big_toe"),
    joint_set_out="posemill21",
    channels=("x", "y", "present", "sigma"),
    normaliser="undistorted rays, in each frame turned until the root's is the axis, divided by their size",
    output_unit="m",
    window="whole clip, dilated over time; nothing beyond its ends; stills one by one",
    receptive_field=27,
    needs_camera=True,
    ray_blind=False,
    licences=OWN_TERMS,
    libraries=("numpy", "torch"),
)


class Options(FlipOptions, extra="forbid"):
    """Options of ``posemill``."""

    weights: Annotated[Path | None, Field(description="safetensors of posemill train; null: the shipped ones")] = None
    causal: Annotated[bool, Field(description="Look at no later frame, as live use must")] = False
    max_missing: Annotated[
        int, Field(ge=0, le=_LIMBS - 2, description="Frames that lack more of the 12 limb joints are not lifted")
    ] = 6


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def card(options: Options) -> LifterCard:
    """Return the card of the weights that these options choose."""
    reach = _read(options).network.reach
    return replace(CARD, receptive_field=(1 if options.causal else 2) * reach + 1)


def create(options: Options) -> Posemill:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights; the message has the command that trains them.
    InputError
        Weights of another network.
    """
    return Posemill(_read(options), options)


@dataclass(frozen=True)
class _Setup:
    """A network, and by how much its sigma was off where errors were measured, (20, 3)."""

    network: PosemillNet
    sigma_factor: np.ndarray


def _read(options: Options) -> _Setup:
    from posemill.formats.weights import check_tensors
    from posemill.lifters.loading import build, read
    from posemill.networks.posemill import JOINTS_OUT, PosemillNet

    path = weights(options)
    tensors, about = read(path, NAME, _convert, options, "a file of posemill train")
    factor = np.ones((JOINTS_OUT, 3))
    if "sigma_factor" in tensors:
        given = {"sigma_factor": tensors.pop("sigma_factor")}
        check_tensors(given, {"sigma_factor": (JOINTS_OUT, 3)}, path)
        factor = given["sigma_factor"].astype(np.float64)
    if not (factor > 0).all():
        raise InputError(expected("tensor sigma_factor", "positive numbers", f"{factor.min()}", where=path))
    sizes: Mapping[str, Any] = card_arguments(about, path)
    return _Setup(build(PosemillNet, sizes, tensors, path), factor)


def _convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    want = "safetensors of posemill train"
    raise InputError(expected("weights", want, checkpoint.kind, where=checkpoint.where))


class Posemill:
    """The lifter with its weights; ``device`` is ``cpu`` or the GPU's name."""

    def __init__(self, setup: _Setup, options: Options) -> None:
        from posemill.lifters.loading import device_name

        self._options, self._factor = options, setup.sigma_factor
        place, self.device = device_name()
        self._network = setup.network.to(place)

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift every frame that has enough limb joints; see :class:`~posemill.lifters.protocol.LiftOutput`.

        A joint whose own 2D is missing is still answered, with the larger sigma that the network learnt for that.
        """
        frames = len(clip.time)
        unknown = np.full((frames, _JOINTS, 3), np.nan)
        output = LiftOutput(unknown, unknown.copy(), np.zeros((frames, _JOINTS), dtype=bool))
        if clip.temporal:
            for start, stop in _runs(clip.time):
                for inner in _chunks(start, stop):
                    self._answer(clip, output, inner, slice(start, stop), stills=False)
        else:
            for start in range(0, frames, _STILLS):
                part = slice(start, min(start + _STILLS, frames))
                self._answer(clip, output, part, part, stills=True)
        _one_body(output, causal=self._options.causal)
        return output

    def _answer(self, clip: LiftInput, output: LiftOutput, inner: slice, run: slice, *, stills: bool) -> None:
        """Fill some frames of the output, looking at their neighbours in the run as far as the network does."""
        from posemill.networks.clip_rays import clip_inputs, definition_of
        from posemill.networks.posemill import predict

        step_s, stride = _pace(clip.time[run], stills=stills)
        # One frame more for the motion since the frame before.
        reach = 0 if stills else (self._network.reach + 1) * stride
        outer = slice(max(inner.start - reach, run.start), min(inner.stop + reach, run.stop))
        valid = clip.valid[outer]
        pixels = np.where(valid[..., None], clip.keypoints[outer], np.nan).astype(np.float64)
        plane = clip.camera.normalise(pixels)
        focal_px = np.sqrt(clip.camera.K[0, 0] * clip.camera.K[1, 1])
        sigma = clip.sigma[outer] / focal_px
        # Stills are clips of one frame each.
        lead = (len(valid), 1) if stills else (1, len(valid))
        seen = clip_inputs(
            plane.reshape(*lead, *plane.shape[1:]),
            valid.reshape(*lead, -1),
            sigma.reshape(*lead, -1),
            np.full(lead[0], step_s),
            [definition_of(clip.detector)] * lead[0],
            np.full(lead[0], min(clip.camera.focal_sigma, _MOST_FOCAL_SIGMA)),
            np.broadcast_to(clip.camera.up, (lead[0], 3)),
            stride=stride,
        )
        turned, spread = predict(
            self._network, seen.inputs, flip=self._options.flip, causal=self._options.causal, stride=stride
        )
        back = seen.rotation.astype(np.float64)
        joints = (turned @ back).reshape(-1, _JOINTS - 1, 3)
        # Independent along the axes of the turned frame; along the camera's they are what of it falls on each.
        spread = np.sqrt((spread * self._factor) ** 2 @ back**2).reshape(-1, _JOINTS - 1, 3)
        known = valid[:, :_LIMBS].sum(-1) >= _LIMBS - self._options.max_missing
        usable = known & seen.usable.reshape(-1)
        cut = slice(inner.start - outer.start, inner.stop - outer.start)
        rows = np.flatnonzero(usable[cut])
        frames = inner.start + rows
        # The pelvis is the origin: here 0 without error by definition, its uncertainty is that of its place.
        for whole, part in ((output.joints_relative, joints), (output.sigma, spread)):
            whole[frames] = np.pad(part[cut][rows], ((0, 0), (1, 0), (0, 0)))
        output.valid[frames] = True


_MOST_FOCAL_SIGMA = 0.25
_BONES = np.array(JOINT_SETS["posemill21"].bones)
_SAME = JOINT_SETS["posemill21"].flip_permutation[_BONES[:, 1]] - 1


def _one_body(output: LiftOutput, *, causal: bool) -> None:
    """Give all frames the same bone lengths, left as right, in place; bones keep their directions.

    The lengths are means over the clip, where the network is sure of a bone more than where it is not. Causal: over
    the frames until then.
    """
    rows = np.flatnonzero(output.valid[:, 0])
    blocks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    total = share = np.zeros((1, len(_BONES)))
    for block in blocks:
        lengths, weights = _lengths(output, block)
        # Both sides of a body are alike.
        total = total[-1] + np.cumsum(lengths * weights + (lengths * weights)[:, _SAME], axis=0)
        share = share[-1] + np.cumsum(weights + weights[:, _SAME], axis=0)
        if causal:
            output.joints_relative[block] = _with_lengths(output.joints_relative[block], total / share)
    if not causal:
        for block in blocks:
            output.joints_relative[block] = _with_lengths(output.joints_relative[block], total[-1] / share[-1])


def _with_lengths(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return normalise_pose(joints, lengths, "posemill21")


def _lengths(output: LiftOutput, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bone lengths (N, 20) of some frames, and how much each counts."""
    parents, children = _BONES.T
    joints, variance = output.joints_relative[rows], (output.sigma_axes[rows] ** 2).sum(-1)
    lengths = np.linalg.norm(joints[:, children] - joints[:, parents], axis=-1)
    return lengths, 1 / np.maximum(variance[:, children] + variance[:, parents], _LEAST_M**2)


_LEAST_M = 1e-3


# Of an octave: a rate this little above a bound is at it.
_NEARLY = 0.1


def _pace(time: np.ndarray, *, stills: bool) -> tuple[float, int]:
    """Seconds between neighbours as the network sees them, and how many frames apart they are."""
    if stills or len(time) < 2:
        return 1 / 25, 1
    step = float(np.median(np.diff(time)))
    halvings = np.ceil(np.log2(1 / (step * _FASTEST_HZ)) - _NEARLY)
    stride = 2 ** int(max(halvings, 0))
    return step * stride, stride


def _runs(time: np.ndarray) -> Iterator[tuple[int, int]]:
    """Rows of frames between leaps of the time stamps, where frames are missing that nobody recorded."""
    if len(time) == 0:
        return
    steps = np.diff(time)
    usual = float(np.median(steps)) if len(steps) else 0.0
    cuts = np.flatnonzero(steps > max(_LEAP_S, 2.5 * usual)) + 1
    bounds = [0, *cuts.tolist(), len(time)]
    yield from pairwise(bounds)


def _chunks(start: int, stop: int) -> Iterator[slice]:
    for begin in range(start, stop, _CHUNK):
        yield slice(begin, min(begin + _CHUNK, stop))
