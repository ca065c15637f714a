"""skeleton and place on files: bones that stay, metres from the camera's height, a world without calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill.errors import ArtifactError
from posemill.formats.artifact import Artifact, read, write
from posemill.formats.truth import read_truth
from posemill.provenance import StageRequest
from posemill.skeleton import JOINT_SETS, convert
from posemill.stages import merge, place, skeleton
from tests.standing_people import CAMERAS, HEIGHT_M, angle_deg, people, true_up, write_subject

CLIPS = {"walk": ("walk_and_turn", "front"), "squat": ("squat_and_reach", "front"), "high": ("walk_and_turn", "high")}
KEYPOINTS, LIFTED, SKELETON, PLACED, MERGED = (
    "keypoints2d.h5",
    "lifted3d.h5",
    "skeleton.h5",
    "placed3d.h5",
    "merged3d.h5",
)


def measured(folder: Path, **sheet: object) -> Artifact:
    request = StageRequest("skeleton", sheet={"height_m": None, **sheet})
    skeleton.run(folder / KEYPOINTS, folder / LIFTED, folder / SKELETON, request)
    return read(folder / SKELETON, "skeleton")


def placed(folder: Path, bones: Path | None = None, options: dict | None = None, **sheet: object) -> Artifact:
    request = StageRequest("place", options=options or {}, sheet=sheet)
    place.run(folder / KEYPOINTS, folder / LIFTED, folder / PLACED, request, bones)
    return read(folder / PLACED, "placed3d")


def merged(folder: Path) -> Artifact:
    paths = [folder / name for name in (KEYPOINTS, LIFTED, PLACED, MERGED)]
    merge.run(*paths, StageRequest("merge"))
    return read(folder / MERGED, "merged3d")


# ------------------------------------------------------------------------------------------ the world


def test_without_calibration_people_stand_on_their_floor(tmp_path):
    write_subject(tmp_path, CLIPS)
    result = placed(tmp_path, height_m=HEIGHT_M)
    for name, (motion, view) in CLIPS.items():
        clip, camera = result.clips[name], CAMERAS[view]
        assert clip.attrs["world_source"] == "body" and clip.camera is not None
        floor = clip.attrs["floor"]
        assert angle_deg(clip.camera.R[:, 2], true_up(camera)) < (1.0 if "walk" in motion else 4.0)
        assert floor["camera_height_m"] == pytest.approx(clip.camera.centre[2], abs=1e-3)
        assert abs(floor["camera_height_m"] - camera.centre[2]) < 2 * floor["camera_height_sigma_m"]
        np.testing.assert_allclose(clip.camera.centre[:2], 0, atol=1e-9)
    assert set(floor) == {
        "camera_height_m",
        "camera_height_sigma_m",
        "up_sigma_deg",
        "upright_s",
        "standing_spots",
    }
    walk = merged(tmp_path).clips["walk"]
    joints = walk.tracks["p1"].arrays["joints"]
    assert (walk.attrs["frame"], walk.attrs["world_source"]) == ("world", "body")
    true = convert(people()[1], "posemill28", "posemill21")[0]
    names = JOINT_SETS["posemill21"]
    np.testing.assert_allclose(
        np.nanmedian(joints[..., 2], axis=0), np.median(true[..., 2], axis=0), atol=0.06, err_msg=str(names.joints)
    )


def test_clips_of_one_camera_stand_in_one_world(tmp_path):
    write_subject(tmp_path, CLIPS)
    result = placed(tmp_path, height_m=HEIGHT_M, cameras={"walk": "squat", "squat": "squat"})
    walk, squat = result.clips["walk"].camera, result.clips["squat"].camera
    assert walk is not None and squat is not None
    np.testing.assert_array_equal(walk.R, squat.R)
    np.testing.assert_array_equal(walk.t, squat.t)
    assert angle_deg(squat.R[:, 2], true_up(CAMERAS["front"])) < 1.0


@pytest.mark.parametrize(
    ("options", "reason"), [({"world": False}, "option world"), ({"max_up_sigma_deg": 0.1}, "expected 0.1 or better")]
)
def test_the_camera_frame_says_why(tmp_path, options, reason):
    write_subject(tmp_path, CLIPS)
    clip = placed(tmp_path, options=options).clips["walk"]
    assert clip.attrs["world_source"] == "none" and reason in clip.attrs["world_reason"]
    assert clip.camera is not None and not clip.camera.in_world
    assert merged(tmp_path).clips["walk"].attrs["frame"] == "camera"


def test_few_frames_are_placed_before_the_camera(tmp_path):
    write_subject(tmp_path, CLIPS)
    for name in (KEYPOINTS, LIFTED):
        artifact = read(tmp_path / name)
        for clip, frames in (("walk", 1), ("squat", 5)):
            found = artifact.clips[clip]
            found.time = found.time[:frames]
            for key, value in found.tracks["p1"].arrays.items():
                found.tracks["p1"].arrays[key] = value[:frames]
        write(tmp_path / name, artifact)
    result = placed(tmp_path, height_m=HEIGHT_M)
    for name in ("walk", "squat"):
        assert result.clips[name].status == "ok" and "nobody stands upright" in result.clips[name].attrs["world_reason"]
    assert result.clips["high"].attrs["world_source"] == "body"


def test_a_truth_with_another_north_is_compared_before_the_camera(tmp_path):
    write_subject(tmp_path, CLIPS)
    placed(tmp_path, height_m=HEIGHT_M)
    merged(tmp_path)
    assert read_truth(tmp_path / MERGED).clips["walk"].own_world


# ------------------------------------------------------------------------------------------ bones and metres


def test_measured_first_and_measured_in_place_are_the_same(tmp_path):
    write_subject(tmp_path, CLIPS, lifter_scale=1.1)
    bones = measured(tmp_path, height_m=HEIGHT_M)
    assert bones.joint_set == "posemill21" and bones.attrs["scale_source"] == "height_m"
    assert bones.attrs["lifted_by"] == {"method": "x", "weights": ""}
    assert bones.attrs["stature_m"] == pytest.approx(HEIGHT_M)
    own = placed(tmp_path, height_m=HEIGHT_M)
    first = placed(tmp_path, tmp_path / SKELETON)
    np.testing.assert_allclose(first.arrays["bone_lengths"], own.arrays["bone_lengths"], rtol=1e-6)
    for name in CLIPS:
        one, other = (a.clips[name].tracks["p1"].arrays["root_camera"] for a in (own, first))
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert "skeleton" in first.provenance["inputs"]


def test_the_cameras_height_gives_the_metres(tmp_path):
    """Of a lifter whose bodies are 15 % too small, and a person whose height nobody says."""
    write_subject(tmp_path, CLIPS, lifter_scale=1.15)
    heights_m = {"walk": float(CAMERAS["front"].centre[2]), "high": float(CAMERAS["high"].centre[2])}
    sure = StageRequest("skeleton", options={"lifter_scale_sigma": 1.0}, sheet={"camera_heights_m": heights_m})
    skeleton.run(tmp_path / KEYPOINTS, tmp_path / LIFTED, tmp_path / SKELETON, sure)
    bones = read(tmp_path / SKELETON, "skeleton")
    assert float(bones.arrays["scale"]) == pytest.approx(1.15, rel=0.04)
    assert 0.01 < float(bones.arrays["scale_sigma"]) < 0.06
    assert bones.attrs["scale_source"] == "lifter_prior+camera_height_m"
    result = placed(tmp_path, tmp_path / SKELETON)
    assert result.clips["squat"].attrs["scale_source"] == "lifter_prior+camera_height_m"
    assert result.arrays["scale_sigma"] == bones.arrays["scale_sigma"]


def test_a_named_skeleton_stays_whatever_clips_there_are(tmp_path):
    write_subject(tmp_path, {"walk": CLIPS["walk"]})
    measured(tmp_path, height_m=HEIGHT_M)
    before = placed(tmp_path, tmp_path / SKELETON)
    write_subject(tmp_path, CLIPS)
    lifted = read(tmp_path / LIFTED)
    lifted.clips["high"].tracks["p1"].arrays["joints_relative"] *= 1.3
    write(tmp_path / LIFTED, lifted)
    after = placed(tmp_path, tmp_path / SKELETON)
    for name, value in before.arrays.items():
        np.testing.assert_array_equal(after.arrays[name], value)
    for key, value in before.clips["walk"].tracks["p1"].arrays.items():
        np.testing.assert_array_equal(after.clips["walk"].tracks["p1"].arrays[key], value)


def test_a_named_skeleton_serves_another_lifter(tmp_path):
    write_subject(tmp_path, CLIPS)
    measured(tmp_path, height_m=HEIGHT_M)
    write_subject(tmp_path, CLIPS, lifter_scale=1.25, lifter="y")
    result = placed(tmp_path, tmp_path / SKELETON)
    assert float(result.arrays["scale"]) == pytest.approx(1.25, rel=1e-3)
    for name in ("bone_lengths", "sole_length"):
        np.testing.assert_array_equal(result.arrays[name], read(tmp_path / SKELETON).arrays[name])


def test_a_skeleton_without_soles_gets_those_of_the_poses(tmp_path):
    write_subject(tmp_path, CLIPS)
    bones = measured(tmp_path, height_m=HEIGHT_M)
    sole = float(bones.arrays.pop("sole_length"))
    assert 0.13 < sole / HEIGHT_M < 0.16
    write(tmp_path / SKELETON, bones)
    result = placed(tmp_path, tmp_path / SKELETON)
    assert float(result.arrays["sole_length"]) == pytest.approx(sole, rel=1e-5)
    np.testing.assert_array_equal(result.arrays["bone_lengths"][:16], bones.arrays["bone_lengths"][:16])


def test_another_persons_skeleton_and_another_file_are_refused(tmp_path):
    write_subject(tmp_path, CLIPS)
    bones = measured(tmp_path, height_m=HEIGHT_M)
    bones.subject = "S2"
    write(tmp_path / SKELETON, bones)
    with pytest.raises(ArtifactError, match=r"skeleton\.h5: skeleton of: expected S1, got S2"):
        placed(tmp_path, tmp_path / SKELETON)
    with pytest.raises(ArtifactError, match="expected skeleton, got lifted3d"):
        placed(tmp_path, tmp_path / LIFTED)


def test_legs_that_are_never_seen_fail_the_clips_and_not_the_run(tmp_path):
    write_subject(tmp_path, CLIPS)
    lifted, legs = read(tmp_path / LIFTED), [2, 3, 5, 6, 17, 18, 19, 20]
    for clip in lifted.clips.values():
        arrays = clip.tracks["p1"].arrays
        arrays["valid"][:, legs] = False
        arrays["joints_relative"][:, legs] = np.nan
        arrays["sigma"][:, legs] = np.nan
    write(tmp_path / LIFTED, lifted)
    assert "thighs and shins are in no frame" in measured(tmp_path, height_m=HEIGHT_M).attrs["problem"]
    result = placed(tmp_path, tmp_path / SKELETON)
    assert all("thighs and shins" in clip.reason for clip in result.clips.values())
    # Without a height there is nothing that the legs must fix, and nobody is known to stand.
    bones = measured(tmp_path)
    assert {"left_knee", "left_heel"} <= set(bones.attrs["bones_assumed"])
    walk = placed(tmp_path, tmp_path / SKELETON).clips["walk"]
    assert walk.status == "ok" and "nobody stands upright" in walk.attrs["world_reason"]
