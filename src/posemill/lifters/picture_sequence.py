"""Lifters that turn a window of pictures into as many poses in units of the picture, on clips of any length."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from posemill.lifters.answers import aged_sigma, fill, mirror_back, nothing
from posemill.lifters.picture_setup import PictureOptions, Setup
from posemill.lifters.protocol import LiftInput, LiftOutput
from posemill.lifters.timeline import Grid, Timeline
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
        window = self._made.window
        frames = np.flatnonzero(view.timeline.usable)
        for first in range(0, len(frames), self._batch):
            some = frames[first : first + self._batch]
            inputs = np.concatenate([view.inputs(frame, np.zeros(1)) for frame in some])
            answers = self._answer(np.repeat(inputs[:, None], window, 1)).mean(1)
            for frame, answer in zip(some, answers, strict=True):
                self._write(view, frame, answer[None], output)

    def _run(self, view: _View, start: int, stop: int, output: LiftOutput) -> None:
        """Frames in a row, on the network's time base."""
        grid = Grid(view.timeline.clip.time[start:stop], self._made.fps)
        count, window = len(grid), self._made.window
        if count < window:
            inputs = view.inputs(start, grid.frames(np.arange(count)))
            blocks = iter([(0, self._short(inputs))])
        else:

            def answer(starts: np.ndarray) -> np.ndarray:
                """Inputs of all of these windows at once, then each one's part."""
                inputs = view.inputs(start, grid.frames(np.arange(starts[0], starts[-1] + window)))
                return self._answer(inputs[(starts - starts[0])[:, None] + np.arange(window)])

            blocks = slide(count, window, self._step, self._batch, answer)
        points = grid.points(0, stop - start)
        done, last = 0, None
        for begin, values in blocks:
            # The row before is needed for frames between it and the first of these.
            rows = values if last is None else np.concatenate([last, values])
            offset = begin - (len(rows) - len(values))
            ready = int(np.searchsorted(points, begin + len(values) - 1, side="right"))
            self._write(view, start + done, _between(rows, points[done:ready] - offset), output)
            done, last = ready, values[-1:]

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
        one = self._network_answer(inputs)
        if not self._options.flip:
            return np.concatenate([one, np.zeros_like(one[..., :1])], -1)
        other = mirror_back(self._network_answer(inputs[..., _FLIP, :] * np.array([-1, 1, 1], inputs.dtype)))
        variance = ((one - other) ** 2).mean(-1, keepdims=True) / 4
        return np.concatenate([(one + other) / 2, variance], -1)

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

    def _write(self, view: _View, start: int, answers: np.ndarray, output: LiftOutput) -> None:
        """Bring answers (n, 17, 4) of frames from ``start`` on to metres, and put them into the output."""
        stop = start + len(answers)
        if start == stop:
            return
        seen = view.timeline.stretch(start, stop)
        joints, unit_m = lift_to_metres(
            answers[..., :3], seen.points[:, 0], view.timeline.clip.camera, view.units(start, stop)
        )
        sigma = np.hypot(self._made.sigma_floor, np.sqrt(answers[..., 3]) * unit_m[:, None])
        sigma = aged_sigma(sigma, seen.age, _BODY.name)
        sigma[~(np.isfinite(seen.age[:, 0]) & np.isfinite(joints[:, 0]).all(-1))] = np.nan
        fill(output, slice(start, stop), joints, sigma)


class _View:
    """A clip in the network's units."""

    def __init__(self, timeline: Timeline, normaliser: Normaliser) -> None:
        self.timeline = timeline
        camera = timeline.clip.camera
        self._fixed: Units | None = None
        if normaliser != "crop":
            self._fixed = picture_units(camera, normaliser)
        elif timeline.clip.temporal:
            self._fixed = self._box(0, len(timeline))

    def units(self, start: int, stop: int) -> Units:
        """Of frames in a row; of stills, of which each may have its own, one frame at a time."""
        return self._fixed or self._box(start, stop)

    def inputs(self, start: int, frames: np.ndarray) -> np.ndarray:
        """x, y and score (n, 17, 3) float32 of fractional frames (n,), increasing, counted from ``start``."""
        low = int(frames[0])
        high = int(np.ceil(frames[-1]))
        seen = self.timeline.stretch(start + low, start + high + 1)
        xy = self.units(start + low, start + high + 1).to_units(seen.points)
        known = np.concatenate([xy, np.clip(seen.score, 0, 1)[..., None]], -1)
        return _between(known, frames - low).astype(np.float32)

    def _box(self, start: int, stop: int) -> Units:
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for begin in range(start, stop, 4096):
            seen = self.timeline.stretch(begin, min(begin + 4096, stop))
            points = seen.points[seen.age == 0]
            low = np.minimum(low, points.min(0, initial=np.inf))
            high = np.maximum(high, points.max(0, initial=-np.inf))
        units = box_units(low, high)
        # No box without an extent: everything is NaN then, and nothing is valid.
        return replace(units, half=np.where(units.half > 0, units.half, np.nan))


def _between(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Interpolate rows (m, ...) linearly at fractional places (n,) from 0 to m - 1."""
    left = np.clip(np.floor(places).astype(np.intp), 0, len(rows) - 1)
    share = places - left
    if not share.any():
        return rows[left]
    right = np.minimum(left + 1, len(rows) - 1)
    share = share.reshape(-1, *(1,) * (rows.ndim - 1))
    return (1 - share) * rows[left] + share * rows[right]
