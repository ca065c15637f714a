"""Which detection belongs to which person."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["central", "main_person", "match"]

# Somebody whose box moved further is somebody else: half a box height, and three heights (some five metres) a second.
_MAX_MOVE, _MAX_SPEED = 0.5, 3.0


def match(known: np.ndarray, found: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
    """Assign detections to people by how far their boxes moved.

    Parameters
    ----------
    known
        (P, 4) last boxes of the people so far, px (left, top, right, bottom).
    found
        (D, 4) boxes of this frame.
    elapsed_s
        (P,) seconds since each of the known boxes; infinite for stills, where any distance is possible.

    Returns
    -------
    (D,) index of the person, -1 for somebody new. A detector of one person that goes over to another one in the
    picture starts a new person and does not make the first one leap.
    """
    people = np.full(len(found), -1)
    if len(known) and len(found):
        moved = np.linalg.norm(_centres(found)[:, None] - _centres(known), axis=-1)
        height = np.maximum(found[:, None, 3] - found[:, None, 1], known[:, 3] - known[:, 1])
        cost = moved / np.maximum(height, 1.0)
        limit = _MAX_MOVE + _MAX_SPEED * elapsed_s
        for row, person in zip(*linear_sum_assignment(cost), strict=True):
            if cost[row, person] <= limit[person]:
                people[row] = person
    return people


def _centres(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def central(boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """How central boxes (..., 4) px are: 1 in the middle of the picture, 0 in its corners, (...,)."""
    size = np.array(image_size)
    away = np.linalg.norm(((boxes[..., :2] + boxes[..., 2:]) / 2 - (size - 1) / 2) / size, axis=-1)
    return 1 - np.sqrt(2) * away


def main_person(
    scores: Mapping[str, np.ndarray],
    boxes: Mapping[str, np.ndarray],
    image_size: tuple[int, int] | None = None,
) -> str:
    """Name of the track that is seen longest, largest and best, and nearest to the middle of the picture.

    Parameters
    ----------
    scores
        Track to (T, J), 0 where not seen.
    boxes
        Track to (T, 4) px, NaN where not seen.
    image_size
        Width and height, px; None: the place says nothing.
    """

    def weight(name: str) -> float:
        height = np.nan_to_num(boxes[name][:, 3] - boxes[name][:, 1])
        middle = 1.0 if image_size is None else np.nan_to_num(central(boxes[name], image_size)) ** 2
        return float((scores[name].mean(axis=1) * height * middle).sum())

    return max(sorted(scores), key=weight)
