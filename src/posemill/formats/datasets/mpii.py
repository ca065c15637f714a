"""MPII: single pictures with marked 2D, and what detectors found on them.

- 3dpose_gan's ``mpii_poses.npy``: (N, 34) px, x and y of Human3.6M-17 joints in turn, spine and neck made up.
- Stacked hourglass: ``annot.h5`` (``imgname``, ``center``, ``scale``, ``part`` (N, 16, 2), 0 or -1 where a joint is
  not marked) and ``preds.h5`` (``preds`` (N, 16, 2)) of the same pictures.
- SimpleBaseline's JSON: a list of ``image``, ``center``, ``scale``, ``joints`` (16 x 2, counted from 1, -1 where not
  marked), ``joints_vis``; without joints in the test split.

A person is about 200 ``scale`` px tall.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.datasets.objects import read_npy
from posemill.formats.datasets.recording import Recording
from posemill.formats.guarded import Found, read_guarded

__all__ = ["PX_PER_SCALE", "gan_split", "open_hourglass", "read_hourglass", "read_mpii_json", "read_mpii_poses"]

PX_PER_SCALE = 200.0
"""Height in pixels of a person of scale 1."""


def read_mpii_poses(path: Path) -> Recording:
    """3dpose_gan's poses: stills in h36m17, no camera, no 3D.

    Raises
    ------
    InputError
        Another shape, or values that are not finite.
    """
    data = read_npy(path)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 34 or data.dtype.kind != "f":
        got = f"{data.shape} {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__
        raise InputError(expected("poses", "(N, 34) floats", got, where=path))
    if not np.isfinite(data).all():
        raise InputError(expected("poses", "finite pixels", "NaN or infinity", where=path))
    return Recording("MPII", keypoints=data.reshape(-1, 17, 2).astype(np.float32), stills=True, exact=True)


def gan_split(count: int) -> tuple[np.ndarray, np.ndarray]:
    """3dpose_gan's training and test rows: a permutation by numpy's seed 100, the first 90 % to train on."""
    order = np.random.RandomState(100).permutation(count)
    return order[: int(count * 0.9)], order[int(count * 0.9) :]


def read_hourglass(annotations: Path, predictions: Path | None = None) -> list[Recording]:
    """Marked joints of the pictures, and what a detector found on the same ones.

    Returns
    -------
    One recording with the marks (``exact``), and one with the predictions if they are given. ``details`` of both:
    ``height_px`` (N,), ``center`` (N, 2) px and ``image`` (N,).

    Raises
    ------
    InputError
        Another layout, or annotations and predictions of different pictures.
    """
    found, arrays = read_guarded(open_hourglass, annotations, "annotations", predictions=str(predictions or ""))
    part, visible, center, scale, *rest = arrays
    details = {"height_px": PX_PER_SCALE * scale, "center": center, "image": np.array(found["images"])}
    marked = np.where(visible[..., None], part, np.nan)
    common: dict[str, Any] = {"keypoints_of": "mpii16", "stills": True, "details": details}
    out = [Recording("MPII", action="marked", keypoints=marked, exact=True, **common)]
    if rest:
        out.append(Recording("MPII", action="predicted", keypoints=rest[0], **common))
    return out


def open_hourglass(path: Path, predictions: str) -> Found:
    """Annotations, then predictions if there are any; for :func:`~posemill.formats.guarded.read_guarded`."""
    import h5py

    def read(file: Any, key: str, shape: tuple[int, ...], where: Path) -> np.ndarray:
        data = file.get(key)
        if not isinstance(data, h5py.Dataset) or data.ndim != len(shape) + 1 or data.shape[1:] != shape:
            got = getattr(data, "shape", None) or ", ".join(file) or "nothing"
            raise InputError(expected(key, f"(N, {', '.join(map(str, shape))})", got, where=where))
        values = np.asarray(data, dtype=np.float64)
        if not np.isfinite(values).all():
            raise InputError(expected(key, "finite numbers", "NaN or infinity", where=where))
        return values

    with h5py.File(path, "r") as file:
        part, center = read(file, "part", (16, 2), path), read(file, "center", (2,), path)
        scale = read(file, "scale", (), path)
        names: Any = file.get("imgname")
        rows = np.ravel(np.asarray(names)) if isinstance(names, h5py.Dataset) else []
        images = [n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in rows]
        # Hidden joints are marked too: ``visible`` says something else. 0 or -1 stands where none is.
        marked = (part > 0).all(axis=-1)
    arrays = [part, marked, center, scale]
    if predictions:
        with h5py.File(predictions, "r") as file:
            arrays.append(read(file, "preds", (16, 2), Path(predictions)))
    if len({len(array) for array in arrays}) > 1 or (images and len(images) != len(part)):
        got = ", ".join(str(len(array)) for array in (*arrays, images))
        raise InputError(expected("annotations and predictions", "equally many pictures", got, where=path))
    return {"images": images or [""] * len(part)}, arrays


def read_mpii_json(path: Path) -> Recording:
    """SimpleBaseline's annotations: stills with marked joints, pixels counted from 0.

    Raises
    ------
    InputError
        No such list, or one without joints.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        joints = np.array([row["joints"] for row in rows], dtype=np.float64)
        marked = np.array([row["joints_vis"] for row in rows], dtype=np.float64) > 0
        center = np.array([row["center"] for row in rows], dtype=np.float64)
        scale = np.array([row["scale"] for row in rows], dtype=np.float64)
        images = np.array([str(row["image"]) for row in rows])
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        text = " ".join(str(error).split())[:120] or type(error).__name__
        want = "a list with image, center, scale, joints, joints_vis"
        raise InputError(expected("annotations", want, text, where=path)) from None
    if joints.shape != (*marked.shape, 2) or marked.shape[1:] != (16,):
        raise InputError(expected("joints", "(N, 16, 2)", joints.shape, where=path))
    keypoints = np.where((marked & (joints > 0).all(-1))[..., None], joints - 1, np.nan)
    details = {"height_px": PX_PER_SCALE * scale, "center": center - 1, "image": images}
    return Recording(
        "MPII", action="marked", keypoints_of="mpii16", keypoints=keypoints, stills=True, exact=True, details=details
    )
