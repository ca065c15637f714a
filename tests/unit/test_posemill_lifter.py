"""The lifter ``posemill``: what it answers, for which frames, and that it is the same however a clip is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.errors import InputError, MissingError
from posemill.lifters import posemill as lifter
from posemill.lifters.protocol import LiftInput, check_output
from posemill.networks.clip_rays import INPUT_WIDTH, JOINTS_IN, clip_inputs, mirrored
from posemill.skeleton import JOINT_SETS, bone_lengths

JOINTS = JOINT_SETS["posemill21"]
CAMERA = Camera.from_focal(1280, 720, 1100.0, source="calibration", sigma=0.0)
UNKNOWN_UP = np.full((1, 3), np.nan)
LEVEL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network that nobody taught."""
    import torch

    from posemill.lifters.loading import store
    from posemill.networks.posemill import PosemillNet

    torch.manual_seed(0)
    sizes = {"width": 24, "before": 1, "dilations": [1, 3], "after": 1}
    network = PosemillNet(**sizes)
    with torch.no_grad():
        network.last.weight.mul_(20)
    path = tmp_path_factory.mktemp("w") / "small.safetensors"
    store(path, network, {"lifter": "posemill", "network": sizes})
    return path


def clip(frames=60, *, fps=25.0, seed=0, feet=True, **changes) -> LiftInput:
    """Somebody who sways in the picture."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) / fps
    body = rng.normal(0, 80, (len(JOINTS_IN), 2)) + np.array([700, 300])
    phase = rng.uniform(0, 6, (len(JOINTS_IN), 2))
    points = body + 25 * np.sin(2 * np.pi * 0.6 * time[:, None, None] + phase)
    valid = np.ones(points.shape[:2], bool)
    valid[:, 12:] = feet
    points[~valid] = np.nan
    sigma = np.where(valid, 3.0, np.nan)
    return replace(LiftInput(points, valid.astype(float), sigma, valid, time, CAMERA, True, "mediapipe"), **changes)


def lifted(weights, given, **options):
    made = lifter.create(lifter.Options(weights=weights, **options))
    return check_output(made.lift(given), len(given.time), len(JOINTS), "posemill")


@pytest.fixture
def any_body(monkeypatch):
    """Without the body that all of a clip's frames share: what a frame's answer depends on beside it."""
    monkeypatch.setattr(lifter, "_one_body", lambda output, causal: None)


def part(given: LiftInput, frames: slice) -> LiftInput:
    names = ("keypoints", "score", "sigma", "valid", "time")
    return replace(given, **{name: getattr(given, name)[frames] for name in names})


def test_every_frame_is_answered_with_a_sigma_for_each_axis(weights):
    out = lifted(weights, clip())
    assert out.valid.all() and out.sigma.shape == (60, 21, 3)
    assert (out.joints_relative[:, 0] == 0).all() and (out.sigma[:, 0] == 0).all()
    assert (out.sigma[:, 1:] > 0).all() and not np.allclose(out.sigma[:, 5, 0], out.sigma[:, 5, 2])
    assert lifter.card(lifter.Options(weights=weights)).receptive_field == 9
    assert lifter.card(lifter.Options(weights=weights, causal=True)).receptive_field == 5


def test_a_long_clip_in_chunks_is_one_clip(weights, monkeypatch):
    given = clip(300)
    whole = lifted(weights, given)
    monkeypatch.setattr(lifter, "_CHUNK", 37)
    pieces = lifted(weights, given)
    np.testing.assert_allclose(pieces.joints_relative, whole.joints_relative, atol=1e-5)
    np.testing.assert_allclose(pieces.sigma, whole.sigma, atol=1e-5)


def test_an_answer_sees_its_neighbours_and_no_farther(weights, any_body):
    given = clip(60, fps=20.0)
    moved = given.keypoints.copy()
    moved[40] += 30 * np.random.default_rng(3).normal(size=moved[40].shape)
    before, after = lifted(weights, given), lifted(weights, replace(given, keypoints=moved))
    changed = np.flatnonzero(~np.isclose(before.joints_relative, after.joints_relative, atol=1e-6).all((1, 2)))
    # 4 frames either way, and one more through the motion since the frame before.
    assert changed.min() >= 36 and changed.max() <= 45 and len(changed) >= 8
    causal = [lifted(weights, replace(given, keypoints=p), causal=True) for p in (given.keypoints, moved)]
    changed = np.flatnonzero(~np.isclose(causal[0].joints_relative, causal[1].joints_relative, atol=1e-6).all((1, 2)))
    assert changed.min() == 40


@pytest.mark.parametrize("fps", [25.0, 29.97, 50.0, 60.0])
def test_half_the_frame_rate_gives_the_same(weights, any_body, fps):
    whole, half = clip(100, fps=fps), clip(50, fps=fps / 2)
    np.testing.assert_allclose(whole.keypoints[::2], half.keypoints)
    a, b = lifted(weights, whole), lifted(weights, half)
    np.testing.assert_allclose(a.joints_relative[::2], b.joints_relative, atol=1e-5)


def test_the_mirrored_person_is_answered_with_the_mirrored_pose(weights):
    given = clip()
    flip = JOINTS_IN.flip_permutation
    across = given.keypoints[:, flip].copy()
    across[..., 0] = CAMERA.width - 1 - across[..., 0]
    a = lifted(weights, given)
    b = lifted(weights, replace(given, keypoints=across))
    back = b.joints_relative[:, JOINTS.flip_permutation] * (-1, 1, 1)
    np.testing.assert_allclose(back, a.joints_relative, atol=1e-5)
    plain = lifted(weights, replace(given, keypoints=across), flip=False)
    assert not np.allclose(plain.joints_relative, b.joints_relative, atol=1e-4)
    inputs = np.random.default_rng(0).normal(size=(2, 5, INPUT_WIDTH)).astype(np.float32)
    np.testing.assert_array_equal(mirrored(mirrored(inputs)), inputs)


def rolled(degrees: float) -> Camera:
    """The camera in a world whose up it sees turned from its picture's."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return replace(CAMERA, R=np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ LEVEL, t=np.zeros(3))


