"""Regions of a picture as the input of networks that look at one person, and the way back.

Both kinds are separable: every row and every column of the crop is a weighted sum of the picture's, kept as sparse
matrices. Outside the picture is black. Pixel centres are at whole numbers everywhere, so a picture's left edge is at
-0.5 and heatmap pixel ``h`` of stride 4 lies at crop pixel ``4 h + 1.5``.

References
----------
A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016: a square of whole
pixels, reduced by exact averages over boxes, enlarged linearly with the corners' centres aligned (Torch7's
``image.scale``).
B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018: bilinear samples of the
picture as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from posemill.arrays import Points2

__all__ = ["Crop", "affine_crop", "hourglass_crop", "hourglass_region"]

_PIXELS_PER_SCALE = 200.0


@dataclass(frozen=True)
class Crop:
    """A piece of a picture, and where it is.

    Attributes
    ----------
    pixels
        (H, W, 3) float32, 0 to 255.
    step, start
        (2,) each: crop pixel ``u`` is at ``start + step * u`` px of the picture.
    """

    pixels: np.ndarray
    step: np.ndarray
    start: np.ndarray

    def to_image(self, points: Points2) -> Points2:
        """Points (..., 2) of the crop to the picture, px."""
        return self.start + self.step * points

    def to_crop(self, points: Points2) -> Points2:
        """Points (..., 2) of the picture to the crop, px."""
        return (points - self.start) / self.step


def hourglass_region(centre: np.ndarray, side: float, *, annotated: bool = False) -> tuple[int, int, int, int]:
    """The whole pixels that the published code crops: left, top, right, bottom; the last two are not in it.

    The square's corners, counted from 1, lose their fractions towards zero, as in the authors' training code.

    Parameters
    ----------
    centre
        (2,) px, counted from 0.
    side
        px; 200 times the ``scale`` of MPII.
    annotated
        Centre and side are MPII's own: the centre is lowered by 15 ``scale``, the side grows by a quarter, as that code
        does (annotations of its demo have it done).
    """
    centre = np.array(centre, dtype=np.float64)
    if annotated:
        centre[1] += 15 * side / _PIXELS_PER_SCALE
        side *= 1.25
    # Their centre counts from 1, they take 1 off, map and put 1 on again; counted from 0 the 1 remains.
    left, top = np.trunc(centre + 1 - side / 2).astype(int)
    right, bottom = np.trunc(centre + 1 + side / 2).astype(int)
    return int(left), int(top), max(int(right), int(left) + 1), max(int(bottom), int(top) + 1)


def hourglass_crop(rgb: np.ndarray, region: tuple[int, int, int, int], size: int) -> Crop:
    """Copy a region of whole pixels, black outside the picture, and scale it to ``size`` as Torch7 does.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.
    region
        Left, top, right, bottom px, as :func:`hourglass_region` gives them.
    size
        Sides of the crop in px.
    """
    left, top, right, bottom = region
    height, width = rgb.shape[:2]
    columns = _scaling(right - left, size)
    rows = _scaling(bottom - top, size)
    pixels = _apply(rgb, _within(rows, top, bottom, height), _within(columns, left, right, width), (size, size))
    steps, starts = zip(_map(right - left, size), _map(bottom - top, size), strict=True)
    return Crop(pixels, np.array(steps), np.array(starts) + np.array([left, top]))


def affine_crop(rgb: np.ndarray, centre: np.ndarray, width_px: float, size: tuple[int, int]) -> Crop:
    """Sample a picture bilinearly, black outside: the crop's middle is at ``centre``, its width spans ``width_px``.

    The published code's middle is half a crop pixel right of and below the crop's own; that is kept.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.
    centre
        (2,) px.
    width_px
        Width of the region; its height follows from ``size``.
    size
        Width and height of the crop in px.
    """
    step = width_px / size[0]
    starts = np.asarray(centre, dtype=np.float64) - step * np.array(size) / 2
    height, width = rgb.shape[:2]
    (columns, left, right), (rows, top, bottom) = (_sampling(at, step, n) for at, n in zip(starts, size, strict=True))
    pixels = _apply(rgb, _within(rows, top, bottom, height), _within(columns, left, right, width), size)
    return Crop(pixels, np.array([step, step]), starts)


# -------------------------------------------------------------------------------------------------- matrices

_Part = tuple[sparse.csr_matrix, int, int]


@lru_cache(maxsize=256)
def _scaling(length: int, size: int) -> sparse.csr_matrix:
    """Matrix (size, length) of Torch7's scaling along one axis."""
    if size < length:
        # Averages over equal shares of the length, parts of pixels included.
        edges = np.arange(size + 1) * (length / size)
        first, last = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:] - 1e-9).astype(int)
        counts = last - first
        rows = np.repeat(np.arange(size), counts)
        columns = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[rows]
        covered = np.minimum(columns + 1, edges[rows + 1]) - np.maximum(columns, edges[rows])
        return sparse.csr_matrix((covered * (size / length), (rows, columns)), (size, length), dtype=np.float32)
    at = np.arange(size) * ((length - 1) / max(size - 1, 1))
    return _linear(at, length)


def _linear(at: np.ndarray, length: int) -> sparse.csr_matrix:
    """Matrix (len(at), length) of linear interpolation between whole pixels."""
    first = np.clip(np.floor(at).astype(int), 0, max(length - 2, 0))
    share = at - first
    rows = np.arange(len(at))
    if length == 1:
        return sparse.csr_matrix((np.ones(len(at)), (rows, np.zeros(len(at), int))), (len(at), 1), dtype=np.float32)
    values = np.concatenate([1 - share, share])
    return sparse.csr_matrix(
        (values, (np.concatenate([rows, rows]), np.concatenate([first, first + 1]))), (len(at), length), np.float32
    )


def _sampling(start: float, step: float, size: int) -> tuple[sparse.csr_matrix, int, int]:
    """Matrix of linear samples at ``start + step u``, and the picture's pixels that its columns are, from and to."""
    at = start + step * np.arange(size)
    first, end = int(np.floor(at[0])), int(np.floor(at[-1])) + 2
    return _linear(at - first, end - first), first, end


def _map(length: int, size: int) -> tuple[float, float]:
    """Step and start in px of the region of a crop's pixels."""
    if size < length:
        step = length / size
        return step, (step - 1) / 2
    return (length - 1) / max(size - 1, 1), 0.0


def _within(matrix: sparse.csr_matrix, start: int, end: int, length: int) -> _Part:
    """The columns of a matrix (those of the pixels ``start`` to ``end``) in the picture, and which pixels they are."""
    low, high = max(start, 0), min(end, length)
    if low >= high:
        return matrix, 0, 0
    return matrix[:, low - start : high - start], low, high


def _apply(rgb: np.ndarray, rows: _Part, columns: _Part, size: tuple[int, int]) -> np.ndarray:
    """Weighted sums of rows, then of columns: (H', W', 3) float32."""
    over_rows, top, bottom = rows
    over_columns, left, right = columns
    width, height = size
    if top >= bottom or left >= right:
        return np.zeros((height, width, 3), np.float32)
    piece = rgb[top:bottom, left:right].astype(np.float32)
    short = over_rows @ piece.reshape(bottom - top, -1)
    short = short.reshape(height, right - left, 3).transpose(1, 0, 2).reshape(right - left, -1)
    return (over_columns @ short).reshape(width, height, 3).transpose(1, 0, 2)
