"""How ``temporal`` lifts a track: features in, answers out, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from posemill.camera import Camera
from posemill.lifters.answers import aged_sigma, averaged, fill, mirror_back, nothing
from posemill.lifters.body_view import turn_to_root
from posemill.lifters.grid import Grid
from posemill.lifters.loading import device_name
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.lifters.timeline import Timeline
from posemill.skeleton import JOINT_SETS

if TYPE_CHECKING:
    from torch import Tensor

    from posemill.networks.temporal import TemporalModel

__all__ = ["RAYS_TO_SCREEN", "Setup", "Temporal"]

RAYS_TO_SCREEN = 2 * 1145.0 / 1000.0
"""Focal length over half the picture's width of Human3.6M's cameras: rays times this look like its screen."""

_BLOCK = 1024
_ROOT_SIGMA_M = 0.10
_SIDES = np.array([-1.0, 1.0, 1.0])
# One for the person, one for the mirrored person.
Steps = tuple[Callable[["Tensor"], "Tensor"], Callable[["Tensor"], "Tensor"]]


@dataclass(frozen=True)
class Setup:
    """A weights file and what it means; see :mod:`posemill.lifters.temporal`.

    Attributes
    ----------
    sigma_floor
        (17,) metres per axis.
    fps
        Rate of the network, None for any.
    card
        Of these weights.
    """

    network: TemporalModel
    trajectory: TemporalModel | None
    sigma_floor: np.ndarray
    normaliser: str
    fps: float | None
    card: LifterCard


class Temporal:
    """The lifter with its weights; ``device`` is ``cpu`` or the GPU's name."""

    def __init__(self, setup: Setup, *, flip: bool, max_gap_s: float, max_missing: int) -> None:
        from posemill.networks.temporal_stream import TemporalStream

        self.card = setup.card
        self._setup, self._flip = setup, flip
        self._max_gap_s, self._max_missing = max_gap_s, max_missing
        place, self.device = device_name()
        self._pose = TemporalStream(setup.network, place)
        self._root = TemporalStream(setup.trajectory, place) if setup.trajectory else None

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift every frame that knows enough joints; see :class:`~posemill.lifters.protocol.LiftOutput`.

        Sigma is that of the weights' card (else an assumption), the disagreement with the mirrored person, and for
        bridged keypoints a part that grows with the time to the nearest sighting. Joints that are unknown for longer
        are not valid.
        """
        timeline = Timeline(
            clip,
            self.card.joint_set_in,
            lambda pixels: self._plane(pixels, clip.camera),
            max_gap_s=self._max_gap_s,
            max_missing=self._max_missing,
        )
        output = nothing(len(timeline), root=self._root is not None)
        if clip.temporal:
            for start, stop in timeline.runs:
                self._run(timeline, start, stop, output)
        else:
            self._stills(timeline, output)
        return output

    def _plane(self, pixels: np.ndarray, camera: Camera) -> np.ndarray:
        if self._setup.normaliser in ("rays", "turned"):
            return camera.normalise(pixels) * RAYS_TO_SCREEN
        return pixels * (2 / camera.width) - (1.0, camera.height / camera.width)

    def _stills(self, timeline: Timeline, output: LiftOutput) -> None:
        root = (self._root.still, self._root.still) if self._root else None
        for frames, seen in timeline.blocks(_BLOCK):
            features = self._features(seen.points, seen.score)
            answers = self._answer(features, (self._pose.still, self._pose.still), root)
            self._put(output, frames, answers, seen.age)

    def _run(self, timeline: Timeline, start: int, stop: int, output: LiftOutput) -> None:
        """Lift one row of usable frames on the network's time base."""
        grid = Grid(timeline.clip.time[start:stop], self._setup.fps)
        for part, answers in grid.to_frames(self._blocks(timeline, start, grid)):
            frames = slice(start + part.start, start + part.stop)
            self._put(output, frames, answers, timeline.stretch(frames.start, frames.stop).age)

    def _blocks(self, timeline: Timeline, start: int, grid: Grid) -> Iterator[np.ndarray]:
        """Answers for the grid's points, in order."""
        before, after = self._pose.padding
        pose = (self._pose.start().push, self._pose.start().push)
        root = (self._root.start().push, self._root.start().push) if self._root else None
        for begin in range(-before, len(grid) + after, _BLOCK):
            points = np.arange(begin, min(begin + _BLOCK, len(grid) + after)).clip(0, len(grid) - 1)
            yield self._answer(self._features(*timeline.at(start, grid.frames(points))), pose, root)

    def _features(self, points: np.ndarray, score: np.ndarray) -> np.ndarray:
        if self._setup.normaliser == "turned":
            points = turn_to_root(points / RAYS_TO_SCREEN) * RAYS_TO_SCREEN
        if self.card.channels[-1] == "score":
            points = np.concatenate([points, score[..., None]], -1)
        return points.astype(np.float32)

    def _answer(self, features: np.ndarray, pose: Steps, root: Steps | None) -> np.ndarray:
        """Answers (M, 74): 17 joints and 17 sigmas, root and its sigma (NaN without a trajectory network)."""
        flipped = None
        if self._flip:
            flipped = features[:, JOINT_SETS[self.card.joint_set_in].flip_permutation]
            flipped = flipped * np.array([-1, 1, 1][: features.shape[2]], np.float32)
        joints, variance = averaged(
            _call(pose[0], features), None if flipped is None else mirror_back(_call(pose[1], flipped))
        )
        sigma = np.sqrt(self._setup.sigma_floor**2 + variance)
        place = apart = np.full((len(joints), 3), np.nan)
        if root is not None:
            place = other = _call(root[0], features)[:, 0]
            if flipped is not None:
                other = _call(root[1], flipped)[:, 0] * _SIDES
            place, apart = (place + other) / 2, np.hypot(_ROOT_SIGMA_M, (place - other) / 2)
        # The pelvis is the origin of what the network was taught; it is 0 but for a millimetre or two.
        joints[:, 0] = 0
        return np.concatenate([joints.reshape(-1, 51), sigma, place, apart], 1)

    def _put(self, output: LiftOutput, frames: np.ndarray | slice, answers: np.ndarray, age: np.ndarray) -> None:
        sigma = aged_sigma(answers[:, 51:68], age, self.card.joint_set_in)
        fill(output, frames, answers[:, :51].reshape(-1, 17, 3), sigma)
        if output.root is not None and output.root_sigma is not None:
            output.root[frames], output.root_sigma[frames] = answers[:, 68:71], answers[:, 71:]


def _call(step: Callable[[Tensor], Tensor], features: np.ndarray) -> np.ndarray:
    import torch

    out = step(torch.from_numpy(features.reshape(len(features), -1)))
    return out.cpu().numpy().astype(np.float64).reshape(len(out), out.shape[1] // 3, 3)
