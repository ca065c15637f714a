"""The lifters ``gan``, ``repnet`` and ``video_gan``: what holds for any weights, and what small weights make plain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from posemill import registry
from posemill.anthropometry import STANDARD_LENGTH_M, body_length
from posemill.camera import Camera
from posemill.errors import InputError, MissingError, PosemillError
from posemill.formats.weights import write_weights
from posemill.geometry import rotation_between
from posemill.lifters import gan, repnet, video_gan
from posemill.lifters.body_view import turn_to_root
from posemill.lifters.protocol import LiftInput, LiftOutput, check_output
from posemill.networks.gan import GanMLP
from posemill.networks.kcs import KcsCritic
from posemill.networks.repnet import RepNet
from posemill.networks.video_gan import VideoGan
from posemill.skeleton import JOINT_SETS
from tests.unit.test_gan_networks import chainer_file, kudo_by_hand

BODY = JOINT_SETS["h36m17"]
FLIP = BODY.flip_permutation
KNEE, WRIST = BODY.index("left_knee"), BODY.index("right_wrist")
# 1.7 m tall, facing the camera: x right, y down, z forward, pelvis at 0.
STANDING = np.array(
    [
        *((0, 0, 0), (-0.13, 0, 0), (-0.14, 0.42, 0.02), (-0.15, 0.82, 0.06)),
        *((0.13, 0, 0), (0.14, 0.42, -0.02), (0.15, 0.82, 0.04)),
        *((0, -0.23, 0), (0, -0.48, 0.01), (0, -0.6, -0.02), (0, -0.72, 0)),
        *((0.17, -0.44, 0), (0.25, -0.17, 0.05), (0.28, 0.05, -0.1)),
        *((-0.17, -0.44, 0), (-0.25, -0.17, 0.05), (-0.3, 0.03, -0.02)),
    ]
)
MODULES = (gan, repnet, video_gan)


def camera(focal_px: float = 1000.0, *, width: int = 1280, height: int = 720, dist=(0, 0, 0, 0, 0)) -> Camera:
    k = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1.0]])
    return Camera(width, height, k, np.array(dist, dtype=float))


def seen(joints: np.ndarray, by: Camera | None = None, *, fps: float = 25.0, temporal: bool = True) -> LiftInput:
    """Exact keypoints of (T, 17, 3) camera-frame metres."""
    by = by or camera()
    keypoints = by.project(joints)
    valid = np.isfinite(keypoints).all(-1)
    ones = np.ones(valid.shape)
    return LiftInput(keypoints, ones, 0 * ones, valid, np.arange(len(joints)) / fps, by, temporal)


def walk(frames: int = 40) -> np.ndarray:
    """A person who moves smoothly, 4 m away and off the axis; (T, 17, 3) m, camera frame."""
    t = np.arange(frames)[:, None, None] / 25.0
    rng = np.random.default_rng(0)
    swing = rng.normal(0, 0.06, (17, 3)) * np.sin(2 * t + rng.uniform(0, 6, (17, 3)))
    return STANDING + swing * (np.arange(17) > 0)[:, None] + (0.5, 0.2, 4.0) + t * (0.1, 0.0, 0.05)


def hidden(clip: LiftInput, frames: slice | int, joint: int | slice = slice(None)) -> LiftInput:
    keypoints, valid = clip.keypoints.copy(), clip.valid.copy()
    keypoints[frames, joint], valid[frames, joint] = np.nan, False
    return replace(clip, keypoints=keypoints, valid=valid)


def tensors_of(network: nn.Module, prefix: str = "") -> dict[str, np.ndarray]:
    return {prefix + n: t.detach().numpy() for n, t in network.state_dict().items() if t.is_floating_point()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small networks with random weights: invariances hold whatever was learnt."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    pair = {
        **tensors_of(VideoGan(32, 48, hidden=24), "pose."),
        **tensors_of(VideoGan(34, 3, hidden=24), "root."),
    }
    # The layer of Kudo's network starts so small that its answer is all but zero.
    kudo = {n: t * (20 if n.endswith("weight") else 1) for n, t in tensors_of(GanMLP(hidden=16)).items()}
    files = {
        "gan": (kudo, {"lifter": "gan"}),
        "repnet": (tensors_of(RepNet(hidden=16)), {"lifter": "repnet", "y_up": True, "kcs_sign": "released"}),
        "repnet torch": (tensors_of(RepNet("torch", hidden=16)), {"lifter": "repnet", "network": {"form": "torch"}}),
        "repnet solved": (tensors_of(RepNet(hidden=16, camera=False)), {"lifter": "repnet"}),
        "video_gan": (pair, {"lifter": "video_gan", "network": {"hidden": 24}}),
        "video_gan turned": (pair, {"lifter": "video_gan", "network": {"hidden": 24}, "view": "turned"}),
    }
    paths = {name: folder / f"{name}.safetensors" for name in files}
    for name, (tensors, card) in files.items():
        write_weights(paths[name], tensors, card)
    return paths


KINDS = ("gan", "repnet", "repnet torch", "repnet solved", "video_gan", "video_gan turned")


def made(small: dict[str, Path], kind: str, **options):
    module: ModuleType = registry.load("lifters", kind.split()[0])
    return module.create(module.Options(weights=small[kind], **options))


# ------------------------------------------------------------------------------------------ any weights


@pytest.mark.parametrize("kind", KINDS)
def test_mirrored_person_gives_the_mirrored_answer(small: dict[str, Path], kind: str):
    joints, lifter = walk(), made(small, kind)
    one = lifter.lift(seen(joints))
    other = lifter.lift(seen(joints[:, FLIP] * (-1, 1, 1)))
    np.testing.assert_allclose(other.joints_relative, one.joints_relative[:, FLIP] * (-1, 1, 1), atol=2e-5)
    np.testing.assert_allclose(other.sigma, one.sigma[:, FLIP], rtol=1e-3, atol=1e-6)
    if kind.startswith("video_gan"):
        np.testing.assert_allclose(other.root, one.root * (-1, 1, 1), atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [0, 1, 2, 26, 27, 28])
def test_any_length(small: dict[str, Path], kind: str, frames: int):
    output = made(small, kind).lift(seen(walk(frames)))
    check_output(output, frames, 17, kind)
    assert output.valid.all()
    assert not output.joints_relative[:, 0].any()
    assert (output.sigma > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_same_rays_of_another_camera_give_the_same_pose(small: dict[str, Path], kind: str):
    joints, lifter = walk(), made(small, kind)
    one = lifter.lift(seen(joints, camera(1000)))
    other = lifter.lift(seen(joints, camera(600, width=640, height=480, dist=(-0.1, 0.02, 0.001, -0.001, 0))))
    np.testing.assert_allclose(one.joints_relative, other.joints_relative, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_stills_do_not_know_of_each_other(small: dict[str, Path], kind: str):
    joints, lifter = walk(), made(small, kind)
    whole = lifter.lift(seen(joints, temporal=False))
    single = lifter.lift(seen(joints[3:4]))
    np.testing.assert_allclose(whole.joints_relative[3], single.joints_relative[0], atol=1e-6)
    gone = lifter.lift(hidden(seen(joints, temporal=False), 3, WRIST))
    assert gone.valid.all(1).tolist() == [i != 3 for i in range(40)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_gap_is_bridged_and_a_long_one_is_not_answered(small: dict[str, Path], kind: str):
    clip, lifter = seen(walk()), made(small, kind)
    whole = lifter.lift(clip)
    short = check_output(lifter.lift(hidden(clip, slice(10, 13), WRIST)), 40, 17, kind)
    assert short.valid.all()
    # The middle of the gap is two frames from a sighting: 0.08 s at 0.5 m/s.
    assert short.sigma[11, WRIST] > np.hypot(0.9 * whole.sigma[11, WRIST], 0.035)
    assert np.abs(short.joints_relative - whole.joints_relative).max() < 0.1
    long = check_output(lifter.lift(hidden(clip, slice(10, 25), WRIST)), 40, 17, kind)
    assert not long.valid[14:21].any() and long.valid[:10].all() and long.valid[25:].all()
    nothing = lifter.lift(hidden(clip, slice(None)))
    assert not nothing.valid.any() and np.isnan(nothing.joints_relative).all()
    if kind.startswith("video_gan"):
        assert np.isnan(long.root[14:21]).all() and np.isfinite(long.root[:10]).all()


@pytest.mark.parametrize("kind", ["gan", "repnet", "repnet torch", "repnet solved"])
def test_where_the_person_is_does_not_matter_to_ray_blind_lifters(small: dict[str, Path], kind: str):
    clip, lifter = seen(walk(5)), made(small, kind)
    moved = replace(clip, keypoints=clip.keypoints + np.array([37.0, -81.0]))
    np.testing.assert_allclose(lifter.lift(moved).joints_relative, lifter.lift(clip).joints_relative, atol=1e-5)


@pytest.mark.parametrize("kind", ["gan", "repnet", "repnet solved"])
def test_how_large_the_person_is_does_not_matter_to_unit_scale_lifters(small: dict[str, Path], kind: str):
    clip, lifter = seen(walk(5)), made(small, kind)
    larger = replace(clip, keypoints=clip.keypoints * 1.7)
    output = lifter.lift(larger)
    np.testing.assert_allclose(output.joints_relative, lifter.lift(clip).joints_relative, atol=1e-5)


@pytest.mark.parametrize("kind", ["gan", "repnet", "repnet torch"])
def test_unit_scales_become_the_standard_body(small: dict[str, Path], kind: str):
    np.testing.assert_allclose(body_length(made(small, kind).lift(seen(walk())).joints_relative), STANDARD_LENGTH_M)


@pytest.mark.parametrize("kind", ["gan", "repnet", "repnet solved"])
def test_a_person_without_size_is_not_answered(small: dict[str, Path], kind: str):
    clip = seen(walk(3))
    keypoints = clip.keypoints.copy()
    keypoints[1] = keypoints[1, 0]
    output = check_output(made(small, kind).lift(replace(clip, keypoints=keypoints)), 3, 17, kind)
    assert output.valid.any(1).tolist() == [True, False, True]


def test_all_are_marked_ray_blind_and_listed():
    for module in MODULES:
        assert module.CARD.ray_blind and module.NAME in registry.names("lifters")
        assert module.weights(module.Options()) == module.SHIPPED
        assert set(module.CARD.licences) == {"code", "weights", "data"}


# ------------------------------------------------------------------------------------------ gan


def test_a_flat_answer_keeps_the_image(tmp_path: Path):
    """With depths 0 the pose is the image, at the standard body's size."""
    path = tmp_path / "flat.safetensors"
    write_weights(path, {n: 0 * t for n, t in tensors_of(GanMLP(hidden=4)).items()}, {})
    output = gan.create(gan.Options(weights=path)).lift(seen(STANDING[None] * (1, 1, 0) + (0.4, 0.1, 4)))
    want = STANDING * (1, 1, 0)
    np.testing.assert_allclose(output.joints_relative[0], want * STANDARD_LENGTH_M / body_length(want), atol=1e-9)
    assert output.sigma[0].tolist() == pytest.approx([0.01] + [0.09] * 16)


