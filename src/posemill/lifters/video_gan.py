"""``video_gan``: pose and root from 27 frames, by two networks that learnt from reprojection and a critic.

Both see the keypoints as pixels of the camera that they were trained with (``u / 500 - 1``), into which those of any
other camera are brought along their rays. The pose network sees joints relative to the pelvis only: it is ray-blind.
The root network sees where they are and answers the pelvis in the camera frame, :attr:`LiftOutput.root`. Weights whose
card says ``view: turned`` are shown every frame as a camera sees it that looks at the pelvis; ``picture``, the default,
as it is.

A short gap is bridged for the networks' sake (:mod:`posemill.lifters.timeline`); a longer one ends a run of frames, and
at both ends of a run its first or last frame is repeated. Stills are repeated to a whole window each. Where the card
names an ``fps``, other clips are resampled to it and back.

Sigma is half of what the answer for the mirrored person differs, on top of a floor per joint: the weights'
``sigma_floor``, else 0.044 m (1 cm for the pelvis): the published mean error of 70.5 mm as a standard deviation per
axis (an isotropic error of sigma 1 is 1.6 long). The root's floor is a share of its depth: the card's
``root_sigma_share`` (x, y, z), else 2 %, 2 % and 8 %, which is an assumption.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.lifters.options import FlipOptions
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.skeleton import JOINT_SETS

if TYPE_CHECKING:
    from posemill.camera import Camera
    from posemill.formats.checkpoints import Checkpoint
    from posemill.lifters.grid import Grid
    from posemill.lifters.timeline import Timeline

NAME = "video_gan"
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "video_gan.safetensors"
_FLIP = JOINT_SETS["h36m17"].flip_permutation
_FLOOR_M = np.array([0.01] + [0.044] * 16)
_ROOT_SHARE = np.array([0.02, 0.02, 0.08])
_PIXELS = 500.0
# Mean of Human3.6M's four cameras: focal length, then principal point, px.
_TRAINING_FOCAL_PX, _TRAINING_CENTRE_PX = np.array([1146.8, 1146.8]), np.array([514.0, 506.7])
# From the normalised plane to the networks' pixels: scale (2,), and the principal point (2,).
_Lens = tuple[np.ndarray, np.ndarray]
_HALF, _BLOCK, _STILLS = 13, 2048, 256

CARD = LifterCard(
    joint_set_in="h36m17",
    channels=("x", "y"),
    normaliser="undistorted rays as pixels of the training camera (focal 1147, centre 514, 507), u / 500 - 1; "
    "relative to the pelvis for the pose, absolute for the root",
    output_unit="m",
    window="27 frames; ends of a run repeated; gaps up to max_gap_s bridged with growing sigma, longer ones end a run",
    receptive_field=27,
    needs_camera=True,
    ray_blind=True,
    licences={
        "code": "Apache-2.0",
        "weights": "none were published; posemill's are Apache-2.0",
        "data": "of the weights: see their card",
    },
    libraries=("numpy", "torch"),
)


class Options(FlipOptions, extra="forbid"):
    """Options of ``video_gan``."""

    weights: Annotated[
        Path | None, Field(description="safetensors of posemill, or a training checkpoint; null: the shipped ones")
    ] = None
    max_gap_s: Annotated[float, Field(ge=0, le=2, description="Longest gap of a keypoint that is bridged")] = 0.25
    camera: Annotated[
        Literal["training", "own"],
        Field(description="own: pixels of the clip's own camera, as on the data set that the weights were trained on"),
    ] = "training"


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def convert(checkpoint: Checkpoint, options: Options) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Take both generators out of a training checkpoint, and make their card."""
    from posemill.networks.video_gan import from_official

    if checkpoint.kind != "torch":
        raise InputError(expected("weights of video_gan", "a PyTorch file", checkpoint.kind, where=checkpoint.where))
    tensors = from_official(checkpoint.tensors)
    if not tensors:
        checkpoint.part("model_G_pose")
    return tensors, {"lifter": NAME, "network": {}, "kcs_sign": "released", "licences": dict(CARD.licences)}


