"""Qualisys camera calibrations (``.qca.txt``, XML exported by QTM).

Lengths on the sensor are counted in 1/64 of a pixel, places in mm. A camera's ``transform`` has its centre in the world
and, row by row, its axes there: x to the right, y up, z backwards; ours are y down and z forwards. Distortion is
OpenCV's, of the normalised plane.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from posemill.arrays import Matrix3
from posemill.camera import Camera
from posemill.errors import InputError, expected

__all__ = ["read_qualisys"]

_SUBPIXELS, _MM = 64.0, 1e-3
_MOST_BYTES = 4 << 20
_ROWS = tuple(f"r{row}{column}" for row in "123" for column in "123")
_TO_OURS = np.diag([1.0, -1.0, -1.0])


def read_qualisys(path: Path) -> dict[str, Camera]:
    """Cameras by their serial number; those that saw nothing in the calibration are left out.

    Raises
    ------
    InputError
        Not such a file, or a camera whose picture QTM turns (``viewrotation``).
    """
    try:
        data = path.read_bytes()[: _MOST_BYTES + 1]
    except OSError as error:
        raise InputError(f"{path}: expected a calibration, got: {error.strerror}") from None
    if len(data) > _MOST_BYTES or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise InputError(expected("Qualisys calibration", "a plain XML file below 4 MB", "another", where=path))
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: expected XML, got a file that is not: {error}") from None
    cameras = {}
    for element in root.iterfind("cameras/camera"):
        parts = {name: element.find(name) for name in ("fov_video", "transform", "intrinsic")}
        if any(part is None for part in parts.values()):
            continue
        serial = element.get("serial", str(len(cameras) + 1))
        turned = element.get("viewrotation", "0")
        if turned not in ("", "0"):
            raise InputError(
                expected(f"camera {serial}: viewrotation", "0", turned, where=path, do="export the video unturned")
            )
        try:
            cameras[serial] = _camera({name: dict(part.attrib) for name, part in parts.items() if part is not None})
        except KeyError as error:
            raise InputError(f"{path}: camera {serial}: expected {error.args[0]}, got none") from None
        except (ValueError, InputError) as error:
            raise InputError(f"{path}: camera {serial}: {error}") from None
    if not cameras:
        raise InputError(expected("Qualisys calibration", "cameras with fov_video and intrinsic", "none", where=path))
    return cameras


def _camera(parts: Mapping[str, Mapping[str, str]]) -> Camera:
    def numbers(part: str, *names: str) -> np.ndarray:
        return np.array([float(parts[part][name]) for name in names])

    left, top, right, bottom = numbers("fov_video", "left", "top", "right", "bottom")
    f = numbers("intrinsic", "focalLengthU", "focalLengthV") / _SUBPIXELS
    centre = numbers("intrinsic", "centerPointU", "centerPointV") / _SUBPIXELS - (left, top)
    radial = numbers("intrinsic", "radialDistortion1", "radialDistortion2", "radialDistortion3")
    tangential = numbers("intrinsic", "tangentalDistortion1", "tangentalDistortion2")
    k = np.diag([*f, 1.0])
    k[:2, 2] = centre
    rotation: Matrix3 = _TO_OURS @ numbers("transform", *_ROWS).reshape(3, 3)
    place = _MM * numbers("transform", "x", "y", "z")
    return Camera(
        round(right - left + 1),
        round(bottom - top + 1),
        k,
        np.array([*radial[:2], *tangential, radial[2]]),
        rotation,
        -rotation @ place,
    )
