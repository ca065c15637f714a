"""Poses as plain arrays in an npz file, for what comes from anybody's script.

``joints`` (T, J, 3), ``fps`` or ``time`` (T,) in seconds, ``joint_set``, and if wanted ``units`` (``m`` or ``mm``;
default m), ``frame`` (one of :data:`posemill.formats.poses.FRAMES`; default unknown) and ``visible`` (T, J) flags.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.checkpoints.zip_member import DAMAGE
from posemill.formats.poses import FRAMES, PoseClip
from posemill.skeleton import joint_set

__all__ = ["read_pose_npz"]

_PER_METRE = {"m": 1.0, "mm": 1000.0}
# A poses file of hours is some hundred MB; more is no poses file.
_LARGEST_BYTES = 8 << 30


def read_pose_npz(path: Path) -> tuple[str, PoseClip]:
    """Read joint set and poses.

    Raises
    ------
    InputError
        Objects in the file (they would need pickle), an array that is missing, or one of the wrong shape.
    """
    arrays = _arrays(path)
    for key in ("joints", "joint_set"):
        if key not in arrays:
            raise InputError(expected("arrays", key, ", ".join(sorted(arrays)) or "none", where=path))
    name = str(arrays["joint_set"])
    shape = ("T", len(joint_set(name)), 3)
    joints = arrays["joints"]
    if joints.dtype.kind != "f" or joints.ndim != 3 or joints.shape[1:] != shape[1:] or not len(joints):
        raise InputError(expected(f"joints of {name}", f"{shape} floats", f"{joints.shape} {joints.dtype}", where=path))
    units, frame = str(arrays.get("units", "m")), str(arrays.get("frame", "unknown"))
    if units not in _PER_METRE:
        raise InputError(expected("units", "m or mm", units, where=path))
    if frame not in FRAMES:
        raise InputError(expected("frame", ", ".join(FRAMES), frame, where=path))
    visible = arrays.get("visible")
    if visible is not None and (visible.dtype != bool or visible.shape != joints.shape[:2]):
        got = f"{visible.shape} {visible.dtype}"
        raise InputError(expected("visible", f"{joints.shape[:2]} flags", got, where=path))
    metres = joints.astype(np.float64) / _PER_METRE[units]
    metres[~np.isfinite(metres).all(-1)] = np.nan
    return name, PoseClip(_times(arrays, len(joints), path), {frame: metres}, visible=visible, frame=frame)


def _times(arrays: dict[str, np.ndarray], frames: int, path: Path) -> np.ndarray:
    if ("time" in arrays) == ("fps" in arrays):
        raise InputError(expected("arrays", "either time or fps", ", ".join(sorted(arrays)), where=path))
    try:
        if "fps" in arrays:
            fps = float(arrays["fps"])
            if not 0 < fps < float("inf"):
                raise ValueError
            return np.arange(frames) / fps
        time = arrays["time"].astype(np.float64)
        if time.shape != (frames,) or not np.isfinite(time).all() or (np.diff(time) <= 0).any():
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(
            expected("time or fps", f"{frames} increasing seconds, or one rate in Hz", "something else", where=path)
        ) from None
    return time


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz; what would need pickle is refused, as is what would fill the memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _LARGEST_BYTES:
            raise InputError(expected("size", f"at most {_LARGEST_BYTES >> 30} GiB", f"{size >> 30} GiB", where=path))
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except (OSError, NotImplementedError, *DAMAGE) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(expected("contents", "plain arrays (npz without objects)", reason, where=path)) from None
