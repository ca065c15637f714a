from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from posemill.camera import Camera
from posemill.camera_motion import CameraMotion

DIST = np.array([-0.12, 0.03, 0.0005, -0.0003, 0.0])
REFERENCE = Camera.from_focal(640, 480, 600.0, source="sheet", sigma=0.0)


def swinging(frames: int = 50, *, dist: np.ndarray = DIST) -> CameraMotion:
    """A lens that turns by up to 40 degrees and doubles its focal length."""
    phase = np.linspace(0, 2 * np.pi, frames)
    turn = Rotation.from_rotvec(np.stack([0.2 * np.cos(phase), 0.7 * np.sin(phase), 0.1 * np.sin(3 * phase)], -1))
    k = np.repeat(REFERENCE.K[None], frames, 0)
    k[:, 0, 0] *= 1.5 + 0.5 * np.sin(phase)
    k[:, 1, 1] *= 1.52 + 0.5 * np.sin(phase)
    return CameraMotion(k, dist, turn.as_matrix(), np.zeros((frames, 3)), np.ones(frames, dtype=bool))


def pixels(frames: int = 50) -> np.ndarray:
    return np.random.default_rng(0).uniform((0, 0), (639, 479), (frames, 17, 2))


def test_there_and_back():
    motion, points = swinging(), pixels()
    mapped = motion.to_reference(points, REFERENCE)
    np.testing.assert_allclose(motion.to_video(mapped, REFERENCE), points, atol=1e-9)


def test_points_of_space_go_where_the_reference_camera_sees_them():
    motion = swinging()
    world = np.random.default_rng(1).normal((0, 0, 6), 0.5, (50, 17, 3))
    frames = zip(motion.K, motion.turn, world, strict=True)
    seen = np.stack([Camera(640, 480, k, DIST).project(points @ turn) for k, turn, points in frames])
    np.testing.assert_allclose(motion.to_reference(seen, REFERENCE), REFERENCE.project(world), atol=1e-9)
    own = motion.to_frames(world)
    np.testing.assert_allclose(own @ motion.turn.transpose(0, 2, 1), world, atol=1e-12)
    np.testing.assert_allclose(Camera(640, 480, motion.K[7], DIST).project(own[7]), seen[7], atol=1e-9)


def test_magnification_is_of_lengths():
    motion, points = swinging(dist=np.zeros(5)), pixels()
    middle = np.broadcast_to(motion.K[:, None, :2, 2], points.shape)
    ahead = motion.turn[:, 2, 2]  # cosine of the angle of the frame's axis off the reference's
    focal = np.sqrt(motion.K[:, 0, 0] * motion.K[:, 1, 1])
    expected = 600.0 / focal / ahead**1.5  # 1 / cos² away from the axis, 1 / cos around it
    np.testing.assert_allclose(motion.magnification(middle, REFERENCE)[:, 0], expected, rtol=2e-3)


def test_far_off_the_axis_and_unknown_frames_are_left_out():
    motion = swinging()
    turn = Rotation.from_euler("y", np.linspace(0, 90, 50)[:, None], degrees=True).as_matrix()
    motion = CameraMotion(motion.K, np.zeros(5), turn, motion.offset, np.arange(50) != 3)
    middle = np.broadcast_to(motion.K[:, None, :2, 2], (50, 1, 2))
    seen = np.isfinite(motion.to_reference(middle, REFERENCE)).all(-1)[:, 0]
    np.testing.assert_array_equal(seen, (np.linspace(0, 90, 50) < 75) & (np.arange(50) != 3))
