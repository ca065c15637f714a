"""Feet that stand: contacts, the root that follows them and legs that reach, on the demo's true motion with errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtri

from posemill.formats.artifact import read
from posemill.geometry import rotation_between, unit
from posemill.merging import banded
from posemill.merging.feet import Locked, PersonInWorld, SeenPerson, lock_feet
from posemill.merging.options import MergeOptions
from posemill.merging.soles import soles_of
from posemill.metrics.feet import contact_score, joint_foot_sliding, pair_contacts
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import JOINT_SETS, bone_lengths

DEMO = Path(__file__).parents[2] / "resources/demo/S9/truth.h5"
SET = JOINT_SETS["h36m17"]
ANKLES = SET.indices(("left_ankle", "right_ankle"))
JOINT_SIGMA, PATH_SIGMA = (0.02, 0.02, 0.05), (0.01, 0.01, 0.06)


class Walk:
    """The demo's walk: 7 s at 30 Hz, its joints in the world, what its camera sees, and its contacts."""

    def __init__(self, clip: str = "walk_and_turn_cam1") -> None:
        truth = read(DEMO, "truth3d")
        found = truth.clips[clip]
        arrays = next(iter(found.tracks.values())).arrays
        assert found.camera is not None
        self.time, self.camera = found.time, found.camera
        self.joints = arrays["joints"][:, :17].astype(np.float64)
        self.bones = Skeleton(np.median(bone_lengths(self.joints), axis=0), 1.0, 0.0, "height_m")
        pick = JOINT_SETS[truth.joint_set].indices(JOINT_SETS["posemill21"].joints)
        soles = soles_of(arrays["joints_camera"][:, pick].astype(np.float64))
        keypoints = arrays["keypoints"].astype(np.float64)
        shape = keypoints.shape[:2]
        self.seen = SeenPerson(keypoints, np.full(shape, 1.0), np.ones(shape, dtype=bool), truth.joint_set, soles)
        self.contact = arrays["contact"].reshape(-1, 2, 2).any(-1)
        self.flat = arrays["contact"].reshape(-1, 2, 2).all(-1)

    def locked(self, joints: np.ndarray, *, shared_sigma: float = 0.0, **options) -> Locked:
        sigma = np.tile(JOINT_SIGMA, (len(joints), 17, 1))
        sigma[:, 0] = 0.0
        path = np.tile(PATH_SIGMA, (len(joints), 1))
        seen = options.pop("seen", self.seen)
        time = self.time[: len(joints)]
        person = PersonInWorld(time, joints, sigma, path, self.bones, self.camera, seen)
        centre, factor = self.camera.centre, 1 + shared_sigma
        farther, bones = centre + (joints - centre) * factor, self.bones.scaled(factor, 0.0, "height_m")
        return lock_feet(person, MergeOptions(**options), replace(person, joints=farther, skeleton=bones))

    def lock(self, joints: np.ndarray, **options) -> tuple[np.ndarray, np.ndarray]:
        found = self.locked(joints, **options)
        return found.joints, found.contact

    def sliding(self, joints: np.ndarray) -> float:
        """Mean speed of the ankles while the true foot is flat, m/s."""
        slide = joint_foot_sliding(joints[:, ANKLES], pair_contacts(self.flat), time_s=self.time)
        return float(np.nanmean(slide))

    def mistaken(self, rng: np.random.Generator, scale: float, lasting: np.ndarray) -> np.ndarray:
        """The true joints with errors as they are stated: of the scale, of the path (what lasts of it is given, (3,) in
        sigmas), and of each ankle."""
        assert self.camera.R is not None
        centre, sight = self.camera.centre, self.joints[:, :1] - self.camera.centre
        sight = sight / np.linalg.norm(sight, axis=-1, keepdims=True)
        out = centre + (self.joints - centre) * (1 + scale)
        # Half of the path's sigma passes within a step, the rest lasts.
        axes = self.camera.R.T @ rotation_between(np.array([0.0, 0, 1]), sight[:, 0] @ self.camera.R.T)
        scores = np.sqrt(0.75) * lasting[:, None] + [0.5 * wandering(rng, self.time, 0.15) for _ in range(3)]
        path = np.array(PATH_SIGMA)[:, None] * scores
        out += np.einsum("tdk,kt->td", axes, path)[:, None]
        for ankle in ANKLES:
            error = [sigma * wandering(rng, self.time, 0.1) for sigma in JOINT_SIGMA]
            out[:, ankle] += np.einsum("tdk,kt->td", axes, error)
        return out

    def drifting(self) -> np.ndarray:
        """The true joints on a root whose depth is wrong by 6 cm, back and forth in 2 s."""
        away = self.joints[:, 0] - self.camera.centre
        away /= np.linalg.norm(away, axis=-1, keepdims=True)
        return self.joints + (0.06 * np.sin(np.pi * self.time)[:, None] * away)[:, None]


