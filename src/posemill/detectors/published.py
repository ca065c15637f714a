"""The published code's own arithmetic around the stacked hourglass, rounding included, for numbers to compare with.

Two programs are published, and they differ by up to four pixels: the ``demo`` takes points as they are, counted from 1,
cuts fractions off towards zero and moves no peak; the training code (``train``) counts from 0 in between, moves peaks
by a quarter pixel, adds half of one, and averages with the mirrored picture. posemill's detectors do as the latter, but
do not round.

References
----------
A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016, arXiv:1603.06937.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from posemill.arrays import Points2
from posemill.detectors.crops import hourglass_region

__all__ = ["Variant", "decoded", "region", "to_image"]

Variant = Literal["demo", "train"]
PIXELS_PER_SCALE = 200.0


def to_image(points: Points2, centre: np.ndarray, scale: float, resolution: int, variant: Variant) -> np.ndarray:
    """Points (..., 2) of a crop, or of its heatmaps, to whole px of the picture; all counted from 1.

    Parameters
    ----------
    centre
        (2,) px of the picture, from 1.
    scale
        The side of the region over 200 px.
    resolution
        Sides of crop or heatmaps.
    """
    less = 1 if variant == "train" else 0
    share = (np.asarray(points, dtype=np.float64) - less) / resolution - 0.5
    return np.trunc(np.asarray(centre) + PIXELS_PER_SCALE * scale * share) + less


def region(centre: np.ndarray, scale: float, size: int, variant: Variant) -> tuple[int, int, int, int]:
    """Whole pixels, from 0, that are cropped: left, top, right, bottom; the last two are not in it."""
    if variant == "train":
        return hourglass_region(np.asarray(centre) - 1, PIXELS_PER_SCALE * scale)
    (left, top), (right, bottom) = (
        to_image(np.full(2, corner), centre, scale, size, variant).astype(int) for corner in (1, size)
    )
    return int(left), int(top), max(int(right), int(left) + 1), max(int(bottom), int(top) + 1)


def decoded(points: Points2, centre: np.ndarray, scale: float, resolution: int, variant: Variant) -> np.ndarray:
    """Peaks (J, 2) in heatmap px from 0, the quarter step included, to whole px of the picture from 1."""
    if variant == "demo":
        # The quarter step is taken back.
        return to_image(np.rint(points) + 1, centre, scale, resolution, variant)
    return to_image(np.asarray(points) + 1.5, centre, scale, resolution, variant)
