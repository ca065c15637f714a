"""Windows of motion through static cameras, and the recipes that the zoo is taught by."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemill.anthropometry import STANDARD_LENGTH_M, body_length
from posemill.camera import Camera
from posemill.lifters.protocol import LiftInput
from posemill.networks.picture_units import lift_to_metres, picture_pose, picture_units
from posemill.skeleton import JOINT_SETS
from posemill.training.engine import Running, run
from posemill.training.noise import NoiseLevels
from posemill.training.recipes import RECIPES
from posemill.training.sequences import Captured, Windows, draw_windows
from posemill.training.supervised import Schedule, Supervised, noise_of
from tests.unit.test_training import walking

BODY = JOINT_SETS["h36m17"]
FPS = 50.0


def strolling(frames: int = 120, speed_m_per_s: float = 1.0) -> np.ndarray:
    """A swinging body that goes along x."""
    return walking(frames) + np.arange(frames)[:, None, None] / FPS * speed_m_per_s * (1, 0, 0)


def drawn(count: int = 64, frames: int = 9, seed: int = 0, **keywords) -> Windows:
    return draw_windows([strolling()], FPS, count, frames, np.random.default_rng(seed), **keywords)


def test_exact_keypoints_are_the_projections():
    windows = drawn()
    again = windows.joints_camera[..., :2] / windows.joints_camera[..., 2:] * windows.focal_px[:, None, None, None]
    np.testing.assert_allclose(again + ((windows.size - 1) / 2)[:, None, None], windows.exact, atol=1e-9)
    np.testing.assert_array_equal(windows.keypoints, windows.exact)
    np.testing.assert_allclose(
        windows.plane, windows.joints_camera[..., :2] / windows.joints_camera[..., 2:], atol=1e-12
    )


def test_bodies_are_in_the_picture_and_before_the_camera():
    far = draw_windows([strolling(400, 3.0)], FPS, 256, 27, np.random.default_rng(0), frame_rate=(10.0, 24.0))
    for windows in (drawn(256), far):
        inside = ((windows.exact >= 0) & (windows.exact < windows.size[:, None, None])).all(-1)
        # A camera that rolls turns some of them out of a picture that is higher than wide.
        assert inside.mean() > 0.98
        assert windows.joints_camera[..., 2].min() > 0.2


def test_the_camera_stands_still_and_time_passes_at_the_drawn_rate():
    windows = drawn(frame_rate=(25.0, 25.0))
    steps = np.diff(windows.joints_camera[:, :, 0] @ windows.R, axis=1)
    scale = body_length(windows.joints_camera).mean(1) / body_length(strolling()).mean()
    # 1 m/s at 25 frames a second is 4 cm a frame, of the body at its own size; a body has hardly walked on at a clip's
    # end, where its last frame is held.
    moved = np.linalg.norm(steps.mean(1), axis=-1) / scale
    assert np.median(moved) == pytest.approx(0.04, abs=0.002)
    # Neither up nor down: R turns the world's vertical into the camera's.
    assert np.abs(steps.mean(1)[:, 2] / scale).max() < 0.01


def test_half_of_the_windows_are_mirrored():
    lopsided = strolling()
    lopsided[:, BODY.index("left_wrist"), 2] += 0.5
    windows = draw_windows([lopsided], FPS, 400, 1, np.random.default_rng(0))
    up = (windows.relative @ windows.R[:, None])[:, 0, :, 2]
    right_is_up = up[:, BODY.index("right_wrist")] > up[:, BODY.index("left_wrist")]
    assert 0.4 < right_is_up.mean() < 0.6


def test_standard_poses_have_the_standard_size():
    windows = drawn()
    np.testing.assert_allclose(body_length(windows.standard).mean(1), STANDARD_LENGTH_M, rtol=1e-9)
    assert body_length(windows.relative).std() > 0.03


def test_detectors_see_middles_of_hips_and_shoulders():
    windows = drawn(noise=NoiseLevels())
    for middle, of in (("pelvis", "hip"), ("thorax", "shoulder")):
        pair = windows.keypoints[:, :, BODY.indices((f"left_{of}", f"right_{of}"))]
        np.testing.assert_allclose(windows.keypoints[:, :, BODY.index(middle)], pair.mean(2), atol=1e-9)
    error = np.linalg.norm(windows.keypoints - windows.exact, axis=-1) / windows.stature_px[:, None, None]
    assert 0.002 < np.median(error) < 0.05


def test_same_seed_same_windows():
    np.testing.assert_array_equal(drawn(seed=3).keypoints, drawn(seed=3).keypoints)
    assert not np.array_equal(drawn(seed=3).keypoints, drawn(seed=4).keypoints)


def test_picture_targets_are_what_the_lifter_turns_into_metres():
    windows = drawn(8)
    prepared = RECIPES["dstformer"].prepare(windows, {})
    for i in range(len(windows.size)):
        width, height = (int(v) for v in windows.size[i])
        camera = Camera.from_focal(width, height, float(windows.focal_px[i]), source="calibration", sigma=0.0)
        units = picture_units(camera)
        np.testing.assert_allclose(
            prepared["pose"][i], picture_pose(windows.joints_camera[i], camera, units), atol=1e-6
        )
        metres, _ = lift_to_metres(prepared["pose"][i], windows.exact[i, :, 0], camera, units)
        size = body_length(windows.relative[i]) / STANDARD_LENGTH_M
        np.testing.assert_allclose(metres * size[:, None, None], windows.relative[i], atol=1e-6)


def test_depth_targets_with_image_are_the_pose():
    windows = drawn(16, frames=1)
    prepared = RECIPES["gan"].prepare(windows, {})
    image = prepared["inputs"].reshape(-1, 17, 2)
    assert np.isfinite(prepared["depth"]).all()
    np.testing.assert_allclose(prepared["depth"][:, 0], 0, atol=1e-9)
    # An image-sized pose: limbs that are not foreshortened in either are as long in both, within perspective.
    pose = np.concatenate([image, prepared["depth"][..., None]], -1)
    true = windows.standard[:, 0]
    ratio = body_length(pose) / np.linalg.norm(pose[:, 10] - pose[:, 0], axis=-1)
    expected = body_length(true) / np.linalg.norm(true[:, 10] - true[:, 0], axis=-1)
    assert np.median(np.abs(ratio / expected - 1)) < 0.1


SMALL = {
    "temporal": {"channels": 16},
    "seq2seq": {"hidden": 16},
    "gan": {"hidden": 16},
    "repnet": {"hidden": 16},
    "video_gan": {"hidden": 16},
    "dstformer": {"width": 16, "depth": 1, "representation": 16, "frames": 9},
    "agformer": {"width": 16, "depth": 1, "frames": 9},
}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_training_learns_repeats_itself_and_fits_the_lifter(name: str, tmp_path: Path):
    import torch

    from posemill.lifters.loading import store

    # Small steps on two threads spend their time waiting for each other.
    torch.set_num_threads(1)
    recipe = RECIPES[name]
    network_of = {**recipe.network, **SMALL[name]}
    recipe = replace(recipe, network=network_of, frames=network_of.get("frames", recipe.frames))
    schedule = Schedule(steps=24, batch=16, learning_rate=1e-2, pool=64, passes=8)
    losses: list[float] = []

    def taught(schedule: Schedule) -> Supervised:
        training = Supervised(recipe, Captured([strolling()], FPS, noise_of(schedule)), schedule)
        run(training, running=Running(log_every=1), report=lambda done, scalars: losses.append(scalars["loss"]))
        return training

    training = taught(schedule)
    network, constants = training.network, training.extras
    assert len(losses) == 24
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])

    again, twice = (taught(replace(schedule, steps=2, pool=32)).network for _ in range(2))
    for one, other in zip(again.parameters(), twice.parameters(), strict=True):
        assert np.array_equal(one.detach().numpy(), other.detach().numpy())

    path = tmp_path / "w.safetensors"
    store(path, network, {"lifter": name, "network": recipe.network, **recipe.card}, constants)
    module = importlib.import_module(f"posemill.lifters.{name}")
    options = module.Options(weights=path)
    card = module.card(options) if hasattr(module, "card") else module.CARD
    windows = drawn(1, frames=12)
    width, height = (int(v) for v in windows.size[0])
    camera = Camera.from_focal(width, height, float(windows.focal_px[0]), source="calibration", sigma=0.0)
    seen = windows.exact[0, :, [BODY.index(j) for j in JOINT_SETS[card.joint_set_in].joints]].transpose(1, 0, 2)
    known = np.ones(seen.shape[:2], dtype=bool)
    lifted = module.create(options).lift(
        LiftInput(seen, known * 1.0, known * 2.0, known, np.arange(12) / FPS, camera, True)
    )
    assert lifted.valid.all()
    assert np.linalg.norm(lifted.joints_relative, axis=-1).max() < 5
