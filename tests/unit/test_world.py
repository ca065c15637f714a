"""Up and the floor from the people: the twin before cameras whose place is known, and evidence drawn as stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.placement.floor import Floor, fit_floor
from posemill.placement.observed import Observed, Placed
from posemill.placement.options import PlaceOptions
from posemill.placement.scale_words import Scale, fused
from posemill.placement.shared_floors import find_floors
from posemill.placement.standing import Evidence, Spots, lateral_speed, look
from posemill.placement.subject import Measured, measure
from posemill.placement.world import above_floor
from posemill.skeleton import JOINT_SETS
from tests.standing_people import CAMERAS, HEIGHT_M, angle_deg, before, rolled, true_up

OPTIONS = PlaceOptions()


def floor_before(camera: Camera, motion: str = "walk_and_turn", joints_of: str = "posemill21") -> Floor:
    time, joints = before(camera, motion, joints_of)
    found = fit_floor([look(time, joints, joints_of, HEIGHT_M)])
    assert isinstance(found, Floor), found
    return found


# ------------------------------------------------------------------------------------------ a person who is known


@pytest.mark.parametrize("joints_of", ["posemill21", "h36m17"])
@pytest.mark.parametrize("roll_deg", [0.0, -25.0])
@pytest.mark.parametrize("view", sorted(CAMERAS))
def test_a_walker_gives_up_and_the_cameras_height(view, roll_deg, joints_of):
    camera = rolled(CAMERAS[view], roll_deg)
    found = floor_before(camera, joints_of=joints_of)
    assert angle_deg(found.up, true_up(camera)) < 1.0
    # The twin wears shoes of 22 mm.
    assert found.height_m == pytest.approx(camera.centre[2], abs=0.05)
    assert found.up_sigma_deg < 2.0 and found.spots > 5


@pytest.mark.parametrize("motion", ["squat_and_reach", "wave"])
def test_who_stands_in_one_place_gives_up_less_surely(motion):
    camera = CAMERAS["front"]
    found = floor_before(camera, motion)
    # The twin stands still with its weight over the heels.
    assert angle_deg(found.up, true_up(camera)) < 4.0
    assert found.up_sigma_deg > floor_before(camera).up_sigma_deg + 1.0


def test_gaps_and_a_hand_that_is_never_seen_lose_frames_and_no_more():
    camera = CAMERAS["front"]
    time, joints = before(camera)
    joints = joints.copy()
    joints[20:40] = np.nan
    joints[60:63, 3] = np.nan
    found = fit_floor([look(time, joints, "posemill21", HEIGHT_M)])
    assert isinstance(found, Floor) and angle_deg(found.up, true_up(camera)) < 1.5


def test_speed_along_the_line_of_sight_does_not_count():
    time = np.arange(10) / 10
    point = np.array([0.5, 0.2, 4.0]) * (1 + time)[:, None]
    np.testing.assert_allclose(lateral_speed(time, point[:, None]), 0.0, atol=1e-12)
    point = np.array([0.5, 0.2, 4.0]) + np.array([1.0, 0, 0]) * time[:, None]
    np.testing.assert_allclose(lateral_speed(time, point[:, None]), 1.0, atol=1e-12)


# ------------------------------------------------------------------------------------------ thin evidence


def crouched(joints: np.ndarray) -> np.ndarray:
    """Shins folded against the thighs in every frame."""
    names, out = JOINT_SETS["posemill21"], joints.copy()
    for side in ("left", "right"):
        hip, knee, ankle = (names.index(f"{side}_{n}") for n in ("hip", "knee", "ankle"))
        out[:, ankle] = out[:, knee] + 0.9 * (out[:, hip] - out[:, knee])
    return out


def lying(joints: np.ndarray) -> np.ndarray:
    """The picture's up becomes its right."""
    return joints @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda time, joints: (time[:1], joints[:1]), "nobody stands upright"),
        (lambda time, joints: (time[:0], joints[:0]), "nobody stands upright"),
        (lambda time, joints: (time[:8], joints[:8]), "nobody stands upright"),
        (lambda time, joints: (time, np.full_like(joints, np.nan)), "nobody stands upright"),
        (lambda time, joints: (time, np.tile(joints[:, :1], (1, 21, 1))), "nobody stands upright"),
        (lambda time, joints: (time, crouched(joints)), "nobody stands upright"),
        (lambda time, joints: (time, lying(joints)), "lying"),
        (lambda time, joints: (time, joints + (2.0 * time)[:, None, None] * [1.0, 0, 0]), "on a resting foot"),
    ],
)
def test_thin_evidence_gives_a_reason_and_no_floor(change, reason):
    time, joints = change(*before(CAMERAS["front"]))
    found = fit_floor([look(time, joints, "posemill21", HEIGHT_M)])
    assert isinstance(found, str) and reason in found


