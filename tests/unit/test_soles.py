"""Feet as rigid parts: held where they rest, level when flat, over the floor however they were lifted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemill.merging.contacts import FLAT, SWING, TOE
from posemill.merging.soles import ANKLES, SOLES, Foot, held, rigid_feet, soles_of
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import JOINT_SETS, bone_lengths

SET = JOINT_SETS["posemill21"]
# Forwards is x: heel and toe 70 mm below the ankle.
SOLE = np.array([[-0.06, 0.0, -0.07], [0.18, 0.02, -0.07]])
TIME = np.arange(90) / 30


def wobbling(degrees: float, seed: int = 0) -> np.ndarray:
    """The foot (T, 2, 3) turned about all axes by errors that last 0.2 s."""
    white = np.random.default_rng(seed).normal(0, 1, (len(TIME) + 12, 3))
    kernel = np.hanning(15)[1:-1]
    turn = np.apply_along_axis(np.convolve, 0, white, kernel / np.linalg.norm(kernel), mode="valid")
    return np.einsum("tab,pb->tpa", Rotation.from_rotvec(np.radians(degrees) * turn).as_matrix(), SOLE)


def foot(sole: np.ndarray, state: np.ndarray | int, ankle: np.ndarray | None = None, bearing: float | None = 0.02):
    ankle = np.tile([0.0, 0.0, 0.085], (len(sole), 1)) if ankle is None else ankle
    return Foot(TIME[: len(sole)], ankle, sole, np.broadcast_to(state, len(sole)), bearing)


def lengths(sole: np.ndarray) -> np.ndarray:
    sides = (sole[..., 0, :], sole[..., 1, :], sole[..., 1, :] - sole[..., 0, :])
    return np.stack([np.linalg.norm(side, axis=-1) for side in sides], -1)


def test_a_flat_foot_is_still_and_level_and_rigid():
    lifted = wobbling(6)
    out = held(foot(lifted, FLAT))
    assert np.ptp(lifted[..., 2], axis=0).min() > 0.015
    speed = np.linalg.norm(np.diff(out, axis=0), axis=-1) * 30
    before = np.linalg.norm(np.diff(lifted, axis=0), axis=-1) * 30
    assert speed.mean() < 0.15 * before.mean()
    assert np.abs(out[:, 0, 2] - out[:, 1, 2]).max() < 0.012
    # As long over the floor as it was lifted: only how it is turned has changed.
    np.testing.assert_allclose(out.mean(0), SOLE, atol=0.02)
    np.testing.assert_allclose(lengths(out), np.broadcast_to(lengths(SOLE), (90, 3)), atol=1e-9)


def test_a_foot_that_swings_keeps_its_direction_and_corrections_fade():
    lifted, state = wobbling(6), np.where(TIME < 1, FLAT, SWING)
    ankle = np.array([0.0, 0.0, 0.085]) + np.maximum(TIME - 1, 0)[:, None] * [1.0, 0, 0.3]
    out = held(foot(lifted, state, ankle))
    np.testing.assert_allclose(out[TIME > 1.6], lifted[TIME > 1.6], atol=1e-3)
    step = np.abs(np.diff(out - lifted, axis=0)).max((1, 2))
    assert step[29:35].max() < 0.02


def test_a_foot_rolls_over_a_toe_that_stays():
    """The ankle goes up and forwards about the toe; the lifted foot is 8 degrees off."""
    pitch = np.radians(np.clip(60 * (TIME - 0.5), 0, 30))
    true = np.einsum("tab,pb->tpa", Rotation.from_rotvec(pitch[:, None] * [0, 1.0, 0]).as_matrix(), SOLE)
    toe = np.array([0.18, 0.02, 0.02])
    ankle = toe - true[:, 1]
    lifted = np.einsum("ab,tpb->tpa", Rotation.from_rotvec(np.radians([0, -8, 0])).as_matrix(), true)
    out = held(foot(lifted, np.where(TIME < 0.5, FLAT, TOE), ankle))
    assert np.linalg.norm(ankle + out[:, 1] - toe, axis=-1).max() < 0.018
    assert np.linalg.norm(ankle + lifted[:, 1] - toe, axis=-1).min() > 0.025
    assert np.linalg.norm(out[:, 0] - true[:, 0], axis=-1).max() < 0.012


def test_toes_that_bear_alone_are_on_the_floor_or_on_a_step():
    """Lifted 3 cm over the floor they come down to it; 30 cm over it they are on something else."""
    sole = SOLE @ Rotation.from_rotvec([0, np.radians(25), 0]).as_matrix().T
    for step, height in ((0.0, 0.02), (0.3, 0.35)):
        ankle = np.tile([0, 0, 0.05 + step - sole[1, 2]], (90, 1))
        out = held(foot(np.tile(sole, (90, 1, 1)), TOE, ankle))
        assert np.abs((ankle + out[:, 1])[:, 2] - height).max() < 0.015


def test_nothing_is_below_the_floor_and_feet_stay_rigid():
    turns = Rotation.random(90, random_state=np.random.default_rng(0)).as_matrix()
    lifted = np.einsum("tab,pb->tpa", turns, SOLE)
    ankle = np.stack([0 * TIME, 0 * TIME, np.linspace(0.03, 0.15, 90)], -1)
    for state in (SWING, FLAT, TOE):
        out = held(foot(lifted, state, ankle))
        assert (ankle[:, None] + out)[..., 2].min() > -1e-9
        np.testing.assert_allclose(lengths(out), np.broadcast_to(lengths(SOLE), (90, 3)), atol=1e-9)
    free = held(foot(lifted, SWING, ankle, bearing=None))
    np.testing.assert_allclose(free, lifted, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips(frames):
    assert np.isfinite(held(foot(wobbling(6)[:frames], FLAT))).all()


def test_feet_get_the_persons_triangle():
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 1, (5, 21, 3))
    joints[:, SOLES] = joints[:, ANKLES, None] + SOLE * 1.1 + rng.normal(0, 0.01, (5, 2, 2, 3))
    joints[4, SOLES[1, 1]] = np.nan
    sides = lengths(SOLE)
    bones = np.median(bone_lengths(joints[:4], SET.name), axis=0)
    bones[SOLES - 1] = sides[:2]
    skeleton = Skeleton(bones, 1.0, 0.0, "height_m", (), SET.name, sides[2])
    out = rigid_feet(joints, skeleton)
    np.testing.assert_allclose(lengths(soles_of(out))[:4], np.broadcast_to(sides, (4, 2, 3)), atol=1e-9)
    np.testing.assert_array_equal(out[:, :17], joints[:, :17])
    # Without its toe a heel stays as it is.
    np.testing.assert_array_equal(out[4, SOLES[1]], joints[4, SOLES[1]])
    body = rigid_feet(joints[:, :17], skeleton.body())
    np.testing.assert_array_equal(body, joints[:, :17])
    assert np.isnan(soles_of(body)).all()
