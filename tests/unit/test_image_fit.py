"""Pose and root fitted to rays, bones and floor: on the demo's true motion, with the errors that lifters have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemill.formats.artifact import read
from posemill.merging.image_fit import Fit, Rays, Standing, fit_body, seen_rays
from posemill.skeleton import JOINT_SETS, LIMBS, bone_lengths

DEMO = Path(__file__).parents[2] / "resources/demo/S9/truth.h5"
SET = JOINT_SETS["h36m17"]
LIMB, WRIST = SET.indices(LIMBS), SET.index("left_wrist")
ANKLES = SET.indices(("left_ankle", "right_ankle"))
SIGMA = (0.02, 0.02, 0.05)


class Seen:
    """Every fifth frame of the demo's walk: its joints before the camera, their rays, and the feet on the floor."""

    def __init__(self) -> None:
        truth = read(DEMO, "truth3d")
        clip = truth.clips["walk_and_turn_cam1"]
        arrays = next(iter(clip.tracks.values())).arrays
        camera = clip.camera
        assert camera is not None and camera.R is not None
        self.joints = arrays["joints_camera"][::5, :17].astype(np.float64)
        self.lengths = np.median(bone_lengths(self.joints), axis=0)
        keypoints = camera.project(self.joints)
        self.rays = seen_rays(
            keypoints, np.full(keypoints.shape[:2], 1.0), np.ones((len(keypoints), 17), bool), SET.name, camera
        )
        flat = arrays["contact"][::5].reshape(-1, 2, 2).all(-1)
        ankle_m = float(np.median(camera.camera_to_world(self.joints)[:, ANKLES, 2][flat]))
        self.standing = Standing(camera.R[:, 2], np.full(len(flat), camera.centre[2]), ankle_m, flat)

    def fitted(self, joints: np.ndarray, rays: Rays | None = None, standing: Standing | None = None) -> Fit:
        sigma = np.broadcast_to(SIGMA, joints.shape)
        root_sigma = np.broadcast_to([0.01, 0.01, 0.08], (len(joints), 3))
        return fit_body(joints, sigma, root_sigma, self.lengths, rays or self.rays, standing)

    def fit(self, joints: np.ndarray, rays: Rays | None = None, standing: Standing | None = None) -> np.ndarray:
        return self.fitted(joints, rays, standing).joints

    def leaning(self, degrees: float) -> np.ndarray:
        """The true poses turned about the pelvis, towards the camera or away from it."""
        turn = Rotation.from_rotvec([np.radians(degrees), 0, 0]).as_matrix()
        root = self.joints[:, :1]
        return (self.joints - root) @ turn.T + root


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


def off(joints: np.ndarray, seen: Seen) -> float:
    """Mean distance of the limb joints from the true ones, m."""
    return float(np.linalg.norm((joints - seen.joints)[:, LIMB], axis=-1).mean())


def root_off(joints: np.ndarray, seen: Seen) -> float:
    return float(np.linalg.norm((joints - seen.joints)[:, 0], axis=-1).mean())


def test_what_agrees_stays(seen):
    assert off(seen.fit(seen.joints, standing=seen.standing), seen) < 0.004


@pytest.mark.parametrize("degrees", [-6, 6])
def test_a_body_that_leans_along_the_sight_is_put_upright(seen, degrees):
    leaning = seen.leaning(degrees)
    fitted = seen.fit(leaning, standing=seen.standing)
    assert off(fitted, seen) < 0.9 * off(leaning, seen)


def test_the_floor_says_how_far_away_a_person_is(seen):
    far = seen.joints + seen.joints[:, :1] / np.linalg.norm(seen.joints[:, :1], axis=-1, keepdims=True) * 0.08
    free, standing = seen.fit(far), seen.fit(far, standing=seen.standing)
    stands = seen.standing.flat.any(-1)
    assert root_off(free, seen) < 0.06
    apart = np.linalg.norm((free - seen.joints)[stands, 0], axis=-1).mean()
    assert np.linalg.norm((standing - seen.joints)[stands, 0], axis=-1).mean() < 0.9 * apart


def test_who_stands_on_a_step_is_left_on_it(seen):
    on_step = replace(seen.standing, camera_m=seen.standing.camera_m + 0.4)
    assert off(seen.fit(seen.joints, standing=on_step), seen) < 0.012


