"""Lifters of poses standardised by the statistics of their training data, on windows that slide by one frame.

``seq2seq`` looks at windows of several frames, the published weights of ``linear`` at one. Both read the same 16 joints
and answer the same 16, and neither has its statistics in its published file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posemill.camera import Camera
from posemill.errors import ClipError, InputError, MissingError, expected
from posemill.lifters.answers import aged_sigma, averaged, fill, mirror_back, nothing
from posemill.lifters.body_view import turn_to_root
from posemill.lifters.loading import device_name
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.lifters.timeline import Timeline
from posemill.skeleton import JOINT_SETS

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NORMALISERS", "PREFIX", "Setup", "Standardised", "Statistics", "read_statistics", "take_statistics"]

PREFIX = "statistics."
"""What the names of the statistics begin with among a file's tensors."""
NORMALISERS = {
    "camera": "undistorted pixels of the training camera, each coordinate standardised",
    "pixels": "pixels, each coordinate standardised",
}
_VECTORS = {"mean_2d": 32, "std_2d": 32, "mean_3d": 48, "std_3d": 48}
_BATCH = 256
_H36M16 = JOINT_SETS["h36m16"]
# Where each of the network's 16 places comes from. The hourglass's thorax and upper neck stand in the places of spine
# and thorax: the published weights were trained so.
_PLACES = {
    "h36m16": np.arange(16),
    "mpii16": np.array([6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10]),
}


@dataclass(frozen=True)
class Statistics:
    """Of the training data: ``mean_2d``, ``std_2d`` (32,) px; ``mean_3d``, ``std_3d`` (48,) metres."""

    mean_2d: np.ndarray
    std_2d: np.ndarray
    mean_3d: np.ndarray
    std_3d: np.ndarray


def read_statistics(path: Path) -> dict[str, np.ndarray]:
    """Read the four vectors of a .npz, in px and millimetres as their authors have them, in px and metres.

    Raises
    ------
    InputError
        One is absent, of another length, not finite, or a spread is not positive.
    """
    from posemill.formats.checkpoints import read_checkpoint

    found = read_checkpoint(path).tensors
    _check_statistics(found, path)
    return {name: vector * (1e-3 if name.endswith("_3d") else 1.0) for name, vector in found.items()}


def take_statistics(tensors: dict[str, np.ndarray], given: Path | None, lifter: str, where: Path) -> Statistics:
    """Take the statistics out of a file's tensors; ``given`` names a file of them, which must say the same.

    Raises
    ------
    MissingError
        There are none.
    InputError
        They are none, or two that differ.
    """
    found = {n.removeprefix(PREFIX): tensors.pop(n) for n in list(tensors) if n.startswith(PREFIX)}
    named = read_statistics(given) if given is not None else {}
    if not found and not named:
        raise MissingError(
            f"{where}: expected statistics inside the weights, got none; set lifters.{lifter}.statistics to an .npz "
            "with mean_2d, std_2d (32, px), mean_3d and std_3d (48, mm) of their training data"
        )
    if found:
        _check_statistics(found, where)
    for name in named if found else ():
        if not np.allclose(found[name], named[name], rtol=1e-5, atol=1e-6):
            do = f"leave lifters.{lifter}.statistics out"
            raise InputError(expected(f"statistics {name}", "those inside the weights", given, where=where, do=do))
    return Statistics(**{name: (found or named)[name].astype(np.float64) for name in _VECTORS})


def _check_statistics(found: Mapping[str, np.ndarray], where: Path) -> None:
    from posemill.formats.weights import check_tensors

    check_tensors(found, {name: (length,) for name, length in _VECTORS.items()}, where)
    for name in ("std_2d", "std_3d"):
        if not (found[name] > 0).all():
            raise InputError(expected(f"tensor {name}", "positive numbers", found[name].min(), where=where))


@dataclass(frozen=True)
class Setup:
    """A weights file and what it means.

    Attributes
    ----------
    network
        (B, frames, 32) standardised to (B, frames, 48) standardised.
    sigma_floor
        (17,) metres per axis.
    frames
        Per window.
    camera_frame
        False: it answers in world axes.
    lens
        Focal length (px) and centre (2,) px of the training camera; None: it reads pixels as they are.
    card
        Of these weights.
    turned
        Every frame is shown as the training camera sees it when it looks at the pelvis, and answered in its axes.
    """

    network: nn.Module
    statistics: Statistics
    sigma_floor: np.ndarray
    frames: int
    camera_frame: bool
    lens: tuple[float, np.ndarray] | None
    card: LifterCard
    turned: bool = False