def create(options: Options) -> VideoGan:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights; the message has the command that trains them.
    InputError
        Weights of another network; the message names the tensor.
    """
    return VideoGan(options)


class VideoGan:
    """The lifter with its weights; ``device`` is ``cpu`` or the GPU's name."""

    def __init__(self, options: Options) -> None:
        from posemill.lifters.body_view import VIEWS
        from posemill.lifters.cards import card_choice, card_fps, card_network, card_numbers, take_sigma_floor
        from posemill.lifters.loading import build, device_name, read
        from posemill.networks.video_gan import VideoGan as Network

        self._options = options
        path = weights(options)
        tensors, card = read(path, NAME, convert, options, "a video_absolute_resnet.tar")
        self._floor_m = take_sigma_floor(tensors, _FLOOR_M, path)
        root = {n.removeprefix("root."): t for n, t in tensors.items() if n.startswith("root.")}
        # What belongs to neither network is compared with the pose network, which then names it.
        pose = {n.removeprefix("pose."): t for n, t in tensors.items() if not n.startswith("root.")}
        self._where, self.device = device_name()
        self._networks: dict[str, Any] = {}
        for name, part, width_in, width_out in (("pose", pose, 32, 48), ("root", root, 34, 3)):
            if part or name == "pose":
                hidden = card_network(card, part, "w1.weight", (), path)["hidden"]
                network = build(Network, {"width_in": width_in, "width_out": width_out, "hidden": hidden}, part, path)
                self._networks[name] = network.to(self._where)
        self._turned = card_choice(card, "view", VIEWS, path) == "turned"
        self._root_share = card_numbers(card, "root_sigma_share", _ROOT_SHARE, path)
        # Frames per second of the data that the networks were trained on; not known of a training checkpoint.
        self._fps = card_fps(card, path)
        self._focal_px = card_numbers(card, "focal_px", _TRAINING_FOCAL_PX, path)
        self._centre_px = card_numbers(card, "centre_px", _TRAINING_CENTRE_PX, path)

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift every frame that has all joints; see :class:`~posemill.lifters.protocol.LiftOutput`."""
        from posemill.lifters.answers import nothing
        from posemill.lifters.grid import Grid
        from posemill.lifters.timeline import Timeline

        lens = scale, centre = self._image(clip.camera)
        timeline = Timeline(
            clip,
            "h36m17",
            lambda pixels: clip.camera.normalise(pixels) * scale + centre,
            max_gap_s=self._options.max_gap_s,
            max_missing=0,
        )
        output = nothing(len(timeline), root="root" in self._networks)
        if not clip.temporal:
            for frames, seen in timeline.blocks(_STILLS):
                self._put(output, frames, self._answer(seen.points, lens, stills=True), seen.age)
            return output
        for start, stop in timeline.runs:
            grid = Grid(clip.time[start:stop], self._fps)
            for part, answers in grid.to_frames(self._blocks(timeline, start, grid, lens)):
                frames = slice(start + part.start, start + part.stop)
                self._put(output, frames, answers, timeline.stretch(frames.start, frames.stop).age)
        return output

    def _blocks(self, timeline: Timeline, start: int, grid: Grid, lens: _Lens) -> Iterator[np.ndarray]:
        """Answers for the grid's points, in order."""
        for first in range(0, len(grid), _BLOCK):
            last = min(first + _BLOCK, len(grid))
            points = np.arange(first - _HALF, last + _HALF).clip(0, len(grid) - 1)
            yield self._answer(timeline.at(start, grid.frames(points))[0], lens, stills=False)

    def _image(self, camera: Camera) -> _Lens:
        """From the normalised plane to the networks' pixels u / 500 - 1: scale (2,), and the principal point (2,)."""
        own = self._options.camera == "own"
        focal = camera.K[(0, 1), (0, 1)] if own else self._focal_px
        centre = camera.K[:2, 2] if own else self._centre_px
        return focal / _PIXELS, centre / _PIXELS - 1

    def _put(self, output: LiftOutput, frames: np.ndarray | slice, answers: np.ndarray, age: np.ndarray) -> None:
        from posemill.lifters.answers import DRIFT_M_PER_S, aged_sigma, fill

        joints = answers[:, :51].reshape(-1, 17, 3)
        fill(output, frames, joints, aged_sigma(answers[:, 51:68], age, "h36m17"))
        if output.root is not None and output.root_sigma is not None:
            output.root[frames] = answers[:, 68:71]
            output.root_sigma[frames] = np.hypot(answers[:, 71:], DRIFT_M_PER_S * age[:, :1])

    def _answer(self, image: np.ndarray, lens: _Lens, *, stills: bool) -> np.ndarray:
        """Answers (M, 74): 17 joints and 17 sigmas, root and its sigma (NaN without a root network).

        M is the number of stills, or of frames that have 13 neighbours on both sides in ``image`` (N, 17, 2).
        """
        from posemill.lifters.answers import averaged, mirror_back
        from posemill.lifters.body_view import turned_to_root

        scale, centre = lens
        back = None
        if self._turned:
            plane, rotation = turned_to_root((image - centre) / scale)
            image, back = plane * scale + centre, rotation if stills else rotation[_HALF : len(rotation) - _HALF]
        # Mirrored at the principal point, not at the middle of the picture: only there a person's mirror image is one.
        mirrored = (image - centre)[:, _FLIP] * (-1, 1) + centre if self._options.flip else None
        other = None if mirrored is None else mirror_back(self._pose(mirrored, stills=stills))
        joints, variance = averaged(self._pose(image, stills=stills), other)
        sigma = np.sqrt(self._floor_m**2 + variance)
        root = root_sigma = np.full((len(joints), 3), np.nan)
        if "root" in self._networks:
            root = other_root = self._ask("root", image, stills=stills)
            if mirrored is not None:
                other_root = self._ask("root", mirrored, stills=stills) * (-1, 1, 1)
            apart, root = (root - other_root) / 2, (root + other_root) / 2
            root_sigma = np.hypot(self._root_share * np.maximum(np.abs(root[:, 2:]), 1.0), apart)
            if back is not None:
                # The pose stays in the turned camera's axes: place turns it to the ray.
                root = (root[:, None] @ back)[:, 0]
                root_sigma = np.sqrt((root_sigma[:, None] ** 2 @ back**2)[:, 0])
        return np.concatenate([joints.reshape(-1, 51), sigma, root, root_sigma], 1)

    def _pose(self, image: np.ndarray, *, stills: bool) -> np.ndarray:
        relative = image[:, 1:] - image[:, :1]
        answer = self._ask("pose", relative, stills=stills).reshape(-1, 16, 3)
        return np.pad(answer, ((0, 0), (1, 0), (0, 0)))

    def _ask(self, name: str, image: np.ndarray, *, stills: bool) -> np.ndarray:
        import torch

        network = self._networks[name]
        inputs = torch.from_numpy(image.reshape(len(image), -1).astype(np.float32)).to(self._where)
        with torch.inference_mode():
            if stills:
                answer = network(inputs[:, None].expand(-1, 2 * _HALF + 1, -1))
            else:
                answer = network.over_clip(inputs[None])[0]
        return answer.double().cpu().numpy()
