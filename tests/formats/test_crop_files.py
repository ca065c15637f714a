"""Crops and peaks as plain streams."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.crop_files import CropWriter, PeakReader

TAG = np.dtype([("frame", "<i8"), ("box", "<f8", (4,))])


def peaks_file(chunks: list[np.ndarray], joints: int = 16, tag: int = TAG.itemsize) -> bytes:
    out = b"pmpeaks1" + struct.pack("<6i", tag, joints, 4, 64, 64, 0)
    for values in chunks:
        out += struct.pack("<i", len(values)) + bytes(tag * len(values)) + values.astype("<f4").tobytes()
    return out + struct.pack("<i", 0)


def read(data: bytes, joints: int = 16):
    return list(PeakReader(io.BytesIO(data), tag=TAG, joints=joints, where="a.peaks"))


def test_crops_are_laid_out_as_their_page_says():
    file = io.BytesIO()
    writer = CropWriter(file, tag=TAG, size=2, flip=True)
    tags = np.array([(5, (1.0, 2.0, 3.0, 4.0))], TAG)
    pictures = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    writer.write(tags, pictures)
    writer.end()
    data = file.getvalue()
    assert data[:32] == b"pmcrops1" + struct.pack("<6i", 40, 3, 2, 2, 1, 1)
    assert data[32:36] == struct.pack("<i", 1)
    assert data[36:76] == struct.pack("<q4d", 5, 1, 2, 3, 4)
    assert data[76:124] == struct.pack("<12f", *range(12))
    assert data[124:] == struct.pack("<i", 0)


@pytest.mark.parametrize(("flip", "parabola", "flags"), [(False, False, 0), (False, True, 2), (True, True, 3)])
def test_flags(flip, parabola, flags):
    file = io.BytesIO()
    CropWriter(file, tag=TAG, size=2, flip=flip, parabola=parabola)
    assert file.getvalue()[28:32] == struct.pack("<i", flags)


def test_peaks_come_back_chunk_by_chunk():
    values = np.random.default_rng(0).random((3, 16, 4)).astype(np.float32)
    first, second = read(peaks_file([values[:2], values[2:]]))
    assert np.array_equal(first.points, values[:2, :, :2])
    assert np.array_equal(first.score, values[:2, :, 2])
    assert np.array_equal(second.spread, values[2:, :, 3])
    assert len(first.tags) == 2


def test_no_crops_no_peaks():
    assert read(peaks_file([], joints=0)) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cut off"),
        (b"hello world, hello world, hello world", "pmpeaks1"),
        (peaks_file([np.ones((2, 16, 4))])[:-4], "cut off"),
        (peaks_file([np.ones((2, 16, 4))])[:-100], "cut off"),
        (peaks_file([np.ones((2, 15, 4))], joints=15), "16 joints"),
        (peaks_file([np.ones((2, 16, 4))], tag=8), "tags of 40 bytes"),
        (peaks_file([np.full((2, 16, 4), np.nan)]), "numbers"),
        (peaks_file([])[:32] + struct.pack("<i", 2**30), "1 to 1024"),
    ],
)
def test_damaged_peaks_are_one_line(data, says):
    with pytest.raises(InputError, match=says) as problem:
        read(data)
    assert str(problem.value).startswith("a.peaks: ") and "\n" not in str(problem.value)
