"""A synthetic walker of constant bones and calibrated cameras around it: the truth that placement must find."""

from __future__ import annotations

import numpy as np

from posemill.camera import Camera
from posemill.geometry import unit
from posemill.skeleton import JOINT_SETS, normalise_pose

SET = JOINT_SETS["h36m17"]
# Metres, in the order of SET.bones: right leg, left leg, trunk and head, left arm, right arm.
LENGTHS = np.array([0.13, 0.44, 0.43, 0.13, 0.44, 0.43, 0.23, 0.25, 0.09, 0.11, 0.15, 0.28, 0.25, 0.15, 0.28, 0.25])


def walker(frames: int, fps: float = 30.0) -> tuple[np.ndarray, np.ndarray]:
    """Time (T,) s and joints (T, 17, 3) m in the world: a walk on an ellipse of 2 m by 1.4 m."""
    time = np.arange(frames) / fps
    phase, way = 2 * np.pi * 0.9 * time, 2 * np.pi * time / 12
    root = np.stack([np.cos(way), 0.7 * np.sin(way), 0.93 + 0.02 * np.cos(2 * phase)], -1)
    ahead = unit(np.gradient(np.stack([np.cos(way), 0.7 * np.sin(way), 0 * way], -1), time, axis=0))
    up = np.array([0.0, 0, 1])
    left = np.cross(up, ahead)

    def swing(angle: np.ndarray) -> np.ndarray:
        """Unit vectors (T, 3) in the sagittal plane, 0 pointing down, positive forwards."""
        return np.sin(angle)[:, None] * ahead - np.cos(angle)[:, None] * up

    direction = np.zeros((frames, 17, 3))
    for side, sign, offset in (("right", -1, 0.0), ("left", 1, np.pi)):
        thigh = 0.45 * np.sin(phase + offset)
        shin = thigh - 0.35 * (1 - np.cos(phase + offset - 0.8))
        arm = -0.4 * np.sin(phase + offset)
        for joint, value in (
            ("hip", sign * left),
            ("knee", swing(thigh)),
            ("ankle", swing(shin)),
            ("shoulder", unit(sign * left + 0.1 * up)),
            ("elbow", swing(arm)),
            ("wrist", swing(arm + 0.5)),
        ):
            direction[:, SET.index(f"{side}_{joint}")] = value
    for joint, lean in (("spine", 0.02), ("thorax", 0.1), ("neck_nose", 0.2), ("head_top", -0.1)):
        direction[:, SET.index(joint)] = unit(up + lean * ahead)
    joints = np.zeros((frames, 17, 3))
    for parent, child in SET.bones:
        joints[:, child] = joints[:, parent] + direction[:, child]
    return time, normalise_pose(joints, LENGTHS) + root[:, None]


def camera_at(position: tuple[float, float, float], *, distorted: bool = True) -> Camera:
    """A calibrated camera that looks at the middle of the walk."""
    forward = unit(np.array([0.0, 0, 0.9]) - position)
    right = unit(np.cross(forward, (0.0, 0, 1)))
    r = np.stack([right, np.cross(forward, right), forward])
    k = np.array([[1145.0, 0, 512.5], [0, 1143.8, 515.5], [0, 0, 1]])
    dist = np.array([-0.207, 0.248, -0.0014, -0.00098, -0.003]) * distorted
    return Camera(1000, 1002, k, dist, r, -r @ np.array(position))


CAMERAS = {"cam1": camera_at((4.0, -3.0, 1.6)), "cam2": camera_at((-3.5, -4.0, 1.5))}
