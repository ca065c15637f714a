"""Pictures of people on their way to a network that runs elsewhere, and the peaks of its heatmaps on their way back.

Plain little-endian streams, so that the other side needs no library. Crops: ``pmcrops1``, six int32 (bytes of a tag,
channels, height, width, kind of pixels, flags), then chunks of int32 n, n tags, n pictures. Flags: 1 for heatmaps that
are averaged with those of the mirrored crops, 2 for peaks at the top of a parabola instead of a quarter of a pixel from
the highest one. Peaks: ``pmpeaks1``, six int32 (bytes of a tag, joints, 4, heatmap height and width, 0), then chunks of
int32 n, n tags as they came, and n x joints x 4 float32. A chunk of none ends either. Either may be a file or a pipe.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from posemill.errors import InputError, expected

__all__ = ["CropWriter", "FoundPeaks", "PeakReader"]

_CROPS, _PEAKS = b"pmcrops1", b"pmpeaks1"
_FLOAT32 = 1
_FLIP, _PARABOLA = 1, 2
_MOST_AT_ONCE = 1024


class CropWriter:
    """Writes crops, chunk by chunk.

    Parameters
    ----------
    file
        Open for writing.
    tag
        What is handed through with each crop, as a numpy type.
    size
        Sides of the crops in px.
    flip
        Whether heatmaps are to be averaged with those of the mirrored crops.
    parabola
        Whether peaks are to be at the top of a parabola.
    """

    def __init__(self, file: IO[bytes], *, tag: np.dtype, size: int, flip: bool, parabola: bool = False) -> None:
        self._file, self._tag, self._size = file, tag.newbyteorder("<"), size
        flags = _FLIP * flip + _PARABOLA * parabola
        file.write(_CROPS + struct.pack("<6i", self._tag.itemsize, 3, size, size, _FLOAT32, flags))

    def write(self, tags: np.ndarray, pictures: np.ndarray) -> None:
        """Write a chunk, which the network is given at once.

        Parameters
        ----------
        tags
            (n,) of the tags' type.
        pictures
            (n, 3, size, size), 0 to 1.
        """
        if not 0 < len(pictures) <= _MOST_AT_ONCE or pictures.shape[1:] != (3, self._size, self._size):
            raise ValueError(f"expected 1 to {_MOST_AT_ONCE} crops of {self._size} px, got {pictures.shape}")
        self._file.write(struct.pack("<i", len(pictures)))
        self._file.write(np.ascontiguousarray(tags, dtype=self._tag).tobytes())
        self._file.write(np.ascontiguousarray(pictures, dtype="<f4").tobytes())
        self._file.flush()

    def end(self) -> None:
        """Say that no more comes."""
        self._file.write(struct.pack("<i", 0))
        self._file.flush()


class FoundPeaks(NamedTuple):
    """``tags`` (n,), ``points`` (n, J, 2) heatmap px from 0, ``score`` (n, J), ``spread`` (n, J) heatmap px."""

    tags: np.ndarray
    points: np.ndarray
    score: np.ndarray
    spread: np.ndarray


class PeakReader:
    """Reads peaks, chunk by chunk; an iterator.

    Parameters
    ----------
    file
        Open for reading.
    tag
        Type of the tags that the crops had.
    joints
        How many are expected.
    where
        Name for messages.

    Raises
    ------
    InputError
        Not peaks, of other tags or joints, or not whole; from the iteration.
    """

    def __init__(self, file: IO[bytes], *, tag: np.dtype, joints: int, where: str | Path) -> None:
        self._file, self._tag, self._joints, self._where = file, tag.newbyteorder("<"), joints, where
        self._begun = False

    def __iter__(self) -> Iterator[FoundPeaks]:
        return self

    def __next__(self) -> FoundPeaks:
        if not self._begun:
            self._begin()
        (n,) = struct.unpack("<i", self._take(4))
        if n == 0:
            raise StopIteration
        if not 0 < n <= _MOST_AT_ONCE:
            raise InputError(expected("peaks in a chunk", f"1 to {_MOST_AT_ONCE}", n, where=self._where))
        tags = np.frombuffer(self._take(n * self._tag.itemsize), self._tag)
        values = np.frombuffer(self._take(n * self._joints * 16), "<f4").reshape(n, self._joints, 4)
        if not np.isfinite(values).all():
            raise InputError(expected("peaks", "numbers", "some that are not", where=self._where))
        numbers = values.astype(np.float64)
        return FoundPeaks(tags, numbers[..., :2], numbers[..., 2], numbers[..., 3])

    def _begin(self) -> None:
        magic = self._take(8)
        if magic != _PEAKS:
            raise InputError(expected("file", "peaks (pmpeaks1)", repr(magic)[1:], where=self._where))
        tag, joints, values, height, width, _ = struct.unpack("<6i", self._take(24))
        # No crops, no joints.
        if joints and (tag, joints, values) != (self._tag.itemsize, self._joints, 4):
            want = f"tags of {self._tag.itemsize} bytes, {self._joints} joints, 4 values"
            raise InputError(expected("peaks", want, f"{tag}, {joints}, {values}", where=self._where))
        self.heatmap_size = (height, width)
        self._begun = True

    def _take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise InputError(expected("peaks", "a whole file", "one that is cut off", where=self._where))
        return data