class Standardised:
    """The lifter with its weights; ``device`` is ``cpu`` or the GPU's name."""

    def __init__(self, setup: Setup, *, flip: bool, blend: str, max_gap_s: float, max_missing: int) -> None:
        self.card = setup.card
        self._setup, self._blend = setup, blend
        # What the mirrored picture shows has no place in the world.
        self._flip = flip and setup.camera_frame
        self._max_gap_s, self._max_missing = max_gap_s, max_missing
        self._place, self.device = device_name()
        self._network = setup.network.to(self._place)

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift every frame that knows enough joints; see :class:`~posemill.lifters.protocol.LiftOutput`.

        Sigma is that of the weights' card (else an assumption), the disagreement with the mirrored person and between
        the windows that see the frame, and for bridged keypoints a part that grows with the time to the nearest
        sighting. Joints that are unknown for longer are not valid.

        Raises
        ------
        ClipError
            The weights answer in world axes and the camera's place in the world is unknown.
        """
        if not self._setup.camera_frame and clip.camera.R is None:
            raise ClipError("lift: expected extrinsics, got none; these weights answer in world axes")
        timeline = Timeline(
            clip,
            self.card.joint_set_in,
            lambda pixels: self._plane(pixels, clip.camera),
            max_gap_s=self._max_gap_s,
            max_missing=self._max_missing,
        )
        output = nothing(len(timeline))
        if clip.temporal:
            for start, stop in timeline.runs:
                for begin in range(start, stop, _BATCH):
                    self._block(timeline, (start, stop), np.arange(begin, min(begin + _BATCH, stop)), output)
        else:
            self._stills(timeline, output)
        return output

    def _plane(self, pixels: np.ndarray, camera: Camera) -> np.ndarray:
        if self._setup.lens is None:
            return pixels
        focal, centre = self._setup.lens
        return camera.normalise(pixels) * focal + centre

    def _block(self, timeline: Timeline, run: tuple[int, int], frames: np.ndarray, output: LiftOutput) -> None:
        """Lift consecutive frames of a run; its ends are replicated."""
        length = self._setup.frames
        if self._blend == "mean":
            # Every frame is seen from each place of a window.
            first = np.arange(frames[0] - length + 1, frames[-1] + 1)
            places = np.broadcast_to(np.arange(length), (len(frames), length))
        else:
            first = np.unique(np.maximum(frames - length + 1, run[0]))
            places = (frames - np.maximum(frames - length + 1, run[0]))[:, None]
        windows = (first[:, None] + np.arange(length)).clip(run[0], run[1] - 1)
        low = int(windows.min())
        stretch = timeline.stretch(low, int(windows.max()) + 1)
        answers = self._answers(stretch.points[windows - low], timeline.clip.camera)
        picked = [a[frames[:, None] - places - first[0], places] for a in answers]
        self._put(output, frames, picked, stretch.age[frames - low])

    def _stills(self, timeline: Timeline, output: LiftOutput) -> None:
        for frames, seen in timeline.blocks(_BATCH):
            windows = np.repeat(seen.points[:, None], self._setup.frames, axis=1)
            answers = self._answers(windows, timeline.clip.camera)
            picked = answers if self._blend == "mean" else [a[:, -1:] for a in answers]
            self._put(output, frames, picked, seen.age)

    def _put(self, output: LiftOutput, frames: np.ndarray, answers: list[np.ndarray], age: np.ndarray) -> None:
        """Blend answers (N, places, 17, 3) of the person, and of the mirrored one if asked for."""
        means = [a.mean(1) for a in answers]
        mean, variance = averaged(*means)
        spread = np.mean([((a - a.mean(1, keepdims=True)) ** 2).mean((1, 3)) for a in answers], axis=0)
        sigma = aged_sigma(np.sqrt(self._setup.sigma_floor**2 + variance + spread), age, self.card.joint_set_in)
        fill(output, frames, mean, sigma)

    def _answers(self, windows: np.ndarray, camera: Camera) -> list[np.ndarray]:
        """Windows (N, frames, 16, 2) in px to poses (N, frames, 17, 3); with flip a second time, mirrored."""
        windows = windows[..., _PLACES[self.card.joint_set_in], :]
        if self._setup.turned and self._setup.lens is not None:
            focal, centre = self._setup.lens
            plane = turn_to_root(((windows - centre) / focal).reshape(-1, *windows.shape[2:]))
            windows = plane.reshape(windows.shape) * focal + centre
        poses = [self._call(windows)]
        if not self._setup.camera_frame and camera.R is not None:
            return [poses[0] @ camera.R.T]
        if self._flip:
            axis = (camera.width - 1) / 2 if self._setup.lens is None else self._setup.lens[1][0]
            mirrored = windows[..., _H36M16.flip_permutation, :] * (-1.0, 1.0) + (2 * axis, 0.0)
            poses.append(mirror_back(self._call(mirrored)))
        return poses

    def _call(self, windows: np.ndarray) -> np.ndarray:
        import torch

        stats = self._setup.statistics
        inputs = (windows.reshape(*windows.shape[:2], 32) - stats.mean_2d) / stats.std_2d
        with torch.inference_mode():
            out = self._network(torch.from_numpy(inputs.astype(np.float32)).to(self._place)).cpu().numpy()
        pose = out.astype(np.float64) * stats.std_3d + stats.mean_3d
        return np.pad(pose.reshape(*windows.shape[:2], 16, 3), ((0, 0), (0, 0), (1, 0), (0, 0)))