def test_a_camera_that_knows_where_up_is_tells_it(weights):
    answers = [lifted(weights, replace(clip(), camera=c)).joints_relative for c in (CAMERA, rolled(0), rolled(20))]
    for i, j in ((0, 1), (1, 2)):
        assert np.abs(answers[i] - answers[j]).max() > 1e-3


@pytest.mark.parametrize("degrees", [90, 180, -60])
def test_a_world_whose_up_nobody_can_mean_is_not_told(weights, degrees):
    """A board lying on its face, or on its side, was taken for the world."""
    a, b = (lifted(weights, replace(clip(), camera=c)) for c in (CAMERA, rolled(degrees)))
    np.testing.assert_array_equal(a.joints_relative, b.joints_relative)


def test_up_is_seen_from_a_camera_that_looks_at_the_person():
    plane = np.zeros((1, 2, 16, 2)) + (0.3, -0.2) + 0.05 * np.random.default_rng(0).normal(size=(1, 2, 16, 2))
    up = rolled(10).R[:, 2]
    seen = clip_inputs(plane, np.ones((1, 2, 16), bool), np.full((1, 2, 16), 0.01), [0.04], ["other"], [0.0], up[None])
    np.testing.assert_allclose(seen.inputs[0, :, -4:-1], seen.rotation[0] @ up, atol=1e-6)
    assert (seen.inputs[..., -1] == 1).all()


def test_where_in_the_picture_somebody_is_does_not_matter(weights):
    """The camera turned about its centre: the same rays in other pixels, the pose turned with it."""
    given = clip()
    angle = 0.15
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    rays = np.concatenate([CAMERA.normalise(given.keypoints), np.ones((60, 16, 1))], -1) @ turn.T
    pixels = rays[..., :2] / rays[..., 2:] * 1100.0 + CAMERA.K[:2, 2]
    a = lifted(weights, given, flip=False)
    b = lifted(weights, replace(given, keypoints=pixels), flip=False)

    def own(points, keypoints):
        """In the frame whose axis is the root's ray."""
        plane = CAMERA.normalise(keypoints)[None]
        seen = clip_inputs(
            plane, np.ones((1, 60, 16), bool), np.full((1, 60, 16), 0.01), [0.04], ["other"], [0.0], UNKNOWN_UP
        )
        return np.einsum("tij,tkj->tki", seen.rotation[0], points)

    first, second = own(a.joints_relative, given.keypoints), own(b.joints_relative, pixels)
    # The two turns differ by a little roll, which the input shows as a turned pose.
    assert np.abs(first - second).max() < 0.2 * np.abs(first).max()
    assert np.median(np.abs(first - second)) < 0.03 * np.abs(first).max()


def test_a_calibrated_camera_of_another_focal_length_gives_the_same(weights):
    given = clip()
    wide = Camera.from_focal(1280, 720, 550.0, source="calibration", sigma=0.0)
    pixels = CAMERA.normalise(given.keypoints) * 550.0 + wide.K[:2, 2]
    b = replace(given, keypoints=pixels, sigma=given.sigma / 2, camera=wide)
    np.testing.assert_allclose(lifted(weights, b).joints_relative, lifted(weights, given).joints_relative, atol=1e-5)


