"""A subject whose every number is known: artifacts as merge, gather and the twin would write them."""

from __future__ import annotations

import numpy as np

from posemill.camera import Camera
from posemill.formats.artifact import Artifact, Clip, Track
from posemill.provenance import StageRequest
from posemill.skeleton import joint_set

H36M, FEET, TRUTH = (joint_set(name) for name in ("h36m17", "posemill21", "posemill28"))
SIZE = (640, 480)
FPS = 25.0
REQUEST = StageRequest("test")

_STANDING = {
    "pelvis": (0, 0, 0.95),
    "right_hip": (-0.12, 0, 0.93),
    "right_knee": (-0.12, -0.05, 0.50),
    "right_ankle": (-0.12, 0, 0.08),
    "left_hip": (0.12, 0, 0.93),
    "left_knee": (0.12, -0.05, 0.50),
    "left_ankle": (0.12, 0, 0.08),
    "right_heel": (-0.12, 0.05, 0.01),
    "right_big_toe": (-0.12, -0.17, 0.01),
    "left_heel": (0.12, 0.05, 0.01),
    "left_big_toe": (0.12, -0.17, 0.01),
    "spine": (0, 0, 1.18),
    "thorax": (0, 0, 1.42),
    "neck_nose": (0, -0.05, 1.55),
    "head_top": (0, 0, 1.70),
    "left_shoulder": (0.18, 0, 1.40),
    "left_elbow": (0.30, 0, 1.15),
    "left_wrist": (0.35, -0.15, 0.95),
    "right_shoulder": (-0.18, 0, 1.40),
    "right_elbow": (-0.30, 0, 1.15),
    "right_wrist": (-0.35, -0.15, 0.95),
}


def camera(in_world: bool = True) -> Camera:
    """4 m before the person at 1 m height, looking along +y; x right, z of the world up."""
    r = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    t = -r @ np.array([0.0, -4.0, 1.0])
    k = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    return Camera(*SIZE, k, np.zeros(5), r if in_world else None, t if in_world else None)


def joints_world(frames: int) -> np.ndarray:
    """(T, 28, 3) world metres: someone who glides 0.4 m/s along x."""
    pose = np.array([_STANDING.get(name, _STANDING["head_top"]) for name in TRUTH.joints])
    path = np.arange(frames)[:, None, None] / FPS * np.array([0.4, 0, 0])
    return pose + path


def truth(frames: int = 50, clips: tuple[str, ...] = ("walk",)) -> Artifact:
    world = joints_world(frames)
    cam = camera()
    in_camera = cam.world_to_camera(world)
    arrays = {
        "keypoints": cam.project(in_camera),
        "visible": np.ones((frames, 28), bool),
        "joints": world,
        "joints_camera": in_camera,
        "contact": np.ones((frames, 4), bool),
    }
    time = np.arange(frames) / FPS
    made = {
        c: Clip(
            fps=FPS,
            image_size=SIZE,
            time=time,
            camera=cam,
            tracks={"p1": Track({k: v.copy() for k, v in arrays.items()})},
        )
        for c in clips
    }
    return Artifact("truth3d", "S1", "posemill28", made, attrs={"height_m": 1.75})


def merged(
    frames: int = 50,
    clips: tuple[str, ...] = ("walk",),
    *,
    frame: str = "world",
    invalid: tuple[int, ...] = (),
    shift_m: tuple[float, float, float] = (0, 0, 0),
    temporal: bool = True,
    joints_of: str = "h36m17",
) -> Artifact:
    """The truth, moved by ``shift_m`` in ``frame``; no pose in the frames ``invalid``."""
    names = joint_set(joints_of)
    world = joints_world(frames)[:, TRUTH.indices(names.joints)]
    cam = camera()
    in_camera = cam.world_to_camera(world)
    joints = (world if frame == "world" else in_camera) + np.array(shift_m)
    in_camera = cam.world_to_camera(joints) if frame == "world" else joints
    valid = np.ones((frames, len(names)), bool)
    valid[list(invalid)] = False

    def gapped(values: np.ndarray) -> np.ndarray:
        flag = valid.reshape(valid.shape + (1,) * (values.ndim - 2))
        return np.where(flag, values, np.nan).astype(np.float32)

    arrays = {
        "joints": gapped(joints),
        "joints_camera": gapped(in_camera),
        "root": gapped(joints)[:, 0],
        "sigma": gapped(np.full((*valid.shape, 3), 0.02)),
        "valid": valid,
        "contact": np.stack([np.arange(frames) % 20 < 12, np.arange(frames) % 20 >= 8], 1),
        "moved": gapped(np.zeros(valid.shape)),
    }
    attrs = {
        "frame": frame,
        "world_source": "calibration" if frame == "world" else "none",
        "scale_source": "height_m",
    }
    time = np.arange(frames) / FPS if temporal else np.arange(frames, dtype=float)
    made = {
        c: Clip(
            fps=FPS if temporal else float("nan"),
            temporal=temporal,
            image_size=SIZE,
            time=time,
            camera=camera(frame == "world"),
            tracks={"p1": Track({k: v.copy() for k, v in arrays.items()})},
            attrs=attrs,
        )
        for c in clips
    }
    return Artifact("merged3d", "S1", joints_of, made, {"method": "", "fingerprint": "f"})


def keypoints(
    frames: int = 50, clips: tuple[str, ...] = ("walk",), *, shift_px: tuple[float, float] = (0, 0)
) -> Artifact:
    """The true 2D of h36m17, moved by ``shift_px``."""
    cam = camera()
    points = cam.project(cam.world_to_camera(joints_world(frames)[:, :17])) + np.array(shift_px)
    low, high = points.min(1), points.max(1)
    arrays = {
        "keypoints": points.astype(np.float32),
        "score": np.tile(np.linspace(0.2, 1, 17, dtype=np.float32), (frames, 1)),
        "sigma": np.full((frames, 17), 2.0, np.float32),
        "valid": np.ones((frames, 17), bool),
        "bbox": np.concatenate([low, high], 1).astype(np.float32),
    }
    time = np.arange(frames) / FPS
    made = {
        c: Clip(
            fps=FPS,
            image_size=SIZE,
            time=time,
            camera=cam,
            tracks={"p1": Track({k: v.copy() for k, v in arrays.items()})},
        )
        for c in clips
    }
    return Artifact("keypoints2d", "S1", "h36m17", made, {"method": "exact"})
