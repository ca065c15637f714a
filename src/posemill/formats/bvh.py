"""BVH: read, write and pose the motion files of animation software.

A BVH file is a tree of joints with constant offsets, and for every frame the channels of each joint in depth-first
order. The matrix of a joint is the product of its rotation channels in the order in which they are written, for column
vectors, and a child stands at ``parent + G_parent @ offset``. Lengths have no unit in the format; posemill writes
centimetres, y up, which is what Blender, Maya, MotionBuilder and Unity expect. How joint positions become rotations is
:mod:`posemill.formats.bvh_rig`.

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
from posemill.formats.atomic import write_bytes

__all__ = [
    "ROOT_CHANNELS",
    "ROTATIONS",
    "Bvh",
    "axis_rotation",
    "bvh_joints",
    "bvh_pose",
    "local_rotations",
    "read_bvh",
    "write_bvh",
]

ROTATIONS = ("Zrotation", "Xrotation", "Yrotation")
ROOT_CHANNELS = ("Xposition", "Yposition", "Zposition", *ROTATIONS)
_AXES = {"X": 0, "Y": 1, "Z": 2}
_CHANNELS = {axis + kind: (axis, kind) for axis in "XYZ" for kind in ("position", "rotation")}


@dataclass(frozen=True)
class Bvh:
    """One BVH file.

    Attributes
    ----------
    names
        N node names in depth-first order; an End Site is ``{parent}_end`` and has no channels.
    parents
        (N,) index of each node's parent, -1 at the root.
    offsets
        (N, 3) rest position in the parent's frame, file units (posemill: cm).
    channels
        Channel names of each node, ``()`` at an End Site.
    motion
        (T, C) channel values; positions in file units, rotations in degrees.
    frame_time_s
        Seconds between frames.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    channels: tuple[tuple[str, ...], ...]
    motion: np.ndarray
    frame_time_s: float

    def index(self, name: str) -> int:
        """Position of a node; raises InputError with the names that exist."""
        try:
            return self.names.index(name)
        except ValueError:
            raise InputError(f"no BVH node {name!r}; there are {', '.join(self.names)}") from None


def axis_rotation(axis: str, degrees: np.ndarray) -> Matrix3:
    """Rotations about a coordinate axis ``X``, ``Y`` or ``Z``; (...) degrees to (..., 3, 3)."""
    angle = np.deg2rad(degrees)
    i, j = {"X": (1, 2), "Y": (2, 0), "Z": (0, 1)}[axis]
    r = np.zeros((*angle.shape, 3, 3))
    r[..., _AXES[axis], _AXES[axis]] = 1.0
    r[..., i, i] = r[..., j, j] = np.cos(angle)
    r[..., j, i] = np.sin(angle)
    r[..., i, j] = -r[..., j, i]
    return r


def local_rotations(bvh: Bvh) -> Matrix3:
    """Rotation of every node in its parent's frame, (T, N, 3, 3); the identity at End Sites."""
    local = np.broadcast_to(np.eye(3), (len(bvh.motion), len(bvh.names), 3, 3)).copy()
    column = 0
    for node, channels in enumerate(bvh.channels):
        for channel in channels:
            axis, kind = _CHANNELS[channel]
            if kind == "rotation":
                local[:, node] = local[:, node] @ axis_rotation(axis, bvh.motion[:, column])
            column += 1
    return local


def bvh_joints(bvh: Bvh) -> Points3:
    """Forward kinematics: position of every node, (T, N, 3), file units and axes.

    Position channels replace the offset of their node, as most readers take them.
    """
    return bvh_pose(bvh)[0]


def bvh_pose(bvh: Bvh) -> tuple[Points3, Matrix3]:
    """Position (T, N, 3) of every node as :func:`bvh_joints`, and its rotation (T, N, 3, 3) in the file's axes."""
    rotation = local_rotations(bvh)
    place = np.broadcast_to(bvh.offsets, (len(bvh.motion), *bvh.offsets.shape)).copy()
    column = 0
    for node, channels in enumerate(bvh.channels):
        for channel in channels:
            axis, kind = _CHANNELS[channel]
            if kind == "position":
                place[:, node, _AXES[axis]] = bvh.motion[:, column]
            column += 1
    for node, parent in enumerate(bvh.parents):
        if parent >= 0:
            place[:, node] = place[:, parent] + np.einsum("tij,tj->ti", rotation[:, parent], place[:, node])
            rotation[:, node] = rotation[:, parent] @ rotation[:, node]
    return place, rotation


