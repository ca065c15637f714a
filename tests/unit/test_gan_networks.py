"""Kudo's, RepNet's and the video GAN's networks against the published sizes and a second, plain forward pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from posemill.networks import gan, kcs, repnet, video_gan
from posemill.networks.gan import GanMLP
from posemill.networks.kcs import KcsCritic
from posemill.networks.repnet import RepNet
from posemill.networks.video_gan import VideoGan


def size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def leaky(x: np.ndarray, slope: float) -> np.ndarray:
    return np.maximum(x, slope * x)


def load(network: nn.Module, tensors: dict[str, np.ndarray]) -> nn.Module:
    network.load_state_dict({n: torch.from_numpy(np.array(t)) for n, t in tensors.items()}, strict=False)
    missing = set(dict(network.named_parameters())) - set(tensors)
    assert not missing
    return network.eval()


def answer(network: nn.Module, x: np.ndarray):
    with torch.inference_mode():
        out = network(torch.from_numpy(x.astype(np.float32)))
    return out.numpy() if isinstance(out, torch.Tensor) else tuple(o.numpy() for o in out)


def values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    fan = shape[-1] if len(shape) > 1 else 30
    return rng.normal(0, 1 / np.sqrt(fan), shape).astype(np.float32)


def test_published_sizes():
    assert size(GanMLP()) == 2_152_465
    assert size(GanMLP(width_out=1)) == 2_136_065
    assert size(RepNet(camera=False)) == 7_088_048
    assert size(RepNet()) == 7_088_048 + 4_010_006
    assert size(KcsCritic()) == 2_373_401
    assert size(VideoGan(32, 48)) == 8_149_048
    assert size(VideoGan(34, 3)) == 8_110_003


# ------------------------------------------------------------------------------------------ Kudo


def chainer_file(rng: np.random.Generator, *, normed: bool) -> dict[str, np.ndarray]:
    widths = {"l1": (1024, 34), "l2": (1024, 1024), "l3": (1024, 1024), "l4": (17, 1024)}
    tensors = {f"{layer}/W": values(rng, *shape) for layer, shape in widths.items()}
    tensors |= {f"{layer}/b": values(rng, shape[0]) for layer, shape in widths.items()}
    for bn in ("bn1", "bn2", "bn3") if normed else ():
        tensors |= {f"{bn}/{part}": values(rng, 1024) for part in ("beta", "avg_mean")}
        tensors |= {f"{bn}/{part}": rng.uniform(0.5, 2, 1024).astype(np.float32) for part in ("gamma", "avg_var")}
        tensors[f"{bn}/N"] = np.array(500)
    return tensors


def kudo_by_hand(t: dict[str, np.ndarray], x: np.ndarray, *, normed: bool) -> np.ndarray:
    def layer(k: int, h: np.ndarray) -> np.ndarray:
        h = np.einsum("oi,ni->no", t[f"l{k}/W"].astype(np.float64), h) + t[f"l{k}/b"]
        if normed:
            h = (h - t[f"bn{k}/avg_mean"]) / np.sqrt(t[f"bn{k}/avg_var"] + 2e-5) * t[f"bn{k}/gamma"] + t[f"bn{k}/beta"]
        return h

    def act(h: np.ndarray) -> np.ndarray:
        return np.where(h > 0, h, 0 if normed else 0.2 * h)

    first = act(layer(1, x))
    third = act(layer(3, act(layer(2, first))) + first)
    return np.einsum("oi,ni->no", t["l4/W"].astype(np.float64), third) + t["l4/b"]


@pytest.mark.parametrize("normed", [False, True])
def test_kudo_twice(normed: bool):
    rng = np.random.default_rng(0)
    file = chainer_file(rng, normed=normed)
    network = GanMLP(activation="relu" if normed else "leaky_relu", batch_norm=normed)
    network = load(network, gan.from_official(file))
    x = rng.normal(size=(5, 34))
    np.testing.assert_allclose(answer(network, x), kudo_by_hand(file, x, normed=normed), atol=1e-5)


def test_a_trainers_snapshot_holds_the_generator_among_other_things():
    file = chainer_file(np.random.default_rng(0), normed=False)
    snapshot = {f"updater/model:gen/{name}": tensor for name, tensor in file.items()}
    snapshot |= {"updater/model:dis/l1/W": np.zeros((1024, 34)), "updater/iteration": np.array(3)}
    assert gan.from_official(snapshot).keys() == gan.from_official(file).keys()


def test_kudo_normalisation_of_a_known_pose():
    # fmt: off
    pose = np.array([[0,0,0],[-.13,.01,.02],[-.12,.45,.05],[-.11,.88,.12],[.13,-.01,-.02],[.14,.43,-.05],[.15,.86,.02],
        [0,-.23,0],[0,-.48,-.02],[0,-.57,-.08],[0,-.68,-.05],[.15,-.45,-.03],[.27,-.2,-.02],[.25,.02,-.15],
        [-.15,-.45,0],[-.28,-.21,.02],[-.3,.03,-.1]]) + np.array((.35, -.1, 4.2))
    # fmt: on
    pixels = pose[:, :2] / pose[:, 2:] * (1145.05, 1143.78) + (512.54, 515.45)
    image, scale = gan.image_pose(pixels)
    assert scale == pytest.approx(121.215314, abs=1e-6)
    np.testing.assert_allclose(image[3], (-0.26240038, 1.92837591), atol=1e-8)
    np.testing.assert_allclose(image[10], (0.00948435, -1.54883616), atol=1e-8)


def test_kudo_normalisation_of_real_poses(shared_data: Path):
    poses = np.load(shared_data / "formats" / "3dpose_gan_mpii" / "mpii_poses.npy").reshape(-1, 17, 2)
    image, scale = gan.image_pose(poses.astype(np.float64))
    assert np.isfinite(scale).all()
    np.testing.assert_allclose(np.linalg.norm(image[:, 1:], axis=-1).mean(-1), 1, atol=1e-9)
    assert not image[:, 0].any()


def test_a_pose_in_one_place_has_no_scale():
    image, scale = gan.image_pose(np.ones((1, 17, 2)))
    assert np.isnan(scale).all() and np.isnan(image).all()


# ------------------------------------------------------------------------------------------ RepNet


def keras_file(
    rng: np.random.Generator, *, first: int = 1, camera: str = "last", n: int = 1000
) -> dict[str, np.ndarray]:
    pose, turn = [(n, n)] * 5 + [(n, 48)], [(n, n)] * 4 + [(n, 6)]
    tail = {"last": pose + turn, "first": turn + pose, "none": pose}[camera]
    tensors = {}
    for k, (width_in, width_out) in enumerate([(32, n), (n, n), (n, n), *tail], start=first):
        layer = f"dense_{k}" if k else "dense"
        tensors[f"{layer}/kernel:0"] = values(rng, width_out, width_in).T.copy()
        tensors[f"{layer}/bias:0"] = values(rng, width_out)
    return tensors


def repnet_by_hand(t: dict[str, np.ndarray], x: np.ndarray, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """By Keras's names, layers 1 to 14."""

    def dense(k: int, h: np.ndarray) -> np.ndarray:
        return h @ t[f"dense_{k}/kernel:0"].astype(np.float64) + t[f"dense_{k}/bias:0"]

    def block(k: int, h: np.ndarray) -> np.ndarray:
        return leaky(dense(k + 1, leaky(dense(k, h), slope)) + h, slope)

    trunk = block(2, dense(1, x))
    return dense(9, leaky(dense(8, block(6, block(4, trunk))), slope)), dense(14, block(12, block(10, trunk)))


