from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.errors import InputError
from posemill.formats.calibration import read_calibration, write_calibration
from posemill.formats.datasets.human36m import read_cameras
from tests.formats import dataset_files as made

K = np.array([[900.0, 0, 319.5], [0, 910, 239.5], [0, 0, 1]])
QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # about z
CAMERA = Camera(640, 480, K, np.array([0.1, -0.2, 0.001, 0.002, 0.05]), QUARTER_TURN, np.array([1.0, 2, 3]))

ONE = '{"width": 4, "height": 3, "K": [[5, 0, 2], [0, 5, 1], [0, 0, 1]]}'

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


ONE = '{"width": 4, "height": 3, "K": [[5, 0, 2], [0, 5, 1], [0, 0, 1]]}'


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
        ("a.yml", OPENCV.replace("image_width", "fisheye_model: 1\nimage_width"), None, "lens: expected no fisheye"),
        ("a.json", '{"cameras": {"a": 3}}', None, r"camera: expected a table of names and values, got int"),
        ("a.json", '{"cameras": {}}', None, r"cameras: expected one or more"),
        ("a.json", '{"width": Infinity, "height": 3, "K": []}', None, r"bad numbers"),
        ("a.json", ONE.replace("}", ', "focal_sigma": -1}'), None, r"focal_sigma: expected a share"),
        (
            "a.json",
            ONE.replace("}", ', "R": [[1,0,0],[0,1,0],[0,0,1]], "t": [0, 900, 4000]}'),
            None,
            r"4100 m .* metres",
        ),
        ("a.xml", "<opencv_storage/>", None, r"Human3.6M's metadata.xml .* read as .yml or .json"),
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


# A camera at (3, -4, 2) m that looks level along +y: right is +x, up +z, backwards -y. Sensor units of 1/64 px, mm.
QUALISYS = """<?xml version="1.0"?>
<calibration><cameras>
 <camera serial="marker" viewrotation="0"/>
 <camera serial="12345" viewrotation="0">
  <fov_video left="0" top="10" right="639" bottom="489"/>
  <transform x="3000" y="-4000" z="2000" r11="1" r12="0" r13="0" r21="0" r22="0" r23="1" r31="0" r32="-1" r33="0"/>
  <intrinsic focalLengthU="57600" focalLengthV="58240" centerPointU="20448" centerPointV="15968"
   radialDistortion1="0.1" radialDistortion2="-0.2" radialDistortion3="0.05"
   tangentalDistortion1="0.001" tangentalDistortion2="0.002"/>
 </camera>
</cameras></calibration>
"""


def test_qualisys(tmp_path: Path) -> None:
    camera = read_calibration(put(tmp_path, "room.qca.txt", QUALISYS))
    assert_same(camera, Camera(640, 480, K, CAMERA.dist, camera.R, camera.t))
    np.testing.assert_allclose(camera.centre, (3, -4, 2))
    ahead, above, right = camera.world_to_camera(np.array([[3.0, 0, 2], [3, 0, 3], [4, 0, 2]]))
    np.testing.assert_allclose(ahead, (0, 0, 4), atol=1e-12)
    np.testing.assert_allclose(above - ahead, (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(right - ahead, (1, 0, 0), atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('r33="0"/>', 'r33="1"/>', "camera 12345: extrinsics: expected R a 3x3 proper rotation"),
        ('serial="12345" viewrotation="0"', 'serial="12345" viewrotation="90"', "viewrotation: expected 0, got 90"),
        ('focalLengthU="57600"', "", "camera 12345: expected focalLengthU, got none"),
        ("<intrinsic", "<other", "expected cameras with fov_video and intrinsic, got none"),
        ("<calibration>", "<!DOCTYPE x [<!ENTITY a 'b'>]><calibration>", "a plain XML file below 4 MB"),
        ("</calibration>", "", "expected XML, got a file that is not"),
    ],
)
def test_bad_qualisys_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in QUALISYS
    with pytest.raises(InputError, match=r"room\.qca\.txt: ") as error:
        read_calibration(put(tmp_path, "room.qca.txt", QUALISYS.replace(old, new)))
    assert said in str(error.value) and "\n" not in str(error.value)


ANIPOSE = POSE2SIM.replace("fisheye = false\n", "").replace("[1.0, 2.0, 3.0]", "[1000.0, 2000.0, 3000.0]")


def test_anipose_says_the_lens_and_no_world_unless_told_which_way_is_up(tmp_path: Path) -> None:
    camera = read_calibration(put(tmp_path, "a.toml", ANIPOSE), "cam1")
    np.testing.assert_allclose(camera.K, K)
    assert not camera.in_world
    # A board's world in mm, whose -y is up.
    told = ANIPOSE.replace("[metadata]", '[metadata]\nunit_m = 0.001\nup = "-y"')
    camera = read_calibration(put(tmp_path, "b.toml", told), "cam1")
    assert camera.t is not None
    np.testing.assert_allclose(camera.t, (0.001, 0.002, 0.003))
    up, of_file = np.array([[0.0, 0, 0], [0, 0, 1]]), np.array([[0.0, 0, 0], [0, -1, 0]])
    want = of_file @ QUARTER_TURN.T + camera.t
    np.testing.assert_allclose(camera.world_to_camera(up), want, atol=1e-9)


@pytest.mark.parametrize(("line", "said"), [('up = "w"\nunit_m = 1', "expected x y z"), ("unit_m = 1", "both unit_m")])
def test_a_world_half_told_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_calibration(put(tmp_path, "a.toml", ANIPOSE.replace("[metadata]", f"[metadata]\n{line}")), "cam1")


def test_human36m(tmp_path: Path) -> None:
    made.metadata_xml(tmp_path / "metadata.xml")
    camera = read_calibration(tmp_path / "metadata.xml", "S9.54138969")
    (want,) = (c for key, c in read_cameras(tmp_path / "metadata.xml").items() if key == ("S9", "54138969"))
    assert_same(camera, want.camera)
    with pytest.raises(InputError, match=r"expected S1\.54138969 or"):
        read_calibration(tmp_path / "metadata.xml", "S2.1")


def test_the_sigma_of_the_focal_length_is_kept(tmp_path: Path) -> None:
    write_calibration(tmp_path / "a.json", replace(CAMERA, focal_sigma=0.03))
    assert read_calibration(tmp_path / "a.json").focal_sigma == 0.03
