"""Motion capture as Human3.6M-17 joints in HDF5.

Layout: root attributes ``joints`` (17 names), ``fps`` and ``units`` ("m"); groups (``train``, ``extra``, ...), in
each a group per subject, in each a dataset per clip: (T, 17, 3) float32 metres, right-handed, z up, floor at z = 0.
Optional: root attribute ``foot_joints`` (4 names) and a group ``feet`` with the same groups, subjects and clips in it,
of those clips whose feet are known: (T, 4, 3), same units and axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.atomic import finished_file
from posemill.formats.guarded import Found, read_guarded

__all__ = ["FOOT_JOINTS", "MOTION_JOINTS", "MotionClip", "open_motion", "read_motion", "write_motion"]

MOTION_JOINTS = (
    *("Pelvis", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax", "Nose", "Head"),
    *("LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
)
"""Joint names as the file spells them, in the order of the joint set ``h36m17``."""
FOOT_JOINTS = ("left_heel", "right_heel", "left_big_toe", "right_big_toe")
"""Points of the feet, in the order in which ``posemill28`` has them; on the sole."""
_FEET = "feet"


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
    feet
        (T, 4, 3) float32, :data:`FOOT_JOINTS` in the same frame; None where they are not known.
    """

    group: str
    subject: str
    clip: str
    fps: float
    joints: np.ndarray
    feet: np.ndarray | None = None


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
    rest = iter(arrays[len(found["clips"]) :])
    clips = zip(found["clips"], arrays, found["feet"], strict=False)
    return [
        MotionClip(group, subject, clip, found["fps"], joints, next(rest) if feet else None)
        for (group, subject, clip), joints, feet in clips
    ]


def open_motion(path: Path, groups: list[str] | None) -> Found:
    """Rate, names and joints of the clips, then their feet; for :func:`~posemill.formats.guarded.read_guarded`."""
    names, arrays, feet = [], [], []
    with h5py.File(path, "r") as file:
        fps = _check_root(file.attrs, path)
        if groups is None:
            groups = [str(name) for name in file if name != _FEET and isinstance(file[name], h5py.Group)]
        footed = _has_feet(file, path)
        for group in groups:
            if group not in file:
                raise InputError(expected("group", group, ", ".join(file) or "none", where=path))
            for subject in _members(file, group, path):
                for clip in _members(file, f"{group}/{subject}", path):
                    names.append((group, subject, clip))
                    arrays.append(_read_joints(file, "/".join(("", *names[-1])), path))
                    name = "/".join((_FEET, *names[-1]))
                    feet.append(footed and name in file and _read_feet(file, name, len(arrays[-1]), path))
    known = [array for array in feet if array is not False]
    return {"fps": fps, "clips": names, "feet": [array is not False for array in feet]}, arrays + known


def _members(file: h5py.File, name: str, path: Path) -> list[str]:
    group = file[name]
    if not isinstance(group, h5py.Group):
        raise InputError(expected(name, "a group", type(group).__name__, where=path))
    return list(group)


def _has_feet(file: h5py.File, path: Path) -> bool:
    if _FEET not in file:
        return False
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in np.ravel(file.attrs.get("foot_joints", []))]
    if tuple(names) != FOOT_JOINTS:
        raise InputError(expected("foot_joints", " ".join(FOOT_JOINTS), " ".join(names) or "none", where=path))
    return True


def _read_feet(file: h5py.File, name: str, frames: int, path: Path) -> np.ndarray:
    feet = np.asarray(file[name], dtype=np.float32)
    if feet.shape != (frames, len(FOOT_JOINTS), 3):
        raise InputError(expected("shape", (frames, len(FOOT_JOINTS), 3), feet.shape, where=f"{path}: {name}"))
    if not np.isfinite(feet).all():
        raise InputError(expected("feet", "finite metres", "NaN or infinity", where=f"{path}: {name}"))
    return feet


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


def write_motion(
    path: Path, clips: Sequence[MotionClip], *, attrs: Mapping[str, str] | None = None, origins: Sequence[str] = ()
) -> None:
    """Write a motion file in one step.

    Parameters
    ----------
    clips
        At one frame rate, each name once.
    attrs
        Root attributes beside the layout's own, such as ``acknowledgement``.
    origins
        For each clip, from what it was made; attribute ``origin``.

    Raises
    ------
    InputError
        Clips of several rates, a name twice, an array of another shape or with values that are not finite.
    """
    rates = sorted({clip.fps for clip in clips})
    if len(rates) != 1:
        raise InputError(expected("clips", "one frame rate", rates or "none", where=path))
    with finished_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            {**(attrs or {}), "fps": rates[0], "units": "m", "axes": "right-handed, z up, floor at z = 0"}
        )
        file.attrs["joints"] = list(MOTION_JOINTS)
        if any(clip.feet is not None for clip in clips):
            file.attrs["foot_joints"] = list(FOOT_JOINTS)
        for number, clip in enumerate(clips):
            name = f"{clip.group}/{clip.subject}/{clip.clip}"
            if name in file or clip.group == _FEET:
                raise InputError(expected("clip", "each name once, and no group feet", name, where=path))
            data = file.create_dataset(name, data=np.asarray(clip.joints, np.float32), compression="gzip")
            if number < len(origins):
                data.attrs["origin"] = origins[number]
            _read_joints(file, name, path)
            if clip.feet is not None:
                feet = np.asarray(clip.feet, np.float32)
                file.create_dataset(f"{_FEET}/{name}", data=feet, compression="gzip")
                _read_feet(file, f"{_FEET}/{name}", len(clip.joints), path)
