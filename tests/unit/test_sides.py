from __future__ import annotations

import numpy as np
import pytest

from posemill.people.cleaning import clean
from posemill.people.options import GatherOptions
from posemill.people.sides import mend_sides
from posemill.skeleton import joint_set

JOINTS = joint_set("limbs12")
FPS, STATURE = 30, 1000.0
LEGS = [JOINTS.indices((f"{side}_knee", f"{side}_ankle")) for side in ("left", "right")]


def walker_seen_from_the_side(frames: int = 120) -> np.ndarray:
    """(T, 12, 2) px: legs swing past each other once in half a second."""
    time = np.arange(frames) / FPS
    swing = np.sin(2 * np.pi * time)
    points = np.zeros((frames, 12, 2))
    for side, sign in (("left", 1), ("right", -1)):
        for kind, (down, amount) in {"hip": (0, 0), "knee": (245, 90), "ankle": (480, 200)}.items():
            points[:, JOINTS.index(f"{side}_{kind}")] = np.stack(
                [500 + sign * amount * swing, 0 * time + 500 + down], -1
            )
        for kind, (down, amount) in {"shoulder": (-288, 0), "elbow": (-140, -40), "wrist": (0, -110)}.items():
            points[:, JOINTS.index(f"{side}_{kind}")] = np.stack(
                [500 + sign * amount * swing, 0 * time + 500 + down], -1
            )
    return points + np.random.default_rng(0).normal(0, 3, points.shape)


def exchanged(points: np.ndarray, frames: slice) -> np.ndarray:
    wrong = points.copy()
    wrong[frames, LEGS[0]], wrong[frames, LEGS[1]] = points[frames, LEGS[1]], points[frames, LEGS[0]]
    return wrong


def jumping_jack(fps: float, seconds: float = 4.0) -> np.ndarray:
    """(T, 12, 2) px, seen from the front: knees and ankles come near each other once a second and part again."""
    time = np.arange(round(seconds * fps)) / fps
    spread = np.abs(np.sin(np.pi * time))
    points = np.zeros((len(time), 12, 2))
    heights = {"hip": 0, "knee": 245, "ankle": 480, "shoulder": -288, "elbow": -140, "wrist": 0}
    widths = {"hip": 50, "knee": 20, "ankle": 15, "shoulder": 95, "elbow": 130, "wrist": 150}
    reach = {"hip": 0, "knee": 140, "ankle": 190, "shoulder": 0, "elbow": 60, "wrist": 200}
    for side, sign in (("left", 1), ("right", -1)):
        for kind, down in heights.items():
            across = 500 + sign * (widths[kind] + reach[kind] * spread)
            points[:, JOINTS.index(f"{side}_{kind}")] = np.stack([across, 0 * time + 500 + down], -1)
    return points + np.random.default_rng(0).normal(0, 3, points.shape)


def mended(points: np.ndarray, fps: float = FPS, contested: np.ndarray | None = None):
    frames = len(points)
    score, sigma, valid = np.full((frames, 12), 0.9), np.full((frames, 12), 5.0), np.ones((frames, 12), bool)
    return mend_sides(
        points, score, sigma, valid, np.arange(frames) / fps, np.full(frames, STATURE), "limbs12", contested
    )


def test_right_sides_stay() -> None:
    points = walker_seen_from_the_side()
    result = mended(points)
    np.testing.assert_array_equal(result.keypoints, points)
    assert not result.exchanged["legs"].any() and not result.exchanged["arms"].any()


@pytest.mark.parametrize("frames", [slice(40, 41), slice(52, 56), slice(64, 70)])
def test_exchanged_legs_are_exchanged_back(frames: slice) -> None:
    points = walker_seen_from_the_side()
    result = mended(exchanged(points, frames))
    far = np.abs(points[:, LEGS[0][1], 0] - points[:, LEGS[1][1], 0]) > 60
    want = np.zeros(len(points), bool)
    want[frames] = True
    assert (result.exchanged["legs"] == want)[far].all() and not result.exchanged["arms"].any()
    np.testing.assert_array_equal(result.keypoints[far], points[far])


