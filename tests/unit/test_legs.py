"""Two-bone inverse kinematics and the way knees and elbows bend."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.merging.legs import bend_forwards, bent_forwards, forward_of, reach
from posemill.metrics.plausible import elbow_hyperextended, knee_hyperextended
from posemill.skeleton import JOINT_SETS, bone_lengths
from tests.walker import walker

SET = JOINT_SETS["h36m17"]
HIP, KNEE, ANKLE = np.array([0.0, 0, 0.9]), np.array([0.1, 0, 0.5]), np.array([0.0, 0, 0.1])
FORWARD = np.array([1.0, 0, 0])


def test_a_leg_reaches_by_the_law_of_cosines_and_keeps_its_lengths():
    knee, ankle = reach(HIP, KNEE, ANKLE, np.array([0.0, 0, 0.3]), FORWARD)
    upper, lower = np.linalg.norm(KNEE - HIP), np.linalg.norm(ANKLE - KNEE)
    np.testing.assert_allclose(ankle, [0, 0, 0.3], atol=1e-12)
    np.testing.assert_allclose([np.linalg.norm(knee - HIP), np.linalg.norm(ankle - knee)], [upper, lower])
    # Equal bones: the knee is half way, on the side it was on.
    np.testing.assert_allclose(knee, [np.sqrt(upper**2 - 0.3**2), 0, 0.6], atol=1e-12)


def test_what_is_already_there_stays():
    rng = np.random.default_rng(0)
    hip, knee, ankle = rng.normal(0, 1, (3, 200, 3))
    new_knee, new_ankle = reach(hip, knee, ankle, ankle, rng.normal(0, 1, (200, 3)))
    np.testing.assert_allclose(new_ankle, ankle, atol=1e-9)
    bent = np.linalg.norm(np.cross(knee - hip, ankle - hip), axis=-1) > 0.2
    np.testing.assert_allclose(new_knee[bent], knee[bent], atol=1e-9)


@pytest.mark.parametrize("target", [(0.0, 0, -2), (0.0, 0, 0.9), (0.001, 0, 0.9), (3.0, 1, 1)])
def test_out_of_reach_the_leg_points_there_at_its_lengths(target):
    knee, ankle = reach(HIP, KNEE, ANKLE, np.array(target), FORWARD)
    np.testing.assert_allclose(np.linalg.norm(knee - HIP), np.linalg.norm(KNEE - HIP))
    np.testing.assert_allclose(np.linalg.norm(ankle - knee), np.linalg.norm(ANKLE - KNEE))


def test_a_straight_leg_bends_forwards_and_noise_does_not_turn_it():
    straight = np.array([0.0, 1e-9, 0.5])
    knee, _ = reach(HIP, straight, ANKLE, np.array([0.0, 0, 0.2]), FORWARD)
    assert knee[0] > 0.1 and abs(knee[1]) < 1e-6


def test_a_knee_that_bends_backwards_is_mirrored_and_nothing_jumps():
    hip, ankle, one = np.zeros((50, 3)), np.tile([0.0, 0, -0.8], (50, 1)), np.ones(50)
    lean = np.linspace(-0.3, 0.3, 50)
    knee = np.stack([lean, 0 * lean, -0.4 + 0 * lean], -1)
    out = bent_forwards(hip, knee, ankle, np.tile(FORWARD, (50, 1)), one)
    np.testing.assert_allclose(out[:, 0], np.abs(lean), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(out, axis=-1), np.linalg.norm(knee, axis=-1))
    assert np.abs(np.diff(out, axis=0)).max() < 0.013
    np.testing.assert_array_equal(bent_forwards(hip, knee, ankle, np.tile(FORWARD, (50, 1)), 0 * one), knee)


def test_a_walker_keeps_its_limbs_and_its_wrong_ones_are_put_right():
    _, joints = walker(60)
    np.testing.assert_allclose(bend_forwards(joints), joints, atol=2e-3)
    wrong = joints.copy()
    forward = forward_of(joints, "hip")
    for side in ("left", "right"):
        for name, way in (("ankle", 0.3), ("wrist", -0.3)):
            wrong[:, SET.index(f"{side}_{name}")] += way * forward
    assert knee_hyperextended(wrong)[0].any() and elbow_hyperextended(wrong)[0].any()
    out = bend_forwards(wrong)
    assert not knee_hyperextended(out)[0].any() and not elbow_hyperextended(out)[0].any()
    np.testing.assert_allclose(bone_lengths(out), bone_lengths(wrong), atol=1e-9)
    wrong[5] = np.nan
    out = bend_forwards(wrong)
    assert np.isnan(out[5]).all() and np.isfinite(out[6]).all()
