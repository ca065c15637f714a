"""The fully connected lifter: the published network, and what rays make invariant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posemill.camera import Camera
from posemill.errors import InputError, MissingError, PosemillError
from posemill.formats.weights import read_weights, write_weights
from posemill.lifters import linear
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput, check_output
from posemill.networks.linear import LinearLifter
from posemill.networks.rays import INPUT_WIDTH, OUTPUT_WIDTH, ray_pose
from posemill.skeleton import JOINT_SETS

LIMBS = JOINT_SETS["limbs12"]
BODY = JOINT_SETS["h36m17"]
# A person of 1.7 m, facing the camera, arms a little out: x right, y down, z forward, pelvis at 0.
STANDING = np.array(
    [
        *((0, 0, 0), (-0.13, 0, 0), (-0.14, 0.42, 0.02), (-0.15, 0.82, 0.06)),
        *((0.13, 0, 0), (0.14, 0.42, -0.02), (0.15, 0.82, 0.04)),
        *((0, -0.23, 0), (0, -0.48, 0.01), (0, -0.6, -0.02), (0, -0.72, 0)),
        *((0.17, -0.44, 0), (0.25, -0.17, 0.05), (0.28, 0.05, -0.1)),
        *((-0.17, -0.44, 0), (-0.25, -0.17, 0.05), (-0.3, 0.03, -0.02)),
    ]
)


def camera(focal_px: float = 1000.0, *, width: int = 1280, height: int = 720, dist=(0, 0, 0, 0, 0)) -> Camera:
    k = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1.0]])
    return Camera(width, height, k, np.array(dist, dtype=float))


def seen(camera: Camera, joints: np.ndarray) -> LiftInput:
    """Exact keypoints of (T, 17, 3) camera-frame metres."""
    limbs = joints[:, BODY.indices(LIMBS.joints)]
    keypoints = camera.project(limbs)
    valid = np.isfinite(keypoints).all(-1)
    return LiftInput(
        keypoints, np.ones(valid.shape), np.ones(valid.shape), valid, np.arange(len(joints)) / 25.0, camera
    )


def people(count: int = 5) -> np.ndarray:
    """Standing persons with moved limbs, 3 to 5 m away and off the axis; (count, 17, 3) metres, camera frame."""
    rng = np.random.default_rng(0)
    poses = STANDING + rng.normal(0, 0.05, (count, 17, 3)) * (np.arange(17) > 0)[:, None]
    place = np.stack([rng.uniform(-0.8, 0.8, count), rng.uniform(-0.2, 0.2, count), rng.uniform(3, 5, count)], -1)
    return poses + place[:, None]


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights: invariances hold whatever was learnt."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    linear.store(path, LinearLifter(INPUT_WIDTH, OUTPUT_WIDTH, hidden=32), np.ones(OUTPUT_WIDTH // 4), {})
    return path


@pytest.fixture(scope="module")
def shipped() -> linear.Linear:
    return linear.create(linear.Options())


def made(path: Path, **options) -> linear.Linear:
    return linear.create(linear.Options(weights=path, **options))


# ------------------------------------------------------------------------------------------ network


def test_published_network_has_the_published_size():
    network = LinearLifter(32, 48)
    trainable = sum(p.numel() for p in network.parameters())
    statistics = sum(b.numel() for b in network.buffers() if b.is_floating_point())
    assert trainable == 4_291_632
    assert statistics == 10_240


def test_max_norm_scales_weights_only_in_the_forward_pass():
    network = LinearLifter(2, 1, hidden=4, blocks=0, dropout=0.0, max_norm=True).eval()
    with torch.no_grad():
        network.last.weight[:] = torch.tensor([[3.0, 0.0, 4.0, 0.0]])
        network.last.bias[:] = 0.0
        out = network.last(torch.tensor([[1.0, 0.0, 1.0, 0.0]]))
    assert out.item() == pytest.approx((3 + 4) / 5)
    assert network.last.weight[0, 2] == 4.0


def test_small_weights_are_not_scaled_up():
    network = LinearLifter(2, 1, hidden=2, blocks=0, max_norm=True).eval()
    with torch.no_grad():
        network.last.weight[:] = torch.tensor([[0.3, 0.4]])
        network.last.bias[:] = 0.0
        assert network.last(torch.tensor([[1.0, 1.0]])).item() == pytest.approx(0.7)


def test_norm_eps_is_an_argument():
    assert LinearLifter(32, 48, norm_eps=1e-3).first.norm.eps == 1e-3
    assert LinearLifter(32, 48).first.norm.eps == 1e-5


# ------------------------------------------------------------------------------------------ rays


def test_root_ray_becomes_the_optical_axis():
    clip = seen(camera(), people())
    pose = ray_pose(clip.camera.normalise(clip.keypoints), clip.valid)
    hips = clip.camera.normalise(clip.keypoints)[:, LIMBS.indices(("left_hip", "right_hip"))]
    rays = np.concatenate([hips, np.ones((len(hips), 2, 1))], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    middle = (pose.rotation @ rays.mean(1)[..., None])[..., 0]
    np.testing.assert_allclose(middle[:, :2], 0, atol=1e-12)


def test_missing_joints_are_zeros_with_presence_zero():
    clip = seen(camera(), people(1))
    present = clip.valid.copy()
    present[0, LIMBS.index("left_wrist")] = False
    pose = ray_pose(clip.camera.normalise(np.where(present[..., None], clip.keypoints, np.nan)), present)
    at = LIMBS.index("left_wrist")
    assert pose.inputs[0, 2 * at : 2 * at + 2].tolist() == [0, 0]
    assert pose.inputs[0, 24:36].tolist() == present[0].astype(float).tolist()
    assert np.isfinite(pose.inputs).all()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_joints_are_not_usable(count: int):
    present = np.arange(12)[None] < count
    pose = ray_pose(np.zeros((1, 12, 2)), present)
    assert not pose.usable[0]
    assert not pose.inputs.any()


# ------------------------------------------------------------------------------------------ lifter


def test_same_rays_of_another_camera_give_the_same_pose(random_weights: Path):
    joints = people()
    lifter = made(random_weights)
    one = lifter.lift(seen(camera(1000), joints))
    other = lifter.lift(seen(camera(600, width=640, height=480, dist=(-0.1, 0.02, 0.001, -0.001, 0)), joints))
    np.testing.assert_allclose(one.joints_relative, other.joints_relative, atol=1e-5)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-4)


def test_turning_the_camera_turns_the_pose(random_weights: Path):
    """A pan about the camera's own centre changes the picture, not the pose but for that rotation."""
    joints = STANDING[None] + (0.0, 0.0, 4.0)
    angle = np.radians(12)
    pan = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    lifter = made(random_weights)
    straight = lifter.lift(seen(camera(), joints)).joints_relative
    panned = lifter.lift(seen(camera(), joints @ pan.T)).joints_relative
    np.testing.assert_allclose(panned, straight @ pan.T, atol=1e-5)


