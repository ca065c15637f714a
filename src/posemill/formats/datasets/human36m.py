"""Human3.6M: its cameras, from ``metadata.xml`` or ``cameras.h5``, and its names.

The dataset's camera model is ``(x, y)' = (x, y) (1 + k1 r² + k2 r⁴ + k3 r⁶ + p1 y + p2 x) + (p2, p1) r²``, pixel
``f (x, y)' + c``. OpenCV's has the mixed term twice. :func:`project` is the dataset's; :attr:`Camera.dist` is the
OpenCV model nearest to it over the picture, which is off by 0.1 px in the mean and by up to 0.4 px in a corner.

References
----------
Ionescu, Papava, Olaru, Sminchisescu: "Human3.6M", TPAMI 2014.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemill.arrays import Matrix3, Points2, Points3
from posemill.camera import Camera
from posemill.errors import InputError, expected
from posemill.formats.guarded import Found, read_guarded

__all__ = [
    "CAMERAS",
    "FPS",
    "SUBJECTS",
    "H36MCamera",
    "action_name",
    "damaged",
    "open_cameras",
    "project",
    "read_cameras",
]

CAMERAS: dict[str, tuple[int, int]] = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
"""Camera to picture size in pixels, in the dataset's order."""
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
FPS = 50.0


@dataclass(frozen=True)
class H36MCamera:
    """One camera of one subject in the dataset's own terms.

    Attributes
    ----------
    R, centre
        World to camera (3, 3); camera centre (3,) in metres.
    f, c
        (2,) px.
    k, p
        (3,) radial, (2,) tangential in the dataset's order (p1, p2).
    size
        (width, height) px.
    """

    R: Matrix3
    centre: np.ndarray
    f: np.ndarray
    c: np.ndarray
    k: np.ndarray
    p: np.ndarray
    size: tuple[int, int]

    @property
    def camera(self) -> Camera:
        """In OpenCV's model, the nearest over the picture; the place in the world is exact."""
        x, y = np.meshgrid(
            *((np.linspace(0, n - 1, 21) - c) / f for n, c, f in zip(self.size, self.c, self.f, strict=True))
        )
        x, y = x.ravel(), y.ravel()
        r2, zero, one = x * x + y * y, np.zeros_like(x), np.ones_like(x)
        mixed = self.p[0] * y + self.p[1] * x
        # Tangential part of the dataset's model = OpenCV's with its own p1, p2, and a shift of the principal point.
        target = np.concatenate([x * mixed + self.p[1] * r2, y * mixed + self.p[0] * r2])
        terms = np.stack(
            [
                np.concatenate([2 * x * y, r2 + 2 * y * y]),
                np.concatenate([r2 + 2 * x * x, 2 * x * y]),
                np.concatenate([one, zero]),
                np.concatenate([zero, one]),
            ],
            axis=1,
        )
        p1, p2, dx, dy = np.linalg.lstsq(terms, target, rcond=None)[0]
        k = np.diag([*self.f, 1.0])
        k[:2, 2] = self.c + self.f * (dx, dy)
        dist = np.array([self.k[0], self.k[1], p1, p2, self.k[2]])
        return Camera(*self.size, k, dist, self.R, -self.R @ self.centre)

    def to_camera(self, world: Points3) -> Points3:
        """(..., 3) metres, world to camera frame."""
        return (world - self.centre) @ self.R.T


def project(camera: H36MCamera, points: Points3) -> Points2:
    """Camera-frame metres (..., 3) to pixels (..., 2) by the dataset's own model."""
    xy = points[..., :2] / points[..., 2:]
    r2 = (xy**2).sum(-1, keepdims=True)
    factor = 1 + r2 * (camera.k[0] + r2 * (camera.k[1] + r2 * camera.k[2])) + (xy @ camera.p[::-1])[..., None]
    return (xy * factor + camera.p[::-1] * r2) * camera.f + camera.c


