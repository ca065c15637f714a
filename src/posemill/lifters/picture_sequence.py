"""Lifters that turn a window of pictures into as many poses in units of the picture, on clips of any length."""

from __future__ import annotations

from functools import partial

import numpy as np

from posemill.lifters.answers import aged_sigma, averaged, fill, mirror_back, nothing
from posemill.lifters.grid import Grid
from posemill.lifters.picture_setup import PictureOptions, Setup
from posemill.lifters.protocol import LiftInput, LiftOutput
from posemill.lifters.timeline import Stretch, Timeline
from posemill.lifters.windows import slide, stretch
from posemill.networks.picture_units import (
    Normaliser,
    Units,
    box_units,
    lift_to_metres,
    picture_units,
    straighten,
)
from posemill.skeleton import JOINT_SETS

__all__ = ["PictureSequence"]

_BODY = JOINT_SETS["h36m17"]
_FLIP = _BODY.flip_permutation
# Joints of all windows that are answered at once: what bounds memory.
_TOKENS = {"cpu": 2**14, "cuda": 2**17}


class PictureSequence:
    """A lifter that answers in units of the picture; ``device`` is ``cpu`` or the GPU's name."""

    def __init__(self, made: Setup, options: PictureOptions) -> None:
        from posemill.lifters.loading import device_name

        self._made = made
        self._options = options
        self._torch_device, self.device = device_name()
        self._network = made.network.to(self._torch_device)
        self._batch = max(_TOKENS[self._torch_device] // (made.window * len(_BODY)), 1)
        self._step = max(round(made.window * (1 - options.overlap)), 1)

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift one track; see :class:`~posemill.lifters.protocol.LiftOutput`.

        A joint that was bridged is answered with a larger sigma; one that is unknown is not, and nothing is without
        the pelvis, from which the rest is measured.
        """
        output = nothing(len(clip.time))
        options = self._options
        timeline = Timeline(
            clip,
            _BODY.name,
            partial(straighten, camera=clip.camera),
            max_gap_s=options.max_gap_s,
            max_missing=options.max_missing,
        )
        view = _View(timeline, self._made.normaliser)
        if clip.temporal:
            for start, stop in timeline.runs:
                self._run(view, start, stop, output)
        else:
            self._stills(view, output)
        return output

    def _stills(self, view: _View, output: LiftOutput) -> None:
        """Each frame alone, replicated to the window."""
        for frames, seen in view.timeline.blocks(self._batch):
            inputs = view.inputs(seen.points, seen.score, view.units(seen))
            answers = self._answer(np.repeat(inputs[:, None], self._made.window, 1)).mean(1)
            self._write(view, frames, seen, answers, output)

    def _run(self, view: _View, start: int, stop: int, output: LiftOutput) -> None:
        """Frames in a row, on the network's time base."""
        grid = Grid(view.timeline.clip.time[start:stop], self._made.fps)
        count, window = len(grid), self._made.window
        units = view.units(view.timeline.stretch(start, start + 1))

        def inputs_of(first: int, last: int) -> np.ndarray:
            return view.inputs(*view.timeline.at(start, grid.frames(np.arange(first, last))), units)

        def answer(starts: np.ndarray) -> np.ndarray:
            """Inputs of all of these windows at once, then each one's part."""
            inputs = inputs_of(starts[0], starts[-1] + window)
            return self._answer(inputs[(starts - starts[0])[:, None] + np.arange(window)])

        if count < window:
            blocks = iter([self._short(inputs_of(0, count))])
        else:
            blocks = (values for _, values in slide(count, window, self._step, self._batch, answer))
        for part, answers in grid.to_frames(blocks):
            frames = slice(start + part.start, start + part.stop)
            self._write(view, frames, view.timeline.stretch(frames.start, frames.stop), answers, output)

    def _short(self, inputs: np.ndarray) -> np.ndarray:
        """Answer (n, 17, channels) of fewer frames than the window's: (n, 17, 4)."""
        frames = len(inputs)
        if self._made.any_length and frames > 1:
            return self._answer(inputs[None])[0]
        index = stretch(frames, self._made.window)
        answers = self._answer(inputs[index][None])[0]
        first = np.searchsorted(index, np.arange(frames))
        times = np.bincount(index, minlength=frames)
        return np.add.reduceat(answers, first) / times[:, None, None]

    def _answer(self, inputs: np.ndarray) -> np.ndarray:
        """(b, t, 17, 3) to (b, t, 17, 4): units relative to the pelvis, and the variance that mirroring shows."""
        one, other = self._network_answer(inputs), None
        if self._options.flip:
            other = mirror_back(self._network_answer(inputs[..., _FLIP, :] * np.array([-1, 1, 1], inputs.dtype)))
        mean, variance = averaged(one, other)
        return np.concatenate([mean, variance[..., None]], -1)

    def _network_answer(self, inputs: np.ndarray) -> np.ndarray:
        import torch

        made = self._made
        out = np.empty((*inputs.shape[:-1], 3))
        with torch.inference_mode():
            for first in range(0, len(inputs), self._batch):
                part = torch.from_numpy(inputs[first : first + self._batch, ..., : made.channels].copy())
                out[first : first + self._batch] = self._network(part.to(self._torch_device)).cpu().numpy()
        if made.root_relative:
            out[..., 0, :] = 0
        return out - out[..., :1, :]

    def _write(
        self, view: _View, frames: slice | np.ndarray, seen: Stretch, answers: np.ndarray, output: LiftOutput
    ) -> None:
        """Bring answers (n, 17, 4) to metres, and put them into the output."""
        joints, unit_m = lift_to_metres(
            answers[..., :3], seen.points[:, 0], view.timeline.clip.camera, view.units(seen)
        )
        sigma = np.hypot(self._made.sigma_floor, np.sqrt(answers[..., 3]) * unit_m[:, None])
        sigma = aged_sigma(sigma, seen.age, _BODY.name)
        sigma[~(np.isfinite(seen.age[:, 0]) & np.isfinite(joints[:, 0]).all(-1))] = np.nan
        fill(output, frames, joints, sigma)


class _View:
    """A clip in the network's units."""

    def __init__(self, timeline: Timeline, normaliser: Normaliser) -> None:
        self.timeline = timeline
        clip = timeline.clip
        self._fixed: Units | None = None
        if normaliser != "crop":
            self._fixed = picture_units(clip.camera, normaliser)
        elif clip.temporal:
            low, high = np.full(2, np.inf), np.full(2, -np.inf)
            for _, seen in timeline.parts():
                lows, highs = _corners(seen)
                low, high = np.minimum(low, lows.min(0)), np.maximum(high, highs.max(0))
            self._fixed = _box(low, high)

    def units(self, seen: Stretch) -> Units:
        """Of the clip; of stills, of which each may have its own, frame by frame."""
        return self._fixed or _box(*_corners(seen))

    @staticmethod
    def inputs(points: np.ndarray, score: np.ndarray, units: Units) -> np.ndarray:
        """x, y and score (n, 17, 3) float32."""
        return np.concatenate([units.to_units(points), np.clip(score, 0, 1)[..., None]], -1).astype(np.float32)


def _corners(seen: Stretch) -> tuple[np.ndarray, np.ndarray]:
    """Corners (n, 2) of the boxes about what is seen in each frame; infinite without any."""
    there = (seen.age == 0)[..., None]
    return np.where(there, seen.points, np.inf).min(1), np.where(there, seen.points, -np.inf).max(1)


def _box(low: np.ndarray, high: np.ndarray) -> Units:
    """Units of a box; NaN for one without an extent: nothing is valid then."""
    extent = (high - low).max(-1, keepdims=True)
    good = np.isfinite(extent) & (extent > 0)
    return box_units(np.where(good, low, np.nan), np.where(good, high, np.nan))