def test_a_keypoint_of_something_else_is_not_followed(seen):
    points = seen.rays.points.copy()
    points[:, WRIST] += 0.2
    fitted = seen.fit(seen.joints, Rays(points, seen.rays.sigma))
    assert np.linalg.norm((fitted - seen.joints)[:, WRIST], axis=-1).max() < 0.05
    assert root_off(fitted, seen) < 0.01


def test_bones_come_back_to_their_lengths(seen):
    rng = np.random.default_rng(0)
    noisy = seen.joints + rng.normal(0, (0.02, 0.02, 0.05), seen.joints.shape) * (np.arange(17) > 0)[:, None]
    before, after = (np.abs(bone_lengths(j) / seen.lengths - 1).mean() for j in (noisy, seen.fit(noisy)))
    assert after < 0.03 and after < 0.3 * before
    assert off(seen.fit(noisy), seen) < 0.6 * off(noisy, seen)


def test_unknown_frames_stay_and_unseen_joints_keep_the_lifters_word(seen):
    joints = seen.joints.copy()
    joints[3, WRIST] = np.nan
    unseen = Rays(np.full_like(seen.rays.points, np.nan), np.full_like(seen.rays.sigma, np.nan))
    fitted = seen.fit(joints, unseen)
    np.testing.assert_array_equal(fitted[3], joints[3])
    known = np.arange(len(joints)) != 3
    np.testing.assert_allclose(fitted[known], seen.joints[known], atol=0.004)
    assert np.isfinite(fitted[known]).all()


def test_rays_are_of_limb_joints_that_are_seen(seen):
    camera = next(iter(read(DEMO, "truth3d").clips.values())).camera
    assert camera is not None
    keypoints, valid = np.full((2, 17, 2), 100.0), np.ones((2, 17), dtype=bool)
    valid[1, WRIST] = False
    rays = seen_rays(keypoints, np.full((2, 17), 2.0), valid, SET.name, camera)
    known = np.isfinite(rays.points).all(-1)
    assert sorted(np.flatnonzero(known[0])) == sorted(LIMB)
    assert known[1].sum() == len(LIMB) - 1 and np.isnan(rays.sigma[1, WRIST])
    assert rays.sigma[0, WRIST] == pytest.approx(2 / camera.focal_px)


def test_what_the_fit_leaves_open_is_as_large_as_its_errors(seen):
    rng = np.random.default_rng(1)
    # Joints of one pose err together by design: what is drawn alone is 1.7 times what is stated.
    errors = rng.normal(0, 1.7 * np.array(SIGMA), seen.joints.shape) * (np.arange(17) > 0)[:, None]
    root = rng.normal(0, (0.01, 0.01, 0.08), (len(errors), 1, 3))
    fit = seen.fitted(seen.joints + errors + root, standing=seen.standing)
    sigma = np.sqrt(np.einsum("taa->ta", fit.root_covariance))
    stands = seen.standing.flat.any(-1)
    assert np.median(sigma[stands, 2]) < 0.9 * np.median(sigma[~stands, 2])
    within = (np.abs(fit.joints[:, 0] - seen.joints[:, 0]) < sigma).mean(0)
    assert (np.abs(within - 0.68) < 0.2).all(), within
    relative = (fit.joints - fit.joints[:, :1]) - (seen.joints - seen.joints[:, :1])
    within = (np.abs(relative) < fit.sigma)[:, LIMB].mean((0, 1))
    assert (within > 0.5).all(), within
    assert (fit.sigma <= np.array(SIGMA) + 1e-12).all()
    assert (fit.sigma[:, LIMB, :2] < 0.8 * SIGMA[0]).mean() > 0.95


def test_what_is_not_fitted_is_as_uncertain_as_before(seen):
    joints = seen.joints.copy()
    joints[3, WRIST] = np.nan
    fit = seen.fitted(joints)
    assert np.isnan(fit.root_covariance[3]).all() and np.isfinite(np.delete(fit.root_covariance, 3, 0)).all()
    np.testing.assert_array_equal(fit.sigma[3], np.broadcast_to(SIGMA, (17, 3)))
