"""Acclaim motion capture: the skeleton in an ASF file, the motion in AMC files.

The skeleton is a tree of bones below one root. A bone has a direction and a length in the rest pose, given in global
axes, and a frame ``C`` (its ``axis``) about whose axes its degrees of freedom turn. With ``M`` the product of those
turns, the bone's rotation is ``G = G_parent C M C^-1`` and its end stands at ``end_parent + G direction length``. Turns
are about fixed axes in the order in which they are written: ``rx ry rz`` is ``M = Rz Ry Rx``. Lengths are in the
skeleton's unit, ``1 / length`` inches, which is also the unit of the root's position in the AMC file.

References
----------
Meredith, Maddock: "Motion Capture File Formats Explained", University of Sheffield CS-01-11 (2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemill.arrays import Matrix3, Points3
from posemill.errors import InputError, expected
from posemill.formats.bvh import axis_rotation

__all__ = ["Skeleton", "acclaim_pose", "read_amc", "read_asf"]

_INCH_M = 0.0254
_ROTATIONS = ("rx", "ry", "rz")
_POSITIONS = ("tx", "ty", "tz")


@dataclass(frozen=True)
class Skeleton:
    """One ASF file.

    Attributes
    ----------
    names
        N bone names, parents before children; the first is ``root``, which has no length.
    parents
        (N,) index of each bone's parent, -1 at the root.
    ends
        (N, 3) from a bone's start to its end in the rest pose, file units; for the root its rest position.
    axes
        (N, 3, 3) each bone's frame ``C``.
    channels
        Degrees of freedom of each bone as written: of ``rx ry rz``, and of ``tx ty tz`` at the root.
    degrees
        False if angles are radians.
    metres_per_unit
        From the ``:units`` section: 0.0254 / length.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    ends: np.ndarray
    axes: np.ndarray
    channels: tuple[tuple[str, ...], ...]
    degrees: bool
    metres_per_unit: float

    def bone(self, name: str) -> np.ndarray:
        """Rest vector (3,) of a bone, file units; raises InputError with the names that exist."""
        if name not in self.names:
            raise InputError(f"no ASF bone {name!r}; there are {', '.join(self.names)}")
        return self.ends[self.names.index(name)]


def read_asf(path: Path) -> Skeleton:
    """Read a skeleton.

    Raises
    ------
    InputError
        Not an ASF file, or a damaged one: the line, what is expected there and what was found.
    """
    path = Path(path)
    units = {"length": 1.0, "angle": 0.0}
    root: dict[str, list[str]] = {}
    bones: dict[str, dict[str, list[str]]] = {}
    children: dict[str, str] = {}
    section, bone = "", {}
    for number, words in _lines(path):
        where = f"{path}: line {number}"
        key, rest = words[0].lower(), words[1:]
        if key.startswith(":"):
            section = key[1:]
        elif section == "units" and key in units and rest:
            units[key] = _floats(rest[:1], 1, where)[0] if key == "length" else float(rest[0].lower().startswith("rad"))
        elif section == "root":
            root[key] = rest
        elif section == "bonedata":
            if key == "begin":
                bone = {}
            elif key == "end":
                _check_bone(bone, where)
                bones[bone["name"][0]] = bone
            else:
                bone[key] = rest
        elif section == "hierarchy" and key not in ("begin", "end"):
            for child in rest:
                if child not in bones or child in children or (words[0] != "root" and words[0] not in children):
                    got = f"{words[0]} {child}"
                    raise InputError(expected("hierarchy", "each bone once, after its parent", got, where=where))
                children[child] = words[0]
    if not bones or set(children) != set(bones):
        lost = ", ".join(sorted(set(bones) - set(children))) or "none"
        raise InputError(
            expected("ASF bones", "all in the hierarchy", f"{lost} outside" if bones else "no bones", where=path)
        )
    if not units["length"] > 0:
        raise InputError(expected("ASF units length", "a positive number", units["length"], where=path))
    return _assembled(root, bones, children, degrees=not units["angle"], unit=_INCH_M / units["length"], path=path)


def _assembled(
    root: dict[str, list[str]],
    bones: dict[str, dict[str, list[str]]],
    parent_of: dict[str, str],
    *,
    degrees: bool,
    unit: float,
    path: Path,
) -> Skeleton:
    order = tuple(word.lower() for word in root.get("order", []))
    if sorted(order) != sorted((*_POSITIONS, *_ROTATIONS)):
        raise InputError(
            expected("ASF root order", "TX TY TZ RX RY RZ in any order", " ".join(order) or "none", where=path)
        )
    where = f"{path}: root"
    names = ["root"]
    ends = [_floats(root.get("position", ["0"] * 3), 3, where)]
    axes = [_axis(root.get("orientation", ["0"] * 3) + root.get("axis", ["XYZ"]), degrees, where)]
    channels, parents = [order], [-1]
    # The hierarchy lists parents before children, and dictionaries keep that order.
    for name, parent in parent_of.items():
        bone = bones[name]
        where = f"{path}: bone {name}"
        direction = _floats(bone["direction"], 3, where)
        length = _floats(bone["length"], 1, where)[0]
        norm = float(np.linalg.norm(direction))
        if not norm > 0:
            raise InputError(expected("direction", "a vector", "zeros", where=where))
        dof = tuple(word.lower() for word in bone.get("dof", []))
        if not set(dof) <= set(_ROTATIONS):
            raise InputError(expected("dof", "of rx ry rz", " ".join(dof), where=where))
        names.append(name)
        parents.append(names.index(parent))
        ends.append(direction / norm * length)
        axes.append(_axis(bone["axis"], degrees, where))
        channels.append(dof)
    return Skeleton(tuple(names), tuple(parents), np.array(ends), np.array(axes), tuple(channels), degrees, unit)


