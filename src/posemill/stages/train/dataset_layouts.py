"""How published datasets lie on disk, and the options that name one."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, Field

from posemill.errors import InputError, expected
from posemill.formats.datasets import Recording
from posemill.provenance import sha256_file

__all__ = ["LAYOUTS", "DatasetOptions", "read_recordings"]

Layout = Literal[
    "videopose3d",
    "videopose3d_custom",
    "baseline",
    "mpii_poses",
    "hourglass",
    "mpii_json",
    "3dhp",
    "3dhp_npz",
]
LAYOUTS: tuple[str, ...] = get_args(Layout)
"""Layouts by name, as ``docs/datasets.md`` has them."""

Read = tuple[list[Recording], dict[str, str]]


class DatasetOptions(BaseModel, extra="forbid"):
    """Options that name a dataset to learn from."""

    dataset: Annotated[
        Path | None,
        Field(description="File or folder of a dataset to learn from in place of the motion, which is measured on"),
    ] = None
    dataset_layout: Annotated[Literal[Layout, "auto"], Field(description="How it lies on disk")] = "auto"
    dataset_2d: Annotated[
        str | None,
        Field(description="Its 2D: a file (videopose3d, hourglass) or a source's name (baseline); default: projected"),
    ] = None
    dataset_cameras: Annotated[
        Path | None, Field(description="metadata.xml or cameras.h5 of Human3.6M; default: the one beside the dataset")
    ] = None
    dataset_subjects: Annotated[
        tuple[str, ...] | None, Field(description="People to learn from; default: all but S9 and S11 of Human3.6M")
    ] = None
    dataset_fps: Annotated[
        float | None, Field(gt=0, le=1000, description="Frames per second of a videopose3d_custom file")
    ] = None


def _layout(path: Path) -> str:
    """Tell the layout of a file or folder."""
    found = ""
    if path.is_dir():
        for layout, pattern in (
            ("baseline", "S*/MyPoses/3D_positions"),
            ("3dhp", "S*/Seq*/annot.mat"),
            ("videopose3d", "data_3d_*.npz"),
        ):
            if any(path.glob(pattern)):
                found = layout
    elif path.suffix == ".npz" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy") for name in archive.namelist()}
        if "data" in members:
            found = "3dhp_npz"
        elif members & {"positions_3d", "positions_2d"}:
            found = "videopose3d_custom" if path.name.startswith("data_2d_custom") else "videopose3d"
    else:
        found = {".npy": "mpii_poses", ".json": "mpii_json", ".h5": "hourglass"}.get(path.suffix, "")
    if not found:
        raise InputError(expected("dataset_layout", f"one of {', '.join(LAYOUTS)}", "none that shows", where=path))
    return found


def _hashes(*paths: Path | None) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in paths if path is not None}


def _of_folder(folder: Path, *patterns: str) -> dict[str, str]:
    """Hash of the names and sizes of a folder's files: their contents are gigabytes."""
    files = sorted({file for pattern in patterns for file in folder.glob(pattern)})
    rows = [(str(file.relative_to(folder)), file.stat().st_size) for file in files]
    return {"sha256 of names and sizes": hashlib.sha256(json.dumps(rows).encode()).hexdigest()}


def _cameras(folder: Path, options: DatasetOptions) -> Path | None:
    if options.dataset_cameras is not None:
        return options.dataset_cameras
    return next((p for p in (folder / "cameras.h5", folder / "metadata.xml") if p.is_file()), None)


def _videopose3d(path: Path, options: DatasetOptions) -> Read:
    from posemill.formats.datasets import read_cameras, read_videopose3d

    folder = path if path.is_dir() else path.parent
    solid, flat = path, None
    if path.is_dir():
        (solid, *others) = sorted(path.glob("data_3d_*.npz")) or [path]
        if solid == path or others:
            got = ", ".join(other.name for other in (solid, *others)) if others else "none"
            raise InputError(expected("dataset", "one data_3d_*.npz", got, where=path))
    if options.dataset_2d is not None:
        # A name in the folder, or a path from here.
        flat = folder / options.dataset_2d
        flat = flat if flat.is_file() else Path(options.dataset_2d)
    if flat is None and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "positions_2d.npy" in archive.namelist():
                solid, flat = None, path
    cameras = _cameras(folder, options)
    known = None if cameras is None else read_cameras(cameras)
    return read_videopose3d(solid, flat, known), _hashes(solid, flat, cameras)


