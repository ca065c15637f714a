"""Frames of a video or of a folder of images: the one decoder of posemill.

A frame is the upright picture with square pixels, as a player shows it: rotation metadata and sample aspect ratio
are applied. Its time is the stamp in the file (variable frame rate, edit lists and a start offset are honoured),
counted from the first frame shown. Counts and rates in headers are hints and never decide anything.

A video that is damaged or was cut off is an error, never a shorter video: see :func:`frames`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from posemill.errors import ClipError, InputError, expected
from posemill.media import stills, video
from posemill.media.frame import Frame, VideoInfo

__all__ = ["IMAGE_SUFFIXES", "Frame", "VideoInfo", "frames", "probe"]

IMAGE_SUFFIXES = stills.SUFFIXES


def _is_stills(path: Path) -> bool:
    if not path.exists():
        raise InputError(f"{path}: no such video, image or folder")
    return path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES


def probe(path: Path) -> VideoInfo:
    """Look through a source without decoding it: size, rate, and whether its container is whole.

    All packets of a video are read (not decoded), so that a recording that was cut off is found in seconds and
    not after hours of detection.

    Raises
    ------
    InputError
        There is no such file, or it may not be read.
    ClipError
        Not a video, no frames, damaged or cut off.
    """
    return (stills if _is_stills(path) else video).probe(path)


def frames(path: Path, *, start_s: float = 0.0, info: VideoInfo | None = None) -> Iterator[Frame]:
    """Yield the frames of a video, folder of images or single image, one at a time.

    Parameters
    ----------
    path
        A video file, an image, or a folder whose images are read in natural order (``2.png`` before ``10.png``).
    start_s
        Frames before this time are left out; the others keep their index and time.
    info
        What :func:`probe` said of this file; it is asked again if not given.

    Yields
    ------
    Frame
        Times increase strictly. A frame that the file shows for no time (its stamp does not advance) is left out,
        as players do; where stamps fall back (files joined without restamping) time goes on by one frame. Stills
        have their index as time.

    Raises
    ------
    InputError
        There is no such file.
    ClipError
        Not a video, no frames, a picture size that changes, or data lost: at the first picture that the decoder or
        the container calls damaged, or where the video stops before its stated duration.
    """
    info = info or probe(path)
    source = video.pictures(path, info) if info.temporal else stills.pictures(path)
    shown, last = 0, 0.0
    for index, time_s, picture in source:
        last = time_s
        if time_s >= start_s - 1e-9:
            shown += 1
            yield Frame(index, time_s, picture())
    if not shown:
        raise ClipError(expected("start_s", f"a time within the clip's {last:.2f} s", start_s, where=path.name))
