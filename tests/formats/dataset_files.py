"""Small files in the layouts of published datasets, from one made-up walk."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from posemill.formats.datasets.human36m import CAMERAS, SUBJECTS
from posemill.geometry import unit
from posemill.skeleton import joint_set
from tests.walker import walker

H32, H17 = joint_set("h36m32"), joint_set("h36m17")
F, C, K, P = (1145.0, 1143.8), (512.5, 515.5), (-0.207, 0.248, -0.003), (-0.00142, -0.00098)
PLACES = ((3.0, 4.0, 1.5), (3.0, -4.0, 1.6), (-3.0, 4.2, 1.4), (-3.0, -3.7, 1.7))


def world(frames: int) -> np.ndarray:
    """(F, 32, 3) metres: the walk, with zeros where the walker has no such joint."""
    out = np.zeros((frames, 32, 3))
    out[:, H32.indices(H17.joints)] = walker(frames, 50.0)[1]
    return out


def rotation(place: tuple[float, float, float]) -> np.ndarray:
    """World to camera, looking at the middle of the walk."""
    forward = unit(np.array([0.0, 0, 0.9]) - place)
    right = unit(np.cross(forward, (0.0, 0, 1)))
    return np.stack([right, np.cross(forward, right), forward])


def seen(points: np.ndarray, camera: int) -> np.ndarray:
    """Pixels of world metres by Human3.6M's model, written out."""
    local = (points - PLACES[camera]) @ rotation(PLACES[camera]).T
    x, y = local[..., 0] / local[..., 2], local[..., 1] / local[..., 2]
    r2 = x * x + y * y
    scale = 1 + K[0] * r2 + K[1] * r2**2 + K[2] * r2**3 + P[0] * y + P[1] * x
    return np.stack([F[0] * (x * scale + P[1] * r2) + C[0], F[1] * (y * scale + P[0] * r2) + C[1]], -1)


def local(points: np.ndarray, camera: int) -> np.ndarray:
    """World to camera, metres."""
    return (points - PLACES[camera]) @ rotation(PLACES[camera]).T


def metadata_xml(path: Path) -> Path:
    numbers = np.zeros(300)
    for number, place in enumerate(PLACES):
        # The dataset's angles: R = Rx Ry Rz.
        angles = Rotation.from_matrix(rotation(place)).as_euler("XYZ")
        for subject in SUBJECTS:
            start = 6 * (number * 11 + int(subject[1:]) - 1)
            numbers[start : start + 6] = [*angles, *(1000 * np.array(place))]
        numbers[264 + 9 * number : 273 + 9 * number] = [*F, *C, *K, *P]
    text = " ".join(f"{n:.17g}" for n in numbers)
    path.write_text(f"<?xml version='1.0'?>\n<metadata><mapping/><w0>[{text}]</w0></metadata>\n")
    return path


def cameras_h5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["3dtest"] = np.zeros((96, 1))
        for subject in SUBJECTS:
            for number, (name, place) in enumerate(zip(CAMERAS, PLACES, strict=True), 1):
                group = file.create_group(f"subject{subject[1:]}/camera{number}")
                group["R"] = rotation(place).T
                for key, values in (("T", 1000 * np.array(place)), ("f", F), ("c", C), ("k", K), ("p", P)):
                    group[key] = np.reshape(values, (-1, 1)).astype(float)
                group["Name"] = np.array([[ord(letter)] for letter in name], np.uint16)
    return path


