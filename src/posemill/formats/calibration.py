"""Camera calibrations: posemill's own JSON, OpenCV's YAML and JSON, Pose2Sim's and Anipose's TOML, and others.

posemill's JSON, one camera or several by name; ``R`` and ``t`` (world to camera, metres) may be left out, and so may
``focal_sigma``, the relative standard deviation of the focal length (0)::

    {"width": 1280, "height": 720, "K": [[f, 0, cx], [0, f, cy], [0, 0, 1]], "dist": [k1, k2, p1, p2, k3],
     "R": [[...], [...], [...]], "t": [x, y, z]}
    {"cameras": {"left": {...}, "right": {...}}}

OpenCV (``cv::FileStorage`` and ROS): ``image_width``, ``image_height``, ``camera_matrix``,
``distortion_coefficients`` (or ``dist_coeffs``); a place in the world only as ``rvec`` and ``tvec``, because ``R`` and
``T`` in these files are between two cameras.

Pose2Sim: a table per camera with ``size``, ``matrix``, ``distortions``, ``rotation`` (Rodrigues vector, world to
camera, world z up) and ``translation`` (metres).

Anipose: the same tables without ``fisheye``. Their world is a camera's or a board's, in the board's unit, and which way
is up is not said: the lens alone is taken, unless ``[metadata]`` says ``unit_m`` (metres per unit) and ``up`` (the
world's axis that points up: ``"z"``, ``"-y"``, ...).

Qualisys' ``.qca.txt`` (:mod:`posemill.formats.qualisys`), cameras by their serial number; Human3.6M's ``metadata.xml``,
cameras by subject and number (``S9.54138969``).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from posemill.camera import Camera
from posemill.errors import InputError, expected
from posemill.formats.atomic import write_text
from posemill.formats.qualisys import read_qualisys
from posemill.geometry import rotation_between

__all__ = ["UP_AXES", "read_calibration", "write_calibration"]

# Farther from the origin than any room or field: millimetres.
_FAR_M = 500.0


def read_calibration(path: Path, camera: str | None = None) -> Camera:
    """Read one camera.

    Parameters
    ----------
    path
        ``.json``, ``.toml``, ``.yml``, ``.yaml``, ``.qca.txt`` or ``.xml``.
    camera
        Its name; needed where the file has several.

    Raises
    ------
    InputError
        Not such a file, no camera of that name (those that exist are listed), or a lens that the pinhole model with
        five distortion coefficients cannot describe.
    """
    path = Path(path)
    whole = next((read for ending, read in _WHOLE.items() if path.name.lower().endswith(ending)), None)
    # These files are read whole: what each of their cameras is, is known already.
    entries = {n: (_same, c) for n, c in whole(path).items()} if whole else _entries(_load(path), path)
    name = "" if "" in entries else camera
    if name is None and len(entries) == 1:
        name = next(iter(entries))
    if not entries:
        raise InputError(expected("cameras", "one or more", "none", where=path))
    if name is None or name not in entries:
        do = "name it in the sheet's column camera"
        raise InputError(expected("camera", " or ".join(sorted(entries)), camera, where=path, do=do))
    read, entry = entries[name]
    try:
        found = read(entry)
        if found.R is not None and found.t is not None and np.linalg.norm(found.t) > _FAR_M:
            away = f"a camera {np.linalg.norm(found.t):.0f} m from where it measures from"
            raise InputError(expected("place in the world", "metres", away, do="bring t to metres, near the origin"))
        return found
    except KeyError as error:
        raise InputError(f"{path}: camera {name or 'calibration'}: expected {error.args[0]}, got none") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: expected a camera calibration, got one with bad numbers: {error}") from None


def write_calibration(path: Path, camera: Camera | Mapping[str, Camera]) -> None:
    """Write one camera, or several by name, as posemill's JSON."""
    if isinstance(camera, Camera):
        content = _entry(camera)
    else:
        content = {"cameras": {name: _entry(camera[name]) for name in sorted(camera)}}
    write_text(path, json.dumps(content, indent=1) + "\n")


