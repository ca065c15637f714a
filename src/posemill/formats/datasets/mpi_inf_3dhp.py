"""MPI-INF-3DHP: training sequences of 14 cameras, the test set, and the npz that later methods trade.

==================================  ================================================================================
``S{n}/Seq{m}/annot.mat``           MATLAB 5: ``annot2`` 14 cells (F, 56) px in 2048 x 2048, ``annot3`` (F, 84) mm in
                                    the camera frame, ``univ_annot3`` the same at one height
``S{n}/Seq{m}/camera.calibration``  text, per camera: name, sensor, size, animated, intrinsic and extrinsic (4 x 4),
                                    radial
``TS{n}/annot_data.mat``            MATLAB 7.3 (HDF5): ``annot2`` (F, 1, 17, 2), ``annot3``, ``univ_annot3``,
                                    ``valid_frame``; 17 joints
``data_train_3dhp.npz``             ``data`` = {"S1 Seq1": [{"0": {"data_2d": (F, 17, 2), "data_3d"}}, ...]}
``data_test_3dhp.npz``              ``data`` = {"TS1": {"data_2d", "data_3d", "valid"}}; both in the test's 17 joints
==================================  ================================================================================

References
----------
Mehta et al.: "Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision", 3DV 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posemill.camera import Camera
from posemill.errors import InputError, expected
from posemill.formats.datasets.objects import read_npz_objects
from posemill.formats.datasets.recording import Recording
from posemill.formats.guarded import Found, read_guarded
from posemill.skeleton import joint_set

__all__ = [
    "CAMERAS",
    "open_test",
    "open_training",
    "read_3dhp_calibration",
    "read_3dhp_npz",
    "read_3dhp_test",
    "read_3dhp_training",
]

CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""Those that published work trains on."""
_FPS_50 = {("S1", "Seq2"), ("S3", "Seq1"), ("S3", "Seq2"), ("S5", "Seq1"), ("S5", "Seq2")}
_TRAIN, _TEST = "mpi_inf_3dhp28", "mpi_inf_3dhp17"
_SIZE = (2048, 2048)
_NECK, _PELVIS = joint_set(_TEST).indices(("neck", "pelvis"))
_NO_TRUNK_M = 10.0
# Of the test set: picture, focal length px; a sensor 10 mm wide with lenses of 7.3203 and 8.7707 mm.
_TEST_CAMERAS = {**dict.fromkeys(("TS1", "TS2", "TS3", "TS4"), (2048, 2048, 204.8 * 7.3203)),
                 **dict.fromkeys(("TS5", "TS6"), (1920, 1080, 192.0 * 8.7707))}  # fmt: skip


def read_3dhp_training(folder: Path, *, cameras: Sequence[int] = CAMERAS, universal: bool = False) -> list[Recording]:
    """One recording per subject, sequence and camera, of a folder with ``S1/Seq1/annot.mat`` and so on.

    Parameters
    ----------
    cameras
        Numbers, from 0.
    universal
        ``univ_annot3``, all persons brought to one height. No projection of it is the picture.

    Raises
    ------
    InputError
        No sequence, another layout, or a camera that the calibration lacks.
    """
    folder = Path(folder)
    files = sorted(folder.glob("S[0-9]*/Seq[0-9]*/annot.mat"))
    if not files:
        raise InputError(expected("dataset", "S1/Seq1/annot.mat and so on", "none", where=folder))
    out = []
    for file in files:
        subject, sequence = file.parts[-3:-1]
        known = read_3dhp_calibration(file.with_name("camera.calibration"))
        key = "univ_annot3" if universal else "annot3"
        found, arrays = read_guarded(open_training, file, "annotations", key=key, cameras=list(cameras))
        for number, number_2d, number_3d in zip(found["cameras"], arrays[::2], arrays[1::2], strict=True):
            if number not in known:
                raise InputError(expected("camera", ", ".join(map(str, known)), number, where=file))
            out.append(
                Recording(
                    "MPI-INF-3DHP",
                    subject,
                    sequence,
                    str(number),
                    keypoints_of=_TRAIN,
                    keypoints=number_2d,
                    joints_of=_TRAIN,
                    joints=number_3d,
                    camera=known[number],
                    image_size=(known[number].width, known[number].height),
                    fps=50.0 if (subject, sequence) in _FPS_50 else 25.0,
                    exact=True,
                )
            )
    return out