def videopose3d(folder: Path, frames: int = 7, extra: int = 2) -> tuple[Path, Path, Path]:
    """3D, projected 2D without layout name, and detected 2D with scores in COCO's joints and more frames than 3D."""
    truth = {
        "S1": {"Walking 1": world(frames).astype(np.float32), "WalkingDog": world(frames + 1).astype(np.float32)},
        "S11": {"Directions": world(3).astype(np.float32), "Directions 1": world(3).astype(np.float32)},
    }
    exact = {s: {a: [seen(w, c).astype(np.float32) for c in range(4)] for a, w in v.items()} for s, v in truth.items()}
    rng = np.random.default_rng(0)
    found = {
        s: {
            a: [rng.uniform(0, 1000, (len(w) + extra, 17, 3)).astype(np.float32) for _ in range(4)]
            for a, w in v.items()
        }
        for s, v in truth.items()
    }
    paths = folder / "data_3d_h36m.npz", folder / "data_2d_h36m_gt.npz", folder / "data_2d_h36m_detector.npz"
    left, right = (list(H32.indices(tuple(j for j in H32.joints if j.startswith(side)))) for side in ("left", "right"))
    np.savez_compressed(paths[0], positions_3d=truth)  # pyright: ignore[reportArgumentType]
    plain = {"num_joints": 32, "keypoints_symmetry": [left, right]}
    np.savez_compressed(paths[1], positions_2d=exact, metadata=plain)  # pyright: ignore[reportArgumentType]
    coco = {"layout_name": "coco", "num_joints": 17}
    coco["keypoints_symmetry"] = [list(range(1, 17, 2)), list(range(2, 17, 2))]
    np.savez_compressed(paths[2], positions_2d=found, metadata=coco)  # pyright: ignore[reportArgumentType]
    return paths


def baseline(folder: Path, frames: int = 7) -> Path:
    """Two actions of S9, one of S11; stacked-hourglass 2D of 2 frames more, with underscores in the names."""
    rng = np.random.default_rng(1)
    for subject, actions in (("S9", ("Walking 1", "Photo")), ("S11", ("Directions", "Eating"))):
        for action in actions:
            points = world(frames)
            below = folder / subject / "MyPoses"
            (below / "3D_positions").mkdir(parents=True, exist_ok=True)
            with h5py.File(below / "3D_positions" / f"{action}.h5", "w") as file:
                file["3D_positions"] = 1000 * points.reshape(frames, 96).T
            for number, camera in enumerate(CAMERAS):
                (below / "2D_positions").mkdir(exist_ok=True)
                with h5py.File(below / "2D_positions" / f"{action}.{camera}.h5", "w") as file:
                    file["2D_positions"] = seen(points, number).reshape(frames, 64).T
                (folder / subject / "StackedHourglass").mkdir(exist_ok=True)
                name = f"{action.replace(' ', '_')}.{camera}.h5"
                with h5py.File(folder / subject / "StackedHourglass" / name, "w") as file:
                    file["poses"] = np.round(rng.uniform(0, 1000, (frames + 2, 16, 2)))
    cameras_h5(folder / "cameras.h5")
    return folder


def mpi_inf_3dhp(folder: Path, frames: int = 7) -> Path:
    """S1/Seq2 with three cameras of a focal length of 1500 px, and TS1, TS5."""
    below = folder / "S1" / "Seq2"
    below.mkdir(parents=True)
    rng = np.random.default_rng(2)
    deep = [rng.uniform((-500, -900, 3000), (500, 900, 4000), (frames, 28, 3)) for _ in range(3)]
    flat = [1500 * d[..., :2] / d[..., 2:] + 1024 for d in deep]
    cells = {}
    for key, arrays in (("annot2", flat), ("annot3", deep), ("univ_annot3", [0.9 * d for d in deep])):
        cells[key] = np.empty((3, 1), object)
        cells[key][:, 0] = [a.reshape(frames, -1) for a in arrays]
    savemat(below / "annot.mat", {**cells, "frames": np.arange(frames)[:, None]})
    lines = ["Skeletool Camera Calibration File V1.0"]
    for number in range(3):
        lines += [f"name          {number}", "  sensor      10 10", "  size        2048 2048", "  animated    0"]
        lines += ["  intrinsic   1500 0 1024 0 0 1500 1024 0 0 0 1 0 0 0 0 1"]
        lines += ["  extrinsic   1 0 0 10 0 1 0 20 0 0 1 30 0 0 0 1", "  radial      0"]
    (below / "camera.calibration").write_text("\n".join(lines) + "\n")
    for name in ("TS1", "TS5"):
        (folder / name).mkdir()
        deep17 = rng.uniform((-500, -900, 3000), (500, 900, 4000), (frames, 17, 3))
        with h5py.File(folder / name / "annot_data.mat", "w") as file:
            file["annot2"] = rng.uniform(0, 2000, (frames, 1, 17, 2))
            file["annot3"] = deep17[:, None]
            file["univ_annot3"] = 0.9 * deep17[:, None]
            file["valid_frame"] = np.arange(frames)[:, None] != 2
            file["activity_annotation"] = np.full((frames, 1), 4.0)
    return folder