def test_poses_without_heels_and_toes_say_as_much_as_those_that_cannot_have_them():
    time, joints = before(CAMERAS["front"])
    joints[:, 17:] = np.nan
    without, never = (look(time, p, of, HEIGHT_M) for p, of in ((joints, "posemill21"), (joints[:, :17], "h36m17")))
    assert without.upright_s == never.upright_s > 3
    np.testing.assert_array_equal(without.spots.points, never.spots.points)


def test_nothing_and_a_limit():
    assert "nobody" in str(fit_floor([]))
    time, joints = before(CAMERAS["front"], "wave")
    one = look(time, joints, "posemill21", HEIGHT_M)
    assert "expected 2 or better" in str(fit_floor([one], max_sigma_deg=2.0))


def test_a_focal_length_that_is_guessed_makes_up_less_sure_before_a_camera_that_looks_down():
    time, joints = before(CAMERAS["high"])
    one = look(time, joints, "posemill21", HEIGHT_M)
    known, guessed = fit_floor([one]), fit_floor([one], focal_sigma=0.1)
    assert isinstance(known, Floor) and isinstance(guessed, Floor)
    # 10 % of depth on a slope of elevation e tilt it by 0.1 sin(2 e) / 2.
    tilt = np.degrees(0.1 * np.sin(2 * np.arcsin(true_up(CAMERAS["high"])[2])) / 2)
    assert np.sqrt(guessed.up_sigma_deg**2 - known.up_sigma_deg**2) == pytest.approx(abs(tilt), rel=0.1)


# ------------------------------------------------------------------------------------------ sigma


def test_sigma_is_right_for_evidence_that_errs_as_it_is_said_to():
    rng = np.random.default_rng(0)
    camera = CAMERAS["front"]
    up, height_m = true_up(camera), float(camera.centre[2])
    first, second = np.linalg.svd(up[None])[2][1:]
    within_up, within_height = [], []
    for _ in range(300):
        spots = rng.uniform((-1.5, -1.5, 0), (1.5, 1.5, 0), (8, 3))
        points = camera.world_to_camera(spots) + up * rng.normal(0, 0.025, (8, 1))
        points *= 1 + rng.normal(0, 0.012, (8, 1))
        tilt = np.radians(2.5) * rng.normal(size=2)
        vote = up + tilt[0] * first + tilt[1] * second
        found = fit_floor([Evidence(vote / np.linalg.norm(vote), 3.0, 1.0, Spots(points, np.zeros(8)))])
        assert isinstance(found, Floor)
        within_up.append(angle_deg(found.up, up) < found.up_sigma_deg)
        within_height.append(abs(found.height_m - height_m) < found.height_sigma_m)
    # Of a length in the plane, 63 % are within its root mean square.
    assert np.mean(within_up) == pytest.approx(0.63, abs=0.12)
    assert np.mean(within_height) == pytest.approx(0.68, abs=0.12)


def test_wrong_spots_are_outvoted():
    camera = CAMERAS["front"]
    time, joints = before(camera)
    one = look(time, joints, "posemill21", HEIGHT_M)
    points = one.spots.points.copy()
    points[::5] += 0.6 * true_up(camera)
    found = fit_floor([replace(one, spots=Spots(points, one.spots.above_m))])
    assert isinstance(found, Floor) and angle_deg(found.up, true_up(camera)) < 2.0


def test_feet_on_no_plane_are_no_floor():
    camera = CAMERAS["front"]
    time, joints = before(camera)
    one = look(time, joints, "posemill21", HEIGHT_M)
    stairs = one.spots.points + 0.4 * np.arange(len(one.spots.points))[:, None] * true_up(camera)
    found = fit_floor([replace(one, spots=Spots(stairs, one.spots.above_m))])
    assert isinstance(found, str) and "off any plane" in found


# ------------------------------------------------------------------------------------------ clips of one camera


def placed(camera: Camera, motion: str, *, temporal: bool = True) -> list[Placed]:
    time, joints = before(camera, motion)
    flags = np.ones(joints.shape[:2], dtype=bool)
    placeless = replace(camera, R=None, t=None)
    pose = joints - joints[:, :1]
    body = slice(17)
    keypoints = camera.project(joints)[:, body]
    one = Observed(
        time,
        temporal,
        placeless,
        pose,
        0.01 * flags,
        flags,
        "posemill21",
        keypoints,
        1.0 * flags[:, body],
        flags[:, body],
    )
    return [Placed(one, joints)]


