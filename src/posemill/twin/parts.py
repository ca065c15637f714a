"""What the parts of the dressed body are made with: a piece of mesh, its colour and its weights.

Lengths are written for a stature of 1.75 m and scaled; each part lives in the frame of one bone of the bind pose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from posemill.twin.surface import Solid, mesh

__all__ = ["Part", "hat", "make", "paint", "ramp"]

SKIN, SHIRT, TROUSERS, BELT = (222, 172, 142), (38, 120, 138), (104, 118, 150), (46, 34, 26)
SHOE, SOLE, LINEN, BUCKLE = (150, 48, 44), (236, 234, 226), (232, 230, 220), (196, 180, 120)


@dataclass(frozen=True)
class Part:
    """A piece of mesh in the frame of ``bone``: points (V, 3) m, triangles (F, 3), colours (V, 3), weights by bone."""

    bone: str
    points: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    weights: dict[str, np.ndarray]


def ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    s = np.clip((x - low) / (high - low), 0, 1)
    return s * s * (3 - 2 * s)


def hat(x: np.ndarray, at: float, half_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights before, half-way and after a joint at ``at`` along ``x``, blended over +-``half_m``."""
    after, before = ramp(x, at, at + half_m), 1 - ramp(x, at - half_m, at)
    return before, 1 - before - after, after


def paint(points: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """One colour for all, (V, 3) uint8."""
    return np.tile(np.array(colour, dtype=np.uint8), (len(points), 1))


def make(
    name: str,
    solid: Solid,
    box: tuple[tuple[float, float, float], tuple[float, float, float]],
    step_m: float,
    colour: tuple[int, int, int],
    weigh: Callable[[np.ndarray], dict[str, np.ndarray]],
    k: float,
    thin: float = 0.6,
) -> Part:
    """Mesh a solid written for 1.75 m and scale it by ``k``; ``weigh`` sees the unscaled points."""
    points, triangles = mesh(solid, box[0], box[1], step_m, thin)
    return Part(name, points * k, triangles, paint(points, colour), weigh(points))
