"""People of MPII through a stacked hourglass, in the layout of its published demo, and PCKh of such files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from posemill import media, registry
from posemill.detectors.crops import hourglass_crop
from posemill.detectors.published import Variant, decoded, region
from posemill.detectors.top_down import TopDown
from posemill.errors import InputError, PosemillError, expected
from posemill.formats.atomic import finished_file, write_text
from posemill.formats.hourglass_mpii import MpiiBoxes, read_boxes, read_normalised
from posemill.metrics.image import PCKH_LEFT_OUT, pckh_by_size
from posemill.progress import progress
from posemill.skeleton import JOINT_SETS

__all__ = ["pckh", "predict"]

_AT_ONCE = 8
_HEATMAP_STRIDE = 4


def predict(
    annotations: Path,
    images: Path,
    output: Path,
    *,
    detector: str = "hourglass",
    variant: Variant = "demo",
    raw: bool = False,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Find the joints of annotated people and write them as the published demo does: HDF5, ``preds`` (N, 16, 2).

    Parameters
    ----------
    annotations
        HDF5 with ``center`` (N, 2) px from 1 and ``scale`` (N,); the pictures' names are in it (``imgname``), or beside
        it in ``{name}_images.txt``, a line per person.
    images
        Folder of MPII's pictures.
    output
        HDF5 to write.
    detector
        ``hourglass`` or ``hourglass_torch7``.
    variant
        Crop and decode as the ``demo`` or as the training code (``train``, with the mirrored picture).
    raw
        Centre and scale are MPII's own: the centre is lowered by 15 scales, and the scale grows by a quarter.
    options
        The detector's.

    Raises
    ------
    InputError
        A file or a picture cannot be read; another detector.
    MissingError
        No weights, or no Torch7.
    """
    if detector not in ("hourglass", "hourglass_torch7"):
        raise InputError(expected("--detector", "hourglass or hourglass_torch7", detector))
    people = read_boxes(annotations)
    if raw:
        lowered = people.centre + np.stack([np.zeros_like(people.scale), 15 * people.scale], 1)
        people = people._replace(centre=lowered, scale=1.25 * people.scale)
    chosen = {**(options or {}), "boxes": "frame", "flip": variant == "train"}
    module = registry.load("detectors", detector)
    made: TopDown = module.create(
        module.Options.model_validate(registry.options("detectors", detector, chosen)), temporal=False
    )
    size = made.size
    found = []
    with made as network:
        pixels, place = [], []
        for i, rgb in _pictures(people, images):
            where = region(people.centre[i], float(people.scale[i]), size, variant)
            pixels.append(hourglass_crop(rgb, where, size).pixels)
            place.append(i)
            if len(pixels) == _AT_ONCE or i + 1 == len(people.names):
                peaks = network.find(np.stack(pixels)).points
                for points, k in zip(peaks, place, strict=True):
                    scale = float(people.scale[k])
                    found.append(decoded(points, people.centre[k], scale, size // _HEATMAP_STRIDE, variant))
                pixels, place = [], []
    with finished_file(output) as part, h5py.File(part, "w") as file:
        file.create_dataset("preds", data=np.array(found, dtype=np.float64).reshape(-1, 16, 2))


def _pictures(people: MpiiBoxes, images: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Number of the person, and the picture, which is read once for neighbours in the list."""
    known, rgb = "", np.zeros((0, 0, 3), np.uint8)
    for i, name in enumerate(progress(people.names, len(people.names), "MPII", "person")):
        if name != known:
            try:
                known, rgb = name, next(iter(media.frames(images / name))).rgb
            except (PosemillError, StopIteration) as error:
                what = f"person {i + 1} of MPII: {str(error) or 'no picture'}"
                raise InputError(what) from None
        yield i, rgb


def pckh(predictions: Path, annotations: Path, output: Path | None = None) -> str:
    """Table of PCKh at half the head's size of a file of predictions, as published; JSON too, if a name is given.

    Parameters
    ----------
    predictions
        HDF5 with ``preds`` (N, 16, 2) px.
    annotations
        HDF5 with ``part`` (N, 16, 2) px and ``normalize`` (N,), the head's size in px.

    Raises
    ------
    InputError
        A file cannot be read, or they are of different people.
    """
    predicted, part, head_px = read_normalised(predictions, annotations)
    answer = pckh_by_size(predicted, part, head_px)
    names = JOINT_SETS["mpii16"].joints
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        if name not in PCKH_LEFT_OUT:
            group = "head" if name in ("upper_neck", "head_top") else name.removeprefix("left_").removeprefix("right_")
            groups.setdefault(group, []).append(i)
    hits = np.nan_to_num(answer.by_joint) * answer.labelled
    lines, record = [], {}
    for group in ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        percent = 100 * float(hits[groups[group]].sum() / max(answer.labelled[groups[group]].sum(), 1))
        record[group] = round(percent, 4)
        lines.append(f"{group:10} {percent:6.2f}")
    record["mean"] = round(100 * answer.mean, 4)
    lines.append(f"{'mean':10} {100 * answer.mean:6.2f}")
    if output is not None:
        people = {"people": len(predicted), "pckh_percent": record, "threshold": 0.5}
        write_text(output, json.dumps(people, indent=2) + "\n")
    return "\n".join(lines)