@pytest.mark.parametrize("form", ["repnet", "torch"])
def test_repnet_twice(form: str):
    rng = np.random.default_rng(1)
    file = keras_file(rng)
    network = load(RepNet(form), repnet.from_official(file))
    x = rng.normal(size=(4, 32))
    want = repnet_by_hand(file, x, {"repnet": 0.3, "torch": 0.01}[form])
    for got, expect in zip(answer(network, x), want, strict=True):
        np.testing.assert_allclose(got, expect, atol=1e-5)
    assert isinstance(network, RepNet)
    points = torch.from_numpy(x.astype(np.float32)).reshape((4, 2, 16) if form == "repnet" else (4, 16, 2))
    with torch.inference_mode():
        pose, camera = network.lift(points.transpose(1, 2) if form == "repnet" else points)
    assert camera is not None
    if form == "repnet":
        np.testing.assert_allclose(pose[0, 3], want[0][0][[3, 19, 35]], atol=1e-5)
        np.testing.assert_allclose(camera[0].flatten(), want[1][0], atol=1e-5)
    else:
        np.testing.assert_allclose(pose[0, 3], want[0][0][9:12], atol=1e-5)
        np.testing.assert_allclose(camera[0].T.flatten(), want[1][0], atol=1e-5)


def test_keras_layers_are_found_wherever_their_numbers_start():
    plain = repnet.from_official(keras_file(np.random.default_rng(1), n=20))
    for first in (0, 7, 23):
        other = repnet.from_official(keras_file(np.random.default_rng(1), first=first, n=20))
        assert all(np.array_equal(other[name], tensor) for name, tensor in plain.items())
    swapped = repnet.from_official(keras_file(np.random.default_rng(1), camera="first", n=20))
    assert swapped["w3.weight"].shape == (6, 20) and swapped["w22.weight"].shape == (48, 20)
    assert "w3.weight" not in repnet.from_official(keras_file(np.random.default_rng(1), camera="none", n=20))