def open_training(path: Path, key: str, cameras: list[int]) -> Found:
    """2D (F, 28, 2) px and 3D (F, 28, 3) m of each camera in turn; for ``read_guarded``."""
    from scipy.io import loadmat

    # In a process with limits, and arrays only: MATLAB's objects and functions are not made.
    data = loadmat(path, variable_names=["annot2", key])
    if "annot2" not in data or key not in data:
        got = ", ".join(name for name in data if not name.startswith("__")) or "nothing"
        raise InputError(expected("annotations", f"annot2 and {key}", got, where=path))
    flat, deep = np.ravel(data["annot2"]), np.ravel(data[key])
    arrays: list[np.ndarray] = []
    chosen = [number for number in cameras if number < min(len(flat), len(deep))]
    for number in chosen:
        for cells, axes, unit in ((flat, 2, 1.0), (deep, 3, 1000.0)):
            cell = cells[number]
            if (
                not isinstance(cell, np.ndarray)
                or cell.ndim != 2
                or cell.shape[1] != 28 * axes
                or cell.dtype.kind not in "fiu"
            ):
                got = getattr(cell, "shape", type(cell).__name__)
                raise InputError(expected(f"camera {number}", f"(F, {28 * axes})", got, where=path))
            arrays.append((cell.astype(np.float64) / unit).reshape(-1, 28, axes).astype(np.float32))
    if not chosen:
        raise InputError(expected("cameras", f"of {len(flat)}", cameras, where=path))
    return {"cameras": chosen}, arrays


