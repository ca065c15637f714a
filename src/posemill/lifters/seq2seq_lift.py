"""How ``seq2seq`` lifts a track: windows that slide by one frame, in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from posemill.camera import Camera
from posemill.errors import ClipError
from posemill.lifters.answers import aged_sigma, averaged, fill, mirror_back, nothing
from posemill.lifters.loading import device_name
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.lifters.timeline import Timeline
from posemill.skeleton import JOINT_SETS

if TYPE_CHECKING:
    from posemill.networks.seq2seq import Seq2Seq

__all__ = ["Seq2SeqLifter", "Setup", "Statistics"]

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


@dataclass(frozen=True)
class Setup:
    """A weights file and what it means; see :mod:`posemill.lifters.seq2seq`.

    Attributes
    ----------
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
    """

    network: Seq2Seq
    statistics: Statistics
    sigma_floor: np.ndarray
    frames: int
    camera_frame: bool
    lens: tuple[float, np.ndarray] | None
    card: LifterCard


class Seq2SeqLifter:
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
            raise ClipError("lift: expected extrinsics, got none; these weights of seq2seq answer in world axes")
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
