"""A stacked hourglass's predictions on annotated people of MPII, as its demo code stores them.

Predictions: HDF5 with ``preds`` (N, 16, 2) px. Annotations: HDF5 with ``part`` (N, 16, 2) px, 0 or less where a joint
is not annotated, and ``scale`` (N,), the person's height over 200 px. Joints are those of ``mpii16``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from posemill.arrays import Points2
from posemill.errors import InputError, expected
from posemill.formats.guarded import Found, read_guarded

__all__ = ["AnnotatedPeople", "open_datasets", "read_hourglass_mpii"]

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