def _videopose3d_custom(path: Path, options: DatasetOptions) -> Read:
    from posemill.formats.datasets import read_videopose3d_custom

    if options.dataset_fps is None:
        raise InputError(expected("dataset_fps", "the videos' frames per second", "none", where=path))
    return read_videopose3d_custom(path, options.dataset_fps), _hashes(path)


def _baseline(path: Path, options: DatasetOptions) -> Read:
    from posemill.formats.datasets import read_baseline

    source, cameras = options.dataset_2d or "projected", _cameras(path, options)
    recordings = read_baseline(path, source_2d=source, cameras=cameras)
    patterns = ("S*/MyPoses/3D_positions/*.h5", f"S*/{source}/*.h5", f"S*/MyPoses/{source}/*.h5")
    return recordings, {**_of_folder(path, *patterns), **_hashes(cameras)}


def _mpii_poses(path: Path, options: DatasetOptions) -> Read:
    from posemill.formats.datasets import read_mpii_poses
    from posemill.formats.datasets.mpii import gan_split

    recording = read_mpii_poses(path)
    assert recording.keypoints is not None
    rows, _ = gan_split(recording.frames)
    return [replace(recording, keypoints=recording.keypoints[np.sort(rows)])], _hashes(path)


def _hourglass(path: Path, options: DatasetOptions) -> Read:
    from posemill.formats.datasets import read_hourglass

    found = None if options.dataset_2d is None else path.parent / options.dataset_2d
    found = found if found is None or found.is_file() else Path(str(options.dataset_2d))
    # Of the same pictures; what was found on them, where that is given.
    return read_hourglass(path, found)[-1:], _hashes(path, found)


def _mpii_json(path: Path, options: DatasetOptions) -> Read:
    from posemill.formats.datasets import read_mpii_json

    return [read_mpii_json(path)], _hashes(path)


def _3dhp(path: Path, options: DatasetOptions) -> Read:
    from posemill.formats.datasets import read_3dhp_training

    return read_3dhp_training(path), _of_folder(path, "S*/Seq*/annot.mat", "S*/Seq*/camera.calibration")


def _3dhp_npz(path: Path, options: DatasetOptions) -> Read:
    from posemill.formats.datasets import read_3dhp_npz

    return read_3dhp_npz(path), _hashes(path)


_READERS: dict[str, Callable[[Path, DatasetOptions], Read]] = {
    "videopose3d": _videopose3d,
    "videopose3d_custom": _videopose3d_custom,
    "baseline": _baseline,
    "mpii_poses": _mpii_poses,
    "hourglass": _hourglass,
    "mpii_json": _mpii_json,
    "3dhp": _3dhp,
    "3dhp_npz": _3dhp_npz,
}
# Options that only some layouts take.
_TAKES: dict[str, tuple[str, ...]] = {
    "dataset_2d": ("videopose3d", "baseline", "hourglass"),
    "dataset_cameras": ("videopose3d", "baseline"),
    "dataset_fps": ("videopose3d_custom",),
}


def read_recordings(path: Path, options: DatasetOptions) -> tuple[str, list[Recording], dict[str, str]]:
    """Read what lies at a path that is there.

    Returns
    -------
    The layout, the recordings, and hashes of the files by name.

    Raises
    ------
    InputError
        An option that the layout does not take, or another layout.
    """
    layout = _layout(path) if options.dataset_layout == "auto" else options.dataset_layout
    for key, takes in _TAKES.items():
        if getattr(options, key) is not None and layout not in takes:
            raise InputError(expected(key, f"none for {layout}, only for {', '.join(takes)}", getattr(options, key)))
    return layout, *_READERS[layout](path, options)