@pytest.fixture(scope="module")
def walk() -> Walk:
    return Walk()


def errors(joints: np.ndarray, walk: Walk) -> float:
    return float(np.linalg.norm(joints[:, 0] - walk.joints[:, 0], axis=-1).mean())


def wandering(rng: np.random.Generator, time: np.ndarray, lasts_s: float) -> np.ndarray:
    """A Matérn-3/2 process (T,) of variance 1."""
    apart = np.abs(time[:, None] - time) / lasts_s
    covariance = (1 + apart) * np.exp(-apart)
    return np.linalg.cholesky(covariance + 1e-9 * np.eye(len(time))) @ rng.normal(size=len(time))


def test_contacts_of_a_walk_are_found(walk):
    for given in (walk.joints, walk.drifting()):
        score = contact_score(walk.lock(given)[1], walk.contact)
        assert (score.f1 > 0.95).all()
    without = contact_score(walk.lock(walk.joints, seen=None)[1], walk.contact)
    assert (without.f1 > 0.85).all()


def test_feet_that_swing_straight_at_the_camera_do_not_stand(walk):
    frames = slice(120, 180)
    root = walk.joints[frames, 0]
    way = unit((root[-1] - root[0]) * [1.0, 1.0, 0.0])
    r = np.stack([np.cross([0.0, 0, -1], -way), [0.0, 0, -1], -way])
    at = root[-1] * [1, 1, 0] + 3 * way + [0, 0, 0.1]
    camera = replace(walk.camera, R=r, t=-r @ at)
    sigma = np.full((60, 17, 3), 0.02), np.full((60, 3), 0.02)
    person = PersonInWorld(walk.time[frames], walk.joints[frames], *sigma, walk.bones, camera, None)
    swings = ~walk.contact[frames]
    contact = lock_feet(person, MergeOptions.model_validate({})).contact
    assert contact[swings].mean() < 0.3
    assert contact[~swings].mean() > 0.9


def test_a_true_walk_hardly_changes(walk):
    locked, _ = walk.lock(walk.joints)
    moved = np.linalg.norm(locked - walk.joints, axis=-1)
    assert moved.mean() < 0.015 and np.quantile(moved, 0.95) < 0.03


def test_sigma_is_of_what_was_solved(walk):
    rng, shared, draws = np.random.default_rng(4), 0.02, 16
    # Of what is one number for the clip few draws are made, so evenly.
    even = ndtri((np.arange(draws) + 0.5) / draws)
    error, sigma = [], []
    for scale, *lasting in zip(*(rng.permutation(even) for _ in range(4)), strict=True):
        found = walk.locked(walk.mistaken(rng, shared * scale, np.array(lasting)), shared_sigma=shared)
        error.append((found.joints - walk.joints)[:, [0, *ANKLES]])
        sigma.append(found.sigma[:, [0, *ANKLES]])
    off, stated = np.abs(error), np.array(sigma)
    within = (off <= stated).mean((0, 1))
    assert (np.abs(within - 0.68) < 0.15).all(), within
    flat = np.broadcast_to(walk.flat[None], (*stated.shape[:2], 2))
    assert (stated[:, :, 1:, 2][flat] < 0.03).all()
    before = np.hypot(shared * 4.0, np.hypot(PATH_SIGMA[2], JOINT_SIGMA[2]))
    assert np.median(np.linalg.norm(stated[:, :, 1:][flat], axis=-1)) < 0.8 * before


def test_sigma_of_a_root_that_may_not_move_stays(walk):
    found = walk.locked(walk.joints, correct_root=False)
    depth = np.sqrt((found.sigma[:, 0] ** 2).sum(-1))
    np.testing.assert_allclose(depth, np.linalg.norm(PATH_SIGMA), rtol=0.01)


