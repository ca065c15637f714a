from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.errors import InputError
from posemill.formats.calibration import read_calibration, write_calibration

K = np.array([[900.0, 0, 319.5], [0, 910, 239.5], [0, 0, 1]])
QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # about z
CAMERA = Camera(640, 480, K, np.array([0.1, -0.2, 0.001, 0.002, 0.05]), QUARTER_TURN, np.array([1.0, 2, 3]))

OPENCV = """%YAML:1.0
---
calibration_time: "some day"
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 900., 0., 319.5, 0., 910., 239.5, 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ 0.1, -0.2, 0.001, 0.002, 0.05 ]
"""

POSE2SIM = """[int_cam1_img]
name = "cam1"
size = [ 640.0, 480.0]
matrix = [ [ 900.0, 0.0, 319.5], [ 0.0, 910.0, 239.5], [ 0.0, 0.0, 1.0]]
distortions = [ 0.1, -0.2, 0.001, 0.002]
rotation = [ 0.0, 0.0, 1.5707963267948966]
translation = [ 1.0, 2.0, 3.0]
fisheye = false

[cam2]
name = "cam2"
size = [ 320, 240]
matrix = [ [ 450.0, 0.0, 160.0], [ 0.0, 450.0, 120.0], [ 0.0, 0.0, 1.0]]
distortions = [ 0.0, 0.0, 0.0, 0.0]
fisheye = true

[metadata]
adjusted = false
error = 0.0
"""


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def assert_same(found: Camera, want: Camera) -> None:
    assert (found.width, found.height) == (want.width, want.height)
    np.testing.assert_allclose(found.K, want.K)
    np.testing.assert_allclose(found.dist, want.dist)
    assert found.in_world == want.in_world
    if want.R is not None and found.R is not None and want.t is not None and found.t is not None:
        np.testing.assert_allclose(found.R, want.R, atol=1e-12)
        np.testing.assert_allclose(found.t, want.t)


def test_own_json_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_calibration(path, CAMERA)
    assert_same(read_calibration(path), CAMERA)
    assert_same(read_calibration(path, "any name"), CAMERA)
    write_calibration(path, {"left": CAMERA, "right": Camera.prior(100, 50)})
    assert_same(read_calibration(path, "left"), CAMERA)
    assert not read_calibration(path, "right").in_world


def test_opencv_yaml(tmp_path: Path) -> None:
    found = read_calibration(put(tmp_path, "a.yml", OPENCV))
    assert_same(found, Camera(640, 480, K, CAMERA.dist))
    placed = OPENCV + "rvec: [0, 0, 1.5707963267948966]\ntvec: [[1], [2], [3]]\n"
    assert_same(read_calibration(put(tmp_path, "b.yaml", placed)), CAMERA)


def test_opencv_json(tmp_path: Path) -> None:
    text = '{"image_width": 640, "image_height": 480, "camera_matrix": [[900, 0, 319.5], [0, 910, 239.5], [0, 0, 1]]}'
    found = read_calibration(put(tmp_path, "a.json", text))
    assert_same(found, Camera(640, 480, K, np.zeros(5)))


def test_pose2sim_toml(tmp_path: Path) -> None:
    found = read_calibration(put(tmp_path, "a.toml", POSE2SIM), "cam1")
    assert_same(found, Camera(640, 480, K, np.array([0.1, -0.2, 0.001, 0.002, 0]), QUARTER_TURN, CAMERA.t))


def test_sports2d_demo_stands_upright(shared_data: Path) -> None:
    """World z is up: a point one metre higher is higher in the picture, and the camera stands 10 m away."""
    camera = read_calibration(shared_data / "videos" / "sports2d_Calib_demo.toml")
    foot, head = camera.project(camera.world_to_camera(np.array([[0.0, 3.5, 0], [0, 3.5, 1]])))
    assert head[1] < foot[1] and abs(head[0] - foot[0]) < 5
    assert camera.centre == pytest.approx([10, 3.51, 1.71], abs=0.02)


@pytest.mark.parametrize(
    ("name", "text", "camera", "says"),
    [
        ("a.toml", POSE2SIM, None, r"camera: expected cam1 or cam2, got None; name it in the sheet"),
        ("a.toml", POSE2SIM, "cam3", r"camera: expected cam1 or cam2, got cam3"),
        ("a.toml", POSE2SIM, "cam2", r"lens: expected fisheye = false"),
        ("a.toml", "[cam1\n", None, r"expected toml, got a file that is not"),
        ("a.txt", "", None, r"kind of calibration: expected \.json \.toml"),
        ("a.json", "[1, 2]", None, r"calibration: expected a table"),
        ("a.json", '{"f": 1}', None, r"expected K \(posemill\), camera_matrix"),
        ("a.json", '{"width": 4, "height": 3, "K": [[1, 2], [3]]}', None, r"bad numbers"),
        ("a.json", '{"width": 4, "K": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}', None, r"expected height, got none"),
        ("a.json", '{"width": 4, "height": 3.5, "K": []}', None, r"image size: expected whole positive pixels"),
        ("a.json", '{"width": 4, "height": 3, "K": [[0, 0, 0], [0, 0, 0], [0, 0, 0]]}', None, r"camera matrix"),
        ("a.yml", OPENCV.replace("rows: 5", "rows: 8").replace("0.05 ]", "0.05, 1, 2, 3 ]"), None, "8 coefficients"),
        ("a.yml", "a: !!python/object/apply:os.system ['true']", None, r"expected yml, got a file that is not"),
        ("a.yml", "a: [", None, r"expected yml, got a file that is not"),
    ],
)
def test_bad_files_are_told_in_one_line(tmp_path: Path, name: str, text: str, camera: str | None, says: str) -> None:
    path = put(tmp_path, name, text)
    with pytest.raises(InputError, match=says) as info:
        read_calibration(path, camera)
    assert str(info.value).startswith(str(path)) and "\n" not in str(info.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_calibration(tmp_path / "none.json")
