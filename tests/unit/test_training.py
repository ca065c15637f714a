"""Virtual cameras, bodies and noise: what can be derived, and that a short training learns and repeats itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from posemill.skeleton import JOINT_SETS
from posemill.training import bodies as bodies_
from posemill.training import linear as trainer
from posemill.training.engine import Running, run
from posemill.training.noise import NoiseLevels, drop_joints, image_noise, redefine_joints
from posemill.training.virtual_cameras import CameraRange, view

BODY = JOINT_SETS["h36m17"]
# Facing -y with the left hand at +x: the heading frame; metres, z up.
BASE = np.array(
    [
        *((0, 0, 0), (-0.13, 0, 0), (-0.14, 0, -0.42), (-0.15, 0, -0.82)),
        *((0.13, 0, 0), (0.14, 0, -0.42), (0.15, 0, -0.82)),
        *((0, 0, 0.24), (0, 0, 0.48), (0, -0.02, 0.6), (0, 0, 0.72)),
        *((0.17, 0, 0.44), (0.25, -0.05, 0.17), (0.28, -0.1, -0.05)),
        *((-0.17, 0, 0.44), (-0.25, -0.05, 0.17), (-0.3, -0.02, -0.03)),
    ]
)


def walking(frames: int = 60, seed: int = 0) -> np.ndarray:
    """A swinging body, (frames, 17, 3)."""
    phase = np.linspace(0, 4 * np.pi, frames)
    swing = 0.25 * np.sin(phase)
    joints = np.repeat(BASE[None], frames, 0) + np.array([0, 0, 0.9])
    for joint, sign in ((3, 1), (6, -1), (13, 1), (16, -1)):
        joints[:, joint, 1] += sign * swing
    return joints + np.random.default_rng(seed).normal(0, 0.01, joints.shape)


@pytest.fixture(scope="module")
def library() -> bodies_.BodyLibrary:
    return bodies_.pose_library([walking(), walking(40, 1)], clusters=10)


def test_body_length_is_thigh_shank_and_trunk():
    straight = BASE.copy()
    straight[[2, 5], 0] = straight[[1, 4], 0]
    straight[[3, 6], 0] = straight[[1, 4], 0]
    assert bodies_.body_length(straight) == pytest.approx(0.42 + 0.40 + 0.48)


def test_library_does_not_see_place_or_heading():
    motion = walking()
    turned = motion @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]).T + (3, 4, 0)
    one, other = bodies_.pose_library([motion], clusters=5), bodies_.pose_library([turned], clusters=5)
    np.testing.assert_allclose(one.directions, other.directions, atol=1e-9)


def test_rare_poses_are_drawn_more_often():
    rare = walking(2, 2)
    rare[:, 13] += (0, 0, 1.0)
    library = bodies_.pose_library([walking(200), rare], clusters=8, balance=1.0)
    assert library.probability[-1] > 5 * library.probability[:200].mean()
    assert library.probability.sum() == pytest.approx(1)


def test_sampled_bodies_are_bodies(library: bodies_.BodyLibrary):
    joints = bodies_.sample_bodies(library, 500, np.random.default_rng(0))
    assert np.isfinite(joints).all()
    np.testing.assert_allclose(joints[:, 0], 0)
    np.testing.assert_allclose(joints[:, BODY.index("left_hip")], -joints[:, BODY.index("right_hip")], atol=1e-12)
    bones = {c: np.linalg.norm(joints[:, c] - joints[:, p], axis=-1) for p, c in BODY.bones}
    # The source body is nearly symmetric, and lengths vary alike on both sides.
    ratio = bones[BODY.index("left_knee")] / bones[BODY.index("right_knee")]
    assert abs(np.log(ratio)).max() < 0.2
    length = bodies_.body_length(joints)
    assert length.min() > 1.30 * 1.45 / 1.70 - 1e-9 and length.max() < 1.30 * 1.95 / 1.70 + 1e-9


def test_projected_training_data_reproject_exactly(library: bodies_.BodyLibrary):
    rng = np.random.default_rng(1)
    joints = bodies_.sample_bodies(library, 50, rng) + np.array([0, 0, 1.0])
    views = view(joints, rng)
    for i in range(50):
        camera = views.camera(i)
        np.testing.assert_allclose(camera.project(camera.world_to_camera(joints[i])), views.keypoints[i], atol=1e-8)
    plane = views.joints_camera[..., :2] / views.joints_camera[..., 2:]
    np.testing.assert_allclose(views.normalise(views.keypoints), plane, atol=1e-12)


def test_cameras_stay_within_their_range(library: bodies_.BodyLibrary):
    rng = np.random.default_rng(2)
    joints = bodies_.sample_bodies(library, 2000, rng)
    views = view(joints, rng, CameraRange(roll_deg=(0, 0), wide_roll_share=1.0))
    centre = np.squeeze(np.swapaxes(views.R, -1, -2) @ -views.t[..., None], -1)
    distance = np.linalg.norm(centre, axis=-1)
    elevation = np.degrees(np.arcsin(centre[:, 2] / distance))
    assert distance.min() >= 2 and distance.max() <= 8
    assert elevation.min() >= -20 and elevation.max() <= 40
    assert (views.focal_px / views.size[:, 0]).max() <= 3
    assert (views.joints_camera[:, 0, 2] > 0).all()
    # Without roll up stays up: the head is above the pelvis of everyone who stands.
    assert (views.R[:, 1, 2] < 0).all()
    np.testing.assert_allclose(np.linalg.det(views.R), 1)


def test_same_seed_same_views(library: bodies_.BodyLibrary):
    joints = bodies_.sample_bodies(library, 5, np.random.default_rng(0))
    one, other = view(joints, np.random.default_rng(3)), view(joints, np.random.default_rng(3))
    np.testing.assert_array_equal(one.keypoints, other.keypoints)


def test_redefined_joints_move_alike_on_both_sides():
    levels = NoiseLevels(hips=0.0, shoulders=0.0, ankles=0.02, others=0.0)
    moved = redefine_joints(BASE[None], np.array([1.7]), np.random.default_rng(0), levels) - BASE
    right, left = BODY.index("right_ankle"), BODY.index("left_ankle")
    assert np.linalg.norm(moved[0, right]) == pytest.approx(np.linalg.norm(moved[0, left]))
    assert np.linalg.norm(moved[0, right]) > 0
    others = np.setdiff1d(np.arange(17), (left, right))
    np.testing.assert_allclose(moved[0, others], 0, atol=1e-12)


def test_bias_is_constant_over_a_clip_and_jitter_is_not():
    rng = np.random.default_rng(0)
    still = np.zeros((1, 500, 12, 2))
    levels = NoiseLevels(bias=(0.02, 0.02), jitter=(1e-9, 1e-9), outliers=0.0)
    biased = image_noise(still, np.array([100.0]), rng, levels)
    assert np.ptp(biased, axis=1).max() < 1e-5
    assert biased.std() == pytest.approx(2.0, rel=0.5)
    jitter = image_noise(
        still, np.array([100.0]), rng, NoiseLevels(bias=(1e-9, 1e-9), jitter=(0.01, 0.01), outliers=0.0)
    )
    assert jitter.std() == pytest.approx(1.0, rel=0.05)


def test_dropped_joints_leave_the_stated_share_complete():
    present = drop_joints(20000, np.random.default_rng(0), complete=0.6)
    assert present.all(1).mean() == pytest.approx(0.6, abs=0.02)
    assert present.shape == (20000, 12)


def test_targets_are_in_the_frame_of_the_inputs(library: bodies_.BodyLibrary):
    """Exact, complete views: projecting the target, put at its depth, gives the input's directions."""
    none = NoiseLevels(0, 0, 0, 0, bias=(1e-12, 1e-12), jitter=(1e-12, 1e-12), outliers=0.0)
    # Very far away perspective vanishes, and the input is the target's x, y up to one scale per frame.
    schedule = trainer.Schedule(noise=none, cameras=CameraRange(distance_m=(4000, 4000), focal_widths=(500, 500)))
    drawn = trainer.examples(library, 300, np.random.default_rng(0), schedule)
    complete = drawn.inputs[:, 24:36].all(1)
    xy = drawn.inputs[complete, :24].reshape(-1, 12, 2)
    target = drawn.targets[complete][:, trainer.LIMB_INDICES - 1, :2]
    scale = (xy * target).sum((1, 2)) / (xy * xy).sum((1, 2))
    np.testing.assert_allclose(scale[:, None, None] * xy, target, atol=2e-3)


def test_sigma_factor_covers_68_percent():
    rng = np.random.default_rng(0)
    errors = rng.normal(0, 0.03, (20000, 4, 3))
    factor = trainer.sigma_factor(errors, np.full((20000, 4), 0.01))
    np.testing.assert_allclose(factor, 3.0, rtol=0.03)
    coverage = trainer.sigma_coverage(errors, np.full((20000, 4), 0.03))
    assert coverage["all"] == pytest.approx(0.683, abs=0.01)


def test_training_learns_and_repeats_itself(library: bodies_.BodyLibrary):
    import torch

    torch.set_num_threads(1)
    schedule = trainer.Schedule(epochs=4, views_per_epoch=4096, batch=256, hidden=64, seed=1)
    losses: list[float] = []
    one, other = (trainer.LinearTraining(library, schedule) for _ in range(2))
    each = Running(log_every=schedule.steps_per_epoch)

    def note(done: int, scalars: Mapping[str, float]) -> None:
        if done % schedule.steps_per_epoch == 0:
            losses.append(scalars["distance_m"])

    run(one, running=each, report=note)
    run(other, running=each)
    assert losses[-1] < 0.6 * losses[0]
    for a, b in zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)