def test_missing_joints_are_answered_and_empty_frames_are_not(weights):
    given = clip()
    valid = given.valid.copy()
    valid[10, [2, 5]] = False  # both ankles
    valid[20, :7] = False  # too few of the limbs
    valid[30] = False
    points = np.where(valid[..., None], given.keypoints, np.nan)
    out = lifted(weights, replace(given, keypoints=points, valid=valid))
    assert out.valid[10].all() and not out.valid[[20, 30]].any()
    assert out.valid.all(1).sum() == 58
    assert lifted(weights, replace(given, keypoints=points, valid=valid), max_missing=7).valid[20].all()


@pytest.mark.parametrize("temporal", [True, False])
def test_a_clip_has_one_body(weights, temporal, monkeypatch):
    given = clip(90, temporal=temporal)
    out = lifted(weights, given)
    lengths = bone_lengths(out.joints_relative, "posemill21")
    np.testing.assert_allclose(lengths, lengths[:1] + 0 * lengths, atol=1e-9)
    flip = JOINTS.flip_permutation[1:] - 1
    np.testing.assert_allclose(lengths[0], lengths[0, flip], atol=1e-9)
    # Live, the body is that of the frames until now.
    live = lifted(weights, given, causal=True)
    first = lifted(weights, part(given, slice(0, 40)), causal=True)
    np.testing.assert_allclose(live.joints_relative[:40], first.joints_relative, atol=1e-5)
    monkeypatch.setattr(lifter, "_one_body", lambda output, causal: None)
    plain = bone_lengths(lifted(weights, given).joints_relative, "posemill21")
    assert plain.min(0)[4] <= lengths[0, 4] <= plain.max(0)[4] and np.ptp(plain, axis=0).max() > 1e-3


def test_detectors_without_feet_serve(weights):
    assert lifted(weights, clip(feet=False)).valid.all()


def test_stills_have_no_neighbours(weights, any_body):
    given = clip(temporal=False)
    out = lifted(weights, given)
    one = lifted(weights, part(given, slice(7, 8)))
    np.testing.assert_allclose(out.joints_relative[7], one.joints_relative[0], atol=1e-5)
    shuffled = lifted(weights, replace(given, keypoints=given.keypoints[::-1]))
    np.testing.assert_allclose(shuffled.joints_relative[::-1], out.joints_relative, atol=1e-5)


def test_a_leap_of_time_ends_a_run(weights, any_body):
    given = clip(60)
    time = given.time.copy()
    time[30:] += 2.0
    out = lifted(weights, replace(given, time=time))
    first, second = lifted(weights, part(given, slice(0, 30))), lifted(weights, part(given, slice(30, 60)))
    np.testing.assert_allclose(out.joints_relative[:30], first.joints_relative, atol=1e-5)
    np.testing.assert_allclose(out.joints_relative[30:], second.joints_relative, atol=1e-5)


def test_no_frame_and_one_frame(weights):
    assert len(lifted(weights, part(clip(), slice(0, 0))).valid) == 0
    assert lifted(weights, part(clip(), slice(0, 1))).valid.all()


def test_what_the_detector_says_of_itself_counts(weights):
    given = clip()
    sure, unsure = (lifted(weights, replace(given, sigma=np.full((60, 16), s))) for s in (0.5, 30.0))
    other = lifted(weights, replace(given, detector="hourglass"))
    assert not np.allclose(sure.joints_relative, unsure.joints_relative, atol=1e-4)
    assert not np.allclose(other.joints_relative, lifted(weights, given).joints_relative, atol=1e-4)
    assert np.isfinite(lifted(weights, replace(given, sigma=np.full((60, 16), np.nan))).joints_relative).all()


def test_sigma_factors_are_part_of_the_file(weights, tmp_path):
    from posemill.formats.weights import read_weights, write_weights

    tensors, card = read_weights(weights)
    path = tmp_path / "scaled.safetensors"
    write_weights(path, {**tensors, "sigma_factor": np.full((20, 3), 2.0, np.float32)}, card)
    a, b = lifted(weights, clip(), flip=False), lifted(path, clip(), flip=False)
    np.testing.assert_allclose(b.sigma, 2 * a.sigma, rtol=1e-5)
    write_weights(path, {**tensors, "sigma_factor": np.zeros((20, 3), np.float32)}, card)
    with pytest.raises(InputError, match="sigma_factor: expected positive numbers"):
        lifter.create(lifter.Options(weights=path))


def test_other_files_and_no_file(weights, tmp_path):
    with pytest.raises(MissingError, match="posemill train posemill --motion"):
        lifter.create(lifter.Options(weights=tmp_path / "none.safetensors"))
    from posemill.formats.weights import read_weights, write_weights

    tensors, card = read_weights(weights)
    tensors.pop("first.bias")
    write_weights(tmp_path / "bad.safetensors", tensors, card)
    with pytest.raises(InputError, match=r"tensor first\.bias"):
        lifter.create(lifter.Options(weights=tmp_path / "bad.safetensors"))
