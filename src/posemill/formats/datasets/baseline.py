"""The archives of 3d-pose-baseline: a folder of small HDF5 files per subject.

====================================================================  ==========================================
``S{n}/MyPoses/3D_positions/{Action}[ k].h5``                         ``3D_positions`` (96, F) mm, world, 32 joints
``S{n}/MyPoses/2D_positions/{Action}[ k].{camera}.h5``                ``2D_positions`` (64, F) px
``S{n}/StackedHourglass/{Action}[_k].{camera}.h5``                    ``poses`` (F, 16, 2) px, MPII's joints
``S{n}/StackedHourglassFineTuned240/{Action}[_k].{camera}.h5``        same
``cameras.h5``                                                        see :mod:`~posemill.formats.datasets.human36m`
====================================================================  ==========================================

References
----------
Martinez, Hossain, Romero, Little: "A simple yet effective baseline for 3d human pose estimation", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.datasets.human36m import (
    CAMERAS,
    FPS,
    SUBJECTS,
    action_name,
    camera_of,
    damaged,
    project,
    read_cameras,
)
from posemill.formats.datasets.recording import Recording
from posemill.formats.guarded import Found, read_guarded

__all__ = ["SOURCES_2D", "open_baseline", "read_baseline"]

SOURCES_2D = {
    "projected": "",
    "StackedHourglass": "mpii16",
    "StackedHourglassFineTuned240": "mpii16",
    "2D_positions": "h36m32",
}
"""Where the 2D may come from, and its joint set; ``projected``: from the 3D."""


def read_baseline(
    folder: Path,
    *,
    source_2d: str = "StackedHourglassFineTuned240",
    subjects: Sequence[str] = SUBJECTS,
    cameras: Path | None = None,
    keep_damaged: bool = False,
) -> list[Recording]:
    """One recording per subject, action and camera.

    Parameters
    ----------
    folder
        The one that holds ``S1``, ``S5`` and so on.
    source_2d
        One of :data:`SOURCES_2D`.
    subjects
        Those that the folder lacks are passed over.
    cameras
        ``cameras.h5`` or ``metadata.xml``; default: ``cameras.h5`` in the folder.
    keep_damaged
        Keep S11's Directions.

    Raises
    ------
    InputError
        No subject, no cameras, an array of another shape, or a file on which HDF5 fails.
    """
    folder = Path(folder)
    if source_2d not in SOURCES_2D:
        raise InputError(expected("2D source", ", ".join(SOURCES_2D), source_2d))
    here = [subject for subject in subjects if (folder / subject / "MyPoses" / "3D_positions").is_dir()]
    if not here:
        raise InputError(expected("dataset", "S1/MyPoses/3D_positions and so on", "none", where=folder))
    known = read_cameras(cameras or folder / "cameras.h5")
    out = []
    for subject in here:
        found, arrays = read_guarded(open_baseline, folder / subject, "dataset", source_2d=source_2d)
        world = {action: a for (action, name), a in zip(found["names"], arrays, strict=True) if not name}
        flat = {(action, name): a for (action, name), a in zip(found["names"], arrays, strict=True) if name}
        for action, place in world.items():
            if damaged(subject, action) and not keep_damaged:
                continue
            for name, size in CAMERAS.items():
                inner = camera_of(known, subject, name, folder)
                if inner is None or (source_2d != "projected" and (action, name) not in flat):
                    continue
                joints = inner.to_camera(place).astype(np.float32)
                keypoints = flat.get((action, name))
                if keypoints is None:
                    keypoints = project(inner, joints.astype(np.float64)).astype(np.float32)
                frames = min(len(joints), len(keypoints))
                out.append(
                    Recording(
                        "Human3.6M",
                        subject,
                        action,
                        name,
                        keypoints_of=SOURCES_2D[source_2d] or "h36m32",
                        keypoints=keypoints[:frames],
                        joints_of="h36m32",
                        joints=joints[:frames],
                        camera=inner.camera,
                        image_size=size,
                        fps=FPS,
                        exact=not source_2d.startswith("Stacked"),
                    )
                )
    if not out:
        raise InputError(expected("dataset", f"2D of {source_2d} beside the 3D", "none", where=folder))
    return out


def open_baseline(path: Path, source_2d: str) -> Found:
    """3D and 2D of one subject's folder; for :func:`~posemill.formats.guarded.read_guarded`.

    ``names``: (action, camera) of each array, camera empty for 3D (F, 32, 3) float64 metres; 2D (F, J, 2) float32 px.
    """
    names: list[tuple[str, str]] = []
    arrays: list[np.ndarray] = []
    for file in _files(path / "MyPoses" / "3D_positions"):
        names.append((action_name(file.stem), ""))
        arrays.append(_columns(file, "3D_positions", 3).astype(np.float64) / 1000)
    if source_2d != "projected":
        below = path / "MyPoses" / source_2d if source_2d == "2D_positions" else path / source_2d
        for file in _files(below):
            action, _, camera = file.stem.rpartition(".")
            if camera not in CAMERAS:
                raise InputError(
                    expected("name", f"Action.camera.h5 with one of {', '.join(CAMERAS)}", file.name, where=below)
                )
            names.append((action_name(action), camera))
            arrays.append(_columns(file, source_2d, 2) if source_2d == "2D_positions" else _poses(file))
    return {"names": names}, arrays


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.h5"))
    if not files:
        raise InputError(expected("dataset", "h5 files", "none", where=folder))
    return files


def _columns(file: Path, key: str, axes: int) -> np.ndarray:
    data = _dataset(file, key)
    if data.ndim != 2 or data.shape[0] != 32 * axes:
        raise InputError(expected(key, f"({32 * axes}, F)", data.shape, where=file))
    return np.ascontiguousarray(data.T).reshape(-1, 32, axes)


def _poses(file: Path) -> np.ndarray:
    data = _dataset(file, "poses")
    if data.ndim != 3 or data.shape[1:] != (16, 2):
        raise InputError(expected("poses", "(F, 16, 2)", data.shape, where=file))
    return data


def _dataset(file: Path, key: str) -> np.ndarray:
    import h5py

    with h5py.File(file, "r") as opened:
        data: Any = opened.get(key)
        if not isinstance(data, h5py.Dataset):
            raise InputError(expected("dataset", key, ", ".join(opened) or "nothing", where=file))
        return np.asarray(data, dtype=np.float32)
