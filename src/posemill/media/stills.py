"""Images: a folder of them, or one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from posemill.errors import ClipError, InputError, expected
from posemill.media.frame import VideoInfo, stated_focal

__all__ = ["SUFFIXES", "pictures", "probe"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

# Ratios of sides that differ by more were not made by scaling.
_CROPPED = 0.02


def probe(path: Path) -> VideoInfo:
    """Size of the first image and their number."""
    files = _files(path)
    height, width = _read(path, files[0]).shape[:2]
    nan = float("nan")
    focal = _focal(files, (width, height))
    return VideoInfo(width, height, nan, len(files), 0, 1.0, "images", nan, temporal=False, focal_35mm=focal)


def pictures(path: Path) -> Iterator[tuple[int, float, Callable[[], np.ndarray]]]:
    """(index, index as time, function that returns the picture); ClipError at the first that differs in size."""
    size = None
    for index, file in enumerate(_files(path)):
        rgb = _read(path, file)
        size = size or rgb.shape
        if rgb.shape != size:
            want, got = f"{size[1]}x{size[0]} as the first", f"{rgb.shape[1]}x{rgb.shape[0]}"
            raise ClipError(expected("image size", want, got, where=_name(path, file), do="give each size a folder"))
        yield index, float(index), partial(np.asarray, rgb)


def _focal(files: list[Path], size: tuple[int, int]) -> float | None:
    """What EXIF says, if all images say the same and none was cropped after it was taken."""
    from PIL import ExifTags, Image

    focal = None
    for file in files:
        try:
            with Image.open(file) as image:
                exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        taken = [exif.get(tag) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
        sides = [length for length in taken if isinstance(length, int) and length > 0]
        if len(sides) == 2 and abs(max(size) / min(size) * min(sides) / max(sides) - 1) > _CROPPED:
            return None
        found = stated_focal(exif.get(ExifTags.Base.FocalLengthIn35mmFilm))
        if found is None or focal not in (None, found):
            return None
        focal = found
    return focal


def _files(path: Path) -> list[Path]:
    """Images of a folder in natural order, or the one image."""
    if not path.is_dir():
        return [path]
    found = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise ClipError(f"{path.name}: expected images ({' '.join(SUFFIXES)}), got a folder without any")
    return sorted(found, key=lambda p: (_natural(p.name), p.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]


def _name(path: Path, file: Path) -> str:
    return file.name if file == path else f"{path.name}/{file.name}"


def _read(path: Path, file: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned as the EXIF tag says."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits per pixel, which convert("RGB") would clip instead of scale
                grey = (np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=-1)
            return np.asarray(upright.convert("RGB"))
    except PermissionError:
        raise InputError(f"{file}: expected a readable file, got no permission to read it") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        what = str(error).replace(str(file), file.name)
        raise ClipError(f"{_name(path, file)}: expected an image, got one that cannot be read: {what}") from None