def read_amc(path: Path, skeleton: Skeleton) -> np.ndarray:
    """Read a motion of a skeleton.

    Returns
    -------
    (T, C): the channels of all bones in the skeleton's order, file units and degrees or radians as the skeleton has.

    Raises
    ------
    InputError
        The motion is of another skeleton, a frame lacks a bone, or a value is no finite number.
    """
    path = Path(path)
    column, width = {}, 0
    for name, channels in zip(skeleton.names, skeleton.channels, strict=True):
        if channels:
            column[name] = (width, len(channels))
            width += len(channels)
    frames: list[np.ndarray] = []
    seen: set[str] = set()
    for number, words in _lines(path):
        where = f"{path}: line {number}"
        if words[0].startswith(":"):
            if words[0].upper() in (":DEGREES", ":RADIANS") and (words[0].upper() == ":DEGREES") != skeleton.degrees:
                want = "degrees" if skeleton.degrees else "radians"
                raise InputError(expected("AMC angles", f"{want}, as its ASF file", words[0], where=path))
            continue
        if len(words) == 1 and words[0].isdigit():
            _whole(seen, column, len(frames), path)
            frames.append(np.full(width, np.nan))
            seen = set()
            continue
        if not frames or words[0] not in column:
            want = "a bone of its ASF file" if frames else "a frame's number"
            raise InputError(expected("AMC", want, words[0], where=where, do="is it the right ASF file?"))
        start, count = column[words[0]]
        frames[-1][start : start + count] = _floats(words[1:], count, where)
        seen.add(words[0])
    _whole(seen, column, len(frames), path)
    if not frames:
        raise InputError(expected("AMC", "frames", "none", where=path))
    return np.stack(frames)


def acclaim_pose(skeleton: Skeleton, motion: np.ndarray) -> tuple[Points3, Matrix3]:
    """Forward kinematics: position (T, N, 3) of the end of every bone and its rotation (T, N, 3, 3) out of rest.

    File units and axes. The root's position is its own place.
    """
    to_degrees = 1.0 if skeleton.degrees else 180.0 / math.pi
    frames = len(motion)
    place = np.zeros((frames, len(skeleton.names), 3))
    rotations = np.zeros((frames, len(skeleton.names), 3, 3))
    column = 0
    for node, (parent, channels) in enumerate(zip(skeleton.parents, skeleton.channels, strict=True)):
        turn: Matrix3 = np.broadcast_to(np.eye(3), (frames, 3, 3))
        move = np.zeros((frames, 3))
        for channel in channels:
            if channel in _ROTATIONS:
                turn = axis_rotation(channel[1].upper(), motion[:, column] * to_degrees) @ turn
            else:
                move[:, _POSITIONS.index(channel)] = motion[:, column]
            column += 1
        axis = skeleton.axes[node]
        local = axis @ turn @ axis.T
        if parent < 0:
            place[:, node], rotations[:, node] = skeleton.ends[node] + move, local
        else:
            rotations[:, node] = rotations[:, parent] @ local
            place[:, node] = place[:, parent] + rotations[:, node] @ skeleton.ends[node]
    return place, rotations


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """(number, words) of the lines that say something; ``#`` begins a comment."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    lines = ((number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, words) for number, words in lines if words]


def _floats(words: list[str], count: int, where: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.array([np.nan])
    if values.shape != (count,) or not np.isfinite(values).all():
        raise InputError(expected("values", f"{count} finite numbers", " ".join(words)[:80] or "none", where=where))
    return values


def _axis(words: list[str], degrees: bool, where: str) -> Matrix3:
    """Rotation (3, 3) from ``a b c XYZ``: turns about fixed axes in the order of the letters."""
    order = words[3].upper() if len(words) == 4 else ""
    if sorted(order) != ["X", "Y", "Z"]:
        raise InputError(expected("axis", "three angles and an order such as XYZ", " ".join(words), where=where))
    angles = _floats(words[:3], 3, where) * (1.0 if degrees else 180.0 / math.pi)
    matrix = np.eye(3)
    for letter, angle in zip(order, angles, strict=True):
        matrix = axis_rotation(letter, angle) @ matrix
    return matrix


def _check_bone(bone: dict[str, list[str]], where: str) -> None:
    missing = [key for key in ("name", "direction", "length", "axis") if not bone.get(key)]
    if missing:
        raise InputError(expected("ASF bone", "name, direction, length and axis", f"no {missing[0]}", where=where))


def _whole(seen: set[str], column: dict[str, tuple[int, int]], frames: int, path: Path) -> None:
    """Refuse a frame that lacks a bone: the format has no gaps."""
    if frames and (lost := [name for name in column if name not in seen]):
        raise InputError(expected(f"AMC frame {frames}", "every bone that moves", f"none of {lost[0]}", where=path))
