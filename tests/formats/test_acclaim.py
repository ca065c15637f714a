"""ASF/AMC: forward kinematics by hand, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.acclaim import acclaim_pose, read_amc, read_asf
from tests.formats import capture_files as made

TWO_BONES = """
:units
 length 1
 angle {angle}
:root
 order TX TY TZ RX RY RZ
 axis XYZ
 position 1 0 0
 orientation 0 0 0
:bonedata
 begin
  name upper
  direction 0 2 0   # of any length
  length 3
  axis {axis} XYZ
  dof rx rz
 end
 begin
  name lower
  direction 0 1 0
  length 2
  axis 0 0 0 XYZ
  dof rz
 end
:hierarchy
 begin
  root upper
  upper lower
 end
"""


def skeleton(tmp_path: Path, axis: str = "0 0 0", angle: str = "deg"):
    path = tmp_path / "a.asf"
    path.write_text(TWO_BONES.format(axis=axis, angle=angle))
    return read_asf(path)


def ends(skeleton, *row: float) -> np.ndarray:
    return acclaim_pose(skeleton, np.array([row], float))[0][0]


def test_bones_end_where_the_rest_pose_says(tmp_path: Path):
    np.testing.assert_allclose(ends(skeleton(tmp_path), *[0] * 9), [[1, 0, 0], [1, 3, 0], [1, 5, 0]])
    assert skeleton(tmp_path).metres_per_unit == 0.0254


def test_a_child_turns_with_its_parent(tmp_path: Path):
    # Upper 90 degrees about z: +y becomes -x. Lower back by 90: +y again.
    np.testing.assert_allclose(
        ends(skeleton(tmp_path), *[0] * 7, 90, -90), [[1, 0, 0], [-2, 0, 0], [-2, 2, 0]], atol=1e-12
    )


def test_turns_are_about_fixed_axes_in_the_order_written(tmp_path: Path):
    # rx first: +y becomes +z; then rz leaves +z where it is. The other order would end on -x.
    np.testing.assert_allclose(ends(skeleton(tmp_path), *[0] * 6, 90, 90, 0)[1], [1, 0, 3], atol=1e-12)


def test_a_bone_turns_about_its_own_axis(tmp_path: Path):
    # The frame is turned by 90 degrees about z, so its x axis is the global y axis, along the bone: nothing moves.
    np.testing.assert_allclose(ends(skeleton(tmp_path, "0 0 90"), *[0] * 6, 50, 0, 0)[1], [1, 3, 0], atol=1e-12)


def test_radians(tmp_path: Path):
    bent = ends(skeleton(tmp_path, angle="rad"), *[0] * 7, np.pi / 2, 0)
    np.testing.assert_allclose(bent[1], [-2, 0, 0], atol=1e-12)


def test_the_root_moves_all(tmp_path: Path):
    moved = ends(skeleton(tmp_path), 1, 2, 3, *[0] * 6)
    np.testing.assert_allclose(moved, [[2, 2, 3], [2, 5, 3], [2, 7, 3]])


def test_amc_in_any_order_of_bones(tmp_path: Path):
    (tmp_path / "a.amc").write_text(":DEGREES\n1\nlower 5\nroot 1 2 3 4 5 6\nupper 7 8\n")
    np.testing.assert_array_equal(read_amc(tmp_path / "a.amc", skeleton(tmp_path)), [[1, 2, 3, 4, 5, 6, 7, 8, 5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\nroot 1 2 3 4 5 6\nupper 7 8\n", "AMC frame 1: expected every bone that moves, got none of lower"),
        ("1\nroot 1 2 3 4 5\n", "line 2: values: expected 6 finite numbers"),
        ("1\nroot 1 2 3 4 5 nan\n", "finite numbers"),
        ("1\ntail 1\n", "AMC: expected a bone of its ASF file, got tail; is it the right ASF file"),
        (":RADIANS\n1\n", "AMC angles: expected degrees"),
        ("root 1 2 3 4 5 6\n", "expected a frame's number, got root"),
        ("", "expected frames, got none"),
    ],
)
def test_damaged_motion_is_one_line(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.amc").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_amc(tmp_path / "a.amc", skeleton(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("length 3", "length three", "bone upper: values: expected 1 finite numbers"),
        ("order TX TY TZ RX RY RZ", "order TX TY TZ", "ASF root order"),
        ("dof rx rz", "dof rx l", "dof: expected of rx ry rz"),
        ("upper lower\n", "lower upper\n", "hierarchy: expected each bone once, after its parent"),
        ("root upper\n", "root\n", "hierarchy: expected each bone once, after its parent"),
        ("axis 0 0 0 XYZ\n  dof rz", "axis 0 0 0 XYY\n  dof rz", "axis: expected three angles and an order"),
        ("direction 0 1 0\n", "", "ASF bone: expected name, direction, length and axis, got no direction"),
        ("direction 0 1 0\n", "direction 0 0 0\n", "direction: expected a vector"),
    ],
)
def test_damaged_skeleton_is_one_line(tmp_path: Path, old: str, new: str, message: str):
    text = TWO_BONES.format(axis="0 0 0", angle="deg")
    assert old in text
    (tmp_path / "a.asf").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        read_asf(tmp_path / "a.asf")
    assert "\n" not in str(caught.value)


def test_a_bone_outside_the_hierarchy(tmp_path: Path):
    with pytest.raises(InputError, match="ASF bones: expected all in the hierarchy, got head outside"):
        read_asf(made.asf(tmp_path / "1.asf", drop="head"))
    (tmp_path / "b.asf").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="got no bones"):
        read_asf(tmp_path / "b.asf")