def test_another_keras_network_is_refused_with_its_layers():
    file = keras_file(np.random.default_rng(1), n=20)
    del file["dense_9/kernel:0"], file["dense_9/bias:0"]
    with pytest.raises(ValueError, match=r"dense layers: expected \(32, n\), seven .* got 13: \(32, 20\)"):
        repnet.from_official(file)
    with pytest.raises(ValueError, match="conv1/kernel_2"):
        repnet.from_official({"conv1/kernel_2": np.zeros((2, 2))})


def test_camera_rows_give_the_rotation_they_were_made_from():
    rng = np.random.default_rng(2)
    q, _ = np.linalg.qr(rng.normal(size=(6, 3, 3)))
    rotation = q * np.linalg.det(q)[:, None, None]
    np.testing.assert_allclose(repnet.camera_rotation(rotation[:, :2] * 0.37), rotation, atol=1e-12)
    assert np.isnan(repnet.camera_rotation(np.array([[[1.0, 0, 0], [2.0, 0, 0]], np.zeros((2, 3))]))).all()


def test_solved_camera_is_the_one_that_projected():
    rng = np.random.default_rng(3)
    pose, rows = rng.normal(size=(2, 16, 3)), rng.normal(size=(2, 2, 3))
    np.testing.assert_allclose(repnet.solve_camera(pose, pose @ np.swapaxes(rows, 1, 2)), rows, atol=1e-10)


# ------------------------------------------------------------------------------------------ kinematic chain space


def test_kinematic_chain_space_holds_lengths_and_angles():
    pose = np.random.default_rng(4).normal(size=(1, 3, 16))
    gram = kcs.kcs(torch.from_numpy(pose), torch.from_numpy(kcs.kcs_matrix()))[0].numpy()
    bones = np.array([pose[0, :, a] - pose[0, :, b] for a, b in kcs.BONES])
    np.testing.assert_allclose(np.diag(gram), (bones**2).sum(1), atol=1e-12)
    np.testing.assert_allclose(gram, bones @ bones.T, atol=1e-12)


def test_released_sign_makes_the_hips_a_sum():
    corrected, released = kcs.kcs_matrix("corrected"), kcs.kcs_matrix("released")
    assert np.argwhere(corrected != released).tolist() == [[3, 13]]
    assert (corrected[3, 13], released[3, 13], released[0, 13]) == (-1, 1, 1)
    assert not corrected.sum(0).any() and released.sum(0)[13] == 2
    with pytest.raises(ValueError, match="corrected or released"):
        kcs.kcs_matrix("plus")


