"""What a decoder hands out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Frame", "VideoInfo", "stated_focal"]


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a source before its frames are read.

    Attributes
    ----------
    width, height
        Of the upright picture with square pixels, as :func:`frames` yields it.
    fps
        Average rate in 1/s by the time stamps; NaN for stills.
    frame_count_hint
        Packets (or images) found; the frames shown may be fewer.
    rotation
        Degrees counterclockwise by which the stored picture is turned (0, 90, 180, 270), mirroring left out.
    sample_aspect_ratio
        Width over height of a stored pixel.
    codec
        Name of the codec, or ``images``.
    duration_s
        From the first frame's start to the last frame's end by the stamps; NaN for stills.
    start_s
        The container's time of the first frame, which is time 0 of :func:`frames`.
    temporal
        False for stills: neighbouring frames have nothing to do with each other.
    focal_35mm
        Focal length in mm on a 36 x 24 mm picture of the same diagonal, where the file says it; else None.
    """

    width: int
    height: int
    fps: float
    frame_count_hint: int
    rotation: int
    sample_aspect_ratio: float
    codec: str
    duration_s: float
    start_s: float = 0.0
    temporal: bool = True
    focal_35mm: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One upright picture: its place in the source, its time in s, and (H, W, 3) uint8 RGB."""

    index: int
    time_s: float
    rgb: np.ndarray


def stated_focal(said: object) -> float | None:
    """A focal length in mm as a file's metadata say it; None where that is no length that lenses have.

    >>> stated_focal("26"), stated_focal(0), stated_focal("f/1.8")
    (26.0, None, None)
    """
    try:
        focal = float(str(said))
    except ValueError:
        return None
    return focal if 5 <= focal <= 2000 else None