@pytest.mark.parametrize("fps", [15, 30])
def test_a_front_taken_for_a_back_is_turned_as_a_whole(fps: float) -> None:
    points = jumping_jack(fps)
    wrong = points.copy()
    wrong[fps : fps + fps // 6] = wrong[fps : fps + fps // 6, JOINTS.flip_permutation]
    result = mended(wrong, fps)
    np.testing.assert_array_equal(result.keypoints, points)
    assert result.exchanged["body"].sum() == fps // 6
    assert not result.exchanged["legs"].any() and not result.exchanged["arms"].any()


def test_legs_that_meet_and_part_again_did_not_cross() -> None:
    """Astride; twice in half a second the legs shut for one frame: to go through each other is the smoother way."""
    points = np.repeat(jumping_jack(15)[5:6], 60, axis=0) + np.random.default_rng(1).normal(0, 20, (60, 12, 2))
    legs = np.concatenate(LEGS)
    for frame in (30, 38):
        points[frame, legs, 0] = 500
    result = mended(points, 15)
    np.testing.assert_array_equal(result.keypoints, points)
    assert not result.exchanged["legs"].any()


def test_where_it_may_be_either_sigma_grows() -> None:
    points = walker_seen_from_the_side()
    points[60:] += exchanged(points, slice(None))[60:] - points[60:]
    result = mended(points)
    unsure = result.doubtful["legs"]
    assert np.isfinite(result.sigma).all() and (result.sigma >= 5.0).all()
    assert (result.sigma[unsure][:, LEGS[0]] > 5.0).all()
    assert (result.sigma[~unsure] == 5.0).all()


def test_contested_sides_follow_from_those_that_are_not() -> None:
    points = walker_seen_from_the_side()
    frames = slice(50, None)
    contested = np.zeros(points.shape[:2], bool)
    contested[frames, np.concatenate(LEGS)] = True
    wrong = exchanged(points, frames)
    far = np.abs(points[:, LEGS[0][1], 0] - points[:, LEGS[1][1], 0]) > 60
    assert (mended(wrong).keypoints[far] != points[far]).any()
    for read in (points, wrong):
        result = mended(read, contested=contested)
        np.testing.assert_array_equal(result.keypoints[far], points[far])
        assert (result.sigma[far] == 5.0).all()


def test_where_nothing_tells_the_answer_is_the_same_however_sides_were_named() -> None:
    points = walker_seen_from_the_side()
    contested = np.zeros(points.shape[:2], bool)
    contested[:, np.concatenate(LEGS)] = True
    one, other = (mended(read, contested=contested) for read in (points, exchanged(points, slice(None))))
    assert one.doubtful["legs"].any()
    np.testing.assert_allclose(one.keypoints, other.keypoints)
    np.testing.assert_allclose(one.sigma, other.sigma)


def test_what_was_done_is_listed() -> None:
    points = exchanged(walker_seen_from_the_side(), slice(64, 68))
    points[20, JOINTS.index("left_wrist")] += 400
    frames = len(points)
    result = clean(
        points,
        np.full((frames, 12), 0.9),
        np.full((frames, 12), 5.0),
        np.ones((frames, 12), bool),
        np.arange(frames) / FPS,
        joints="limbs12",
        temporal=True,
        options=GatherOptions(),
    )
    assert result.audit["exchanged_legs"] == 4 and result.audit["exchanged_arms"] == 0
    assert result.trail["exchanged_legs"] == {"legs": [(64, 67)]}
    assert result.trail["rejected"]["left_wrist"] == result.trail["filled"]["left_wrist"] == [(20, 20)]


def test_other_joints_and_short_clips_are_left_alone() -> None:
    points = walker_seen_from_the_side(4)
    assert mended(points).exchanged == {}