def test_a_root_that_drifts_is_brought_back_and_feet_hold_still(walk):
    drifting = walk.drifting()
    locked, _ = walk.lock(drifting)
    assert walk.sliding(locked) < 0.3 * walk.sliding(drifting)
    assert errors(locked, walk) < 0.7 * errors(drifting, walk)


def test_without_the_root_the_legs_alone_hold_the_feet(walk):
    drifting = walk.drifting()
    locked, _ = walk.lock(drifting, correct_root=False)
    np.testing.assert_allclose(locked[:, 0], drifting[:, 0], atol=1e-9)
    assert walk.sliding(locked) < 0.3 * walk.sliding(drifting)
    upper = [SET.index(j) for j in ("pelvis", "thorax", "head_top", "left_wrist", "right_hip")]
    np.testing.assert_allclose(locked[:, upper], drifting[:, upper], atol=1e-9)


def test_bones_keep_their_lengths_and_legs_are_not_overstretched(walk):
    drifting = walk.drifting()
    locked, _ = walk.lock(drifting)
    np.testing.assert_allclose(bone_lengths(locked), bone_lengths(drifting), atol=1e-9)
    for side in ("left", "right"):
        hip, knee, ankle = (locked[:, SET.index(f"{side}_{j}")] for j in ("hip", "knee", "ankle"))
        before = drifting[:, SET.index(f"{side}_ankle")] - drifting[:, SET.index(f"{side}_hip")]
        bones = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
        allowed = np.maximum(0.99 * bones, np.linalg.norm(before, axis=-1))
        assert (np.linalg.norm(ankle - hip, axis=-1) <= allowed + 1e-9).all()


def test_the_floor_is_not_pierced_unless_it_is_not_the_floor(walk):
    sunk = walk.joints - (0, 0, 0.05)
    lowest = 0.039 * 1.6
    assert walk.lock(sunk)[0][:, ANKLES, 2].min() > lowest
    assert walk.lock(sunk, use_floor=False)[0][:, ANKLES, 2].min() < 0.05
    # A calibration whose z = 0 is a table: nobody is pulled up to it.
    camera = walk.camera
    table = replace(camera, t=camera.t + camera.R @ np.array([0, 0, 1.0]))
    elsewhere = Walk()
    elsewhere.camera, elsewhere.joints = table, walk.joints - (0, 0, 1.0)
    locked, contact = elsewhere.lock(elsewhere.joints)
    assert np.abs(locked - elsewhere.joints).mean() < 0.01 and contact.any()


def test_off_means_off(walk):
    locked, contact = walk.lock(walk.drifting(), lock_feet=False)
    np.testing.assert_array_equal(locked, walk.drifting())
    assert contact.any()


def test_gaps_stay_gaps_and_the_rest_is_held(walk):
    joints = walk.drifting()
    joints[50:60] = np.nan
    joints[100:140] = np.nan
    joints[170, SET.index("left_ankle")] = np.nan
    locked, contact = walk.lock(joints)
    np.testing.assert_array_equal(np.isnan(locked), np.isnan(joints))
    assert not contact[50:60].any() and not contact[100:140].any()
    assert walk.sliding(locked) < 0.35 * walk.sliding(joints)
    nothing = np.full_like(joints, np.nan)
    locked, contact = walk.lock(nothing)
    assert np.isnan(locked).all() and not contact.any()


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_short_clips(walk, frames):
    locked, contact = walk.lock(walk.joints[:frames], seen=None)
    assert np.isfinite(locked).all() and contact.shape == (frames, 2)


def test_long_clips_are_solved_in_windows_and_no_one_can_tell(walk, monkeypatch):
    there = np.arange(len(walk.time))
    rows, long = np.resize(np.concatenate([there, there[-2:0:-1]]), 700), Walk()
    long.time, long.joints = np.arange(len(rows)) / 30, walk.joints[rows]
    per_frame = {name: getattr(walk.seen, name)[rows] for name in ("keypoints", "sigma_px", "valid", "soles")}
    long.seen = replace(walk.seen, **per_frame)
    whole = long.locked(long.drifting())
    monkeypatch.setattr(banded, "WINDOW", 400)
    monkeypatch.setattr(banded, "_OVERLAP", 200)
    parts = long.locked(long.drifting())
    np.testing.assert_allclose(parts.joints, whole.joints, atol=1e-4)
    np.testing.assert_allclose(parts.sigma, whole.sigma, atol=1e-4)
