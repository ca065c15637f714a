from __future__ import annotations

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.trc import joints_of_markers, read_trc, write_trc
from posemill.skeleton import joint_set

HAND = (
    "PathFileType\t4\t(X/Y/Z)\ta.trc\n"
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
    "50.0\t50.0\t2\t2\tmm\t50.0\t1\t2\n"
    "Frame#\tTime\tHip\t\t\tRKnee\t\t\n"
    "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n"
    "\n"
    "1\t0.00\t100\t900\t20\t1\t2\t3\n"
    "2\t0.02\t110\t900\t20\t\t\t\n"
)


def test_a_file_written_by_hand(tmp_path):
    """y up in the file, z up in the world: file (X, Y, Z) is world (Y, Z, X)."""
    for text in (HAND, HAND.replace("\n\n1", "\n1"), HAND.replace("20\t\t\t\n", "20\n")):
        (tmp_path / "a.trc").write_text(text)
        trc = read_trc(tmp_path / "a.trc")
        assert trc.markers == ("Hip", "RKnee") and trc.time.tolist() == [0.0, 0.02]
        np.testing.assert_allclose(trc.points[:, 0], [[0.02, 0.1, 0.9], [0.02, 0.11, 0.9]])
        np.testing.assert_allclose(trc.points[0, 1], [0.003, 0.001, 0.002])
        assert np.isnan(trc.points[1, 1]).all()


@pytest.mark.parametrize("units", ["m", "mm"])
@pytest.mark.parametrize("blank_line", [True, False])
def test_written_and_read_again(tmp_path, units, blank_line):
    points = np.random.default_rng(0).normal(size=(5, 3, 3)).astype(np.float32)
    points[2, 1] = np.nan
    time = np.arange(5) / 30
    write_trc(tmp_path / "a.trc", time, points, ("a", "b", "c"), units=units, blank_line=blank_line)
    trc = read_trc(tmp_path / "a.trc")
    np.testing.assert_allclose(trc.points, points, rtol=0, atol=6e-9)
    np.testing.assert_allclose(trc.time, time, atol=1e-9)
    text = (tmp_path / "a.trc").read_text().splitlines()
    assert text[2].startswith(f"30\t30\t5\t3\t{units}\t") and (text[5] == "") == blank_line


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("mm", "furlongs", "Units: expected m or mm"),
        ("\t2\t2\tmm", "\t3\t2\tmm", "NumFrames: expected the 2 rows"),
        ("1\t2\t3", "1\ttwo\t3", "line 7: expected numbers"),
        ("1\t2\t3", "1\t2\t3\t4", "line 7: fields: expected 8, got 9"),
        ("0.02\t", "0.00\t", "Time"),
        ("RKnee", "Hip", "markers"),
        ("PathFileType", "x", "first line"),
    ],
)
def test_damage_is_named(tmp_path, old, new, says):
    (tmp_path / "a.trc").write_text(HAND.replace(old, new))
    with pytest.raises(InputError, match=says):
        read_trc(tmp_path / "a.trc")


def test_markers_find_their_joint_set():
    assert joints_of_markers(joint_set("h36m17").joints)[0] == "h36m17"
    name, index = joints_of_markers(("Left Knee", "RIGHT-KNEE"))
    assert [joint_set(name).joints[i] for i in index] == ["left_knee", "right_knee"]
    name, index = joints_of_markers(("Pelvis", "RFoot", "LFoot", "Head"))
    assert [joint_set(name).joints[i] for i in index] == ["pelvis", "right_ankle", "left_ankle", "head_top"]
    pose2sim = ("Hip", "RHip", "RBigToe", "RHeel", "Neck", "Head", "Nose", "LWrist")
    name, index = joints_of_markers(pose2sim)
    assert name == "halpe26" and joint_set(name).joints[index[0]] == "pelvis"
    with pytest.raises(InputError, match="got C7; rename or remove"):
        joints_of_markers(("Hip", "C7"))
