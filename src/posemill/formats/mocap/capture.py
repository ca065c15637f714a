"""A capture file as node positions and rotations in metres, z up, and what is known about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from posemill.arrays import Matrix3, Points3
from posemill.errors import InputError, expected
from posemill.formats.acclaim import Skeleton, acclaim_pose, read_amc, read_asf
from posemill.formats.bvh import Bvh, bvh_pose, read_bvh
from posemill.formats.mocap.sources import Source, recognise
from posemill.formats.motion import MOTION_JOINTS

__all__ = ["Capture", "read_capture"]

_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""From y up to z up."""
_THORAX = 1.010
"""Thorax bone by the bone below it: the median of six CMU skeletons (1.000 to 1.041)."""
_FOREARM = 1.5
"""Elbow to wrist by the part of it that the conversions kept: CMU's wrist bone is half as long as its radius."""
_JUMP_M, _START_S = 0.12, 0.1
"""What no joint moves from one frame to the next (14 m/s at 120 Hz), and for how long a rest pose may last."""
_SIXTY_HZ = {"88"}
"""CMU subjects whose conversions say 120 Hz and were recorded at 60."""


@dataclass(frozen=True)
class Capture:
    """One recording.

    Attributes
    ----------
    source
        Of which kind the skeleton is.
    subject, clip
        From the file's name ``{number}_{trial}``, else from its folder and its name.
    fps
        Frames per second, true ones.
    nodes
        Their N names.
    places
        (T, N, 3) metres, z up.
    turns
        (T, N, 3, 3) rotation of each node out of the rest pose, to z-up axes.
    rest
        (N, 3) each node's rest bone (from its parent), metres, y up.
    """

    source: Source
    subject: str
    clip: str
    fps: float
    nodes: tuple[str, ...]
    places: Points3
    turns: Matrix3
    rest: np.ndarray

    def index(self, node: str) -> int:
        """Position of a node."""
        return self.nodes.index(node)

    def joints(self) -> Points3:
        """h36m17 joints (T, 17, 3), metres, z up."""
        weights = np.zeros((len(MOTION_JOINTS), len(self.nodes)))
        for row, joint in enumerate(MOTION_JOINTS):
            for node, weight in self.source.joints[joint].items():
                weights[row, self.index(node)] = weight
        return np.einsum("jn,tnd->tjd", weights, self.places)


def read_capture(path: Path, skeletons: Sequence[Path] = ()) -> Capture:
    """Read a BVH or AMC file.

    Parameters
    ----------
    skeletons
        ASF files. An AMC file needs the one of its subject (``35.asf`` for ``35_01.amc``), here or beside it; a BVH
        file from which bones were lost gets the thorax bone of its subject's, if it is here.

    Raises
    ------
    InputError
        No such format, an unknown skeleton, a damaged file, or an AMC file without its skeleton.
    """
    path = Path(path)
    number, subject = _subject(path)
    suffix = path.suffix.lower()
    own = [asf for asf in skeletons if asf.stem.split("_")[0] == path.stem.split("_")[0]]
    if suffix == ".amc":
        skeleton = read_asf(_skeleton_file(path, own))
        source = recognise(suffix, skeleton.names, path)
        places, turns = acclaim_pose(skeleton, read_amc(path, skeleton))
        fps, names, unit, rest = source.fps or 0.0, skeleton.names, skeleton.metres_per_unit, skeleton.ends
    elif suffix == ".bvh":
        bvh = read_bvh(path)
        source = recognise(suffix, bvh.names, path)
        if not 0.001 <= bvh.frame_time_s <= 1:
            raise InputError(expected("Frame Time", "0.001 to 1 s", bvh.frame_time_s, where=path))
        bvh = _repaired(bvh, source, read_asf(own[0]) if own and source.thorax else None)
        places, turns = bvh_pose(bvh)
        fps, names, unit, rest = 1.0 / bvh.frame_time_s, bvh.names, source.metres_per_unit or 1.0, bvh.offsets
    else:
        raise InputError(
            expected("motion capture", "a .bvh or .amc file (with its .asf)", path.suffix or "no suffix", where=path)
        )
    if number in _SIXTY_HZ:
        fps = 60.0
    # The database's files give 120 Hz as .0083333 s.
    fps = round(fps) if abs(fps - round(fps)) < 0.01 else fps
    places, turns = places * unit @ _Z_UP.T, _Z_UP @ turns
    whole = Capture(source, subject, path.stem, float(fps), names, places, turns, rest * unit)
    first = _first_frame(whole) if source.rest_pose else 0
    if len(places) - first < 2:
        raise InputError(expected("frames", f"at least {first + 2}", len(places), where=path))
    return replace(whole, places=places[first:], turns=turns[first:])


def _subject(path: Path) -> tuple[str, str]:
    """The database's number of the subject, or an empty text, and the name that the motion file gives them."""
    if found := re.fullmatch(r"(\d+)_(\d+)\w*", path.stem):
        return found[1].lstrip("0"), f"S{int(found[1]):03d}"
    return "", re.sub(r"\W", "_", path.resolve().parent.name) or "S"


def _skeleton_file(path: Path, own: Sequence[Path]) -> Path:
    if own:
        return own[0]
    stem = path.stem.split("_")[0]
    beside = [asf for asf in sorted(path.parent.glob("*.[aA][sS][fF]")) if asf.stem.split("_")[0] == stem]
    if not beside:
        raise InputError(expected("skeleton", f"{stem}.asf among the files or beside it", "none", where=path))
    return beside[0]


def _first_frame(capture: Capture) -> int:
    """The frame in which the motion begins: after the rest pose and the last jump near it."""
    near = replace(capture, places=capture.places[: 1 + round(_START_S * capture.fps)])
    steps = np.linalg.norm(np.diff(near.joints(), axis=0), axis=-1).max(axis=1)
    jumps = np.flatnonzero(steps > _JUMP_M)
    return int(max(jumps, default=0)) + 1


def _repaired(bvh: Bvh, source: Source, own: Skeleton | None) -> Bvh:
    """Put back the bones that the conversion lost."""
    if not source.thorax:
        return bvh
    offsets = bvh.offsets.copy()
    parent = bvh.index(source.thorax)
    children = [node for node, above in enumerate(bvh.parents) if above == parent]
    if any(np.abs(offsets[node]).max() > 0 for node in children):
        # Somebody put it back before: the file is whole.
        return bvh
    below = float(np.linalg.norm(offsets[parent]))
    offsets[children] = own.bone("thorax") if own is not None else np.array([0.0, _THORAX * below, 0.0])
    for wrist in source.wrists:
        offsets[bvh.index(wrist)] *= _FOREARM
    return replace(bvh, offsets=offsets)
