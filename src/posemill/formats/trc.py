"""TRC, the marker files of OpenSim and its relatives.

Tab-separated text: three lines of header, a line of marker names (every third column), a line X1 Y1 Z1 ..., then a row
per frame; a marker that is missing has empty fields. Units are ``m`` or ``mm`` as the header says.

Axes: the file is y up, posemill's world is z up. The permutation is cyclic, so a proper rotation:
``file (X, Y, Z) = world (Y, Z, X)``, as Pose2Sim writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemill.arrays import Points3, Times
from posemill.errors import InputError, expected
from posemill.formats.atomic import write_text
from posemill.formats.motion import MOTION_JOINTS
from posemill.skeleton import JOINT_SETS, joint_set

__all__ = ["Trc", "joints_of_markers", "read_trc", "write_trc"]

_PER_METRE = {"m": 1.0, "mm": 1000.0}
_TO_FILE, _FROM_FILE = [1, 2, 0], [2, 0, 1]

_SIDED = {
    **{"Hip": "hip", "Knee": "knee", "Ankle": "ankle", "Heel": "heel", "BigToe": "big_toe", "SmallToe": "small_toe"},
    **{"Shoulder": "shoulder", "Elbow": "elbow", "Wrist": "wrist", "Eye": "eye", "Ear": "ear"},
}
# Names that Pose2Sim and OpenPose give the joints of posemill's vocabulary.
_ALIASES = {
    **{"Hip": "pelvis", "MidHip": "pelvis", "CHip": "pelvis", "Neck": "neck", "Head": "head_top", "Nose": "nose"},
    **{f"R{name}": f"right_{joint}" for name, joint in _SIDED.items()},
    **{f"L{name}": f"left_{joint}" for name, joint in _SIDED.items()},
}


@dataclass(frozen=True)
class Trc:
    """The contents of a file.

    Attributes
    ----------
    time
        (T,) seconds.
    points
        (T, M, 3) metres, world, z up; NaN where a marker is missing.
    markers
        M names.
    """

    time: np.ndarray
    points: np.ndarray
    markers: tuple[str, ...]


def read_trc(path: Path) -> Trc:
    """Read a TRC file; a blank line after the header may be there or not.

    Raises
    ------
    InputError
        The file is not TRC, is cut, states other units than m or mm, or has a field that is no number.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: expected a TRC file, got: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(expected("contents", "TRC (tab-separated text)", "other bytes", where=path)) from None
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        raise InputError(expected("first line", "PathFileType", repr(lines[0][:40] if lines else ""), where=path))
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    units = header.get("Units", "").strip()
    if units not in _PER_METRE:
        raise InputError(expected("Units", "m or mm", repr(units), where=path))
    markers = tuple(name.strip() for name in lines[3].split("\t")[2::3] if name.strip())
    if not markers or len(set(markers)) != len(markers):
        raise InputError(expected("markers", "names, each once, in every third column", markers, where=path))
    rows = [(number, line) for number, line in enumerate(lines[5:], 6) if line.strip()]
    stated = header.get("NumFrames", "").strip()
    if not rows or stated != str(len(rows)):
        raise InputError(expected("NumFrames", f"the {len(rows)} rows that there are", stated or "nothing", where=path))
    values = np.array([_row(line, number, len(markers), path) for number, line in rows])
    time = values[:, 0]
    if not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        raise InputError(expected("Time", "seconds that increase", "some that do not", where=path))
    points = values[:, 1:].reshape(len(rows), len(markers), 3)[..., _FROM_FILE] / _PER_METRE[units]
    points[~np.isfinite(points).all(-1)] = np.nan
    return Trc(time, points, markers)


def _row(line: str, number: int, markers: int, path: Path) -> list[float]:
    """Time and coordinates of one frame; NaN for empty fields, also where an editor cut the tabs at the end."""
    fields = [field.strip() for field in line.split("\t")][1:]
    width = 1 + 3 * markers
    if any(fields[width:]):
        raise InputError(expected("fields", width + 1, len(fields) + 1, where=f"{path}: line {number}"))
    fields = (fields + [""] * width)[:width]
    try:
        return [float(field) if field else float("nan") for field in fields]
    except ValueError as error:
        raise InputError(f"{path}: line {number}: expected numbers, got: {error}") from None


def write_trc(
    path: Path,
    time: Times,
    points: Points3,
    markers: tuple[str, ...],
    *,
    units: str = "m",
    blank_line: bool = False,
) -> None:
    """Write a TRC file.

    Parameters
    ----------
    time
        (T,) seconds; the header's rate is 1 by their median distance.
    points
        (T, M, 3) metres, world, z up; NaN where a marker is missing.
    markers
        M names.
    units
        ``m`` or ``mm``.
    blank_line
        After the header: some readers need it, others refuse it.

    Raises
    ------
    InputError
        Other units, or shapes that do not fit.
    """
    time, points = np.asarray(time, dtype=np.float64), np.asarray(points, dtype=np.float64)
    if units not in _PER_METRE:
        raise InputError(expected("TRC units", "m or mm", units))
    if points.shape != (len(time), len(markers), 3):
        raise InputError(expected("TRC points", (len(time), len(markers), 3), points.shape))
    rate = f"{1 / float(np.median(np.diff(time))):.6g}" if len(time) > 1 else "1"
    facts = {
        "DataRate": rate,
        "CameraRate": rate,
        "NumFrames": str(len(time)),
        "NumMarkers": str(len(markers)),
        "Units": units,
        "OrigDataRate": rate,
        "OrigDataStartFrame": "1",
        "OrigNumFrames": str(len(time)),
    }
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{Path(path).name}",
        "\t".join(facts),
        "\t".join(facts.values()),
        "Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, len(markers) + 1) for axis in "XYZ"),
        *([""] if blank_line else []),
    ]
    coordinates = points[..., _TO_FILE] * _PER_METRE[units]
    for frame, (second, row) in enumerate(zip(time, coordinates, strict=True), 1):
        fields = ["" if not np.isfinite(marker).all() else f"{value:.9g}" for marker in row for value in marker]
        lines.append("\t".join([str(frame), f"{second:.9g}", *fields]))
    write_text(path, "\n".join(lines) + "\n")


def joints_of_markers(markers: tuple[str, ...], where: object = "markers") -> tuple[str, np.ndarray]:
    """Find the joint set that markers are of, by their names.

    posemill's own joint names count as they are; those of Human3.6M-17 motion files and of Pose2Sim's models through a
    table. Of the sets that have all these joints, the smallest is taken.

    Returns
    -------
    joint_set, index
        Name, and (M,) the joint of each marker.

    Raises
    ------
    InputError
        No set has all of them.
    """
    own = tuple(marker.lower().replace(" ", "_").replace("-", "_") for marker in markers)
    h36m = joint_set("h36m17").joints
    by_motion = tuple(h36m[MOTION_JOINTS.index(m)] if m in MOTION_JOINTS else "" for m in markers)
    for names in (own, by_motion, tuple(_ALIASES.get(m, "") for m in markers)):
        fitting = [s for s in JOINT_SETS.values() if set(names) <= set(s.joints)]
        if fitting and len(set(names)) == len(names):
            chosen = min(fitting, key=len)
            return chosen.name, chosen.indices(names)
    known = {joint for s in JOINT_SETS.values() for joint in s.joints} | set(_ALIASES) | set(MOTION_JOINTS)
    foreign = [m for m, name in zip(markers, own, strict=True) if name not in known and m not in known]
    found = ", ".join(foreign or markers)
    raise InputError(expected("markers", "the joints of one joint set", found, where=where, do="rename or remove them"))