def read_cameras(path: Path) -> dict[tuple[str, str], H36MCamera]:
    """Cameras by (subject, camera id).

    Raises
    ------
    InputError
        Neither the dataset's ``metadata.xml`` nor a ``cameras.h5`` made of it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(expected("cameras", "Human3.6M's metadata.xml, or cameras.h5", "no file", where=path))
    if path.suffix.lower() != ".xml":
        found, arrays = read_guarded(open_cameras, path, "cameras")
        return {(s, c): _from_h5(values, c, path) for (s, c), values in zip(found["names"], arrays, strict=True)}
    text = path.read_text(encoding="utf-8", errors="replace")
    match = re.search(r"<w0>\s*\[([^\]<]*)\]\s*</w0>", text)
    if "<w0>" not in text:
        do = "OpenCV's calibrations are read as .yml or .json"
        raise InputError(
            expected("calibration", "Human3.6M's metadata.xml with <w0>", "another XML", where=path, do=do)
        )
    try:
        values = np.array([float(word) for word in re.split(r"[\s,]+", match[1].strip())] if match else [])
    except ValueError:
        values = np.zeros(0)
    if values.shape != (300,) or not np.isfinite(values).all():
        raise InputError(expected("w0", "300 numbers in one <w0> element", len(values), where=path))
    out = {}
    for subject in SUBJECTS:
        for number, (name, size) in enumerate(CAMERAS.items()):
            start = 6 * (number * 11 + int(subject[1:]) - 1)
            angles, centre = values[start : start + 3], values[start + 3 : start + 6] / 1000
            f, c, k, p = np.split(values[264 + 9 * number : 273 + 9 * number], [2, 4, 7])
            out[subject, name] = H36MCamera(_rotation(angles), centre, f, c, k, p, size)
    return out


def open_cameras(path: Path) -> Found:
    """Names and numbers of cameras.h5; for :func:`~posemill.formats.guarded.read_guarded`."""
    import h5py

    names, arrays = [], []
    with h5py.File(path, "r") as file:
        for subject in SUBJECTS:
            for number in range(1, 5):
                group = f"subject{subject[1:]}/camera{number}"
                if group not in file:
                    continue
                parts = [
                    np.asarray(file[f"{group}/{key}"], np.float64).ravel() for key in ("R", "T", "f", "c", "k", "p")
                ]
                code = "".join(chr(int(n)) for n in np.ravel(np.asarray(file[f"{group}/Name"])))
                names.append((subject, code))
                arrays.append(np.concatenate(parts))
    if not names:
        raise InputError(expected("cameras", "groups subject1/camera1 and so on", "none", where=path))
    return {"names": names}, arrays


def _from_h5(values: np.ndarray, name: str, path: Path) -> H36MCamera:
    if values.shape != (21,) or not np.isfinite(values).all() or name not in CAMERAS:
        raise InputError(expected("camera", "R T f c k p of one of the four cameras", name[:40], where=path))
    r, t, f, c, k, p = np.split(values, [9, 12, 14, 16, 19])
    # MATLAB's order of axes: what is stored is the transpose of world-to-camera.
    return H36MCamera(r.reshape(3, 3).T, t / 1000, f, c, k, p, CAMERAS[name])


def _rotation(angles: np.ndarray) -> Matrix3:
    """``Rx Ry Rz`` of radians (3,)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return x @ y @ z


def action_name(text: str) -> str:
    """Action and take as all layouts of the dataset write them alike: ``WalkingDog_1`` is ``WalkDog 1``."""
    name, _, take = text.replace("_", " ").strip().partition(" ")
    known = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog", "WalkingTogether": "WalkTogether"}
    return f"{known.get(name, name)} {take}".strip()


def damaged(subject: str, action: str) -> bool:
    """Whether it is the sequence that everybody leaves out: S11, Directions without a number."""
    return subject == "S11" and action_name(action) == "Directions"


def camera_of(
    cameras: Mapping[tuple[str, str], H36MCamera] | None, subject: str, name: str, where: object
) -> H36MCamera | None:
    """Look a camera up; None if there are none at all."""
    if cameras is None:
        return None
    if (subject, name) not in cameras:
        known = ", ".join(sorted({s for s, _ in cameras})) or "none"
        raise InputError(expected(f"camera {name} of", known, subject, where=where))
    return cameras[subject, name]
