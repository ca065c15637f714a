"""The motion capture file: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.motion import FOOT_JOINTS, MOTION_JOINTS, read_motion
from tests.checkpoint_fuzz import damage


def write(path: Path, *, joints=MOTION_JOINTS, units="m", fps=50, data=None, clip="S1/walk") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["joints"] = list(joints)
        file.attrs["units"] = units
        file.attrs["fps"] = fps
        file["train/" + clip] = np.ones((3, 17, 3), np.float32) if data is None else data
    return path


def test_reads_clips_of_the_groups_asked_for(tmp_path: Path):
    path = write(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        file["extra/S9/run"] = np.zeros((2, 17, 3), np.float32)
    (clip,) = read_motion(path)
    assert (clip.group, clip.subject, clip.clip, clip.fps) == ("train", "S1", "walk", 50)
    assert clip.joints.shape == (3, 17, 3) and clip.joints.dtype == np.float32
    assert [c.subject for c in read_motion(path, groups=("train", "extra"))] == ["S1", "S9"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": [*MOTION_JOINTS[1:], "Pelvis"]}, "joints: expected Pelvis RHip"),
        ({"units": "mm"}, "units: expected m, got mm"),
        ({"fps": 0}, "fps: expected a positive number"),
        ({"data": np.zeros((3, 16, 3), np.float32)}, r"/train/S1/walk: shape: expected \(T, 17, 3\)"),
        ({"data": np.full((3, 17, 3), np.nan, np.float32)}, "expected finite metres"),
        ({"clip": "walk"}, "expected a group, got Dataset"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, change: dict, message: str):
    with pytest.raises(InputError, match=message):
        read_motion(write(tmp_path / "m.h5", **change))


def test_unknown_group_lists_those_that_exist(tmp_path: Path):
    with pytest.raises(InputError, match="group: expected test, got train"):
        read_motion(write(tmp_path / "m.h5"), groups=("test",))


@pytest.mark.parametrize("content", [None, b"text"])
def test_no_hdf5_is_one_line(tmp_path: Path, content: bytes | None):
    path = tmp_path / "m.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"motion file: expected (HDF5|a whole HDF5 file)") as caught:
        read_motion(path)
    assert "\n" not in str(caught.value)


def test_a_file_on_which_the_hdf5_library_never_ends_is_one_line():
    """Found by damaging files at random."""
    with pytest.raises(InputError, match=r"motion file: expected a whole HDF5 file, got one on which .*") as caught:
        read_motion(Path(__file__).with_name("fixtures") / "endless_motion.h5")
    assert "\n" not in str(caught.value)


def test_damaged_files_are_answers_or_one_line(tmp_path: Path):
    sound = write(tmp_path / "m.h5").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(20):
        (tmp_path / "m.h5").write_bytes(damage(sound, rng))
        try:
            read_motion(tmp_path / "m.h5")
        except InputError as error:
            assert "\n" not in str(error)


def test_what_is_read_may_be_written_to(tmp_path: Path):
    (clip,) = read_motion(write(tmp_path / "m.h5"), groups=None)
    clip.joints[0] = 0


def test_real_file(shared_data: Path):
    clips = read_motion(shared_data / "motion" / "cmu_dev_h36m17_50hz.h5")
    assert len(clips) == 90 and len({clip.subject for clip in clips}) == 16
    # The pelvis is the middle of the hips.
    joints = clips[0].joints
    np.testing.assert_allclose(joints[:, 0], (joints[:, 1] + joints[:, 4]) / 2, atol=1e-5)


def test_feet_of_those_clips_that_have_them(tmp_path: Path):
    path = write(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        file["train/S1/run"] = np.ones((2, 17, 3), np.float32)
        file.attrs["foot_joints"] = list(FOOT_JOINTS)
        file["feet/train/S1/run"] = np.full((2, 4, 3), 0.5, np.float32)
    clips = {clip.clip: clip for clip in read_motion(path, groups=None)}
    assert set(clips) == {"run", "walk"} and clips["walk"].feet is None
    np.testing.assert_array_equal(clips["run"].feet, np.full((2, 4, 3), 0.5))
    with h5py.File(path, "a") as file:
        file.attrs["foot_joints"] = list(FOOT_JOINTS[::-1])
    with pytest.raises(InputError, match="foot_joints: expected left_heel right_heel"):
        read_motion(path)
