"""Contacts: a foot that steps, rolls, is not seen, or whose keypoints jump, under a camera that looks at it."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.merging.contacts import FLAT, HEEL, SWING, TOE, foot_states, image_speeds
from posemill.merging.options import MergeOptions
from posemill.metrics.image_contacts import hysteresis
from posemill.skeleton import JOINT_SETS

SET = JOINT_SETS["blazepose33"]
CAMERA = Camera.from_focal(1001, 1001, 1000.0, source="sheet", sigma=0.0)
DEPTH_M = 4.0


def states(time, parts, *, joints_of="blazepose33", noise_px=0.0, valid=None, height_m=None):
    """States of feet whose heel, toe and ankle are at ``parts`` (T, 2, 3, 2), metres right and down, 4 m away."""
    names = JOINT_SETS[joints_of]
    keypoints = np.full((len(time), len(names), 2), np.nan)
    for foot, side in enumerate(("left", "right")):
        for part, name in enumerate(("heel", "big_toe", "ankle")):
            if f"{side}_{name}" in names.joints:
                keypoints[:, names.index(f"{side}_{name}")] = 500 + 1000 * parts[:, foot, part] / DEPTH_M
    keypoints += np.random.default_rng(0).normal(0, noise_px, keypoints.shape)
    flags = np.isfinite(keypoints).all(-1)
    if valid is not None:
        flags &= valid[:, None]
    speeds = image_speeds(time, keypoints, flags, joints_of, CAMERA, np.full((len(time), 2), DEPTH_M))
    height = np.zeros((len(time), 2)) if height_m is None else height_m
    return foot_states(time, ((speeds, 0.15),), height, MergeOptions())


def standing(time):
    return np.broadcast_to(np.array([[0.0, 0.1], [0.2, 0.1], [0.05, 0.0]]), (len(time), 2, 3, 2)).copy()


def test_speeds_are_metres_a_second_by_the_time_stamps():
    time = np.array([0, 0.1, 0.3, 0.4, 0.9, 1.0])
    keypoints = np.full((6, 33, 2), np.nan)
    keypoints[:, SET.index("left_heel")] = time[:, None] * (30.0, 40.0)
    speeds = image_speeds(time, keypoints, np.isfinite(keypoints).all(-1), SET.name, CAMERA, np.full((6, 2), 2.0))
    np.testing.assert_allclose(speeds[:, 0, 0], 0.1, rtol=1e-5)
    assert np.isnan(speeds[:, 1]).all() and np.isnan(speeds[:, 0, 1:]).all()


@pytest.mark.parametrize("fps", [15, 30, 120])
@pytest.mark.parametrize("joints_of", ["blazepose33", "coco17"])
def test_a_stepping_foot_stands_before_and_after_at_any_frame_rate(fps, joints_of):
    time = np.arange(int(3 * fps)) / fps
    step = np.clip(2 * (time - 1), 0, 1)
    parts = standing(time)
    parts[:, 0, :, 0] += 0.7 * ((1 - np.cos(np.pi * step)) / 2)[:, None]
    found = states(time, parts, joints_of=joints_of, noise_px=1.0)
    assert (found[:, 1] == FLAT).all()
    clear = (np.abs(time - 1) > 0.14) & (np.abs(time - 1.5) > 0.14)
    np.testing.assert_array_equal((found[:, 0] == SWING)[clear], ((time > 1) & (time < 1.5))[clear])


def test_a_foot_rolls_over_its_toes_and_lands_on_its_heel():
    time = np.arange(60) / 30
    parts = standing(time)
    rise = np.clip(time - 0.5, 0, 0.4)
    parts[:, 0, 0, 1] -= rise
    parts[:, 0, 2, 1] -= 0.7 * rise
    parts[:, 1, 1, 1] -= np.clip(1.0 - time, 0, 0.4)
    found = states(time, parts)
    assert (found[18:24, 0] == TOE).all() and (found[:12, 0] == FLAT).all() and (found[32:, 0] == FLAT).all()
    assert (found[20:28, 1] == HEEL).all() and (found[36:, 1] == FLAT).all()


def test_noise_of_two_pixels_and_a_jump_of_twelve_do_not_lift_a_standing_foot():
    time = np.arange(90) / 30
    parts = standing(time)
    parts[45, 0] += 0.05
    assert (states(time, parts, noise_px=2.0) == FLAT).all()


def test_a_foot_that_hangs_still_high_over_the_other_does_not_stand_but_one_on_a_step_does():
    time = np.arange(60) / 30
    height = np.zeros((60, 2))
    height[:, 0] = 0.2
    assert (states(time, standing(time), height_m=height) == FLAT).all()
    height[:, 0] = 1.0
    assert (states(time, standing(time), height_m=height)[:, 0] == SWING).all()


def test_what_is_not_seen_does_not_stand():
    time = np.arange(60) / 30
    valid = np.ones(60, dtype=bool)
    valid[20:40] = False
    found = states(time, standing(time), valid=valid)
    assert (found[20:40] == SWING).all() and (found[:18] == FLAT).all() and (found[42:] == FLAT).all()
    assert (states(time, standing(time), valid=np.zeros(60, bool)) == SWING).all()
    assert states(time[:1], standing(time[:1])).tolist() == [[SWING, SWING]]
    assert states(time[:0], standing(time[:0])).shape == (0, 2)


def test_hysteresis_by_hand():
    enter = np.array([0, 1, 0, 0, 0, 0, 1, 1], bool)
    leave = np.array([0, 0, 0, 1, 0, 1, 0, 0], bool)
    np.testing.assert_array_equal(hysteresis(enter, leave), [0, 1, 1, 0, 0, 0, 1, 1])
    assert not hysteresis(np.zeros(3, bool), np.zeros(3, bool)).any()