def test_mirrored_person_gives_the_mirrored_pose(random_weights: Path):
    joints = people()
    mirrored = joints[:, BODY.flip_permutation] * (-1, 1, 1)
    lifter = made(random_weights, flip=True)
    one, other = lifter.lift(seen(camera(), joints)), lifter.lift(seen(camera(), mirrored))
    np.testing.assert_allclose(
        other.joints_relative, one.joints_relative[:, BODY.flip_permutation] * (-1, 1, 1), atol=1e-5
    )
    np.testing.assert_allclose(other.sigma, one.sigma[:, BODY.flip_permutation], rtol=1e-4)


def test_any_length_and_one_frame(random_weights: Path):
    joints = people(7)
    lifter = made(random_weights)
    whole = lifter.lift(seen(camera(), joints))
    single = lifter.lift(seen(camera(), joints[3:4]))
    np.testing.assert_allclose(single.joints_relative[0], whole.joints_relative[3], atol=1e-6)
    none = lifter.lift(seen(camera(), joints[:0]))
    assert none.joints_relative.shape == (0, 17, 3)


def test_pelvis_is_the_origin(random_weights: Path):
    out = made(random_weights).lift(seen(camera(), people()))
    assert not out.joints_relative[:, 0].any()
    assert out.valid.all()