def _entry(camera: Camera) -> dict[str, Any]:
    entry = {"width": camera.width, "height": camera.height, "K": camera.K.tolist(), "dist": camera.dist.tolist()}
    if camera.R is not None and camera.t is not None:
        entry |= {"R": camera.R.tolist(), "t": camera.t.tolist()}
    if camera.focal_sigma:
        entry["focal_sigma"] = camera.focal_sigma
    return entry


def _same(camera: Camera) -> Camera:
    return camera


def _from_human36m(path: Path) -> dict[str, Camera]:
    from posemill.formats.datasets.human36m import read_cameras

    return {f"{subject}.{number}": found.camera for (subject, number), found in read_cameras(path).items()}


_WHOLE: dict[str, Callable[[Path], dict[str, Camera]]] = {".qca.txt": read_qualisys, ".xml": _from_human36m}


def _load(path: Path) -> Mapping[str, Any]:
    """Content of the file as plain data; YAML tags are read as what they tag and never run."""
    readers = {".json": json.loads, ".toml": tomllib.loads, ".yml": _load_yaml, ".yaml": _load_yaml}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        known = " ".join((*readers, *_WHOLE))
        raise InputError(expected("kind of calibration", known, path.suffix or "no suffix", where=path))
    try:
        content = reader(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: expected a calibration, got: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # also what json, tomllib and UTF-8 raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: expected {path.suffix[1:]}, got a file that is not: {first}") from None
    if not isinstance(content, Mapping):
        raise InputError(expected("calibration", "a table of names and values", type(content).__name__, where=path))
    return content


def _load_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe loader that knows OpenCV's matrix tag."""

    def matrix(loader: yaml.SafeLoader, node: Any) -> Any:
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", matrix)
    # OpenCV writes "%YAML:1.0", which is no YAML directive.
    lines = [line for line in text.splitlines() if not line.startswith("%YAML")]
    try:
        return yaml.load("\n".join(lines), Loader=Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from None


def _entries(content: Mapping[str, Any], path: Path) -> dict[str, tuple[Callable[[Any], Camera], Any]]:
    """Camera name to (reader, its entry); the name is empty where the file is one camera without a name."""
    if isinstance(content.get("cameras"), Mapping):
        return {str(name): (_from_posemill, entry) for name, entry in content["cameras"].items()}
    if "K" in content:
        return {"": (_from_posemill, content)}
    if "camera_matrix" in content:
        return {"": (_from_opencv, content)}
    tables = {str(k): v for k, v in content.items() if isinstance(v, Mapping) and "matrix" in v and "size" in v}
    named = {str(v.get("name", k)): v for k, v in tables.items()}
    if tables:
        # Pose2Sim's cameras go by their name, or by their table where names are not told apart.
        chosen = named if len(named) == len(tables) else tables
        world = content.get("metadata")
        return {
            name: (_from_pose2sim, entry) if "fisheye" in entry else (_from_anipose, (entry, world or {}))
            for name, entry in chosen.items()
        }
    want = "K (posemill), camera_matrix (OpenCV) or tables with size and matrix (Pose2Sim, Anipose)"
    raise InputError(expected("calibration", want, ", ".join(map(str, content)) or "nothing", where=path))


def _from_posemill(entry: Any) -> Camera:
    if not isinstance(entry, Mapping):
        raise InputError(expected("camera", "a table of names and values", type(entry).__name__))
    r, t = entry.get("R"), entry.get("t")
    return Camera(
        *_size(entry["width"], entry["height"]),
        np.array(entry["K"], dtype=np.float64),
        _distortion(entry.get("dist", [0.0] * 5)),
        None if r is None else np.array(r, dtype=np.float64),
        None if t is None else np.array(t, dtype=np.float64),
        focal_sigma=float(entry.get("focal_sigma", 0.0)),
    )


def _from_opencv(entry: Mapping[str, Any]) -> Camera:
    if entry.get("fisheye_model") or entry.get("fisheye"):
        raise InputError(expected("lens", "no fisheye", "a fisheye model", do="calibrate with the pinhole model"))
    model = str(entry.get("distortion_model", "plumb_bob"))
    if model not in ("plumb_bob", "radtan", "rational_polynomial"):
        raise InputError(expected("distortion model", "plumb_bob", model, do="calibrate with the pinhole model"))
    dist = entry.get("distortion_coefficients", entry.get("dist_coeffs"))
    r, t = None, None
    if "rvec" in entry and "tvec" in entry:
        r = Rotation.from_rotvec(_matrix(entry["rvec"]).reshape(3)).as_matrix()
        t = _matrix(entry["tvec"]).reshape(3)
    return Camera(
        *_size(entry["image_width"], entry["image_height"]),
        _matrix(entry["camera_matrix"]).reshape(3, 3),
        _distortion([0.0] * 5 if dist is None else _matrix(dist)),
        r,
        t,
    )


def _from_pose2sim(entry: Mapping[str, Any]) -> Camera:
    if entry.get("fisheye"):
        raise InputError(expected("lens", "fisheye = false", "fisheye = true", do="calibrate with the pinhole model"))
    rotation, translation = entry.get("rotation"), entry.get("translation")
    placed = rotation is not None and translation is not None
    return Camera(
        *_size(*entry["size"]),
        np.array(entry["matrix"], dtype=np.float64),
        _distortion(entry.get("distortions", [0.0] * 5)),
        Rotation.from_rotvec(np.array(rotation, dtype=np.float64).reshape(3)).as_matrix() if placed else None,
        np.array(translation, dtype=np.float64).reshape(3) if placed else None,
    )


def _from_anipose(entry: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Camera:
    table, world = entry
    camera = _from_pose2sim(table)
    unit, up = world.get("unit_m"), world.get("up")
    if (unit is None) != (up is None):
        raise InputError(expected("metadata", "both unit_m and up, or neither", "one of them"))
    if unit is None or camera.R is None or camera.t is None:
        return replace(camera, R=None, t=None)
    if up not in UP_AXES:
        raise InputError(expected("metadata up", " ".join(UP_AXES), up))
    if not float(unit) > 0:
        raise InputError(expected("metadata unit_m", "metres per unit, above 0", unit))
    # From the world with z up to the file's.
    turn = rotation_between(np.array([0.0, 0.0, 1.0]), UP_AXES[up])
    return replace(camera, R=camera.R @ turn, t=camera.t * float(unit))


UP_AXES = {
    sign + name: (1.0 - 2.0 * bool(sign)) * axis
    for sign in ("", "-")
    for name, axis in zip("xyz", np.eye(3), strict=True)
}
"""The axes of a world that may point up, by name."""


def _size(width: Any, height: Any) -> tuple[int, int]:
    size = int(width), int(height)
    if min(size) <= 0 or size != (width, height):
        raise InputError(expected("image size", "whole positive pixels", f"{width} x {height}"))
    return size


def _matrix(value: Any) -> np.ndarray:
    """OpenCV's {rows, cols, data} or nested lists, float64."""
    if isinstance(value, Mapping):
        return np.array(value["data"], dtype=np.float64).reshape(int(value["rows"]), int(value["cols"]))
    return np.array(value, dtype=np.float64)


def _distortion(value: Any) -> np.ndarray:
    """(5,) k1 k2 p1 p2 k3; further coefficients only if they are zero."""
    dist = np.array(value, dtype=np.float64).reshape(-1)
    if len(dist) > 5 and not dist[5:].any():
        dist = dist[:5]
    if len(dist) not in (0, 4, 5):
        raise InputError(expected("distortion", "k1 k2 p1 p2 [k3]", f"{len(dist)} coefficients"))
    return np.pad(dist, (0, 5 - len(dist)))
