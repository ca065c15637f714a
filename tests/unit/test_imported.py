"""Poses of another system: how they stand before the camera, and when they are not those of the clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemill.errors import ClipError
from posemill.formats.poses import PoseClip
from posemill.lifters.imported import SIGMA_M, imported_pose
from posemill.placement.orientation import camera_orientation
from posemill.skeleton import LIMBS
from tests.walker import CAMERAS, SET, walker

CAMERA = CAMERAS["cam1"]
LIMB = SET.indices(LIMBS)
OTHER = Rotation.from_rotvec((0.7, -1.9, 0.4)).as_matrix()


def seen(frames: int = 90, pixel: float = 0.0):
    """Time, poses in the camera's axes about the pelvis, keypoints."""
    time, world = walker(frames)
    joints = CAMERA.world_to_camera(world)
    keypoints = CAMERA.project(joints)
    return time, joints - joints[:, :1], keypoints + np.random.default_rng(0).normal(0, pixel, keypoints.shape)


def lift(poses: PoseClip, time, keypoints, joints: str = "h36m17"):
    return imported_pose(poses, "h36m17", joints, time, keypoints, "h36m17", np.isfinite(keypoints).all(-1), CAMERA)


def degrees(rotation: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(rotation).magnitude()))


@pytest.mark.parametrize(("pixel", "unit", "limit"), [(0.0, 1.0, 0.1), (4.0, 1.0, 0.5), (4.0, 1000.0, 0.5)])
def test_the_rotation_to_the_camera_is_found_from_any_world(pixel, unit, limit):
    _, pose, keypoints = seen(pixel=pixel)
    valid = np.ones((90, 12), bool)
    valid[::3, 4] = False
    rotation, off = camera_orientation(unit * pose[:, LIMB] @ OTHER.T, CAMERA.normalise(keypoints)[:, LIMB], valid)
    assert degrees(rotation @ OTHER) < limit
    # 4 px are 15 mm where the walker is, of a body of 0.4 m.
    assert off < (0.06 if pixel else 0.001)


def test_a_third_of_the_keypoints_far_off_does_not_turn_it():
    _, pose, keypoints = seen(pixel=2.0)
    keypoints[::3, LIMB[:4]] += 120
    rays = CAMERA.normalise(keypoints)[:, LIMB]
    rotation, _ = camera_orientation(pose[:, LIMB] @ OTHER.T, rays, np.ones((90, 12), bool))
    assert degrees(rotation @ OTHER) < 2


def test_poses_of_another_motion_are_refused():
    time, pose, keypoints = seen()
    rng = np.random.default_rng(1)
    other = PoseClip(time, {"world": rng.normal(0, 0.3, pose.shape)})
    with pytest.raises(ClipError, match="joints miss the picture's by"):
        lift(other, time, keypoints)


def test_flat_poses_are_refused():
    time, pose, keypoints = seen()
    with pytest.raises(ClipError, match="front and back"):
        lift(PoseClip(time, {"world": pose[:1].repeat(90, 0) * (1, 1, 0)}), time, keypoints)


def test_too_few_joints_are_told():
    time, pose, keypoints = seen(10)
    with pytest.raises(ClipError, match="no frame has 6 joints"):
        lift(PoseClip(time, {"world": pose}), time, np.full_like(keypoints, np.nan))


def test_camera_axes_are_taken_as_they_are():
    time, pose, keypoints = seen()
    for frame in ("camera", "relative"):
        found, how = lift(PoseClip(time, {frame: pose + np.array([1.0, 2, 3])}), time, keypoints)
        np.testing.assert_allclose(found.joints_relative, pose, atol=1e-9)
        assert how == f"in the file, frame {frame}, 0.0% of the body's size off the picture"
    assert (found.sigma[:, 1:] == SIGMA_M).all() and found.valid.all()


def test_poses_come_at_the_times_of_the_clip_and_gaps_stay_gaps():
    time, pose, keypoints = seen(90)
    sparse = PoseClip(time[10:80:2] + 1e-4, {"relative": pose[10:80:2].copy()})
    sparse.joints["relative"][5] = np.nan
    found, _ = lift(sparse, time, keypoints)
    assert not found.valid[:9].any() and not found.valid[81:].any()
    np.testing.assert_array_equal(found.valid[[18, 20, 21, 23, 24]].all(1), [True, False, False, True, True])
    np.testing.assert_allclose(found.joints_relative[30:60], pose[30:60], atol=0.01)
    late = replace(sparse, time=sparse.time + 100)
    with pytest.raises(ClipError, match=r"between 0\.00 and 2\.97 s, got none; the file's are from 100\.33 to"):
        lift(late, time, keypoints)


def test_a_joint_set_that_the_file_lacks_is_unknown():
    time, pose, keypoints = seen(12)
    found, _ = lift(PoseClip(time, {"relative": pose}), time, keypoints, "posemill21")
    assert found.valid[:, :17].all() and not found.valid[:, 17:].any()
    assert np.isnan(found.joints_relative[:, 17:]).all()


def test_stills_take_their_poses_in_order():
    _, pose, keypoints = seen(6)
    stills = PoseClip(np.arange(6.0), {"relative": pose}, temporal=False)
    found, _ = lift(stills, np.arange(6.0), keypoints)
    np.testing.assert_allclose(found.joints_relative, pose, atol=1e-9)
    with pytest.raises(ClipError, match="expected 6, one for each image, got 5"):
        lift(PoseClip(np.arange(5.0), {"relative": pose[:5]}, temporal=False), np.arange(6.0), keypoints)


def test_camera_axes_that_are_none_and_mirrored_axes_are_refused():
    time, pose, keypoints = seen()
    with pytest.raises(ClipError, match=r"joints (miss the picture's by|are behind)"):
        lift(PoseClip(time, {"camera": pose @ OTHER.T}), time, keypoints)
    with pytest.raises(ClipError, match="right-handed axes"):
        lift(PoseClip(time, {"world": pose @ OTHER.T * (-1, 1, 1)}), time, keypoints)


def test_poses_in_another_unit_are_refused():
    time, pose, keypoints = seen()
    with pytest.raises(ClipError, match=r"metres, legs of 0\.2 to 1\.4, got \d{3}.*units"):
        lift(PoseClip(time, {"world": 1000 * pose}), time, keypoints)
