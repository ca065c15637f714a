"""People marked in photographs, as 2D trainings take them: MPII, COCO and Human3.6M.

- MPII: the hourglass's HDF5 or SimpleBaseline's JSON; the box as the papers make it: lowered by 15 ``scale``, a quarter
  larger than 200 ``scale`` px.
- COCO: ``person_keypoints_*.json``; a square a quarter larger than the box's longer side; crowds are left out.
- Human3.6M: npz with ``image`` (N,), ``keypoints`` (N, 17, 2) px of frames that somebody has extracted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.datasets.mpii import PX_PER_SCALE, read_hourglass, read_mpii_json
from posemill.formats.datasets.recording import Recording
from posemill.skeleton import convert

__all__ = ["Annotated2d", "open_annotated_npz", "read_annotated"]

_MARGIN = 1.25
_LOWER = 15.0


@dataclass(frozen=True)
class Annotated2d:
    """One person in one photograph.

    Attributes
    ----------
    image
        Its path below the dataset's folder.
    centre, side_px
        Of the square that a network sees, before augmentation; px.
    joints
        (16, 2) px, mpii16, pixel centres at whole numbers; NaN where nobody marked one.
    """

    image: str
    centre: np.ndarray
    side_px: float
    joints: np.ndarray


def read_annotated(path: Path) -> list[Annotated2d]:
    """Read annotations of any of the kinds.

    Raises
    ------
    InputError
        None of them, or one that leads out of its folder.
    """
    path = Path(path)
    if path.suffix in (".h5", ".hdf5"):
        people = _mpii(read_hourglass(path)[0])
    elif path.suffix == ".npz":
        people = _human36m(path)
    elif path.suffix == ".json":
        data = _json(path)
        people = _coco(data, path) if isinstance(data, dict) else _mpii(read_mpii_json(path))
    else:
        want = "MPII (.h5, .json), COCO (.json) or Human3.6M (.npz)"
        raise InputError(expected("annotations", want, path.suffix or "no suffix", where=path))
    for person in people:
        if not person.image or Path(person.image).is_absolute() or ".." in Path(person.image).parts:
            raise InputError(expected("image", "a name below the folder of pictures", repr(person.image), where=path))
    return people


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(expected("annotations", "JSON", " ".join(str(error).split())[:120], where=path)) from None


def _mpii(recording: Recording) -> list[Annotated2d]:
    details = recording.details
    height = np.asarray(details["height_px"], dtype=np.float64)
    centre = np.asarray(details["center"], dtype=np.float64) + np.stack(
        [np.zeros(len(height)), _LOWER * height / PX_PER_SCALE], -1
    )
    joints = np.asarray(recording.keypoints, dtype=np.float64)
    rows = zip(details["image"], centre, _MARGIN * height, joints, strict=True)
    return [Annotated2d(str(i), c, float(s), j) for i, c, s, j in rows if s > 0 and np.isfinite(j).all(-1).any()]


def _coco(data: dict[str, Any], path: Path) -> list[Annotated2d]:
    try:
        names = {row["id"]: str(row["file_name"]) for row in data["images"]}
        rows = [
            (
                names[row["image_id"]],
                np.array(row["bbox"], dtype=np.float64),
                np.array(row["keypoints"], dtype=np.float64),
            )
            for row in data["annotations"]
            if not row.get("iscrowd") and row.get("num_keypoints", 1)
        ]
    except (KeyError, TypeError, ValueError) as error:
        want = "images (id, file_name) and annotations (image_id, bbox, keypoints)"
        raise InputError(expected("COCO annotations", want, f"{type(error).__name__}: {error}", where=path)) from None
    people = []
    for image, box, marks in rows:
        if box.shape != (4,) or marks.shape != (51,) or not (np.isfinite(box).all() and np.isfinite(marks).all()):
            raise InputError(expected("COCO annotations", "4 numbers of a box, 51 of 17 joints", "others", where=path))
        marks = marks.reshape(17, 3)
        points = np.where(marks[:, 2:] > 0, marks[:, :2], np.nan)
        joints, valid, _, _ = convert(points[None], "coco17", "mpii16")
        # What MPII marks on head and neck no point of COCO's says.
        joints = np.where(valid[0][:, None], joints[0], np.nan)
        joints[[8, 9]] = np.nan
        side = _MARGIN * float(max(box[2:]))
        if side > 0 and np.isfinite(joints).any():
            people.append(Annotated2d(image, box[:2] + box[2:] / 2, side, joints))
    return people


def _human36m(path: Path) -> list[Annotated2d]:
    from posemill.formats.guarded import read_guarded

    found, (keypoints,) = read_guarded(open_annotated_npz, path, "annotations")
    joints, valid, _, _ = convert(keypoints, "h36m17", "mpii16")
    joints = np.where(valid[..., None], joints, np.nan)
    low, high = keypoints.min(1), keypoints.max(1)
    # Joints end before head, hands and feet do.
    side = _MARGIN * 1.12 * (high - low).max(-1)
    rows = zip(found["images"], (low + high) / 2, side, joints, strict=True)
    return [Annotated2d(i, c, float(s), j) for i, c, s, j in rows if s > 0]


def open_annotated_npz(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Names of pictures and (N, 17, 2) px, h36m17; for :func:`~posemill.formats.guarded.read_guarded`."""
    with np.load(path, allow_pickle=False) as file:
        if not {"image", "keypoints"} <= set(file):
            raise InputError(expected("npz", "image and keypoints", ", ".join(file) or "nothing", where=path))
        images, keypoints = [str(name) for name in file["image"]], np.asarray(file["keypoints"], dtype=np.float64)
    if keypoints.shape != (len(images), 17, 2) or not np.isfinite(keypoints).all():
        raise InputError(expected("keypoints", f"({len(images)}, 17, 2) finite px", keypoints.shape, where=path))
    return {"images": images}, [keypoints]
