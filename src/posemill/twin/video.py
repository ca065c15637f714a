"""Writing video."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from posemill.formats.atomic import write_bytes

__all__ = ["write_video"]


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float, *, crf: int = 20, rotation: int = 0) -> None:
    """Encode frames as H.264 in MP4, one thread, so that the same frames give the same bytes.

    Parameters
    ----------
    path
        Where to; replaced in one step when the video is complete.
    frames
        Pictures (height, width, 3) uint8 RGB of even height and width, all of one size; at least one.
    fps
        Frames a second.
    crf
        Constant rate factor of x264: 0 is lossless, 51 the worst.
    rotation
        Degrees counterclockwise, a multiple of 90, by which a player is told to turn the pictures.

    Raises
    ------
    ValueError
        If there is no frame or the size is odd.
    """
    import av

    buffer = io.BytesIO()
    rate = Fraction(fps).limit_denominator(1001)
    count = 0
    with av.open(buffer, "w", format="mp4") as container:
        stream = None
        for image in frames:
            if stream is None:
                height, width = image.shape[:2]
                if height % 2 or width % 2:
                    raise ValueError(f"video size: expected even width and height, got {width}x{height}")
                stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "slow"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.thread_count = 1
                if rotation:
                    stream.set_display_rotation(rotation)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
            count += 1
        if stream is None:
            raise ValueError("video: expected at least one frame, got none")
        container.mux(stream.encode())
    write_bytes(path, buffer.getvalue())
