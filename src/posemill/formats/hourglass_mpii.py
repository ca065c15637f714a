"""A stacked hourglass's predictions on annotated people of MPII, as its demo code stores them.

Predictions: HDF5 with ``preds`` (N, 16, 2) px. Annotations: HDF5 with ``part`` (N, 16, 2) px, 0 or less where a joint
is not annotated, and ``scale`` (N,), the person's height over 200 px. Joints are those of ``mpii16``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from posemill.arrays import Points2
from posemill.errors import InputError, expected
from posemill.formats.guarded import Found, read_guarded

__all__ = [
    "AnnotatedPeople",
    "MpiiBoxes",
    "open_datasets",
    "open_names",
    "read_boxes",
    "read_hourglass_mpii",
    "read_normalised",
]

_PIXELS_PER_SCALE = 200.0


@dataclass(frozen=True)
class AnnotatedPeople:
    """N people, each in a picture.

    Attributes
    ----------
    predicted, annotated
        (N, 16, 2) px in the order of ``mpii16``; ``annotated`` is NaN where nobody said.
    height_px
        (N,) the person's height in the picture.
    """

    predicted: Points2
    annotated: Points2
    height_px: np.ndarray


def read_hourglass_mpii(predictions: Path, annotations: Path) -> AnnotatedPeople:
    """Read predictions and annotations of the same people.

    Raises
    ------
    InputError
        A file cannot be read, lacks a dataset, or they are of different people.
    """
    for path in (predictions, annotations):
        if not Path(path).is_file():
            raise InputError(expected("HDF5 file of people of MPII", "a file", "none", where=path))
    _, (predicted,) = read_guarded(open_datasets, predictions, "predictions", names=["preds"])
    _, (part, scale) = read_guarded(open_datasets, annotations, "annotations", names=["part", "scale"])
    if predicted.shape != part.shape or predicted.shape[1:] != (16, 2) or scale.shape != predicted.shape[:1]:
        found = f"{predicted.shape}, {part.shape} and {scale.shape}"
        raise InputError(expected("preds, part and scale", "(N, 16, 2) twice and (N,)", found, where=predictions))
    if not ((scale > 0) & np.isfinite(scale)).all():
        raise InputError(expected("scale", "positive numbers", "some that are not", where=annotations))
    annotated = np.where((part > 0).all(-1, keepdims=True), part, np.nan)
    return AnnotatedPeople(predicted, annotated, _PIXELS_PER_SCALE * scale)


def open_datasets(path: Path, names: list[str]) -> Found:
    """Datasets of a file as float64; for :func:`~posemill.formats.guarded.read_guarded`."""
    arrays = []
    with h5py.File(path, "r") as file:
        for name in names:
            item = file.get(name)
            if not isinstance(item, h5py.Dataset):
                raise InputError(expected("dataset", name, ", ".join(file) or "none", where=path))
            arrays.append(np.asarray(item[()], dtype=np.float64))
    return {}, arrays


class MpiiBoxes(NamedTuple):
    """``centre`` (N, 2) px from 1, ``scale`` (N,) in 200 px, ``names`` of the N pictures."""

    centre: Points2
    scale: np.ndarray
    names: list[str]


def read_boxes(annotations: Path) -> MpiiBoxes:
    """Read where people are in which pictures; the names are in the file, or beside it in ``{name}_images.txt``.

    Raises
    ------
    InputError
        A file cannot be read, or names, centres and scales are not of the same people.
    """
    if not Path(annotations).is_file():
        raise InputError(expected("annotations of MPII", "a file", "none", where=annotations))
    _, (centre, scale) = read_guarded(open_datasets, annotations, "annotations", names=["center", "scale"])
    beside = annotations.with_name(f"{annotations.stem}_images.txt")
    if beside.is_file():
        names = beside.read_text(errors="replace").split()
    else:
        names, _ = read_guarded(open_names, annotations, "annotations", name="imgname")
    if centre.shape != (len(names), 2) or scale.shape != (len(names),):
        found = f"{centre.shape}, {scale.shape} and {len(names)} names"
        raise InputError(expected("center, scale and names", "(N, 2), (N,) and N", found, where=annotations))
    if not ((scale > 0) & np.isfinite(scale) & np.isfinite(centre).all(1)).all():
        raise InputError(expected("center and scale", "finite, the scale positive", "others", where=annotations))
    strange = [name for name in names if Path(name).name != name]
    if strange:
        raise InputError(expected("names of pictures", "no folders in them", strange[0], where=annotations))
    return MpiiBoxes(centre, scale, names)


def read_normalised(predictions: Path, annotations: Path) -> tuple[Points2, Points2, np.ndarray]:
    """Predicted and annotated joints (N, 16, 2) px, NaN where not annotated, and the heads' sizes (N,) px.

    Raises
    ------
    InputError
        A file cannot be read, or they are of different people.
    """
    for path in (predictions, annotations):
        if not Path(path).is_file():
            raise InputError(expected("HDF5 file of people of MPII", "a file", "none", where=path))
    _, (predicted,) = read_guarded(open_datasets, predictions, "predictions", names=["preds"])
    _, (part, size) = read_guarded(open_datasets, annotations, "annotations", names=["part", "normalize"])
    if predicted.shape != part.shape or predicted.shape[1:] != (16, 2) or size.shape != predicted.shape[:1]:
        found = f"{predicted.shape}, {part.shape} and {size.shape}"
        raise InputError(expected("preds, part and normalize", "(N, 16, 2) twice and (N,)", found, where=predictions))
    return predicted, np.where((part > 0).all(-1, keepdims=True), part, np.nan), size


def open_names(path: Path, name: str) -> Found:
    """A dataset of texts; for :func:`~posemill.formats.guarded.read_guarded`."""
    with h5py.File(path, "r") as file:
        item = file.get(name)
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "SO":
            raise InputError(expected("dataset", f"names of pictures ({name})", ", ".join(file) or "none", where=path))
        texts = item[()]
    return [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in np.ravel(texts)], []
