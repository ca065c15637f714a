"""Cameras: published numbers, round trips, and agreement with OpenCV."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posemill.camera import Camera, distort, fold_radius, undistort
from posemill.errors import InputError

POSE = np.array(
    [
        *([0, 0, 0], [-0.13, 0.01, 0.02], [-0.12, 0.45, 0.05], [-0.11, 0.88, 0.12], [0.13, -0.01, -0.02]),
        *([0.14, 0.43, -0.05], [0.15, 0.86, 0.02], [0, -0.23, 0], [0, -0.48, -0.02], [0, -0.57, -0.08]),
        *([0, -0.68, -0.05], [0.15, -0.45, -0.03], [0.27, -0.2, -0.02], [0.25, 0.02, -0.15], [-0.15, -0.45, 0]),
        *([-0.28, -0.21, 0.02], [-0.3, 0.03, -0.1]),
    ]
)
K = np.array([[1145.05, 0, 512.54], [0, 1143.78, 515.45], [0, 0, 1]])
# Human3.6M 54138969 in OpenCV's order.
H36M = Camera(
    1000,
    1002,
    np.array([[1145.04944, 0, 512.5415], [0, 1143.7811, 515.45149], [0, 0, 1]]),
    np.array([-0.20709892, 0.24777518, -0.00142447, -0.0009757, -0.00307515]),
)


def test_pinhole_golden_numbers():
    uv = Camera(1000, 1002, K, np.zeros(5)).project(POSE + np.array([0.35, -0.1, 4.2]))
    expected = [[607.960833, 488.217143], [576.153889, 721.965833], [682.177037, 492.856815]]
    np.testing.assert_allclose(uv[[0, 3, 13]], expected, atol=1e-6)


def test_distorted_golden_number():
    np.testing.assert_allclose(H36M.project(np.array([1.2, -0.8, 4.5])), [812.070785, 315.742698], atol=2e-6)


def test_world_golden_numbers(shared_data):
    camera = h36m_camera(json.loads((shared_data / "cameras" / "h36m_cameras.json").read_text()), "S1", "54138969")
    assert camera.R is not None
    np.testing.assert_allclose(camera.R.T @ (0, -1, 0), [-0.05155, -0.18037, 0.98225], atol=1e-5)
    np.testing.assert_allclose(camera.R.T @ (0, 0, 1), [-0.39932, -0.89778, -0.18582], atol=1e-5)
    np.testing.assert_allclose(camera.centre, [1.84111, 4.95528, 1.56345], atol=1e-4)


def h36m_camera(data: dict, subject: str, name: str) -> Camera:
    from scipy.spatial.transform import Rotation

    inner = next(c for c in data["intrinsics"] if c["id"] == name)
    outer = data["extrinsics"][subject]
    pose = next(c for c in outer if c["camera"] == name)
    k = np.diag([*inner["focal_length"], 1.0])
    k[:2, 2] = inner["center"]
    (k1, k2, k3), (p1, p2) = inner["radial_distortion"], inner["tangential_p_release"]
    r = Rotation.from_quat(np.roll(pose["orientation_wxyz"], -1)).as_matrix().T
    centre = np.array(pose["translation_mm"]) / 1000
    return Camera(*inner["res"], k, np.array([k1, k2, p1, p2, k3]), r, -r @ centre)


def test_round_trip_over_the_whole_picture():
    u, v = np.meshgrid(np.linspace(0, 999, 40), np.linspace(0, 1001, 40))
    pixels = np.stack([u, v], -1)
    rays = H36M.normalise(pixels)
    back = H36M.project(np.concatenate([rays, np.ones((40, 40, 1))], -1) * 3.7)
    np.testing.assert_allclose(back, pixels, atol=1e-9)


def test_agrees_with_opencv():
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    points = rng.uniform((-1.5, -1.5, 3), (1.5, 1.5, 6), (200, 3))
    theirs, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), H36M.K, H36M.dist)
    np.testing.assert_allclose(H36M.project(points), theirs[:, 0], atol=1e-6)
    pixels = H36M.project(points)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-14)
    rays = cv2.undistortPointsIter(pixels[:, None], H36M.K, H36M.dist, np.eye(3), np.eye(3), criteria)[:, 0]
    np.testing.assert_allclose(H36M.normalise(pixels), rays, atol=1e-6 / 1145)


def test_crop_and_resize_carry_the_intrinsics():
    point = np.array([0.4, -0.3, 4.0])
    u, v = H36M.project(point)
    np.testing.assert_allclose(H36M.cropped(100, 50, 300, 200).project(point), (u - 100, v - 50), atol=1e-9)
    half = H36M.resized(500, 501)
    np.testing.assert_allclose(half.project(point), ((u + 0.5) / 2 - 0.5, (v + 0.5) / 2 - 0.5), atol=1e-9)
    assert (half.width, half.height) == (500, 501)
    both = H36M.cropped(100, 50, 300, 200).resized(900, 400)
    np.testing.assert_allclose(both.project(point), ((u - 99.5) * 3 - 0.5, (v - 49.5) * 2 - 0.5), atol=1e-9)


def test_world_and_back():
    r = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    camera = Camera(640, 480, np.diag([500.0, 500, 1]), np.zeros(5), r, np.array([0.1, 0.2, 3]))
    points = np.random.default_rng(0).normal(size=(5, 17, 3))
    np.testing.assert_allclose(camera.camera_to_world(camera.world_to_camera(points)), points, atol=1e-12)
    np.testing.assert_allclose(camera.world_to_camera(camera.centre[None]), 0.0, atol=1e-12)
    with pytest.raises(InputError, match="place in the world is unknown"):
        H36M.world_to_camera(points)


def test_behind_the_camera_is_unknown():
    assert np.isnan(H36M.project(np.array([[0.1, 0.1, -2.0], [0.1, 0.1, 0.0], [np.nan, 0, 1]]))).all()


def test_beyond_the_fold_is_unknown():
    # r - 0.3 r³ has its greatest value 2/3 √(1/0.9) = 0.7027 at r = √(1/0.9) = 1.0541.
    dist = np.array([-0.3, 0, 0, 0, 0])
    assert fold_radius(dist) == pytest.approx(np.sqrt(1 / 0.9))
    assert fold_radius(np.zeros(5)) == np.inf
    targets = np.array([[0.70, 0.0], [0.0, -0.70], [0.71, 0.0], [0.8, 0.0], [3.0, 4.0], [np.nan, 0.0]])
    rays = undistort(targets, dist)
    assert np.isfinite(rays[:2]).all() and np.isnan(rays[2:]).all()
    np.testing.assert_allclose(distort(rays[:2], dist), targets[:2], atol=1e-9)
    camera = Camera(1000, 1000, np.array([[500.0, 0, 500], [0, 500, 500], [0, 0, 1]]), dist)
    assert np.isfinite(camera.project(np.array([1.05, 0, 1.0]))).all()
    assert np.isnan(camera.project(np.array([1.06, 0, 1.0]))).all()
    assert np.isnan(camera.normalise(np.array([[500 + 500 * 0.71, 500.0]]))).all()


@given(
    st.tuples(st.floats(-0.4, 0.4), st.floats(-0.3, 0.3), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01)),
    st.floats(0, 0.85),
    st.floats(0, 6.28),
)
def test_undistort_inverts_distort_within_the_fold(coefficients, part, angle):
    dist = np.array([*coefficients, 0.0])
    radius = part * min(fold_radius(dist), 1.0)
    ray = radius * np.array([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(undistort(distort(ray, dist), dist), ray, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": np.eye(2)}, "camera matrix"),
        ({"K": np.diag([-1.0, 1, 1])}, "positive focal"),
        ({"K": np.diag([500.0, 500, 2])}, "camera matrix"),
        ({"dist": np.zeros(3)}, "distortion"),
        ({"R": np.eye(3)}, "both R and t"),
        ({"R": np.diag([1.0, 1, -1]), "t": np.zeros(3)}, "proper rotation"),
        ({"R": np.eye(3), "t": np.array([0, np.nan, 0])}, "finite metres"),
        ({"width": 0}, "image size"),
    ],
)
def test_nonsense_is_refused(change, message):
    values = {"width": 640, "height": 480, "K": np.diag([500.0, 500, 1]), "dist": np.zeros(5), **change}
    with pytest.raises(InputError, match=message):
        Camera(**values)


def test_prior_is_labelled():
    camera = Camera.prior(1920, 1080)
    assert camera.intrinsics_source == "prior" and camera.focal_sigma == 0.25 and not camera.in_world
    np.testing.assert_allclose(camera.project(np.array([0, 0, 1.0])), (959.5, 539.5))
    assert camera.focal_px == 1920
