"""Whose clip it is: tracks of one person put together again, and the subject chosen among the people.

A track ends where a person is hidden or leaves, and another one begins where the detector did not know them again. Two
tracks are one person's if one begins after the other ended, no longer after and no further away than somebody can go
unseen, at about the same size and in the same clothes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from posemill.arrays import Times
from posemill.errors import ClipError, expected
from posemill.people.appearance import ALIKE, unlike
from posemill.people.tracks import central, main_person

__all__ = ["Chosen", "choose", "stitch"]

Arrays = Mapping[str, np.ndarray]
# How long somebody may be unseen, how far they go in it (in heights of their box, at once and per second), and by how
# much the height of the box may change (log).
_UNSEEN_S, _AWAY, _AWAY_PER_S, _GROWN = 3.0, 0.5, 1.5, 0.6
# Clothes of one person differ by less; unknown clothes say nothing.
_UNLIKE = 1.3 * ALIKE


@dataclass(frozen=True)
class Chosen:
    """The subject: ``arrays`` of their track, and the names of the ``tracks`` that it is made of, in order of time."""

    arrays: dict[str, np.ndarray]
    tracks: tuple[str, ...]


def choose(
    tracks: Mapping[str, Arrays],
    time: Times,
    image_size: tuple[int, int],
    *,
    by: str = "main",
    box: np.ndarray | None = None,
    looks: Mapping[str, np.ndarray] | None = None,
    temporal: bool = True,
) -> Chosen:
    """Put tracks together and choose the subject.

    Parameters
    ----------
    tracks
        Name to the arrays of a track: ``keypoints`` (T, J, 2), ``score``, ``sigma``, ``valid`` (T, J), ``bbox`` (T, 4).
    time
        (T,) s.
    image_size
        Width and height, px.
    by
        ``main``: seen longest, largest, best and most in the middle, together; ``longest``, ``largest`` or
        ``most_central`` (each summed over the frames seen); ``box``: most overlap with ``box``.
    box
        (5,): time in s, or NaN for whenever, then left, top, right, bottom px; wins over ``by``.
    looks
        Name to :func:`~posemill.people.appearance.appearance`, (30,), where it is known.

    Raises
    ------
    ClipError
        ``box`` is asked for and there is none, or nobody is in it.
    """
    groups = stitch(tracks, time, looks or {}) if temporal else [(name,) for name in sorted(tracks)]
    people = {group[0]: Chosen(_together([tracks[name] for name in group]), group) for group in groups}
    if box is not None or by == "box":
        if box is None:
            raise ClipError(expected("subject_box", "a box in the clip sheet", "none", do="give one, or subject: main"))
        return people[_in_box(people, time, np.asarray(box, np.float64), temporal)]
    if by == "main":
        scores = {name: one.arrays["score"] for name, one in people.items()}
        return people[main_person(scores, {name: one.arrays["bbox"] for name, one in people.items()}, image_size)]
    return max(people.values(), key=lambda one: _weight(one.arrays["bbox"], by, image_size))


def _weight(boxes: np.ndarray, by: str, image_size: tuple[int, int]) -> float:
    seen = np.isfinite(boxes).all(-1)
    if by == "longest":
        return float(seen.sum())
    if by == "largest":
        return float(np.nansum(boxes[:, 3] - boxes[:, 1]))
    return float(central(boxes[seen], image_size).sum())


def _in_box(people: Mapping[str, Chosen], time: Times, box: np.ndarray, temporal: bool) -> str:
    """Who overlaps most with the box at its time, or over all frames."""
    frames = slice(None)
    if temporal and np.isfinite(box[0]):
        frames = np.abs(time - box[0]) <= np.abs(time - box[0]).min() + 0.1
    shares = {}
    for name, one in people.items():
        boxes = one.arrays["bbox"][frames]
        shares[name] = float(np.nansum(_overlap(boxes[np.isfinite(boxes).all(-1)].astype(np.float64), box[1:])))
    best = max(sorted(shares), key=lambda name: shares[name])
    if not shares[best] > 0:
        got = f"{len(shares)} elsewhere"
        raise ClipError(expected("subject_box", f"somebody in {', '.join(f'{v:g}' for v in box[1:])}", got))
    return best


def _overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of (N, 4) boxes with one."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) + np.prod(box[2:] - box[:2])
    return common / (area - common)


def stitch(tracks: Mapping[str, Arrays], time: Times, looks: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Groups of the names of tracks that are one person's, each in order of time; the nearest in time join first."""
    ends = {}
    for name, arrays in tracks.items():
        seen = np.flatnonzero(np.isfinite(arrays["bbox"]).all(-1))
        if len(seen):
            ends[name] = (int(seen[0]), int(seen[-1]))
    after: dict[str, str] = {}
    before: dict[str, str] = {}
    pairs = [
        (time[ends[b][0]] - time[ends[a][1]], a, b)
        for a in ends
        for b in ends
        if a != b and ends[a][1] < ends[b][0] and time[ends[b][0]] - time[ends[a][1]] <= _UNSEEN_S
    ]
    for gap_s, a, b in sorted(pairs):
        if a in after or b in before:
            continue
        if _joins(tracks[a]["bbox"], tracks[b]["bbox"], ends[a][1], ends[b][0], gap_s) and _alike(looks, a, b):
            after[a], before[b] = b, a
    groups = []
    for name in sorted(tracks, key=lambda n: (ends.get(n, (len(time), 0))[0], n)):
        if name not in before:
            group = [name]
            while group[-1] in after:
                group.append(after[group[-1]])
            groups.append(tuple(group))
    return groups


def _joins(first: np.ndarray, second: np.ndarray, last: int, start: int, gap_s: float) -> bool:
    """Whether who was in boxes (T, 4) until frame ``last`` can be in the others from frame ``start`` on."""
    a, b = _steady(first[max(last - 8, 0) : last + 1]), _steady(second[start : start + 9])
    height = max(a[3] - a[1], b[3] - b[1], 1.0)
    away = np.linalg.norm((a[:2] + a[2:] - b[:2] - b[2:]) / 2) / height
    grown = abs(np.log(max(a[3] - a[1], 1.0) / max(b[3] - b[1], 1.0)))
    return bool(away <= _AWAY + _AWAY_PER_S * gap_s and grown <= _GROWN)


def _steady(boxes: np.ndarray) -> np.ndarray:
    """Median of the boxes (N, 4) that are known."""
    return np.nanmedian(boxes.astype(np.float64), axis=0)


def _alike(looks: Mapping[str, np.ndarray], a: str, b: str) -> bool:
    if a not in looks or b not in looks:
        return True
    apart = unlike(looks[a], looks[b])
    return not apart > _UNLIKE


def _together(parts: list[Arrays]) -> dict[str, np.ndarray]:
    """One track of several that share no frame."""
    joined = {name: values.copy() for name, values in parts[0].items()}
    for part in parts[1:]:
        seen = np.isfinite(part["bbox"]).all(-1)
        for name, values in part.items():
            joined[name][seen] = values[seen]
    return joined