def test_depth_goes_with_the_image_and_its_noise_into_sigma(tmp_path: Path):
    """Biases are the depths in units of the mean distance from the pelvis; 2D noise comes out in metres."""
    tensors = {n: 0 * t for n, t in tensors_of(GanMLP(hidden=4)).items()}
    size = np.linalg.norm(STANDING[1:, :2], axis=1).mean()
    depth = STANDING[:, 2] / size
    # The same depths on both sides, so that the mirrored answer agrees; the constant is the pelvis's and drops out.
    depth = (depth + depth[FLIP]) / 2 + 3
    path = tmp_path / "w.safetensors"
    write_weights(path, {**tensors, "l4.bias": depth.astype(np.float32)}, {"lifter": "gan"})
    clip = seen(STANDING[None] * (1, 1, 0) + (0, 0, 4.0))
    output = gan.create(gan.Options(weights=path)).lift(replace(clip, sigma=np.full((1, 17), 5.0)))
    pose = np.concatenate([STANDING[:, :2], (depth[:, None] - 3) * size], 1)
    factor = STANDARD_LENGTH_M / body_length(pose)
    np.testing.assert_allclose(output.joints_relative[0], pose * factor, atol=1e-6)
    noise_m = 5.0 / 1000 * 4.0 * factor
    np.testing.assert_allclose(output.sigma[0, 1:], np.sqrt(0.09**2 + 2 / 3 * noise_m**2), rtol=1e-6)


