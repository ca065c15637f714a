"""The twin's body and motions: truths that follow from a skeleton of fixed lengths and planned feet."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.skeleton import joint_set
from posemill.twin.body import BONES, PARENTS, SOLE_M, Body, Pose, bone
from posemill.twin.gait import sole_points
from posemill.twin.kinematics import ease, keys, legs, turn
from posemill.twin.mocap import from_motion
from posemill.twin.motions import BOX, MOTIONS, animate
from posemill.twin.visibility import visible

BODY = Body.of_height(1.75)
TIME = np.arange(0, 8, 1 / 30)
JOINTS = joint_set("posemill28")


@pytest.fixture(scope="module", params=sorted(MOTIONS))
def motion(request: pytest.FixtureRequest) -> tuple[str, Pose]:
    return request.param, animate(request.param, BODY, TIME)


def standing(body: Body) -> Pose:
    rotations = np.tile(np.eye(3), (1, len(BONES), 1, 1))
    root = np.array([[0, 0, body.hip_height_m]])
    return Pose(body.forward(root, rotations), rotations, np.ones((1, 4), dtype=bool))


@pytest.mark.parametrize("height_m", [1.5, 1.75, 2.0])
def test_standing_twin_has_its_stature_on_its_soles(height_m: float) -> None:
    body = Body.of_height(height_m)
    joints = dict(zip(JOINTS.joints, body.joints(standing(body))[0], strict=True))
    assert joints["head_top"][2] == pytest.approx(height_m + SOLE_M)
    assert sole_points(body, standing(body))[..., 2] == pytest.approx(0, abs=1e-12)
    assert joints["left_knee"][2] == pytest.approx(0.285 * height_m + SOLE_M)
    # Left is the body's own left: +y when it faces +x; the nose is in front of the ears.
    assert joints["left_hip"][1] == pytest.approx(-joints["right_hip"][1]) and joints["left_hip"][1] > 0
    assert joints["nose"][0] > joints["left_ear"][0]
    np.testing.assert_allclose(joints["pelvis"], (joints["left_hip"] + joints["right_hip"]) / 2)


def test_impossible_stature_is_refused() -> None:
    with pytest.raises(InputError, match=r"height_m: expected .* got 17"):
        Body.of_height(17)


def test_bones_keep_their_lengths(motion: tuple[str, Pose]) -> None:
    pose = motion[1]
    for i, parent in enumerate(PARENTS[1:], start=1):
        length = np.linalg.norm(pose.positions[:, i] - pose.positions[:, parent], axis=-1)
        np.testing.assert_allclose(length, np.linalg.norm(BODY.offsets[i]), atol=1e-9)
    identity = pose.rotations @ np.swapaxes(pose.rotations, -1, -2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(pose.rotations), 1, atol=1e-9)


def test_feet_in_contact_do_not_move(motion: tuple[str, Pose]) -> None:
    name, pose = motion
    joints = BODY.joints(pose)
    for column, joint in enumerate(("left_heel", "left_big_toe", "right_heel", "right_big_toe")):
        held = pose.contact[:-1, column] & pose.contact[1:, column]
        step = np.linalg.norm(np.diff(joints[:, JOINTS.index(joint)], axis=0), axis=-1)[held]
        # Between the last held frame of one step and the first of the next there is a frame without contact.
        assert held.any() and step.max() < 1e-6, name


def test_soles_stay_on_or_above_the_floor(motion: tuple[str, Pose]) -> None:
    name, pose = motion
    points = sole_points(BODY, pose)
    assert points[..., 2].min() > -0.005, name
    assert (points[..., 2].min(axis=1) < 0.25).all()


def test_step_up_does_not_cut_through_the_box() -> None:
    points = sole_points(BODY, animate("step_up", BODY, TIME))
    x0, y0, x1, y1, top = BOX
    over = (points[..., 0] > x0) & (points[..., 0] < x1) & (points[..., 1] > y0) & (points[..., 1] < y1)
    assert over.any() and points[..., 2][over].min() > top - 0.005


def test_joints_move_at_human_speed(motion: tuple[str, Pose]) -> None:
    speed = np.linalg.norm(np.diff(BODY.joints(motion[1]), axis=0), axis=-1) * 30
    assert speed.max() < 6.0
    assert np.abs(np.diff(speed, axis=0)).max() * 30 < 90  # m/s²; a jump of 10 cm in one frame would be 90


def test_motion_is_a_function_of_time_not_of_frames(motion: tuple[str, Pose]) -> None:
    name, pose = motion
    slow = animate(name, BODY, TIME[::12])
    np.testing.assert_allclose(slow.positions, pose.positions[::12], atol=1e-9)
    np.testing.assert_array_equal(slow.contact, pose.contact[::12])


@pytest.mark.parametrize("height_m", [1.2, 1.55, 1.95])
@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_motions_are_within_reach_of_other_statures(name: str, height_m: float) -> None:
    body = Body.of_height(height_m)
    pose = animate(name, body, np.arange(0, 14, 0.05))
    assert np.isfinite(pose.positions).all()


def test_step_too_high_for_the_legs_is_refused() -> None:
    with pytest.raises(InputError, match=r"twin of 0.8 m.* too short"):
        animate("step_up", Body.of_height(0.8), TIME)


def test_unknown_motion_names_those_that_exist() -> None:
    with pytest.raises(InputError, match="walk_and_turn"):
        animate("moonwalk", BODY, TIME)


def test_leg_of_known_triangle() -> None:
    thigh, shank = BODY.length("left_shank"), BODY.length("left_foot")
    # A right angle at the knee: hip to ankle is the hypotenuse.
    reach = np.hypot(thigh, shank)
    down, bent, stretch = legs(BODY, "left_", np.zeros((1, 3)), np.array([[0, 0, -reach]]), np.array([[1.0, 0, 0]]))
    knee = -thigh * down[0, :, 2]
    assert knee[0] > 0 and knee[1] == pytest.approx(0)
    np.testing.assert_allclose(knee - shank * bent[0, :, 2], [0, 0, -reach], atol=1e-9)
    np.testing.assert_allclose(np.trace(down[0].T @ bent[0]), 1, atol=1e-9)  # trace is 1 + 2 cos 90°
    assert stretch[0] == pytest.approx(reach / (thigh + shank))


def test_ease_and_keys_rest_at_both_ends() -> None:
    assert ease(0.0) == 0 and ease(1.0) == 1 and ease(0.5) == pytest.approx(0.5)
    np.testing.assert_allclose(keys(np.array([-1, 0, 1, 2, 9.0]), [0, 2], [3, 5]), [3, 3, 4, 5, 5])
    np.testing.assert_allclose(turn("z", np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_motion_capture_drives_the_limbs_exactly() -> None:
    truth = BODY.joints(animate("walk_and_turn", BODY, TIME))[:, :17]
    body, pose = from_motion(truth, 30, on_floor=False)
    assert body.height_m == pytest.approx(BODY.height_m, rel=1e-6)
    found = body.joints(pose)[:, :17]
    exact = [i for i, name in enumerate(joint_set("h36m17").joints) if name not in ("neck_nose", "head_top")]
    np.testing.assert_allclose(found[:, exact], truth[:, exact], atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(pose.rotations), 1, atol=1e-9)
    # The knee bends backward: the shank's forward axis is the body's forward, not reversed.
    heading = (pose.rotations[:, bone("pelvis"), :, 0] * pose.rotations[:, bone("left_shank"), :, 0]).sum(-1)
    assert heading.min() > 0


def test_motion_capture_is_stood_on_the_floor() -> None:
    truth = BODY.joints(animate("squat_and_reach", BODY, TIME))[:, :17]
    body, pose = from_motion(truth - np.array([0, 0, 0.04]), 30)
    np.testing.assert_allclose(pose.positions[:, bone("left_thigh")], truth[:, 4], atol=1e-9)
    assert pose.contact.all() and np.abs(sole_points(body, pose)[..., 2]).max() < 1e-6


def test_motion_capture_with_gaps_is_refused() -> None:
    with pytest.raises(InputError, match="finite joints"):
        from_motion(np.full((3, 17, 3), np.nan), 30)


def test_a_wall_hides_what_is_behind_it_and_nothing_else() -> None:
    from posemill.camera import Camera

    camera = Camera.from_focal(200, 200, 200.0, source="sheet", sigma=0.0)
    joints = np.tile([0.0, 0.0, 3.0], (28, 1)) + np.linspace(-0.5, 0.5, 28)[:, None] * [1, 0, 0]
    wall = np.array([[0, -1, 2.0], [5, -1, 2.0], [5, 1, 2.0], [0, 1, 2.0]])
    seen = visible(joints, wall, np.array([[0, 1, 2], [0, 2, 3]]), np.array([-1, -1]), camera)
    np.testing.assert_array_equal(seen, joints[:, 0] < 0)
    # The same wall behind them hides none; beyond the image border none is seen.
    assert visible(joints, wall * 2, np.array([[0, 1, 2], [0, 2, 3]]), np.array([-1, -1]), camera).all()
    assert not visible(joints + np.array([9.0, 0, 0]), wall * 2, np.array([[0, 1, 2]]), np.array([-1]), camera).any()
