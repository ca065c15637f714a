"""The twin on its floor before cameras, as keypoints2d and lifted3d: the truth that a world must match."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from posemill.camera import Camera
from posemill.formats.artifact import Artifact, Clip, Track, write
from posemill.skeleton import convert
from posemill.twin.body import Body
from posemill.twin.cameras import looking_at
from posemill.twin.motions import animate

HEIGHT_M = 1.75
MIDDLE = np.array([0.0, 0.0, 0.95])
CAMERAS = {
    "front": looking_at(np.array([4.2, 1.5, 1.5]), MIDDLE, 1280, 720, 900.0),
    "high": looking_at(np.array([-2.0, 4.0, 3.2]), MIDDLE, 1280, 720, 900.0),
}
"""Cameras with their true place; clips are given without it."""


@cache
def people(motion: str = "walk_and_turn", fps: float = 25.0, seconds: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Time (T,) s and joints (T, 28, 3) m of posemill28 in the world, floor at z = 0."""
    time = np.arange(round(seconds * fps)) / fps
    body = Body.of_height(HEIGHT_M)
    return time, body.joints(animate(motion, body, time))


def before(
    camera: Camera, motion: str = "walk_and_turn", joints_of: str = "posemill21"
) -> tuple[np.ndarray, np.ndarray]:
    """Time, and joints (T, J, 3) m in camera axes."""
    time, world = people(motion)
    return time, camera.world_to_camera(convert(world, "posemill28", joints_of)[0])


def rolled(camera: Camera, angle_deg: float) -> Camera:
    """The camera turned about its own axis."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    assert camera.R is not None and camera.t is not None
    return Camera(camera.width, camera.height, camera.K, camera.dist, turn @ camera.R, turn @ camera.t)


def write_subject(
    folder: Path, clips: dict[str, tuple[str, str]], *, lifter_scale: float = 1.0, lifter: str = "x"
) -> Path:
    """Write keypoints2d.h5 and lifted3d.h5 of clips (name to motion and camera), exact, cameras without a place."""
    seen, lifted = Artifact("keypoints2d", "S1", "posemill28"), Artifact("lifted3d", "S1", "posemill21")
    lifted.provenance = {"method": lifter, "weights": ""}
    for name, (motion, view) in clips.items():
        camera = CAMERAS[view]
        time, joints = before(camera, motion)
        keypoints = camera.project(before(camera, motion, "posemill28")[1])
        flags = np.ones(keypoints.shape[:2], dtype=bool)
        base = {"fps": 25.0, "image_size": (camera.width, camera.height), "time": time}
        arrays = {
            "keypoints": keypoints,
            "score": flags * 1.0,
            "sigma": flags * 1.0,
            "valid": flags,
            "bbox": np.tile([0.0, 0, 900, 700], (len(time), 1)),
        }
        placeless = Camera(camera.width, camera.height, camera.K, camera.dist)
        seen.clips[name] = Clip(**base, camera=placeless, tracks={"p1": Track(arrays)})
        pose = (joints - joints[:, :1]) / lifter_scale
        arrays = {"joints_relative": pose, "sigma": 0.01 + 0 * pose, "valid": np.ones(pose.shape[:2], dtype=bool)}
        lifted.clips[name] = Clip(**base, tracks={"p1": Track(arrays)})
    write(folder / "keypoints2d.h5", seen)
    write(folder / "lifted3d.h5", lifted)
    return folder


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two directions."""
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


def true_up(camera: Camera) -> np.ndarray:
    """Up in the camera's axes."""
    assert camera.R is not None
    return camera.R[:, 2]