def read_3dhp_calibration(path: Path) -> dict[int, Camera]:
    """Intrinsics by number. The place is left out: the dataset's world is not z up.

    Raises
    ------
    InputError
        No such file, or numbers that are no camera.
    """
    try:
        lines = [line.split() for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    out: dict[int, Camera] = {}
    fields: dict[str, list[str]] = {}
    for words in [*lines, ["name", ""]]:
        if not words:
            continue
        if words[0].lower() == "name" and fields:
            number = fields["name"][0] if fields["name"] else ""
            if not number.isdigit():
                raise InputError(expected("camera", "a number", number or "none", where=path))
            out[int(number)] = _camera(fields, f"{path}: camera {number}")
        if words[0].lower() == "name":
            fields = {}
        if fields or words[0].lower() == "name":
            fields[words[0].lower()] = words[1:]
    if not out:
        raise InputError(expected("calibration", "cameras", "none", where=path))
    return out


def _camera(fields: dict[str, list[str]], where: str) -> Camera:
    def numbers(key: str, count: int) -> np.ndarray:
        try:
            values = np.array([float(word) for word in fields[key]])
        except (KeyError, ValueError):
            values = np.zeros(0)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise InputError(
                expected(key, f"{count} numbers", " ".join(fields.get(key, []))[:80] or "none", where=where)
            )
        return values

    inner = numbers("intrinsic", 16).reshape(4, 4)
    width, height = (int(n) for n in numbers("size", 2))
    k = np.array([[inner[0, 0], inner[0, 1], inner[0, 2]], [0, inner[1, 1], inner[1, 2]], [0, 0, 1.0]])
    return Camera(width, height, k, np.zeros(5))


def read_3dhp_test(folder: Path, *, universal: bool = False, only_valid: bool = True) -> list[Recording]:
    """One recording per ``TS1/annot_data.mat`` and so on; ``details``: ``valid`` (F,) and ``activity``.

    Parameters
    ----------
    only_valid
        Make joints of frames that the dataset marks as not valid NaN.

    Raises
    ------
    InputError
        No sequence, or another layout.
    """
    files = sorted(Path(folder).glob("TS[0-9]*/annot_data.mat"))
    if not files:
        raise InputError(expected("dataset", "TS1/annot_data.mat and so on", "none", where=folder))
    out = []
    for file in files:
        key = "univ_annot3" if universal else "annot3"
        found, arrays = read_guarded(open_test, file, "annotations", key=key)
        keypoints, joints, valid, *rest = arrays
        if only_valid:
            keypoints, joints = (np.where(valid[:, None, None], a, np.nan) for a in (keypoints, joints))
        details = {"valid": valid, **dict(zip(found["details"], rest, strict=True))}
        out.append(_test_recording(file.parent.name, keypoints, joints, details))
    return out


def open_test(path: Path, key: str) -> Found:
    """2D (F, 17, 2) px, 3D (F, 17, 3) m, valid (F,), activity if there; for ``read_guarded``."""
    import h5py

    with h5py.File(path, "r") as file:
        arrays = []
        for name, axes, unit in (("annot2", 2, 1.0), (key, 3, 1000.0)):
            data: Any = file.get(name)
            values = np.asarray(data, np.float64) if isinstance(data, h5py.Dataset) else np.zeros(0)
            # MATLAB 7.3 stores axes in reverse; some exports turn them back.
            values = values.reshape([n for n in values.shape if n != 1])
            if values.ndim == 3 and values.shape[:2] == (axes, 17):
                values = values.T
            if values.ndim != 3 or values.shape[1:] != (17, axes):
                got = getattr(data, "shape", None) or ", ".join(file) or "nothing"
                raise InputError(expected(name, f"(F, 1, 17, {axes})", got, where=path))
            arrays.append((values / unit).astype(np.float32))
        valid: Any = file.get("valid_frame")
        flags = np.ravel(np.asarray(valid)) > 0 if isinstance(valid, h5py.Dataset) else np.ones(len(arrays[0]), bool)
        arrays.append(flags)
        details = []
        if isinstance(file.get("activity_annotation"), h5py.Dataset):
            details.append("activity")
            arrays.append(np.ravel(np.asarray(file["activity_annotation"])).astype(np.int64))
    if len({len(array) for array in arrays}) > 1:
        raise InputError(expected("annotations", "equally many frames", [len(a) for a in arrays], where=path))
    return {"details": details}, arrays


def _test_recording(name: str, keypoints: np.ndarray, joints: np.ndarray, details: dict[str, np.ndarray]) -> Recording:
    camera = None
    if name in _TEST_CAMERAS:
        width, height, focal = _TEST_CAMERAS[name]
        camera = Camera.from_focal(width, height, focal, source="calibration", sigma=0.0)
    return Recording(
        "MPI-INF-3DHP",
        name,
        "test",
        keypoints_of=_TEST,
        keypoints=keypoints,
        joints_of=_TEST,
        joints=joints,
        camera=camera,
        image_size=None if camera is None else (camera.width, camera.height),
        fps=25.0,
        exact=True,
        details=details,
    )


def read_3dhp_npz(path: Path) -> list[Recording]:
    """The npz of training or test data in the test set's 17 joints; training data without cameras.

    3D is in mm or in metres: it is mm where pelvis and neck lie more than 10 apart.

    Raises
    ------
    InputError
        Another layout.
    """
    data = read_npz_objects(path).get("data")
    if not isinstance(data, dict):
        raise InputError(expected("arrays", "data with sequences", type(data).__name__, where=path))
    out = []
    for name, entry in data.items():
        if isinstance(entry, dict) and "data_2d" in entry:
            keypoints, joints = _pair(entry, f"{path}: {name}")
            valid = np.ravel(entry["valid"]).astype(bool) if "valid" in entry else np.ones(len(joints), bool)
            if len(valid) != len(joints):
                raise InputError(expected("valid", f"({len(joints)},)", valid.shape, where=f"{path}: {name}"))
            out.append(_test_recording(str(name), keypoints, joints, {"valid": valid}))
            continue
        views = entry[0] if isinstance(entry, list) and entry else None
        if not isinstance(views, dict):
            raise InputError(
                expected(str(name), "a list of cameras and a frame rate", type(entry).__name__, where=path)
            )
        subject, _, sequence = str(name).partition(" ")
        for number, view in views.items():
            keypoints, joints = _pair(view, f"{path}: {name}, camera {number}")
            out.append(
                Recording(
                    "MPI-INF-3DHP",
                    subject,
                    sequence,
                    str(number),
                    keypoints_of=_TEST,
                    keypoints=keypoints,
                    joints_of=_TEST,
                    joints=joints,
                    image_size=_SIZE,
                    fps=50.0 if (subject, sequence) in _FPS_50 else 25.0,
                    exact=True,
                )
            )
    return out


def _pair(entry: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    flat, deep = (entry.get(key) if isinstance(entry, dict) else None for key in ("data_2d", "data_3d"))
    for value, axes in ((flat, 2), (deep, 3)):
        if not isinstance(value, np.ndarray) or value.ndim != 3 or value.shape[1:] != (17, axes):
            got = getattr(value, "shape", None) or type(value).__name__
            raise InputError(expected(f"data_{axes}d", f"(F, 17, {axes})", got, where=where))
    if flat is None or deep is None or len(flat) != len(deep):
        raise InputError(expected("data_2d and data_3d", "equally many frames", "different", where=where))
    trunk = np.linalg.norm(deep[:, _NECK] - deep[:, _PELVIS], axis=-1)
    unit = 1000.0 if len(trunk) and np.nanmedian(trunk) > _NO_TRUNK_M else 1.0
    return flat.astype(np.float32), (deep.astype(np.float64) / unit).astype(np.float32)
