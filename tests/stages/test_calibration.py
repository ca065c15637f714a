"""A subject's cameras as a calibration: several people in one world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.artifact import Clip, read, write
from posemill.formats.calibration import read_calibration
from posemill.provenance import StageRequest
from posemill.skeleton import JOINT_SETS
from posemill.stages import calibration, merge, place
from tests.stages import exported_subject as es
from tests.standing_people import HEIGHT_M, write_subject


def test_cameras_come_back_by_their_clips(tmp_path: Path) -> None:
    made = es.merged(clips=("walk", "wave", "lost"))
    made.clips["lost"] = made.clips["lost"].failed("lost.mp4: damaged")
    write(tmp_path / "p.h5", made)
    assert calibration.run(tmp_path / "p.h5", tmp_path / "cameras.json") == {"lost": "lost.mp4: damaged"}
    for name in ("walk", "wave"):
        found, camera = read_calibration(tmp_path / "cameras.json", name), made.clips[name].camera
        assert camera is not None and found.R is not None and found.t is not None
        np.testing.assert_allclose(found.K, camera.K)
        np.testing.assert_allclose(found.R, camera.R)
        np.testing.assert_allclose(found.t, camera.t)


def test_without_a_world_there_is_nothing_to_write(tmp_path: Path) -> None:
    write(tmp_path / "p.h5", es.merged(frame="camera"))
    with pytest.raises(InputError, match=r"p\.h5: a clip in the world .*: expected one, got walk: not in the world"):
        calibration.run(tmp_path / "p.h5", tmp_path / "cameras.json")
    assert not (tmp_path / "cameras.json").exists()


def test_two_people_before_one_camera_are_in_one_world(tmp_path: Path) -> None:
    """One walks and is 1.75 m tall; of the other, who squats, nothing is known but that the camera is the same."""
    walker, other = tmp_path / "walker", tmp_path / "other"
    walker.mkdir()
    other.mkdir()
    write_subject(walker, {"seen": ("walk_and_turn", "front")})
    # The lifter takes them for a smaller person than they are.
    write_subject(other, {"seen": ("squat_and_reach", "front")}, lifter_scale=1.15)
    _chain(walker, height_m=HEIGHT_M)
    calibration.run(walker / "merged3d.h5", tmp_path / "cameras.json")
    keypoints = read(other / "keypoints2d.h5", "keypoints2d")
    keypoints.clips["seen"].camera = read_calibration(tmp_path / "cameras.json", "seen")
    write(other / "keypoints2d.h5", keypoints)
    _chain(other)
    one, two = (read(folder / "merged3d.h5", "merged3d").clips["seen"] for folder in (walker, other))
    assert one.camera is not None and two.camera is not None
    np.testing.assert_allclose(one.camera.R, two.camera.R)
    np.testing.assert_allclose(one.camera.t, two.camera.t)
    assert (one.attrs["world_source"], two.attrs["world_source"]) == ("body", "calibration")
    # The twin is as tall in both: the second one's metres are the first one's, by the floor that both stand on.
    assert "calibration" in two.attrs["scale_source"]
    assert _thigh_m(two) == pytest.approx(_thigh_m(one), rel=0.04)


def _thigh_m(clip: Clip) -> float:
    joints, names = clip.tracks["p1"].arrays["joints"], JOINT_SETS["h36m17"]
    return float(
        np.nanmedian(np.linalg.norm(joints[:, names.index("left_knee")] - joints[:, names.index("left_hip")], axis=-1))
    )


def _chain(folder: Path, **sheet: object) -> None:
    keypoints, lifted, placed = (folder / f"{name}.h5" for name in ("keypoints2d", "lifted3d", "placed3d"))
    place.run(keypoints, lifted, placed, StageRequest("place", sheet=sheet))
    merge.run(keypoints, lifted, placed, folder / "merged3d.h5", StageRequest("merge"))
