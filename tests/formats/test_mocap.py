"""Importing captures: the repairs, the feet and the floor, by hand and against real files."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.bvh import read_bvh, write_bvh
from posemill.formats.mocap import body_of, read_capture
from posemill.formats.motion import MOTION_JOINTS, read_motion, write_motion
from posemill.stages.motion import import_motion
from tests.checkpoint_fuzz import damage
from tests.formats import capture_files as made

STATURE = 14.8 * made.UNIT / 0.491
AT = {name: i for i, name in enumerate(MOTION_JOINTS)}


def still(frames: int = 121) -> np.ndarray:
    return np.tile([3.0, 20.0, -4.0], (frames, 1))


@pytest.fixture
def person(tmp_path: Path) -> Path:
    made.asf(tmp_path / "07.asf")
    return made.amc(tmp_path / "07_01.amc", still())


def test_a_standing_person(person: Path):
    body = body_of(read_capture(person), 50.0)
    assert body.joints.shape == (51, 17, 3) and body.stature_m == pytest.approx(STATURE, rel=1e-6)
    joints, feet = body.joints[0], body.feet[0]
    np.testing.assert_allclose(joints[AT["Pelvis"]], (joints[AT["RHip"]] + joints[AT["LHip"]]) / 2)
    np.testing.assert_allclose(joints[AT["LHip"], 0] - joints[AT["RHip"], 0], 3.6 * made.UNIT)
    np.testing.assert_allclose(joints[AT["Thorax"], 2] - joints[AT["Spine"], 2], 4.02 * made.UNIT)
    np.testing.assert_allclose(joints[AT["LWrist"], 0] - joints[AT["LElbow"], 0], 5.1 * made.UNIT)
    # The heels carry; the ankles stand 0.039 of the stature and a sole above them.
    np.testing.assert_allclose(feet[:2, 2], 0, atol=1e-9)
    np.testing.assert_allclose(joints[AT["LFoot"], 2], 0.039 * STATURE + 0.01, atol=1e-9)
    np.testing.assert_allclose(feet[2:, 2], 0.01, atol=1e-9)
    # Facing +z (y up) is facing -y (z up): heels lie behind the ankles, toes in front.
    np.testing.assert_allclose(feet[0, :2] - joints[AT["LFoot"], :2], [0, 0.038 * STATURE], atol=1e-9)
    np.testing.assert_allclose(feet[3, :2] - joints[AT["RFoot"], :2], [0, -3.3 * made.UNIT], atol=1e-9)


def test_frame_rate_changes_and_motion_does_not(tmp_path: Path):
    made.asf(tmp_path / "07.asf")
    # One unit a second along the floor.
    roots = still() + np.arange(121)[:, None] / 120 * [0, 0, 1]
    body = body_of(read_capture(made.amc(tmp_path / "07_02.amc", roots)), 50.0)
    np.testing.assert_allclose(np.diff(body.joints[:, 0], axis=0), np.tile([0, -made.UNIT / 50, 0], (50, 1)), atol=1e-9)


def test_bones_that_the_conversion_lost_are_put_back(tmp_path: Path):
    turns = {"thorax": np.linspace(0, 40, 121), "lfemur": np.linspace(0, -60, 121), "rtibia": np.linspace(0, 30, 121)}
    skeleton = made.asf(tmp_path / "07.asf")
    original = body_of(read_capture(made.amc(tmp_path / "07_01.amc", still(), turns)), 50.0)
    path = made.bvh(tmp_path / "07_02.bvh", still(), turns)
    for skeletons in ([skeleton], []):
        # Without the subject's ASF file the thorax bone is 1.010 times the one below it, which this person's is.
        repaired = body_of(read_capture(path, skeletons), 50.0)
        np.testing.assert_allclose(repaired.joints, original.joints, atol=1e-6)
        np.testing.assert_allclose(repaired.feet, original.feet, atol=1e-6)
        assert repaired.floor_m == pytest.approx(original.floor_m, abs=1e-6)


def test_a_skeleton_without_the_gap_is_left_alone(tmp_path: Path):
    path = made.bvh(tmp_path / "07_02.bvh", still())
    bvh = read_bvh(path)
    bvh.offsets[bvh.index("Neck")] = [0, 2.0, 0]
    write_bvh(path, bvh)
    joints = read_capture(path).joints()[0]
    np.testing.assert_allclose(joints[AT["LWrist"], 0] - joints[AT["LElbow"], 0], 3.4 * made.UNIT, atol=1e-6)


def test_a_jump_after_the_rest_pose_is_left_out_too(tmp_path: Path):
    roots = still()
    roots[:2] = 0
    assert len(read_capture(made.bvh(tmp_path / "07_02.bvh", roots)).places) == 119


def test_subject_88_was_recorded_at_60_hz(tmp_path: Path):
    assert read_capture(made.bvh(tmp_path / "88_01.bvh", still())).fps == 60
    assert read_capture(made.bvh(tmp_path / "87_01.bvh", still())).fps == 120


def test_the_floor_is_where_feet_stand_not_where_one_slipped(tmp_path: Path):
    made.asf(tmp_path / "07.asf")
    roots = still(600)
    roots[300:306, 1] -= 1.5
    roots[400:, 1] += 5
    body = body_of(read_capture(made.amc(tmp_path / "07_03.amc", roots)), 50.0)
    # Standing, a slip, then on a step of 5 units.
    np.testing.assert_allclose(body.feet[[0, -1], 0, 2], [0, 5 * made.UNIT], atol=1e-3)


def test_unknown_skeleton_is_one_line(tmp_path: Path):
    path = made.bvh(tmp_path / "x.bvh", still())
    path.write_text(path.read_text().replace("LeftUpLeg", "Oberschenkel_L"))
    with pytest.raises(
        InputError, match=r"skeleton: expected CMU BVH, .* got joints Hips, LHipJoint, Oberschenkel_L"
    ) as caught:
        read_capture(path)
    assert "\n" not in str(caught.value)


def test_a_frame_time_that_no_capture_has(tmp_path: Path):
    path = made.bvh(tmp_path / "x.bvh", still(3))
    path.write_text(path.read_text().replace("Frame Time: 0.008333333", "Frame Time: 1e12"))
    with pytest.raises(InputError, match=r"Frame Time: expected 0.001 to 1 s, got 1"):
        read_capture(path)


def test_amc_without_its_skeleton(tmp_path: Path):
    with pytest.raises(InputError, match=r"skeleton: expected 07.asf among the files or beside it, got none"):
        read_capture(made.amc(tmp_path / "07_01.amc", still()))


def test_a_folder_becomes_a_motion_file(person: Path, tmp_path: Path):
    made.bvh(tmp_path / "07_01.bvh", still())
    made.bvh(tmp_path / "08_05.bvh", still())
    wild = still()
    wild[60] += 5.0
    made.bvh(tmp_path / "08_06.bvh", wild)
    whole = (tmp_path / "08_05.bvh").read_text()
    (tmp_path / "08_07.bvh").write_text(whole[: len(whole) // 2])
    output = tmp_path / "out" / "motion.h5"
    left_out = import_motion([tmp_path], output)
    assert [Path(line.split(":")[0]).name for line in left_out] == ["07_01.bvh", "08_06.bvh", "08_07.bvh"]
    assert "07_01.amc is the original" in left_out[0] and "m/s (more than 14)" in left_out[1]
    assert "08_07.bvh: left out: BVH motion values: expected" in left_out[2]
    clips = read_motion(output)
    assert [(c.group, c.subject, c.clip, c.fps) for c in clips] == [
        ("train", "S007", "07_01", 50),
        ("train", "S008", "08_05", 50),
    ]
    assert all(c.joints.shape == (51, 17, 3) and c.feet is not None and c.feet.shape == (51, 4, 3) for c in clips)
    # A second import takes over what it does not make itself.
    again = tmp_path / "again.h5"
    import_motion([tmp_path / "08_05.bvh"], again, add=output, feet=False)
    assert [(c.clip, c.feet is None) for c in read_motion(again)] == [("07_01", False), ("08_05", True)]
    with pytest.raises(InputError, match="fps: expected 25"):
        import_motion([tmp_path / "08_05.bvh"], again, add=output, fps=25)
    with pytest.raises(InputError, match="expected one of S008/08_05"):
        import_motion([tmp_path / "08_05.bvh"] * 2, again)
    with pytest.raises(InputError, match="expected BVH or AMC files"):
        import_motion([tmp_path / "07.asf"], again)


def test_feet_of_another_length_are_refused(person: Path, tmp_path: Path):
    import_motion([person], tmp_path / "m.h5")
    (clip,) = read_motion(tmp_path / "m.h5")
    assert clip.feet is not None
    object.__setattr__(clip, "feet", clip.feet[:-1])
    with pytest.raises(InputError, match=r"feet/train/S007/07_01: shape: expected \(51, 4, 3\)"):
        write_motion(tmp_path / "n.h5", [clip])
    assert not (tmp_path / "n.h5").exists()


REAL = ("02/02.asf", "02/02_01.amc", "05/05.asf", "005/05_01.bvh", "007/07_12.bvh", "016/16_36.bvh", "080/80_72.bvh")


@pytest.fixture(scope="session")
def captures(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    with tarfile.open(shared_data / "motion" / "cmu_raw_dev.tar.xz") as archive:
        for member in archive:
            if member.name.endswith((*REAL, "088/88_01.bvh", "094/94_01.bvh", "014/14_04.bvh")):
                archive.extract(member, folder, filter="data")
    return folder


def test_real_captures_agree_with_the_motion_file(captures: Path, shared_data: Path, tmp_path: Path):
    """Same frames; joints to the millimetre but for the floor, which that file has at the lowest toe."""
    known = {c.clip: c.joints for c in read_motion(shared_data / "motion" / "cmu_dev_h36m17_50hz.h5", groups=None)}
    import_motion([captures], tmp_path / "m.h5")
    clips = read_motion(tmp_path / "m.h5", groups=None)
    assert {c.group for c in clips} == {"train", "extra"} and len(clips) == 8
    for clip in clips:
        apart = clip.joints - known[clip.clip]
        apart[..., 2] -= np.median(apart[..., 2])
        assert np.linalg.norm(apart, axis=-1).max() < 1e-3, clip.clip


def test_real_standing_feet_are_on_the_floor(captures: Path, tmp_path: Path):
    import_motion([captures], tmp_path / "m.h5")
    for clip in read_motion(tmp_path / "m.h5"):
        assert clip.feet is not None
        speed = np.linalg.norm(np.gradient(clip.feet, axis=0), axis=-1) * clip.fps
        flat = (speed[:, :2] < 0.2) & (speed[:, 2:] < 0.2)
        heels, toes = clip.feet[:, :2, 2][flat], clip.feet[:, 2:, 2][flat]
        assert abs(np.median(heels)) < 0.02 and abs(np.median(toes)) < 0.035, clip.clip


@pytest.mark.parametrize("name", ["07.asf", "07_01.amc", "07_02.bvh"])
def test_damaged_captures_are_answers_or_one_line(tmp_path: Path, name: str):
    made.asf(tmp_path / "07.asf")
    made.amc(tmp_path / "07_01.amc", still(3))
    made.bvh(tmp_path / "07_02.bvh", still(3))
    sound, rng = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        (tmp_path / name).write_bytes(damage(sound, rng))
        try:
            body = body_of(read_capture(tmp_path / ("07_01.amc" if name == "07.asf" else name)), 50.0)
            assert body.joints.shape[1:] == (17, 3)
        except InputError as error:
            assert "\n" not in str(error)