@pytest.mark.parametrize("normed", [False, True])
def test_kudos_file_is_read_as_it_is(tmp_path: Path, normed: bool):
    file, path = chainer_file(np.random.default_rng(0), normed=normed), tmp_path / "gen_epoch_500.npz"
    np.savez(path, **file)
    clip = seen(walk(3))
    output = gan.create(gan.Options(weights=path, flip=False)).lift(clip)
    xy = clip.keypoints - clip.keypoints[:, :1]
    xy /= np.linalg.norm(xy[:, 1:], axis=-1).mean(1)[:, None, None]
    z = kudo_by_hand(file, xy.reshape(3, 34), normed=normed)
    pose = np.concatenate([xy, (z - z[:, :1])[..., None]], -1)
    pose *= (STANDARD_LENGTH_M / body_length(pose))[:, None, None]
    np.testing.assert_allclose(output.joints_relative, pose, atol=1e-5)


def test_misfits_of_kudos_file_name_the_tensor(tmp_path: Path):
    file, path = chainer_file(np.random.default_rng(0), normed=False), tmp_path / "w.npz"
    np.savez(path, **{**file, "l4/b": np.zeros(16, np.float32)})
    with pytest.raises(InputError, match=r"w\.npz: tensor l4\.bias: expected shape \(17,\), got \(16,\)"):
        gan.create(gan.Options(weights=path))
    np.savez(path, **file, extra=np.zeros(1))
    with pytest.raises(InputError, match="extra as well"):
        gan.create(gan.Options(weights=path))