def write_bvh(path: Path, bvh: Bvh) -> None:
    """Write a BVH file, six decimals for lengths and degrees.

    Raises
    ------
    InputError
        A value is not finite (the format has no gaps), or motion and channels do not fit together.
    """
    width = sum(map(len, bvh.channels))
    if bvh.motion.ndim != 2 or bvh.motion.shape[1] != width:
        raise InputError(expected("BVH motion", f"(frames, {width})", bvh.motion.shape, where=path))
    if not (np.isfinite(bvh.motion).all() and np.isfinite(bvh.offsets).all()):
        raise InputError(
            f"{path}: BVH cannot hold gaps: expected finite offsets and channels, got NaN; fill them first"
        )
    children = [[i for i, p in enumerate(bvh.parents) if p == node] for node in range(len(bvh.names))]
    lines = ["HIERARCHY"]

    def vector(values: np.ndarray) -> str:
        return " ".join(f"{value:.6f}" for value in values + 0.0)

    def describe(node: int, depth: int) -> None:
        pad = "\t" * depth
        if not bvh.channels[node]:
            lines.extend([f"{pad}End Site", f"{pad}{{", f"{pad}\tOFFSET {vector(bvh.offsets[node])}", f"{pad}}}"])
            return
        lines.append(f"{pad}{'ROOT' if bvh.parents[node] < 0 else 'JOINT'} {bvh.names[node]}")
        lines.append(f"{pad}{{")
        lines.append(f"{pad}\tOFFSET {vector(bvh.offsets[node])}")
        lines.append(f"{pad}\tCHANNELS {len(bvh.channels[node])} {' '.join(bvh.channels[node])}")
        for child in children[node]:
            describe(child, depth + 1)
        lines.append(f"{pad}}}")

    describe(0, 0)
    lines += ["MOTION", f"Frames: {len(bvh.motion)}", f"Frame Time: {bvh.frame_time_s:.9f}"]
    # Rounding first keeps "-0.000000" out, so that equal poses are equal text.
    lines += [vector(row) for row in np.round(bvh.motion, 6)]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


class _Words:
    """The words of a file, with the place for messages."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.words = [(w, n) for n, line in enumerate(text.splitlines(), 1) for w in line.split()]
        self.at = 0

    def next(self, *want: str) -> str:
        word, line = self.words[self.at] if self.at < len(self.words) else ("the end of the file", -1)
        if line < 0 or (want and word not in want):
            place = f"line {line}" if line > 0 else "end"
            raise InputError(expected(f"BVH {place}", " or ".join(want) or "more", word, where=self.path))
        self.at += 1
        return word

    def number(self) -> float:
        word, line = self.next(), self.words[self.at - 1][1]
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(expected(f"BVH line {line}", "a finite number", word, where=self.path))
        return value

    def count(self) -> int:
        value = self.number()
        if value != int(value) or value < 0:
            raise InputError(expected("BVH count", "a whole number", value, where=self.path))
        return int(value)


def read_bvh(path: Path) -> Bvh:
    """Read any BVH file with one root.

    Raises
    ------
    InputError
        Not a BVH file, or a damaged one; the message says line, expected and found.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    words = _Words(path, text)
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    words.next("HIERARCHY")
    words.next("ROOT")
    open_nodes: list[int] = []
    kind = "ROOT"
    while True:
        if kind == "}":
            open_nodes.pop()
        else:
            parent = open_nodes[-1] if open_nodes else -1
            if kind == "End":
                words.next("Site")
                name = f"{names[parent]}_end"
            else:
                name = words.next()
            words.next("{")
            words.next("OFFSET")
            offsets.append([words.number() for _ in range(3)])
            open_nodes.append(len(names))
            names.append(name)
            parents.append(parent)
            channels.append(())
            if kind != "End":
                words.next("CHANNELS")
                channels[-1] = tuple(words.next(*_CHANNELS) for _ in range(words.count()))
        if not open_nodes:
            break
        kind = words.next(
            *(("}",) if names[open_nodes[-1]].endswith("_end") and kind == "End" else ("JOINT", "End", "}"))
        )
    words.next("MOTION")
    words.next("Frames:")
    frames = words.count()
    words.next("Frame")
    words.next("Time:")
    frame_time_s = words.number()
    width = sum(map(len, channels))
    rest = words.words[words.at :]
    if len(rest) != frames * width:
        raise InputError(
            expected("BVH motion values", f"{frames} x {width}", len(rest), where=path, do="export it again")
        )
    try:
        motion = np.array([word for word, _ in rest], dtype=np.float64).reshape(frames, width)
    except ValueError as error:
        raise InputError(f"{path}: BVH motion: expected numbers, got {error}") from None
    if not np.isfinite(motion).all():
        raise InputError(f"{path}: BVH motion: expected finite numbers, got NaN or infinity")
    return Bvh(tuple(names), tuple(parents), np.array(offsets), tuple(channels), motion, frame_time_s)
