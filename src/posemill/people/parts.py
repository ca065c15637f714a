"""Parts of a body whose sides may be taken for each other: which joints tell, and what is exchanged with them."""

from __future__ import annotations

import numpy as np

from posemill.skeleton import JointSet

__all__ = ["exchanging", "of_sides"]

_LEGS = ("knee", "ankle", "heel", "big_toe")
_ARMS = ("elbow", "wrist", "pinky", "index", "thumb")


def of_sides(names: JointSet, kinds: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of left and right joints of these kinds, as far as the set has them."""
    known = [k for k in kinds if f"left_{k}" in names.joints and f"right_{k}" in names.joints]
    left, right = (np.array([names.index(f"{side}_{k}") for k in known], dtype=int) for side in ("left", "right"))
    return left, right


def exchanging(names: JointSet, part: str) -> np.ndarray:
    """Order (J,) of the joints that exchanges the sides of ``legs``, ``arms`` or ``trunk``; of ``body``, of all."""
    order = np.arange(len(names))
    for left, right in names.flip_pairs:
        kind = names.joints[left].removeprefix("left_")
        of = "legs" if kind in _LEGS else "arms" if kind in _ARMS else "trunk"
        if part in (of, "body"):
            order[left], order[right] = right, left
    return order