def test_clips_of_one_camera_share_a_floor():
    camera = CAMERAS["front"]
    clips = {"walk": placed(camera, "walk_and_turn"), "wave": placed(camera, "wave")}
    alone = find_floors(clips, HEIGHT_M, {}, OPTIONS)
    shared = find_floors(clips, HEIGHT_M, {"walk": "walk", "wave": "walk"}, OPTIONS)
    assert shared["walk"] is shared["wave"] and alone["walk"] is not alone["wave"]
    assert isinstance(alone["wave"], Floor) and isinstance(shared["wave"], Floor)
    assert shared["wave"].up_sigma_deg < alone["wave"].up_sigma_deg / 2


def test_a_camera_that_was_moved_between_clips_is_noticed():
    clips = {"a": placed(CAMERAS["front"], "walk_and_turn"), "b": placed(rolled(CAMERAS["front"], 15), "walk_and_turn")}
    found = find_floors(clips, HEIGHT_M, {"a": "a", "b": "a"}, OPTIONS)
    for name, camera in (("a", CAMERAS["front"]), ("b", rolled(CAMERAS["front"], 15))):
        floor = found[name]
        assert isinstance(floor, Floor) and angle_deg(floor.up, true_up(camera)) < 1.0


def test_stills_and_clips_without_people_have_no_floor():
    clips = {"stills": placed(CAMERAS["front"], "wave", temporal=False), "empty": []}
    assert find_floors(clips, HEIGHT_M, {}, OPTIONS) == {
        "stills": "stills need not be from one place",
        "empty": "nobody is placed",
    }


# ------------------------------------------------------------------------------------------ the world, and scale


@pytest.mark.parametrize("up", [(0.0, -1, 0), (0.1, -0.9, -0.3), (0.0, -0.02, -1.0), (0.0, 0.3, 1.0)])
def test_the_world_stands_on_its_floor(up):
    up = np.array(up) / np.linalg.norm(up)
    camera = above_floor(Camera.prior(640, 480), Floor(up, 1.6, 1.0, 0.1, 5.0, 9))
    np.testing.assert_allclose(camera.centre, (0, 0, 1.6), atol=1e-12)
    np.testing.assert_allclose(camera.camera_to_world(up[None])[0] - camera.centre, (0, 0, 1), atol=1e-12)
    # The camera looks along y; a camera that looks straight down has the top of its picture there.
    ahead = camera.camera_to_world(np.array([[0.0, 0, 1], [0.0, -1, 0]])) - camera.centre
    assert abs(ahead[0, 0]) < 1e-12 and max(ahead[0, 1], abs(ahead[1, 1])) > 0


def test_scales_are_weighed_by_their_sigma_and_doubted_where_they_contradict():
    same = fused([Scale("height_m", 1.0, 0.03), Scale("camera_height_m", 1.0, 0.03)])
    assert same.factor == pytest.approx(1.0) and same.sigma == pytest.approx(0.03 / np.sqrt(2))
    assert same.source == "height_m+camera_height_m"
    apart = fused([Scale("height_m", 1.0, 0.03), Scale("camera_height_m", 1.3, 0.03)])
    assert apart.factor == pytest.approx(np.sqrt(1.3)) and apart.sigma > 0.1
    assert fused([Scale("a", 1.0, 0.01), Scale("b", 1.1, 0.1)]).factor < 1.01


def measured(lifted: Placed, camera: Camera, *, size: float, height_m: float | None = HEIGHT_M) -> Measured:
    """A walker of ``size`` times the true height's unit, before a camera with a place in the world."""
    one = replace(lifted.observed, camera=camera, pose=lifted.observed.pose * size)
    found = {"walk": {"p1": one}}
    return measure(found, height_m=height_m, camera_heights_m={}, cameras={}, joints_of="posemill21", options=OPTIONS)


def test_the_floor_of_a_calibrated_camera_says_how_large_people_are():
    (walker,) = placed(CAMERAS["front"], "walk_and_turn")
    right = measured(walker, CAMERAS["front"], size=1.0, height_m=None)
    assert right.skeleton.scale_source == "lifter_prior+calibration"
    # Said to be of any size, the walker stands where the floor is.
    large = measured(walker, CAMERAS["front"], size=1.1, height_m=None)
    words = {scale.source: scale for scale in large.scales}
    assert words["calibration"].factor == pytest.approx(1 / 1.1, abs=0.03)
    assert large.skeleton.stature_m == pytest.approx(right.skeleton.stature_m, rel=0.02)
    assert large.skeleton.scale_sigma < words["lifter_prior"].sigma


def test_a_world_whose_floor_is_not_the_peoples_says_nothing_of_their_size():
    (walker,) = placed(CAMERAS["front"], "walk_and_turn")
    camera = CAMERAS["front"]
    table = replace(camera, t=camera.t - camera.R @ np.array([0.0, 0.0, 0.75]))
    assert measured(walker, table, size=1.0).skeleton.scale_source == "height_m"
