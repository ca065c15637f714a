"""From heatmaps to keypoints: mirrored twice, the peak between pixels, score and spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from posemill.arrays import PerJoint, Points2

__all__ = ["Peaks", "averaged", "found_by", "peaks", "to_crop"]

# Pixels to each side of a peak in which its spread is measured.
_REACH = 3


@dataclass(frozen=True)
class Peaks:
    """Where heatmaps are highest.

    Attributes
    ----------
    points
        (N, J, 2) heatmap px, pixel centres at whole numbers, the step between pixels included.
    score
        (N, J) height of the peak; 0 where nothing is above zero.
    spread
        (N, J) heatmap px, standard deviation along one axis of what is around the peak (1 for the target that the
        networks are trained for).
    """

    points: Points2
    score: PerJoint
    spread: PerJoint


def averaged(maps: np.ndarray, mirrored: np.ndarray, swap: np.ndarray, *, shift: bool = False) -> np.ndarray:
    """Mean of heatmaps (N, J, H, W) and of those of the mirrored pictures.

    Parameters
    ----------
    swap
        (J,) each joint's other side.
    shift
        The mirrored ones one pixel to the right, as the simple baseline's code offers.
    """
    back = mirrored[:, swap, :, ::-1]
    if shift:
        back = np.concatenate([back[..., :1], back[..., :-1]], axis=-1)
    return (maps + back) / 2


def peaks(maps: np.ndarray, *, parabola: bool = False) -> Peaks:
    """Find the highest pixel of each heatmap, and move from it to where between pixels the peak is.

    Pixels on the border stay where they are. A map without a positive number has its peak at (0, 0) with score 0.

    Parameters
    ----------
    maps
        (N, J, H, W).
    parabola
        On each axis to the top of the parabola through the highest pixel and its two neighbours; otherwise a quarter of
        a pixel towards the higher neighbour, as published.

    References
    ----------
    A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016, section 4.
    """
    n, j, height, width = maps.shape
    flat = maps.reshape(n * j, height * width)
    index = flat.argmax(1)
    y, x = np.divmod(index, width)
    rows = np.arange(n * j)
    score = flat[rows, index].astype(np.float64)
    grid = maps.reshape(n * j, height, width)
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    xi, yi = np.clip(x, 1, max(width - 2, 1)), np.clip(y, 1, max(height - 2, 1))
    steps = np.zeros((n * j, 2))
    if width > 2 and height > 2:
        before = np.stack([grid[rows, yi, xi - 1], grid[rows, yi - 1, xi]], -1).astype(np.float64)
        after = np.stack([grid[rows, yi, xi + 1], grid[rows, yi + 1, xi]], -1).astype(np.float64)
        if not parabola:
            steps = 0.25 * np.sign(after - before)
        else:
            curve = 2 * score[:, None] - before - after
            steps = np.divide(after - before, 2 * curve, out=steps, where=curve > 0)
    steps = np.where(inside[:, None], steps, 0.0)
    seen = score > 0
    points = np.where(seen[:, None], np.stack([x, y], -1) + steps, 0.0)
    return Peaks(points.reshape(n, j, 2), np.where(seen, score, 0.0).reshape(n, j), _spread(grid, x, y).reshape(n, j))


def _spread(grid: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Standard deviation along an axis of what is above zero around the peak, about the peak."""
    reach = np.arange(-_REACH, _REACH + 1)
    height, width = grid.shape[1:]
    at_y, at_x = y[:, None] + reach, x[:, None] + reach
    there = ((at_y >= 0) & (at_y < height))[:, :, None] & ((at_x >= 0) & (at_x < width))[:, None, :]
    rows = np.arange(len(grid))[:, None, None]
    window = grid[rows, np.clip(at_y, 0, height - 1)[:, :, None], np.clip(at_x, 0, width - 1)[:, None, :]]
    weight = np.where(there, np.clip(window, 0, None), 0).astype(np.float64)
    total = weight.sum((1, 2))
    square = (weight * (reach[:, None] ** 2 + reach[None, :] ** 2)).sum((1, 2)) / np.where(total > 0, total, 1)
    # Nothing above zero says nothing of where the joint is: as wide as the window.
    return np.sqrt(np.where(total > 0, square / 2, float(_REACH**2)))


def to_crop(points: Points2, stride: float) -> Points2:
    """Heatmap px (..., 2) to crop px, pixel centres at whole numbers in both.

    >>> to_crop(np.array([0.0, 63.0]), 4)
    array([  1.5, 253.5])
    """
    return stride * (np.asarray(points) + 0.5) - 0.5


def found_by(
    pixels: np.ndarray,
    *,
    network: Callable[[np.ndarray], np.ndarray],
    swap: np.ndarray,
    flip: bool = True,
    shift: bool = False,
    parabola: bool = False,
) -> Peaks:
    """Peaks that a network finds in crops.

    Parameters
    ----------
    pixels
        (N, H, W, 3) float32, 0 to 255.
    network
        From such crops to heatmaps (N, J, H/4, W/4).
    swap
        (J,) each joint's other side.
    flip, shift
        Average with the mirrored picture's heatmaps; these moved one pixel.
    parabola
        As for :func:`peaks`.
    """
    if not flip:
        return peaks(network(pixels), parabola=parabola)
    both = network(np.concatenate([pixels, pixels[:, :, ::-1]]))
    return peaks(averaged(both[: len(pixels)], both[len(pixels) :], swap, shift=shift), parabola=parabola)
