"""A network's depths beside where somebody was placed: two frames of a person 4 m away, by hand."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from posemill.camera import Camera
from posemill.camera_motion import CameraMotion
from posemill.placement.observed import Observed, Placed
from posemill.placement.scale_words import Scale, believed
from posemill.placement.torso_depth import TorsoDepth, log_ratio
from posemill.skeleton import TORSO, joint_set

CAMERA = Camera.from_focal(640, 480, 600.0, source="sheet", sigma=0.0)
CORNERS = joint_set("h36m17").indices(TORSO)
FRAMES, INSIDE_M = np.arange(2), 0.10


def person(turn_deg: float, motion: CameraMotion | None = None) -> Placed:
    """Hips 0.26 m and shoulders 0.4 m apart, turned about the upright axis."""
    joints = np.tile([0.0, 0.0, 0.0], (2, 17, 1))
    half = np.array([0.13, 0.13, 0.2, 0.2]) * [1, -1, 1, -1]
    joints[:, CORNERS] = np.stack([half, [0, 0, -0.5, -0.5], 0 * half], -1)
    joints = joints @ Rotation.from_euler("y", turn_deg, degrees=True).as_matrix().T + [0.3, 0.1, 4.0]
    flags = np.ones((2, 17), bool)
    sigma, pixels = flags * 1.0, joints[..., :2]
    seen = Observed(FRAMES / 25, True, CAMERA, joints, sigma, flags, "h36m17", pixels, sigma, flags, motion=motion)
    return Placed(seen, joints)


def test_a_network_that_is_right_says_nothing_new_and_one_that_is_not_its_factor():
    placed = person(30.0)
    surface_m = placed.joints[:, CORNERS, 2] - INSIDE_M
    np.testing.assert_allclose(log_ratio(TorsoDepth(FRAMES, surface_m, None), placed), 0.0, atol=1e-12)
    far = 1.3 * placed.joints[:, CORNERS, 2] - INSIDE_M
    np.testing.assert_allclose(log_ratio(TorsoDepth(FRAMES, far, None), placed), np.log(1.3), atol=1e-12)
    surface_m[0, 1:] = np.nan
    surface_m[1] = np.nan
    np.testing.assert_allclose(log_ratio(TorsoDepth(FRAMES, surface_m, None), placed), [0.0, np.nan], atol=1e-12)


def test_what_a_body_hides_of_itself_does_not_count():
    """From the side, the pixels of the further hip and shoulder show the nearer ones."""
    placed = person(90.0)
    depth_m = placed.joints[:, CORNERS, 2]
    surface_m = np.minimum(depth_m, depth_m[:, [1, 0, 3, 2]]) - INSIDE_M
    np.testing.assert_allclose(log_ratio(TorsoDepth(FRAMES, surface_m, None), placed), 0.0, atol=1e-12)


def test_depth_is_along_the_axis_of_each_frame_of_a_camera_that_moves():
    turn = Rotation.from_euler("y", [[25.0], [-10.0]], degrees=True).as_matrix()
    k = CAMERA.K * np.array([[[1.0]], [[2.0]]])
    k[:, 2, 2] = 1.0
    offset = np.array([[0.1, 0.0, 0.4], [0.0, 0.0, -0.3]])
    motion = CameraMotion(k, np.zeros(5), turn, offset, np.array([True, True]))
    placed = person(20.0, motion)
    depth_m = motion.to_frames(placed.joints)[:, CORNERS, 2]
    assert np.abs(depth_m - placed.joints[:, CORNERS, 2]).min() > 0.1
    np.testing.assert_allclose(log_ratio(TorsoDepth(FRAMES, depth_m - INSIDE_M, None), placed), 0.0, atol=1e-12)
    # Of a network that takes both pictures to have 600 px, the second was zoomed to twice that.
    said = (depth_m - INSIDE_M) / np.array([[1.0], [2.0]])
    np.testing.assert_allclose(log_ratio(TorsoDepth(FRAMES, said, np.full(2, 600.0)), placed), 0.0, atol=1e-12)


def test_words_too_far_off_are_parted_from_the_others():
    known = Scale("height_m", 1.1, 0.03)
    near, far = Scale("depth_network", 1.5, 0.15), Scale("depth_network", 1.8, 0.15)
    assert believed([near, far], known) == ([near], [far])