def test_view_turned_sees_an_off_axis_person_as_on_the_axis(small: dict[str, Path]):
    """Turning the camera to the person undoes the stretch that a picture has away from its middle."""
    angle = np.radians(25)
    pan = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    straight = STANDING[None] + (0, 0, 4.0)
    lifter = made(small, "gan", view="turned")
    one, other = lifter.lift(seen(straight)), lifter.lift(seen(straight @ pan.T))
    np.testing.assert_allclose(other.joints_relative, one.joints_relative, atol=1e-6)
    by = camera()
    turned = turn_to_root(by.normalise(by.project(straight @ pan.T)))
    np.testing.assert_allclose(turned, by.normalise(by.project(straight)), atol=1e-12)


# ------------------------------------------------------------------------------------------ repnet

TURN = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])


def constant(form: str, pose: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """RepNet that always answers h36m17 ``pose`` (17, 3) in its own frame, and the camera ``rows`` (2, 3)."""
    from posemill.networks.repnet import JOINTS

    tensors = {n: 0 * t for n, t in tensors_of(RepNet(form, hidden=4)).items()}
    joints = pose[JOINTS[form]]
    tensors["w22.bias"] = (joints.T if form == "repnet" else joints).reshape(-1).astype(np.float32)
    tensors["w3.bias"] = (rows if form == "repnet" else rows.T).reshape(-1).astype(np.float32)
    return tensors


@pytest.mark.parametrize("form", ["repnet", "torch"])
@pytest.mark.parametrize("y_up", [False, True])
def test_the_camera_turns_the_pose_to_camera_axes(tmp_path: Path, form: str, y_up: bool):
    path = tmp_path / "w.safetensors"
    # A network with y up knows the person with head up, and its third axis points to the camera.
    rows = (TURN * (np.array([1, -1, -1])[:, None] if y_up else 1))[:2] * 0.9
    card = {"network": {"form": form}, "y_up": y_up, "kcs_sign": "released"}
    write_weights(path, constant(form, STANDING, rows), card)
    lifter = repnet.create(repnet.Options(weights=path, flip=False))
    assert (lifter.kcs_sign, lifter.y_up) == ("released", y_up)
    got = lifter.lift(seen(walk(2))).joints_relative[1]
    limbs = [i for i, name in enumerate(BODY.joints) if name != "spine" or form == "torch"]
    want = STANDING @ TURN.T
    ratio = np.linalg.norm(got[1]) / np.linalg.norm(want[1])
    np.testing.assert_allclose(got[limbs], want[limbs] * ratio, atol=1e-6)
    if form == "repnet":
        around = BODY.indices(("left_hip", "right_hip", "left_shoulder", "right_shoulder"))
        np.testing.assert_allclose(got[BODY.index("spine")], got[around].mean(0), atol=1e-6)


def test_without_the_cameras_path_the_camera_is_solved(tmp_path: Path):
    """An image of the network's own pose, seen by a weak-perspective camera, gives the pose in that camera."""
    path, pose = tmp_path / "w.safetensors", STANDING
    tensors = {n: t for n, t in constant("repnet", pose, np.eye(3)[:2]).items() if not n.startswith(("camera", "w3"))}
    write_weights(path, tensors, {})
    far = camera(100_000.0)
    joints = (pose @ TURN.T)[None] + (0, 0, 400.0)
    got = repnet.create(repnet.Options(weights=path, flip=False)).lift(seen(joints, far)).joints_relative[0]
    want = pose @ TURN.T
    limbs = np.array([i for i, name in enumerate(BODY.joints) if name != "spine"])
    np.testing.assert_allclose(got[limbs], want[limbs] * np.linalg.norm(got[1]) / np.linalg.norm(want[1]), atol=2e-3)


def test_a_camera_that_turns_to_nowhere_is_not_an_answer(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    write_weights(path, constant("repnet", STANDING, np.array([[1.0, 0, 0], [2.0, 0, 0]])), {})
    output = repnet.create(repnet.Options(weights=path)).lift(seen(walk(2)))
    assert not check_output(output, 2, 17, "repnet").valid.any()


def keras(path: Path, tensors: dict[str, np.ndarray], first: int = 4) -> Path:
    """A Keras model file with these weights (our names) in dense layers numbered from ``first``."""
    import h5py

    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights")
        names = ["input_1"]
        root.create_group("input_1").attrs["weight_names"] = np.array([], dtype="S1")
        order = [
            "w1",
            "linear_stage.w1",
            "linear_stage.w2",
            *(f"pose3d_stages{i}.w{k}" for i in (1, 2) for k in (1, 2)),
        ]
        order += ["w21", "w22", *(f"camera_stages{i}.w{k}" for i in (1, 2) for k in (1, 2)), "w3"]
        for k, ours in enumerate(order, start=first):
            layer = f"dense_{k}"
            group = root.create_group(layer)
            group[f"{layer}/kernel:0"] = tensors[f"{ours}.weight"].T
            group[f"{layer}/bias:0"] = tensors[f"{ours}.bias"]
            group.attrs["weight_names"] = np.array([f"{layer}/kernel:0", f"{layer}/bias:0"], dtype="S")
            names.append(layer)
        root.attrs["layer_names"] = np.array(names, dtype="S")
    return path


@pytest.mark.parametrize("y_up", [False, True])
def test_kerass_file_is_read_and_shown_the_way_up_that_it_reprojects(tmp_path: Path, y_up: bool):
    from posemill.formats.checkpoints import read_checkpoint

    upright = np.diag([1.0, -1 if y_up else 1.0, -1 if y_up else 1.0])[:2]
    tensors = constant("repnet", STANDING, upright / STANDING[:, :2].std())
    path = keras(tmp_path / "generator.h5", tensors)
    converted, card = repnet.convert(read_checkpoint(path), repnet.Options())
    assert (card["y_up"], card["kcs_sign"]) == (y_up, "released")
    assert all(np.array_equal(converted[name], tensor) for name, tensor in tensors.items())
    lifter = repnet.create(repnet.Options(weights=path))
    assert lifter.y_up is y_up
    got = lifter.lift(seen(walk(2))).joints_relative[0]
    assert got[BODY.index("head_top"), 1] < -0.5 < 0.5 < got[BODY.index("left_ankle"), 1]


def test_the_pytorch_forms_file_is_read(tmp_path: Path):
    torch.manual_seed(1)
    network, path = RepNet("torch"), tmp_path / "repnet_resnet.tar"
    critic = KcsCritic(planar=False, slope=0.01)
    state = {"model_G": network.state_dict(), "model_D": critic.state_dict(), "iteration": 100000, "best_error": 76.5}
    torch.save(state, path)
    clip = seen(walk(2))
    output = repnet.create(repnet.Options(weights=path, flip=False)).lift(clip)
    points = (clip.keypoints[:, 1:] - clip.keypoints[:, :1]) / 1000 * 1146.8 / 500
    with torch.inference_mode():
        pose, rows = network.lift(torch.from_numpy(points.astype(np.float32)))
    assert rows is not None
    got = output.joints_relative[:, 1:]
    ratio = np.linalg.norm(got, axis=-1) / np.linalg.norm(pose, axis=-1)
    # One scale per frame, and x and y of the turned pose lie in the plane of the camera's rows.
    np.testing.assert_allclose(ratio, np.repeat(ratio[:, :1], 16, 1), rtol=1e-4)
    u, _, vt = np.linalg.svd(rows.numpy())
    want = pose.numpy() @ np.swapaxes(u @ vt[:, :2], 1, 2)
    np.testing.assert_allclose(got[..., :2], want * ratio[:, :1, None], atol=1e-4)


# ------------------------------------------------------------------------------------------ video_gan


def test_frames_far_from_the_ends_do_not_know_where_the_clip_begins(small: dict[str, Path]):
    joints, lifter = walk(60), made(small, "video_gan")
    whole, later = lifter.lift(seen(joints)), lifter.lift(seen(joints[5:]))
    np.testing.assert_allclose(later.joints_relative[13:], whole.joints_relative[18:], atol=1e-6)
    np.testing.assert_allclose(later.root[13:], whole.root[18:], atol=1e-6)


def test_ends_repeat_their_frame(small: dict[str, Path]):
    joints, lifter = walk(20), made(small, "video_gan")
    padded = np.concatenate([joints[:1]] * 13 + [joints] + [joints[-1:]] * 13)
    one, other = lifter.lift(seen(joints)), lifter.lift(seen(padded))
    np.testing.assert_allclose(one.joints_relative, other.joints_relative[13:-13], atol=1e-6)


def test_blocks_leave_no_seam(small: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    clip, lifter = hidden(seen(walk(60)), slice(30, 33), KNEE), made(small, "video_gan")
    whole = lifter.lift(clip)
    monkeypatch.setattr(video_gan, "_BLOCK", 7)
    parts = lifter.lift(clip)
    for name in ("joints_relative", "sigma", "root", "root_sigma"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=2e-6)


def test_a_long_gap_ends_a_run_as_the_clip_does(small: dict[str, Path]):
    joints, lifter = walk(60), made(small, "video_gan", max_gap_s=0)
    split = lifter.lift(hidden(seen(joints), slice(30, 32)))
    assert split.valid.all(1).tolist() == [not 30 <= i < 32 for i in range(60)]
    for part in (slice(0, 30), slice(32, 60)):
        alone = lifter.lift(seen(joints[part]))
        np.testing.assert_allclose(split.joints_relative[part], alone.joints_relative, atol=1e-6)


def test_root_is_metres_in_the_camera_frame(tmp_path: Path):
    """A root network that always says (0.1, -0.2, 5): mirrored it says -0.1, and x is unsure by that."""
    pair = {**tensors_of(VideoGan(32, 48, hidden=4), "pose."), **tensors_of(VideoGan(34, 3, hidden=4), "root.")}
    tensors = {n: 0 * t for n, t in pair.items()} | {"root.w4.bias": np.array([0.1, -0.2, 5], np.float32)}
    path = tmp_path / "w.safetensors"
    write_weights(path, tensors, {"root_sigma_share": [0.01, 0.01, 0.1]})
    plain = video_gan.create(video_gan.Options(weights=path, flip=False)).lift(seen(walk(3)))
    np.testing.assert_allclose(plain.root, [[0.1, -0.2, 5]] * 3, atol=1e-6)
    np.testing.assert_allclose(plain.root_sigma, [[0.05, 0.05, 0.5]] * 3, atol=1e-6)
    flipped = video_gan.create(video_gan.Options(weights=path)).lift(seen(walk(3)))
    np.testing.assert_allclose(flipped.root, [[0, -0.2, 5]] * 3, atol=1e-6)
    np.testing.assert_allclose(flipped.root_sigma[0], [np.hypot(0.05, 0.1), 0.05, 0.5], atol=1e-6)
    write_weights(path, {n: t for n, t in tensors.items() if n.startswith("pose.")}, {})
    assert video_gan.create(video_gan.Options(weights=path)).lift(seen(walk(3))).root is None


def test_a_turned_camera_sees_the_same_person(small: dict[str, Path]):
    """Weights of turned views: whoever stands beside the axis is seen as on it, and is found beside it."""
    axis = np.array([0.0, 0.0, 1.0])
    joints = walk(40) - walk(40)[:, :1] + (0, 0, 4)
    aside = rotation_between(axis, np.array([0.3, -0.1, 1.0]))
    for temporal in (True, False):
        lifter = made(small, "video_gan turned")
        ahead = lifter.lift(seen(joints, temporal=temporal))
        beside = lifter.lift(seen(joints @ aside.T, temporal=temporal))
        np.testing.assert_allclose(beside.joints_relative, ahead.joints_relative, atol=1e-5)
        np.testing.assert_allclose(beside.root, ahead.root @ aside.T, atol=1e-5)
        as_it_is = made(small, "video_gan").lift(seen(joints @ aside.T, temporal=temporal))
        assert np.abs(as_it_is.joints_relative - ahead.joints_relative).max() > 1e-4


def test_networks_see_the_training_cameras_pixels(small: dict[str, Path]):
    """Human3.6M's own picture, u / 500 - 1, goes in unchanged whichever way the camera is named."""
    k = np.array([[1146.8, 0, 514.0], [0, 1146.8, 506.7], [0, 0, 1]])
    h36m = Camera(1000, 1000, k, np.zeros(5))
    clip = seen(walk(3), h36m)
    one, other = (made(small, "video_gan", camera=way).lift(clip) for way in ("training", "own"))
    np.testing.assert_allclose(one.root, other.root, atol=1e-6)
    asked = []
    lifter = made(small, "video_gan", flip=False)
    network = lifter._networks["root"]
    network.register_forward_pre_hook(lambda _, args: asked.append(args[0]))
    lifter.lift(replace(clip, temporal=False))
    np.testing.assert_allclose(asked[0][:, 5].reshape(3, 17, 2), clip.keypoints / 500 - 1, atol=1e-5)


def test_another_rate_than_the_weights_is_resampled(tmp_path: Path, small: dict[str, Path]):
    from posemill.formats.weights import read_weights

    path = tmp_path / "w.safetensors"
    tensors, card = read_weights(small["video_gan"])
    write_weights(path, tensors, {**card, "fps": 25})
    # The same motion at 25 and at 100 frames per second: every fourth frame is the same question.
    t = np.arange(197) / 100.0
    joints = STANDING + (0.2, 0, 4) + np.sin(t)[:, None, None] * (0.1, 0.05, 0.0) * (np.arange(17) > 0)[:, None]
    lifter = video_gan.create(video_gan.Options(weights=path))
    fast, slow = lifter.lift(seen(joints, fps=100)), lifter.lift(seen(joints[::4], fps=25))
    np.testing.assert_allclose(fast.joints_relative[::4], slow.joints_relative, atol=1e-5)
    assert np.abs(lifter.lift(seen(joints, fps=25)).joints_relative - fast.joints_relative).max() > 1e-4


def test_a_training_checkpoint_is_read(tmp_path: Path):
    torch.manual_seed(2)
    pose, root = VideoGan(32, 48), VideoGan(34, 3)
    path, clip = tmp_path / "video_absolute_resnet.tar", seen(walk(1))
    state = {"model_G_pose": nn.DataParallel(pose).state_dict(), "model_G_root": root.state_dict(), "iteration": 50000}
    torch.save({**state, "model_D": KcsCritic(planar=False, slope=0.01).state_dict(), "best_error": 70.5}, path)
    output = video_gan.create(video_gan.Options(weights=path, flip=False)).lift(clip)
    image = (clip.camera.normalise(clip.keypoints[0]) * 1146.8 + (514.0, 506.7)) / 500 - 1
    with torch.inference_mode():
        relative = torch.from_numpy((image[1:] - image[:1]).reshape(1, 1, 32).astype(np.float32))
        want = pose(relative.expand(1, 27, 32))[0].reshape(16, 3)
        place = root(torch.from_numpy(image.reshape(1, 1, 34).astype(np.float32)).expand(1, 27, 34))[0]
    np.testing.assert_allclose(output.joints_relative[0, 1:], want, atol=1e-5)
    np.testing.assert_allclose(output.root[0], place, atol=1e-5)


# ------------------------------------------------------------------------------------------ weights, protocol


@pytest.mark.parametrize("module", MODULES)
def test_missing_weights_say_how_to_get_them(module: ModuleType, tmp_path: Path):
    with pytest.raises(MissingError, match=f"posemill train {module.NAME} --motion") as error:
        module.create(module.Options(weights=tmp_path / "none.safetensors"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["gan", "repnet", "video_gan"])
def test_cards_that_make_no_sense_are_refused(small: dict[str, Path], tmp_path: Path, kind: str):
    from posemill.formats.weights import read_weights

    module = registry.load("lifters", kind)
    tensors, card = read_weights(small[kind])
    path = tmp_path / "w.safetensors"

    def refused(match: str, **change) -> None:
        write_weights(path, {**tensors, **change.pop("tensors", {})}, {**card, **change})
        with pytest.raises(InputError, match=match) as error:
            module.create(module.Options(weights=path))
        assert "\n" not in str(error.value)

    refused("linear", lifter="linear")
    refused("network", network={"layers": 10**9})
    refused("hidden units: expected 1 to 8192", network={"hidden": 10**12})
    refused("network", network=[1])
    refused("sigma_floor", tensors={"sigma_floor": np.zeros(17, np.float32)})
    first = {"gan": "l1.bias", "repnet": "w1.bias", "video_gan": "pose.w1.bias"}[kind]
    shape = tensors[first].shape
    refused(rf"{first.removeprefix('pose.')}: expected shape \({shape[0]},\), got", tensors={first: np.zeros(3)})
    if kind == "repnet":
        refused("kcs_sign: expected corrected or released", kcs_sign="plus")
        refused("form", network={"form": "other"})
    write_weights(path, {**tensors, "sigma_floor": np.full(17, 0.2, np.float32)}, card)
    assert (module.create(module.Options(weights=path)).lift(seen(walk(1))).sigma >= 0.2 - 1e-6).all()


@pytest.mark.parametrize("module", MODULES)
def test_files_of_another_kind_are_refused(module: ModuleType, tmp_path: Path):
    path = tmp_path / "w.npz"
    np.savez(path, a=np.zeros(2))
    with pytest.raises(InputError, match="expected"):
        module.create(module.Options(weights=path))


def test_a_root_that_breaks_the_contract_is_refused():
    joints, sigma, valid = np.zeros((2, 17, 3)), np.ones((2, 17)), np.ones((2, 17), dtype=bool)
    place = np.ones((2, 3))
    check_output(LiftOutput(joints, sigma, valid, place, place), 2, 17, "mine")
    with pytest.raises(PosemillError, match=r"lifter mine: root_sigma: expected \(2, 3\), got None"):
        check_output(LiftOutput(joints, sigma, valid, place), 2, 17, "mine")
    half = np.array([[1, 1, np.nan], [1, 1, 1]])
    with pytest.raises(PosemillError, match="three numbers or none"):
        check_output(LiftOutput(joints, sigma, valid, half, place), 2, 17, "mine")