@pytest.mark.parametrize("planar", [True, False])
def test_critic_twice(planar: bool):
    torch.manual_seed(0)
    network = KcsCritic(kcs_sign="released", planar=planar, slope=0.3 if planar else 0.01, hidden=200).eval()
    t = {n: p.detach().numpy().astype(np.float64) for n, p in network.named_parameters()}
    x = np.random.default_rng(5).normal(size=(3, 48))

    def dense(name: str, h: np.ndarray) -> np.ndarray:
        return h @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def act(h: np.ndarray) -> np.ndarray:
        return leaky(h, network.slope)

    for row, got in zip(x, answer(network, x), strict=True):
        joints = row.reshape(3, 16) if planar else row.reshape(16, 3).T
        bones = joints @ kcs.kcs_matrix("released")
        a = act(dense("pose1", row))
        a = dense("pose4", act(dense("pose3", act(dense("pose2", a))) + a))
        b = act(dense("kcs1", (bones.T @ bones).flatten()))
        b = dense("kcs3", act(dense("kcs2", b))) + b
        np.testing.assert_allclose(got, dense("score", act(dense("both", np.concatenate([a, b])))), atol=1e-5)


# ------------------------------------------------------------------------------------------ video GAN


def torch_file(rng: np.random.Generator, width_in: int, width_out: int, n: int = 1000) -> dict[str, np.ndarray]:
    shapes = {"w1": (n, width_in, 3), "w21": (n, n, 3), "w22": (n, n, 1), "w31": (n, n, 3), "w32": (n, n, 1)}
    shapes["w4"] = (width_out, n, 1)
    tensors = {f"{k}.weight": values(rng, *s) / np.float32(np.sqrt(s[1] / s[2])) for k, s in shapes.items()}
    return tensors | {f"{k}.bias": values(rng, s[0]) for k, s in shapes.items()}


def video_by_hand(t: dict[str, np.ndarray], window: np.ndarray) -> np.ndarray:
    """27 frames by explicit triples."""

    def triples(name: str, h: np.ndarray) -> np.ndarray:
        w = t[f"{name}.weight"].astype(np.float64)
        rows = [sum(w[:, :, k] @ h[3 * i + k] for k in range(3)) + t[f"{name}.bias"] for i in range(len(h) // 3)]
        return np.array(rows)

    def point(name: str, h: np.ndarray) -> np.ndarray:
        return h @ t[f"{name}.weight"][:, :, 0].T.astype(np.float64) + t[f"{name}.bias"]

    nine = leaky(triples("w1", window), 0.01)
    three = leaky(point("w22", leaky(triples("w21", nine), 0.01)) + nine[1::3], 0.01)
    one = leaky(point("w32", leaky(triples("w31", three), 0.01)) + three[1::3], 0.01)
    return point("w4", one)[0]


@pytest.mark.parametrize(("width_in", "width_out"), [(32, 48), (34, 3)])
def test_video_gan_twice(width_in: int, width_out: int):
    rng = np.random.default_rng(6)
    file = torch_file(rng, width_in, width_out)
    network = load(VideoGan(width_in, width_out), file)
    x = rng.normal(size=(2, 27, width_in))
    want = np.array([video_by_hand(file, window) for window in x])
    np.testing.assert_allclose(answer(network, x), want, atol=1e-5)


def test_whole_clip_at_once_is_window_by_window():
    torch.manual_seed(0)
    network = VideoGan(32, 48, hidden=24).eval()
    clip = torch.randn(1, 40 + 26, 32)
    with torch.inference_mode():
        whole = network.over_clip(clip)[0]
        windows = network(clip[0].unfold(0, 27, 1).transpose(1, 2))
    assert whole.shape == (40, 48)
    np.testing.assert_allclose(whole, windows, atol=1e-6)


def test_generators_are_taken_from_a_training_checkpoint():
    names = [f"{w}.{p}" for w in ("w1", "w21", "w22", "w31", "w32", "w4") for p in ("weight", "bias")]
    file = {f"model_G_{part}.{name}": np.zeros(1) for part in ("pose", "root") for name in names}
    file |= {"model_D.w1.weight": np.zeros(1), "optimizer_D.state.0.exp_avg": np.zeros(1)}
    assert set(video_gan.from_official(file)) == {f"{part}.{name}" for part in ("pose", "root") for name in names}
