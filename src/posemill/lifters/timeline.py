"""Gaps and runs: what every lifter needs whose network has no way to say that a keypoint is missing.

Something has to stand in its place. Over short
gaps that is a straight line between the two sightings, and the answer's sigma grows with the time to the nearer one.
What is gone for longer is *unknown*: the network still gets something harmless, but the joint is not answered, and a
frame that lacks too many joints ends the run, as the end of the clip would.

All of it is computed for a stretch of frames at a time, so that memory does not grow with the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from posemill.lifters.grid import rows_at
from posemill.lifters.protocol import LiftInput
from posemill.skeleton import JointSet, joint_set

__all__ = ["Stretch", "Timeline"]

_CHUNK = 1024
_LEAP_S = 0.25


@dataclass(frozen=True)
class Stretch:
    """Frames in a row, with something in every place.

    Attributes
    ----------
    points
        (N, J, 2) finite, on the network's plane.
    score
        (N, J), 0 where not seen.
    age
        (N, J) seconds to the nearest sighting: 0 where seen, inf where unknown.
    """

    points: np.ndarray
    score: np.ndarray
    age: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Stretch:
        return Stretch(self.points[rows], self.score[rows], self.age[rows])


class Timeline:
    """One track, its gaps bridged.

    Parameters
    ----------
    clip
        The track.
    joints
        Name of its joint set.
    plane
        Brings pixels (N, J, 2) to the network's plane; where it says NaN a keypoint counts as not seen.
    max_gap_s
        Longest time between two sightings of a joint that is bridged. Before its first sighting, after its last and
        at the rims of a longer gap the joint is held for half of that. Stills have no neighbours: nothing is bridged.
    max_missing
        Joints that may be unknown in a frame that is lifted.
    """

    def __init__(
        self,
        clip: LiftInput,
        joints: str,
        plane: Callable[[np.ndarray], np.ndarray],
        *,
        max_gap_s: float,
        max_missing: int,
    ) -> None:
        self.clip = clip
        self._plane = plane
        self._joints = joint_set(joints)
        self._max_gap_s = max_gap_s if clip.temporal else 0.0
        self._max_missing = max_missing

    def __len__(self) -> int:
        return len(self.clip.time)

    @cached_property
    def usable(self) -> np.ndarray:
        """(T,) frames that know enough joints to be lifted."""
        out = np.zeros(len(self), dtype=bool)
        for frames, _ in self.blocks(_CHUNK):
            out[frames] = True
        return out

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Start and stop of each row of usable frames; of each single one where the clip's frames are stills.

        A row also ends where the time stamps leap: there frames are missing that nobody recorded.
        """
        leap = np.diff(self.clip.time) > max(self._max_gap_s, _LEAP_S) if self.clip.temporal else True
        together = self.usable[1:] & self.usable[:-1] & ~np.broadcast_to(leap, max(len(self) - 1, 0))
        starts = np.flatnonzero(self.usable & ~np.concatenate([[False], together])[: len(self)])
        stops = np.flatnonzero(self.usable & ~np.concatenate([together, [False]])[: len(self)]) + 1
        return [(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]

    def parts(self, size: int = _CHUNK) -> Iterator[tuple[int, Stretch]]:
        """Go through all frames: where each part of ``size`` frames begins, and what is in it."""
        for start in range(0, len(self), size):
            yield start, self.stretch(start, min(start + size, len(self)))

    def blocks(self, size: int = _CHUNK) -> Iterator[tuple[np.ndarray, Stretch]]:
        """Go through the usable frames: their numbers and what is in them, out of ``size`` frames of the clip each."""
        for start, stretch in self.parts(size):
            known = np.isfinite(stretch.age).sum(1)
            rows = np.flatnonzero(known >= max(len(self._joints) - self._max_missing, 1))
            if len(rows):
                yield start + rows, stretch[rows]

    def at(self, start: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, J, 2) and scores (N, J) at fractional frames (N,), not decreasing, counted from ``start``."""
        low, high = int(places[0]), int(np.ceil(places[-1]))
        stretch = self.stretch(start + low, start + high + 1)
        return rows_at(stretch.points, places - low), rows_at(stretch.score, places - low)

    def stretch(self, start: int, stop: int) -> Stretch:
        """Frames start to stop, bridged; the answer does not depend on where a stretch is cut."""
        clip, gap = self.clip, self._max_gap_s
        if gap > 0:
            low = int(np.searchsorted(clip.time, clip.time[start] - gap))
            high = int(np.searchsorted(clip.time, clip.time[stop - 1] + gap, side="right"))
        else:
            low, high = start, stop
        # One frame more on both sides: a gap's other end may lie exactly max_gap_s away but for rounding.
        low, high = (max(low - 1, 0), min(high + 1, len(self))) if clip.temporal else (low, high)
        pixels = np.where(clip.valid[low:high, :, None], clip.keypoints[low:high], np.nan)
        points = self._plane(pixels.astype(np.float64))
        seen = np.isfinite(points).all(-1)
        inner = slice(start - low, stop - low)
        score = np.where(seen, np.nan_to_num(clip.score[low:high]), 0.0)[inner]
        if seen.all():
            return Stretch(points[inner], score, np.zeros(score.shape))
        points, age = _bridge(np.asarray(clip.time[low:high], dtype=np.float64), points, seen, gap)
        return Stretch(_stand_ins(points[inner], age[inner], self._joints), score, age[inner])


def _bridge(time: np.ndarray, points: np.ndarray, seen: np.ndarray, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Fill gaps linearly; (N, J, 2) points and (N, J) age."""
    frames, columns = np.arange(len(time))[:, None], np.arange(seen.shape[1])[None]
    before = np.maximum.accumulate(np.where(seen, frames, -1), 0)
    after = np.minimum.accumulate(np.where(seen, frames, len(time))[::-1], 0)[::-1]
    since = np.where(before >= 0, time[:, None] - time[np.maximum(before, 0)], np.inf)
    until = np.where(after < len(time), time[np.minimum(after, len(time) - 1)] - time[:, None], np.inf)
    slack = 1e-6
    between = since + until <= gap + slack
    held = np.minimum(since, until) <= gap / 2 + slack
    age = np.where(between | held, np.minimum(since, until), np.inf)
    # Where only one side is near, all weight is on it.
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(since + until > 0, since / (since + until), 0.0)
    share = np.where(between, share, (until < since).astype(np.float64))[..., None]
    zeroed = np.where(seen[..., None], points, 0.0)
    first, second = zeroed[np.maximum(before, 0), columns], zeroed[np.minimum(after, len(time) - 1), columns]
    return (1 - share) * first + share * second, age


def _stand_ins(points: np.ndarray, age: np.ndarray, joints: JointSet) -> np.ndarray:
    """Put unknown joints where their parent is, an unknown root in the middle of what is known."""
    unknown = np.isinf(age)
    if not unknown.any():
        return points
    known = ~unknown
    middle = (points * known[..., None]).sum(1) / np.maximum(known.sum(1), 1)[:, None]
    for joint in _outwards(joints):
        gone = unknown[:, joint]
        parent = joints.parents[joint]
        points[gone, joint] = middle[gone] if parent < 0 else points[gone, parent]
    return points


def _outwards(joints: JointSet) -> Iterator[int]:
    """Joints with each parent before its children, in whatever order the set has them."""
    done: set[int] = {-1}
    while len(done) <= len(joints):
        for joint, parent in enumerate(joints.parents):
            if joint not in done and parent in done:
                done.add(joint)
                yield joint
