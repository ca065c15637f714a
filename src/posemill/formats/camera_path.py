"""Where a moving camera was and how it was turned over time: trajectories of TUM, and posemill's own JSON.

TUM's trajectories are text, a line per stamp, camera to world, camera axes x right, y down, z forward; lines with ``#``
are comments, of which two may say something::

    # up = z            which axis of the world points up: z (if nothing is said), -y, ...; none: nobody knows
    # unit_m = 1        metres per unit
    # timestamp tx ty tz qx qy qz qw
    0.000 1.2 0.0 1.5 0.0 0.0 0.0 1.0

posemill's JSON has world to camera, as its calibrations have (``X_cam = R X_world + t``, world z up, metres), and may
say the lens of each frame; ``posemill camera`` writes it of a camera that it finds to pan, tilt and zoom::

    {"frames": [{"time": 0.0, "R": [[...], [...], [...]], "t": [x, y, z], "K": [[...], [...], [0, 0, 1]]}, ...],
     "up": "z", "unit_m": 1, "width": 1280, "height": 720, "dist": [k1, k2, p1, p2, k3],
     "focal_sigma": 0.01, "rotation_sigma_deg": 0.05}

Only ``frames`` with ``time`` and ``R`` is needed. Without ``t`` the camera turns about a fixed centre, and nothing is
known of a world; ``K`` needs ``width`` and ``height``. Times are seconds of the video.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from posemill.arrays import Matrix3, Times, Vector3
from posemill.camera import Camera
from posemill.errors import ClipError, InputError, expected
from posemill.formats.atomic import write_text
from posemill.formats.calibration import UP_AXES
from posemill.geometry import rotation_between

__all__ = ["CameraPath", "read_camera_path", "write_camera_path"]

# Stamps are written with so many digits.
_STAMP_S = 1e-3
# Between poses further apart than this, and than three steps, the camera may have been anywhere.
_MAX_GAP_S, _MAX_GAP_STEPS = 0.5, 3.0
_LARGEST = 64 * 2**20


@dataclass(frozen=True)
class CameraPath:
    """Poses of one camera over time.

    Attributes
    ----------
    time
        (N,) s, increasing.
    R
        (N, 3, 3) world to camera.
    centre
        (N, 3) m camera centre in the world; None if it does not move and nobody knows where it is.
    in_world
        Whether the world is one: z up, metres.
    K
        (N, 3, 3) px; None where the file does not say.
    dist, size
        (5,) and (width, height); with ``K`` only.
    focal_sigma, rotation_sigma_deg
        Relative, and about each axis.
    source
        What found ``K``.
    """

    time: Times
    R: Matrix3
    centre: Vector3 | None
    in_world: bool
    K: Matrix3 | None = None
    dist: np.ndarray | None = None
    size: tuple[int, int] | None = None
    focal_sigma: float = 0.0
    rotation_sigma_deg: float = 0.0
    source: str = "calibration"

    def at(self, time: Times) -> tuple[CameraPath, np.ndarray]:
        """Interpolate to other times: rotations on the shortest arc, all else on a straight line.

        Returns
        -------
        The path at ``time`` (T,), and flags (T,): False before the first pose, after the last, and in gaps; what the
        path holds there is its nearest pose, or what lies between.
        """
        time = np.asarray(time, dtype=np.float64)
        inside = np.clip(time, self.time[0], self.time[-1])
        known = np.abs(inside - time) <= _STAMP_S
        if len(self.time) == 1:
            return replace(self._every(np.zeros(len(time), dtype=int)), time=time), known
        longest = max(_MAX_GAP_S, _MAX_GAP_STEPS * float(np.median(np.diff(self.time))))
        after = np.clip(np.searchsorted(self.time, inside, side="right"), 1, len(self.time) - 1)
        near = np.minimum(np.abs(inside - self.time[after - 1]), np.abs(self.time[after] - inside)) <= _STAMP_S
        known &= near | (self.time[after] - self.time[after - 1] <= longest)
        share = (inside - self.time[after - 1]) / (self.time[after] - self.time[after - 1])
        low, high = self._every(after - 1), self._every(after)

        def between(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
            if a is None or b is None:
                return None
            weight = share.reshape(-1, *[1] * (a.ndim - 1))
            return (1 - weight) * a + weight * b

        turned = Slerp(self.time, Rotation.from_matrix(self.R))(inside).as_matrix()
        centre, k = between(low.centre, high.centre), between(low.K, high.K)
        return replace(self, time=time, R=turned, centre=centre, K=k), known

    def _every(self, index: np.ndarray) -> CameraPath:
        centre, k = (None if a is None else a[index] for a in (self.centre, self.K))
        return replace(self, time=self.time[index], R=self.R[index], centre=centre, K=k)


def read_camera_path(path: Path) -> CameraPath:
    """Read a trajectory: ``.json`` as posemill's, any other ending as TUM's.

    Raises
    ------
    InputError
        Not such a file; the message names the line or frame.
    ClipError
        The file says that this camera's path could not be found.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(expected("camera path", f"at most {_LARGEST >> 20} MB", "more", where=path))
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: expected a camera path, got: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected a camera path (TUM text or posemill JSON), got other bytes") from None
    try:
        return _from_json(text) if path.suffix.lower() == ".json" else _from_tum(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_camera_path(path: Path, found: CameraPath | str, about: Mapping[str, Any] | None = None) -> None:
    """Write posemill's JSON; ``found`` may be the reason why there is no path. ``about`` is kept beside it."""
    content: dict[str, Any] = {"about": dict(about or {})}
    if isinstance(found, str):
        content |= {"failed": found}
        write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
        return
    if found.size is not None:
        content |= {"width": found.size[0], "height": found.size[1]}
    content |= {"focal_sigma": found.focal_sigma, "rotation_sigma_deg": found.rotation_sigma_deg}
    content |= {"source": found.source, "up": "z" if found.in_world else "none"}
    if found.dist is not None:
        content["dist"] = found.dist.tolist()
    frames = []
    for i, time in enumerate(found.time.tolist()):
        frame: dict[str, Any] = {"time": time, "R": found.R[i].tolist()}
        if found.centre is not None:
            frame["t"] = (-found.R[i] @ found.centre[i]).tolist()
        if found.K is not None:
            frame["K"] = found.K[i].tolist()
        frames.append(json.dumps(frame))
    head = json.dumps(content, indent=1, sort_keys=True)[:-2]
    write_text(path, head + ',\n "frames": [\n  ' + ",\n  ".join(frames) + "\n ]\n}\n")


def _from_tum(text: str) -> CameraPath:
    said: dict[str, str] = {}
    rows, numbers = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            name, equals, value = line.lstrip("# \t").partition("=")
            if equals and name.strip() in ("up", "unit_m"):
                said[name.strip()] = value.strip()
            continue
        if not line.strip():
            continue
        cells = line.replace(",", " ").split()
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            row = []
        if len(row) != 8 or not np.isfinite(row).all():
            raise InputError(f"line {number}: expected timestamp tx ty tz qx qy qz qw, got {line.strip()[:60]!r}")
        length = float(np.linalg.norm(row[4:]))
        if abs(length - 1) > 0.01:
            raise InputError(f"line {number}: expected a quaternion of length 1, got one of {length:.3g}")
        rows.append(row)
        numbers.append(number)
    if not rows:
        raise InputError("expected poses (timestamp tx ty tz qx qy qz qw), got none")
    table = np.array(rows)
    back = np.flatnonzero(np.diff(table[:, 0]) <= 0)
    if len(back):
        raise InputError(
            f"line {numbers[back[0] + 1]}: expected a later time than before, got {table[back[0] + 1, 0]:g}"
        )
    r = Rotation.from_quat(table[:, 4:]).as_matrix().transpose(0, 2, 1)
    return _in_z_up(CameraPath(table[:, 0], r, table[:, 1:4], True), said.get("up", "z"), said.get("unit_m", 1))


def _from_json(text: str) -> CameraPath:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected posemill's JSON of a camera path, got: {error}") from None
    if isinstance(content, dict) and isinstance(content.get("failed"), str):
        raise ClipError(content["failed"])
    entries = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError("expected a list of frames, each with time and R, got none")
    columns: dict[str, np.ndarray | None] = {}
    for name, shape in (("time", ()), ("R", (3, 3)), ("t", (3,)), ("K", (3, 3))):
        there = [isinstance(entry, dict) and name in entry for entry in entries]
        if not any(there) and name in ("t", "K"):
            columns[name] = None
            continue
        if not all(there):
            raise InputError(f"frame {there.index(False)}: expected {name}, as the others have, got none")
        columns[name] = np.array([_numbers(entry[name], shape, name, i) for i, entry in enumerate(entries)])
    time, r, t, k = (columns[name] for name in ("time", "R", "t", "K"))
    assert time is not None and r is not None
    back = np.flatnonzero(np.diff(time) <= 0)
    if len(back):
        raise InputError(f"frame {back[0] + 1}: expected a later time than before, got {time[back[0] + 1]:g}")
    odd = ~(np.isclose(r @ r.transpose(0, 2, 1), np.eye(3), atol=1e-5).all((1, 2)) & (np.linalg.det(r) > 0))
    if odd.any():
        raise InputError(f"frame {int(np.argmax(odd))}: expected R a 3x3 proper rotation, got another matrix")
    centre = None if t is None else -np.einsum("nji,nj->ni", r, t)
    sigmas = {}
    for name in ("focal_sigma", "rotation_sigma_deg"):
        sigmas[name] = float(_numbers(content.get(name, 0.0), (), name))
        if not 0 <= sigmas[name] < 10:
            raise InputError(expected(name, "0 to 10", sigmas[name]))
    path = CameraPath(time, r, centre, centre is not None, **sigmas, source=str(content.get("source", "calibration")))
    if k is not None:
        path = replace(path, K=k, **_lens(content, k))
    up = str(content.get("up", "z")) if centre is not None else "none"
    return _in_z_up(path, up, content.get("unit_m", 1))


def _lens(content: Mapping[str, Any], k: np.ndarray) -> dict[str, Any]:
    """Distortion and size of the picture that the frames' K are of; each K is checked."""
    try:
        width, height = int(content["width"]), int(content["height"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError("expected width and height of the pictures that K is of, got none") from None
    given = content.get("dist", [0.0] * 5)
    # k3 may be left out, as in calibrations.
    dist = _numbers([*given, 0.0] if isinstance(given, list) and len(given) == 4 else given, (5,), "dist")
    for i, one in enumerate(k):
        try:
            Camera(width, height, one, dist)
        except InputError as error:
            raise InputError(f"frame {i}: {error}") from None
    return {"dist": dist, "size": (width, height)}


def _numbers(value: Any, shape: tuple[int, ...], name: str, frame: int | None = None) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full((), np.nan)
    if array.shape != shape or not np.isfinite(array).all():
        where = "" if frame is None else f"frame {frame}: "
        want = "x".join(map(str, shape)) + " finite numbers" if shape else "a finite number"
        raise InputError(f"{where}{expected(name, want, str(value)[:60])}")
    return array


def _in_z_up(path: CameraPath, up: str, unit: Any) -> CameraPath:
    """Turn the file's world to z up, and its lengths to metres."""
    try:
        unit_m = float(unit)
    except (TypeError, ValueError):
        unit_m = -1.0
    if not 0 < unit_m < np.inf:
        raise InputError(expected("unit_m", "metres per unit, above 0", unit))
    if up not in (*UP_AXES, "none"):
        raise InputError(expected("up", f"{' '.join(UP_AXES)} none", up))
    centre = None if path.centre is None else path.centre * unit_m
    if up == "none":
        return replace(path, centre=centre, in_world=False)
    # From the world with z up to the file's.
    turn = rotation_between(np.array([0.0, 0.0, 1.0]), UP_AXES[up])
    return replace(path, R=path.R @ turn, centre=None if centre is None else centre @ turn)
