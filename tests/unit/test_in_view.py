"""A person before the camera: a path that frames with standing feet hold for those without, on the demo's true walk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemill.formats.artifact import read
from posemill.geometry import unit
from posemill.joint_axes import moved_by
from posemill.merging.feet import SeenPerson
from posemill.merging.in_view import Body, InView, as_captured
from posemill.merging.options import MergeOptions
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import JOINT_SETS, LIMBS, bone_lengths, joint_set

DEMO = Path(__file__).parents[2] / "resources/demo/S9/truth.h5"
OPTIONS = MergeOptions.model_validate({})


class Walk:
    """The demo's walk before its first camera, as lifted and placed without error, and who knows what of it."""

    def __init__(self) -> None:
        truth = read(DEMO, "truth3d")
        clip = truth.clips["walk_and_turn_cam1"]
        arrays = next(iter(clip.tracks.values())).arrays
        assert clip.camera is not None
        self.joints = arrays["joints_camera"][:, :17].astype(np.float64)
        self.bones = Skeleton(np.median(bone_lengths(self.joints), axis=0), 1.0, 0.0, "height_m")
        keypoints = arrays["keypoints"].astype(np.float64)
        shape = keypoints.shape[:2]
        nowhere = np.full((len(keypoints), 2, 2, 3), np.nan)
        seen = SeenPerson(keypoints, np.full(shape, 1.0), np.ones(shape, bool), truth.joint_set, nowhere)
        self.view = InView(clip.time, True, clip.camera, seen, None, OPTIONS)
        self.flat = arrays["contact"].reshape(-1, 2, 2).all(-1)
        sigma = np.tile((0.02, 0.02, 0.05), (len(keypoints), 17, 1))
        self.true = Body(self.joints, sigma, np.tile((0.01, 0.01, 0.08), (len(keypoints), 1)))

    def drawn(self, body: Body, flat: np.ndarray | None, view: InView | None = None) -> Body:
        view = view or self.view
        return view.without_jitter(view.fitted(body, self.bones, flat), body, self.bones)

    def off(self, body: Body) -> np.ndarray:
        """Error (T,) of the root along the line of sight, m."""
        root = self.joints[:, 0]
        return np.einsum("ta,ta->t", body.joints[:, 0] - root, unit(root))


@pytest.fixture(scope="module")
def walk() -> Walk:
    return Walk()


def shaken(walk: Walk, amount_m: float) -> Body:
    """The true poses on a root that every frame has wrong along the line of sight."""
    away = np.random.default_rng(0).normal(0, amount_m, len(walk.joints))[:, None] * unit(walk.joints[:, 0])
    return replace(walk.true, joints=walk.joints + away[:, None])


def test_what_is_true_stays(walk):
    drawn = walk.drawn(walk.true, walk.flat)
    assert np.abs(walk.off(drawn)).mean() < 0.03
    np.testing.assert_allclose(bone_lengths(drawn.joints).std(0), 0.0, atol=1e-9)


def test_frames_hold_each_others_path(walk):
    begun = shaken(walk, 0.08)
    drawn = walk.drawn(begun, walk.flat)
    unsmoothed = MergeOptions.model_validate({"cutoff_hz": None})
    alone = walk.drawn(begun, walk.flat, replace(walk.view, options=unsmoothed))
    errors = [np.std(walk.off(body)) for body in (begun, alone, drawn)]
    assert errors[2] < 0.5 * errors[1] < 0.5 * errors[0]
    # Known better than place said, and as well as it is.
    assert np.median(drawn.path[:, 2]) < 0.6 * 0.08
    within = np.mean(np.abs(walk.off(drawn)) < drawn.path[:, 2])
    assert within > 0.5


def test_feet_on_the_floor_are_worth_more_than_the_size_in_the_image(walk):
    standing, alone = (walk.drawn(shaken(walk, 0.08), flat) for flat in (walk.flat, None))
    assert np.median(standing.path[:, 2]) < np.median(alone.path[:, 2])


def test_a_camera_that_travels_is_gone_back_to(walk):
    offset = np.linspace([0.0, 0, 0], [0.4, 0.0, 0.3], len(walk.joints))
    # The same pictures, taken from elsewhere of a person who is as much elsewhere.
    body = replace(walk.true, joints=walk.joints + offset[:, None])
    drawn = walk.drawn(body, None, replace(walk.view, offset=offset))
    still = walk.drawn(walk.true, None)
    np.testing.assert_allclose(drawn.joints - offset[:, None], still.joints, atol=0.003)


def test_larger_looks_the_same_in_the_image(walk):
    camera = walk.view.camera
    assert camera is not None
    larger = walk.true.larger(1.1, None)
    np.testing.assert_allclose(camera.project(larger.joints), camera.project(walk.joints), atol=1e-6)
    centres = np.tile([0.5, 0.0, 0.2], (len(walk.joints), 1))
    about = walk.true.larger(1.1, centres).joints - centres[:, None]
    np.testing.assert_allclose(about, 1.1 * (walk.joints - centres[:, None]))


@pytest.mark.parametrize("missing", ["camera", "seen"])
def test_nothing_is_fitted_where_nothing_is_seen(walk, missing):
    begun = shaken(walk, 0.05)
    unsmoothed = MergeOptions.model_validate({"cutoff_hz": None})
    drawn = walk.drawn(begun, None, replace(walk.view, options=unsmoothed, **{missing: None}))
    np.testing.assert_array_equal(drawn.joints, begun.joints)
    np.testing.assert_array_equal(drawn.path, begun.path)


def test_keypoints_go_to_where_motion_capture_has_the_joints(walk):
    camera, seen, offsets = walk.view.camera, walk.view.seen, {"hip": (0.0, 0.02, -0.01), "ankle": (0.0, 0.0, -0.02)}
    assert camera is not None and seen is not None
    body, names = JOINT_SETS["h36m17"], joint_set(seen.joints_of)
    limbs = [[where.index(joint) for joint in LIMBS] for where in (names, body)]
    keypoints = seen.keypoints.copy()
    keypoints[:, limbs[0]] = camera.project(walk.joints + moved_by(walk.joints, offsets, 1.75))[:, limbs[1]]
    elsewhere = replace(seen, keypoints=keypoints, joint_offsets=offsets)
    # The body need not be right yet: on the same ray and 5 % farther, moved joints look nearly as far apart.
    found = as_captured(elsewhere, walk.true.larger(1.05, None), 1.05 * 1.75, camera)
    apart = [np.linalg.norm((k - seen.keypoints)[:, limbs[0]], axis=-1).max() for k in (keypoints, found.keypoints)]
    assert apart[0] > 5 and apart[1] < 0.1
    assert as_captured(seen, walk.true, 1.75, camera) is seen
    unknown = replace(walk.true, joints=np.full_like(walk.joints, np.nan))
    np.testing.assert_array_equal(as_captured(elsewhere, unknown, 1.75, camera).keypoints, keypoints)
