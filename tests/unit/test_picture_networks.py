"""DSTformer and MotionAGFormer as published, and units of the picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import erf

from posemill.anthropometry import STANDARD_LENGTH_M, body_length
from posemill.camera import Camera
from posemill.networks import agformer, dstformer
from posemill.networks.agformer import SIZES, MotionAGFormer, joint_graph
from posemill.networks.dstformer import FULL, LITE, DSTformer
from posemill.networks.joint_attention import JointAttention
from posemill.networks.picture_units import (
    box_units,
    lift_to_metres,
    picture_pose,
    picture_units,
    straighten,
)
from posemill.skeleton import JOINT_SETS

FIXTURES = Path(__file__).resolve().parents[1] / "formats" / "fixtures"
BODY = JOINT_SETS["h36m17"]


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in network.state_dict().items() if t.is_floating_point()}


def made_weights(of: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights by rule, with which the public implementations computed the fixtures."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name in sorted(of):
        x = rng.standard_normal(of[name])
        if x.ndim == 2:
            x /= np.sqrt(x.shape[1])
        else:
            gain = name.endswith("running_var") or "layer_scale" in name or (x.ndim == 1 and name.endswith("weight"))
            x = 0.1 * x + gain
        weights[name] = x.astype(np.float32)
    return weights


def with_weights(network: torch.nn.Module, weights: dict[str, np.ndarray]) -> torch.nn.Module:
    state = {name: torch.from_numpy(x) for name, x in weights.items()}
    network.load_state_dict(state, strict=False)
    return network.eval().double()


def run(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(x.astype(np.float64))).numpy()


def on_meta(make, **sizes) -> torch.nn.Module:
    with torch.device("meta"):
        return make(**sizes)


# ------------------------------------------------------------------------------------------ as published


@pytest.mark.parametrize(("sizes", "parameters"), [(FULL, 42_466_317), (LITE, 16_001_549)])
def test_dstformer_has_the_published_size(sizes: dict, parameters: int):
    network = on_meta(DSTformer, **sizes)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == 260


@pytest.mark.parametrize(
    ("size", "parameters"), [("xs", 2_241_531), ("s", 4_817_119), ("b", 11_723_811), ("l", 19_007_111)]
)
def test_agformer_has_the_published_size(size: str, parameters: int):
    assert sum(p.numel() for p in on_meta(MotionAGFormer, **SIZES[size]).parameters()) == parameters


def test_tensors_have_the_published_names():
    dst, ag = shapes(on_meta(DSTformer)), shapes(on_meta(MotionAGFormer, **SIZES["s"]))
    assert dst["temp_embed"] == (1, 243, 1, 512) and dst["pos_embed"] == (1, 17, 512)
    assert dst["blocks_ts.4.attn_t.qkv.bias"] == (1536,) and dst["blocks_st.0.mlp_s.fc1.weight"] == (1024, 512)
    assert dst["ts_attn.4.weight"] == (2, 1024) and dst["pre_logits.fc.weight"] == (512, 512)
    assert ag["layers.25.graph_temporal.mixer.batch_norm.running_var"] == (81,)
    assert ag["layers.0.graph_spatial.mixer.batch_norm.weight"] == (17,) and "layers.0.graph_spatial.mixer.U.bias" in ag
    assert ag["layers.3.att_temporal.layer_scale_2"] == (64,) and "layers.0.att_spatial.mixer.qkv.bias" not in ag
    assert ag["rep_logit.fc.weight"] == (512, 64) and ag["layers.7.fusion.weight"] == (2, 128)


@pytest.mark.parametrize(
    ("fixture", "make"),
    [
        ("dstformer_lite", lambda: DSTformer(**LITE)),
        ("agformer_xs", lambda: MotionAGFormer(**SIZES["xs"])),
    ],
)
def test_answers_are_those_of_the_public_implementations(fixture: str, make):
    network = make()
    with np.load(FIXTURES / f"{fixture}.npz") as stored:
        got = run(with_weights(network, made_weights(shapes(network))), stored["input"])
        np.testing.assert_allclose(got, stored["output"], atol=1e-5)


@pytest.mark.parametrize(
    ("module", "make", "sizes"),
    [
        (dstformer, DSTformer, {"width": 24, "depth": 2, "ratio": 3, "frames": 9, "channels": 2, "representation": 10}),
        (agformer, MotionAGFormer, {"depth": 3, "width": 16, "frames": 5, "ratio": 2, "channels": 3}),
    ],
)
def test_sizes_are_read_off_the_shapes(module, make, sizes: dict):
    tensors = made_weights(shapes(make(**sizes)))
    read = module.sizes(tensors)
    assert read == {"representation": 512, **sizes}
    assert shapes(make(**read)) == shapes(make(**sizes))
    # Nothing to read: the published ones.
    assert shapes(on_meta(make, **module.sizes({}))) == shapes(on_meta(make))


def test_heads_must_share_the_features():
    with pytest.raises(ValueError, match="20 features"):
        JointAttention(20, 8, over="joints", bias=True)


# ------------------------------------------------------------------------------------------ written a second time


def norm(x, w, name, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * w[name + ".weight"] + w[name + ".bias"]


def dense(x, w, name):
    return x @ w[name + ".weight"].T + w.get(name + ".bias", 0)


def feed(x, w, name):
    hidden = dense(x, w, name + ".fc1")
    return dense(0.5 * hidden * (1 + erf(hidden / math.sqrt(2))), w, name + ".fc2")


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attend(x, w, name, pattern, heads=8):
    """Head by head; ``pattern`` says which axis of (b, t, j) is attended."""
    t, j = "tj" if pattern == "frames" else "jt"
    d = x.shape[-1] // heads
    qkv = dense(x, w, name + ".qkv")
    out = []
    for head in range(heads):
        q, k, v = (qkv[..., part * heads * d + head * d : part * heads * d + (head + 1) * d] for part in range(3))
        weights = softmax(np.einsum(f"btjd,b{'ujd' if t == 't' else 'tud'}->b{j}{t}u", q, k) / math.sqrt(d))
        out.append(np.einsum(f"b{j}{t}u,b{'ujd' if t == 't' else 'tud'}->btjd", weights, v))
    return dense(np.concatenate(out, -1), w, name + ".proj")


def plain_dstformer(w, x):
    depth = 1 + max(int(n.split(".")[1]) for n in w if n.startswith("ts_attn"))
    x = dense(x, w, "joints_embed") + w["pos_embed"] + w["temp_embed"][:, : x.shape[1]]
    for i in range(depth):
        streams = []
        for order in ("st", "ts"):
            y = x
            for axis in order:
                block = f"blocks_{order}.{i}."
                over = {"s": "joints", "t": "frames"}[axis]
                y = y + attend(norm(y, w, f"{block}norm1_{axis}", 1e-6), w, f"{block}attn_{axis}", over)
                y = y + feed(norm(y, w, f"{block}norm2_{axis}", 1e-6), w, f"{block}mlp_{axis}")
            streams.append(y)
        share = softmax(dense(np.concatenate(streams, -1), w, f"ts_attn.{i}"))
        x = sum(share[..., [k]] * streams[k] for k in range(2))
    return dense(np.tanh(dense(norm(x, w, "norm", 1e-6), w, "pre_logits.fc")), w, "head")


def plain_graph(x, w, name, over):
    """Node by node, track by track."""
    out = np.empty_like(x)
    tracks = [(b, slice(None), j) for b in range(len(x)) for j in range(17)]
    if over == "joints":
        tracks = [(b, t) for b in range(len(x)) for t in range(x.shape[1])]
    for track in tracks:
        nodes = x[track]
        if over == "joints":
            look = {0: [1, 7], 1: [0, 2], 2: [1, 3], 3: [2], 4: [0, 5], 5: [4, 6], 6: [5], 7: [0, 8], 8: [7, 9]}
            look |= {9: [8, 10], 10: [9], 11: [8, 12], 12: [11, 13], 13: [12], 14: [8, 15], 15: [14, 16], 16: [15]}
        else:
            like = nodes @ nodes.T
            look = {n: np.flatnonzero(like[n] >= np.sort(like[n])[-2]) for n in range(len(nodes))}
        u, v = dense(nodes, w, name + ".U"), dense(nodes, w, name + ".V")
        for n, seen in look.items():
            y = u[n] + sum(v[m] / math.sqrt(len(seen) * len(look[m])) for m in seen)
            scale = w[name + ".batch_norm.weight"][n] / math.sqrt(w[name + ".batch_norm.running_var"][n] + 1e-5)
            y = (y - w[name + ".batch_norm.running_mean"][n]) * scale + w[name + ".batch_norm.bias"][n]
            out[track][n] = np.maximum(nodes[n] + y, 0)
    return out


def plain_agformer(w, x):
    depth = 1 + max(int(n.split(".")[1]) for n in w if n.startswith("layers"))
    x = dense(x, w, "joints_embed") + w["pos_embed"]
    for i in range(depth):
        streams = []
        for kind, mix in (("att", attend), ("graph", plain_graph)):
            y = x
            for axis, over in (("spatial", "joints"), ("temporal", "frames")):
                part = f"layers.{i}.{kind}_{axis}."
                mixed = mix(norm(y, w, part + "norm1", 1e-5), w, part + "mixer", over)
                y = y + w[part + "layer_scale_1"] * mixed
                y = y + w[part + "layer_scale_2"] * feed(norm(y, w, part + "norm2", 1e-5), w, part + "mlp")
            streams.append(y)
        share = softmax(dense(np.concatenate(streams, -1), w, f"layers.{i}.fusion"))
        x = sum(share[..., [k]] * streams[k] for k in range(2))
    return dense(np.tanh(dense(norm(x, w, "norm", 1e-5), w, "rep_logit.fc")), w, "head")


@pytest.mark.parametrize(
    ("network", "plain", "clip"),
    [
        (lambda: DSTformer(**LITE), plain_dstformer, (2, 4, 17, 3)),
        (lambda: MotionAGFormer(**SIZES["xs"]), plain_agformer, (1, 27, 17, 3)),
    ],
)
def test_answers_are_those_of_a_second_implementation(network, plain, clip: tuple):
    made = network()
    weights = made_weights(shapes(made), seed=3)
    x = np.random.default_rng(4).uniform(-1, 1, clip)
    double = {name: w.astype(np.float64) for name, w in weights.items()}
    np.testing.assert_allclose(run(with_weights(made, weights), x), plain(double, x), atol=1e-5)


# ------------------------------------------------------------------------------------------ symmetries


def test_without_the_temporal_embedding_the_order_of_frames_is_nothing():
    made = DSTformer(width=16, depth=1, frames=8)
    weights = made_weights(shapes(made))
    x = np.random.default_rng(0).uniform(-1, 1, (1, 6, 17, 3))
    order = np.array([3, 0, 5, 1, 4, 2])
    assert np.abs(run(with_weights(made, weights), x[:, order]) - run(made, x)[:, order]).max() > 1e-2
    made = with_weights(made, weights | {"temp_embed": np.zeros((1, 8, 1, 16), np.float32)})
    np.testing.assert_allclose(run(made, x[:, order]), run(made, x)[:, order], atol=1e-12)


def test_clips_of_a_batch_do_not_see_each_other():
    for made in (DSTformer(width=16, depth=1, frames=5), MotionAGFormer(width=16, depth=1, frames=5)):
        with_weights(made, made_weights(shapes(made)))
        x = np.random.default_rng(0).uniform(-1, 1, (3, 5, 17, 3))
        np.testing.assert_allclose(run(made, x)[1:2], run(made, x[1:2]), atol=1e-12)


def test_joint_graph():
    graph = joint_graph()
    at = BODY.index
    # An ankle has one neighbour and the knee two: 1 / sqrt(1 * 2), both ways.
    assert graph[at("left_ankle"), at("left_knee")] == pytest.approx(1 / math.sqrt(2))
    assert graph[at("left_knee"), at("left_ankle")] == pytest.approx(1 / math.sqrt(2))
    assert graph[at("left_hip"), at("pelvis")] > 0 and graph[at("pelvis"), at("left_hip")] == 0
    assert (graph > 0).sum() == 2 * 16 - 3


def test_equal_frames_are_all_neighbours():
    mixer = MotionAGFormer(width=16, depth=1, frames=4).layers[0].graph_temporal.mixer
    np.testing.assert_allclose(mixer.similar(torch.ones(1, 4, 16)).numpy(), np.full((1, 4, 4), 0.25))


# ------------------------------------------------------------------------------------------ units of the picture


def camera(width=1000, height=1002, dist=(0, 0, 0, 0, 0)) -> Camera:
    k = np.array([[1145.05, 0, 512.54], [0, 1143.78, 515.45], [0, 0, 1]])
    return Camera(width, height, k, np.array(dist, dtype=float))


def people(count: int = 4) -> np.ndarray:
    rng = np.random.default_rng(2)
    standing = np.array(
        [
            *((0, 0, 0), (-0.13, 0.01, 0.02), (-0.12, 0.45, 0.05), (-0.11, 0.88, 0.12)),
            *((0.13, -0.01, -0.02), (0.14, 0.43, -0.05), (0.15, 0.86, 0.02)),
            *((0, -0.23, 0), (0, -0.48, -0.02), (0, -0.57, -0.08), (0, -0.68, -0.05)),
            *((0.15, -0.45, -0.03), (0.27, -0.2, -0.02), (0.25, 0.02, -0.15)),
            *((-0.15, -0.45, 0), (-0.28, -0.21, 0.02), (-0.3, 0.03, -0.1)),
        ]
    )
    poses = standing + rng.normal(0, 0.03, (count, 17, 3)) * (np.arange(17) > 0)[:, None]
    return (
        poses
        + np.stack([rng.uniform(-1, 1, count), rng.uniform(-0.3, 0.3, count), rng.uniform(3, 5, count)], -1)[:, None]
    )


def test_human36m_normalisation():
    seen = picture_units(camera()).to_units(np.array([[[607.960833, 488.217143], [576.153889, 721.965833]]]))
    np.testing.assert_allclose(seen[0], [[0.21592167, -0.02556571], [0.15230778, 0.44193167]], atol=1e-8)


def test_shorter_side_and_crop():
    corner = np.array([[[0.0, 0.0]]])
    units = picture_units(camera(1280, 720), "shorter_side")
    np.testing.assert_allclose(units.to_units(corner)[0, 0], [-1280 / 720, -1])
    units = box_units(np.array([100.0, 200.0]), np.array([200.0, 600.0]))
    np.testing.assert_allclose(
        units.to_units(np.array([[[100.0, 200.0], [200.0, 600.0]]]))[0], [[-0.25, -1], [0.25, 1]]
    )


@pytest.mark.parametrize(
    "units", [picture_units(camera()), box_units(np.array([20.0, 30.0]), np.array([400.0, 300.0]))]
)
def test_the_perfect_answer_becomes_the_standard_body_in_camera_axes(units):
    joints = people()
    pose = picture_pose(joints, camera(), units)
    root_px = camera().project(joints[:, :1])[:, 0]
    got, unit_m = lift_to_metres(pose, root_px, camera(), units)
    size = STANDARD_LENGTH_M / body_length(joints)
    np.testing.assert_allclose(got, (joints - joints[:, :1]) * size[:, None, None], atol=1e-12)
    # A unit at the pelvis of the body of standard size, which is that much nearer.
    np.testing.assert_allclose(unit_m, units.half / 1145.05 * joints[:, 0, 2] * size)


def test_a_joint_at_the_camera_is_no_answer():
    pose = picture_pose(people(1), camera(), picture_units(camera()))
    pose[0, 16, 2] = -2.2
    got, _ = lift_to_metres(pose, np.array([[500.0, 500.0]]), camera(), picture_units(camera()))
    assert np.isnan(got[0, 16]).all() and np.isfinite(got[0, :16]).all()


def test_straighten_takes_the_distortion_off():
    bent, straight = camera(dist=(-0.2, 0.05, 0.001, -0.001, 0)), camera()
    joints = people()
    np.testing.assert_allclose(straighten(bent.project(joints), bent), straight.project(joints), atol=1e-6)
