"""Motion capture as Human3.6M-17 joints in HDF5.

Layout: root attributes ``joints`` (17 names), ``fps`` and ``units`` ("m"); groups (``train``, ``extra``, ...), in
each a group per subject, in each a dataset per clip: (T, 17, 3) float32 metres, right-handed, z up, floor at z = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.guarded import Found, read_guarded

__all__ = ["MOTION_JOINTS", "MotionClip", "open_motion", "read_motion"]

MOTION_JOINTS = (
    *("Pelvis", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax", "Nose", "Head"),
    *("LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
)
"""Joint names as the file spells them, in the order of the joint set ``h36m17``."""


@dataclass(frozen=True)
class MotionClip:
    """One recording of one person.

    Attributes
    ----------
    group, subject, clip
        Where it lies in the file.
    fps
        Frames per second.
    joints
        (T, 17, 3) float32, metres, world frame (z up).
    """

    group: str
    subject: str
    clip: str
    fps: float
    joints: np.ndarray


def read_motion(path: Path, *, groups: Sequence[str] | None = ("train",)) -> list[MotionClip]:
    """Read the clips of some groups, in the file's (sorted) order; all groups if None.

    Raises
    ------
    InputError
        The file cannot be read, has other joints or units, lacks a group, or holds a clip of another shape or with
        values that are not finite.
    """
    if not Path(path).is_file():
        raise InputError(expected("motion file", "HDF5 group/subject/clip", "no file", where=path))
    found, arrays = read_guarded(open_motion, path, "motion file", groups=None if groups is None else list(groups))
    names = [(group, subject, clip) for group, subject, clip in found["clips"]]
    return [MotionClip(*name, found["fps"], joints) for name, joints in zip(names, arrays, strict=True)]


def open_motion(path: Path, groups: list[str] | None) -> Found:
    """Rate, names and joints of the clips; for :func:`~posemill.formats.guarded.read_guarded`."""
    names, arrays = [], []
    with h5py.File(path, "r") as file:
        fps = _check_root(file.attrs, path)
        if groups is None:
            groups = [str(name) for name in file if isinstance(file[name], h5py.Group)]
        for group in groups:
            if group not in file:
                raise InputError(expected("group", group, ", ".join(file) or "none", where=path))
            for subject in _members(file, group, path):
                for clip in _members(file, f"{group}/{subject}", path):
                    names.append((group, subject, clip))
                    arrays.append(_read_joints(file, "/".join(("", *names[-1])), path))
    return {"fps": fps, "clips": names}, arrays


def _members(file: h5py.File, name: str, path: Path) -> list[str]:
    group = file[name]
    if not isinstance(group, h5py.Group):
        raise InputError(expected(name, "a group", type(group).__name__, where=path))
    return list(group)


def _read_joints(file: h5py.File, name: str, path: Path) -> np.ndarray:
    joints = np.asarray(file[name], dtype=np.float32)
    if joints.ndim != 3 or len(joints) == 0 or joints.shape[1:] != (17, 3):
        raise InputError(expected("shape", "(T, 17, 3)", joints.shape, where=f"{path}: {name}"))
    if not np.isfinite(joints).all():
        raise InputError(expected("joints", "finite metres", "NaN or infinity", where=f"{path}: {name}"))
    return joints


def _check_root(attrs: h5py.AttributeManager, path: Path) -> float:
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in np.ravel(attrs.get("joints", []))]
    if tuple(names) != MOTION_JOINTS:
        raise InputError(expected("joints", " ".join(MOTION_JOINTS), " ".join(names) or "none", where=path))
    if attrs.get("units") != "m":
        raise InputError(expected("units", "m", attrs.get("units"), where=path))
    fps = float(attrs.get("fps", 0.0))
    if not fps > 0:
        raise InputError(expected("fps", "a positive number", attrs.get("fps"), where=path))
    return fps