def test_nan_keypoints_never_become_numbers(random_weights: Path):
    clip = seen(camera(), people(3))
    keypoints, valid = clip.keypoints.copy(), clip.valid.copy()
    keypoints[1], valid[1] = np.nan, False
    out = made(random_weights).lift(LiftInput(keypoints, clip.score, clip.sigma, valid, clip.time, clip.camera))
    assert out.valid.any(1).tolist() == [True, False, True]
    assert np.isnan(out.joints_relative[1]).all() and np.isnan(out.sigma[1]).all()
    check_output(out, 3, 17, "linear")


def test_more_missing_than_allowed_is_not_lifted(random_weights: Path):
    clip = seen(camera(), people(2))
    valid = clip.valid.copy()
    valid[0, :3] = False
    valid[1, :2] = False
    out = made(random_weights, max_missing=2).lift(
        LiftInput(clip.keypoints, clip.score, clip.sigma, valid, clip.time, clip.camera)
    )
    assert out.valid.any(1).tolist() == [False, True]


def test_shipped_weights_find_a_standing_person(shipped: linear.Linear):
    from posemill.metrics.pose import p_mpjpe

    joints = STANDING[None] + (0.3, 0.1, 4.0)
    out = shipped.lift(seen(camera(), joints))
    limbs = BODY.indices(LIMBS.joints)
    assert p_mpjpe(out.joints_relative[:, limbs], joints[:, limbs]) < 0.06


def test_shipped_sigma_grows_where_the_keypoint_is_missing(shipped: linear.Linear):
    clip = seen(camera(), STANDING[None] + (0.0, 0.0, 4.0))
    valid = clip.valid.copy()
    valid[0, LIMBS.index("left_wrist")] = False
    partial = LiftInput(clip.keypoints, clip.score, clip.sigma, valid, clip.time, clip.camera)
    wrist = BODY.index("left_wrist")
    assert shipped.lift(partial).sigma[0, wrist] > 1.3 * shipped.lift(clip).sigma[0, wrist]


# ------------------------------------------------------------------------------------------ weights, protocol


def test_missing_weights_say_how_to_make_them(tmp_path: Path):
    with pytest.raises(MissingError, match="posemill train linear"):
        linear.create(linear.Options(weights=tmp_path / "none.safetensors"))


def test_foreign_weights_name_the_tensor(tmp_path: Path, random_weights: Path):
    tensors, card = read_weights(random_weights)
    path = tmp_path / "w.safetensors"
    write_weights(path, {**tensors, "last.weight": np.zeros((3, 32))}, card)
    with pytest.raises(InputError, match=r"last\.weight: expected shape \(64, 32\), got \(3, 32\)"):
        linear.create(linear.Options(weights=path))
    write_weights(path, tensors, {"network": "other"})
    with pytest.raises(InputError, match=r"network: expected linear rays 1, or .* published weights, got other"):
        linear.create(linear.Options(weights=path))


def test_output_that_breaks_the_contract_is_refused():
    joints, sigma, valid = np.zeros((2, 17, 3)), np.ones((2, 17)), np.ones((2, 17), dtype=bool)
    check_output(LiftOutput(joints, sigma, valid), 2, 17, "mine")
    with pytest.raises(PosemillError, match="lifter mine: sigma: expected"):
        check_output(LiftOutput(joints, sigma[:1], valid), 2, 17, "mine")
    with pytest.raises(PosemillError, match="got 1 joints"):
        check_output(LiftOutput(joints, sigma, ~(np.arange(34).reshape(2, 17) == 5)), 2, 17, "mine")


def test_card_and_module_keep_the_contract():
    assert isinstance(linear.CARD, LifterCard)
    assert linear.NAME == "linear"
    assert linear.weights(linear.Options()) == linear.SHIPPED
    assert set(linear.CARD.licences) == {"code", "weights", "data"}


def test_shipped_file_is_the_evaluated_one():
    from posemill.provenance import sha256_file

    text = linear.SHIPPED.with_suffix(".md").read_text()
    assert f"sha256: `{sha256_file(linear.SHIPPED)}`" in text
    assert linear.SHIPPED.stat().st_size < 9_000_000
    _, card = read_weights(linear.SHIPPED)
    assert f"| {card['results']['exact']['p_mpjpe17_mm']} |" in text
