from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemill.errors import ClipError, InputError
from posemill.formats.camera_path import CameraPath, read_camera_path, write_camera_path

LINE = "{} 1 2 3 0 0 0 1\n"
FRAME = {"time": 0.0, "R": np.eye(3).tolist()}


def turning(time: np.ndarray, **more: object) -> CameraPath:
    """Ten degrees a second about the world's z axis, at a metre a second along x."""
    r = Rotation.from_euler("z", 10 * time[:, None], degrees=True).as_matrix()
    return CameraPath(time, r, np.stack([time, 0 * time, 1 + 0 * time], -1), True, **more)


def test_tum_is_camera_to_world(tmp_path):
    time = np.arange(5) * 0.1
    turn = Rotation.from_euler("zyx", [[10 * k, 3, k] for k in range(5)], degrees=True)
    rows = np.column_stack([time, np.arange(15).reshape(5, 3), turn.as_quat()])
    (tmp_path / "path.txt").write_text("# a comment\n" + "\n".join(" ".join(map(repr, row.tolist())) for row in rows))
    found = read_camera_path(tmp_path / "path.txt")
    np.testing.assert_allclose(found.R, turn.inv().as_matrix(), atol=1e-12)
    np.testing.assert_array_equal(found.centre, np.arange(15).reshape(5, 3))
    assert found.in_world and found.K is None


def test_another_axis_up_and_another_unit(tmp_path):
    (tmp_path / "path.txt").write_text("# up = -y\n# unit_m = 0.01\n0 0 -150 0 0 0 0 1\n")
    found = read_camera_path(tmp_path / "path.txt")
    np.testing.assert_allclose(found.centre, [[0, 0, 1.5]], atol=1e-12)
    # A camera whose y axis is the world's down looks level.
    np.testing.assert_allclose(found.R[0] @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    (tmp_path / "path.txt").write_text("# up = none\n0 0 -150 0 0 0 0 1\n")
    assert not read_camera_path(tmp_path / "path.txt").in_world


def test_json_there_and_back(tmp_path):
    time = np.arange(4) / 30
    k = np.repeat(np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])[None], 4, 0)
    path = turning(time, K=k, dist=np.zeros(5), size=(640, 480), focal_sigma=0.02, source="background")
    write_camera_path(tmp_path / "path.json", path)
    found = read_camera_path(tmp_path / "path.json")
    for name in ("time", "R", "centre", "K", "dist"):
        np.testing.assert_allclose(getattr(found, name), getattr(path, name), atol=1e-12)
    assert (found.size, found.focal_sigma, found.source, found.in_world) == ((640, 480), 0.02, "background", True)


def test_interpolation_is_exact_for_even_turns():
    sparse, dense = turning(np.arange(11) * 0.4), turning(np.linspace(0, 4, 97))
    found, known = sparse.at(dense.time)
    assert known.all()
    np.testing.assert_allclose(found.R, dense.R, atol=1e-12)
    np.testing.assert_allclose(found.centre, dense.centre, atol=1e-12)


def test_nothing_is_known_before_after_and_in_gaps():
    time = np.concatenate([np.arange(10) * 0.1, 3 + np.arange(10) * 0.1])
    asked = np.array([-0.5, -0.0005, 0.0, 0.85, 0.9, 1.5, 2.9, 3.0, 3.9, 4.0])
    _, known = turning(time).at(asked)
    np.testing.assert_array_equal(known, [False, True, True, True, True, False, False, True, True, False])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected poses"),
        (LINE.format(0) + "0.1 1 2 3 0 0 0\n", "line 2: expected timestamp tx ty tz qx qy qz qw"),
        (LINE.format("x"), "line 1: expected timestamp"),
        (LINE.format("nan"), "line 1: expected timestamp"),
        ("0 1 2 3 0 0 0 2\n", "line 1: expected a quaternion of length 1, got one of 2"),
        ("#\n" + LINE.format(1) + LINE.format(1), "line 3: expected a later time"),
        ("# up = w\n" + LINE.format(0), "up: expected x y z -x -y -z none, got w"),
        ("# unit_m = -1\n" + LINE.format(0), "unit_m: expected metres per unit"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, said):
    (tmp_path / "path.txt").write_text(text)
    with pytest.raises(InputError, match=said) as error:
        read_camera_path(tmp_path / "path.txt")
    assert str(error.value).startswith(str(tmp_path / "path.txt")) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "expected a list of frames"),
        ({"frames": [FRAME, {"time": 1.0}]}, "frame 1: expected R"),
        ({"frames": [FRAME, FRAME]}, "frame 1: expected a later time"),
        ({"frames": [FRAME | {"R": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}]}, "frame 0: expected R a 3x3 proper rotation"),
        ({"frames": [FRAME | {"R": [1, 2]}]}, "frame 0: R: expected 3x3 finite numbers"),
        ({"frames": [FRAME | {"t": [1, 2, "x"]}]}, "frame 0: t: expected 3 finite numbers"),
        ({"frames": [FRAME | {"K": np.eye(3).tolist()}]}, "expected width and height"),
        (
            {"frames": [FRAME | {"K": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]}], "width": 9, "height": 9},
            "frame 0: camera mat",
        ),
        ({"frames": [FRAME], "focal_sigma": -1}, "focal_sigma: expected"),
    ],
)
def test_bad_frames_are_named(tmp_path, content, said):
    (tmp_path / "path.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
        read_camera_path(tmp_path / "path.json")


def test_a_path_that_was_not_found_says_why(tmp_path):
    write_camera_path(tmp_path / "path.json", "the background has too few corners")
    with pytest.raises(ClipError, match="the background has too few corners"):
        read_camera_path(tmp_path / "path.json")
