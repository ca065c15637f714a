"""``seq2seq``: the network against a second implementation with TensorFlow's names, and the lifter on tracks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from posemill.camera import Camera
from posemill.errors import ClipError, InputError, MissingError
from posemill.formats.weights import write_weights
from posemill.lifters import seq2seq
from posemill.lifters import standardised as lifting
from posemill.lifters.answers import DEFAULT_SIGMA_M
from posemill.lifters.protocol import LiftInput, check_output
from posemill.networks.seq2seq import OFFICIAL_NAMES, Seq2Seq, from_official
from posemill.skeleton import JOINT_SETS
from posemill.stages import convert
from tests.checkpoint_writers import write_bundle
from tests.unit.test_temporal_lifter import beside_the_axis, part, track, without

GATES = ("input", "transform", "forget", "output")
BODY, SET16 = JOINT_SETS["h36m17"], JOINT_SETS["h36m16"]
WRIST16, WRIST = SET16.index("left_wrist"), BODY.index("left_wrist")


def official_tensors(hidden: int = 1024) -> dict[str, np.ndarray]:
    """Random variables by TensorFlow's names, in TensorFlow's layout."""
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}
    for scope, width in (("output_projection_wrapper", 32), ("rnn_decoder/output_projection_wrapper", 48)):
        inner = f"{scope}/input_projection_wrapper"
        for name, shape in (
            (f"{inner}/kernel", (width, hidden)),
            (f"{inner}/layer_norm_basic_lstm_cell/kernel", (2 * hidden, 4 * hidden)),
            (f"{scope}/kernel", (hidden, width)),
        ):
            tensors[name] = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(shape[0]))
        tensors[f"{inner}/bias"] = 0.1 * rng.standard_normal(hidden, dtype=np.float32)
        tensors[f"{scope}/bias"] = 0.1 * rng.standard_normal(width, dtype=np.float32)
        for gate in (*GATES, "state"):
            cell = f"{inner}/layer_norm_basic_lstm_cell/{gate}"
            tensors[f"{cell}/gamma"] = 1 + 0.1 * rng.standard_normal(hidden, dtype=np.float32)
            tensors[f"{cell}/beta"] = 0.1 * rng.standard_normal(hidden, dtype=np.float32)
    return tensors


def statistics() -> dict[str, np.ndarray]:
    """Plausible ones, alike for left and right, so that mirroring holds; 2D about the published centre."""
    rng = np.random.default_rng(2)
    centre, spread = np.array([514.0, 520.0]), np.array([100.0, 120.0])
    mean_3d = np.zeros((17, 3))
    for left, right in BODY.flip_pairs:
        mean_3d[left] = rng.normal(0, 0.1, 3)
        mean_3d[right] = mean_3d[left] * (-1, 1, 1)
    mean_3d[[k for k in range(17) if k not in np.ravel(BODY.flip_pairs)], 1:] = 0.05
    return {
        "mean_2d": np.tile(centre, 16),
        "std_2d": np.tile(spread, 16),
        "mean_3d": mean_3d[1:].ravel(),
        "std_3d": np.tile([0.11, 0.35, 0.19], 16),
    }


def answer(tensors: dict[str, np.ndarray], window: np.ndarray) -> np.ndarray:
    """The definition in numpy float64 on one window (frames, 32) of standardised poses; (frames, 48)."""
    t = {name: value.astype(float) for name, value in tensors.items()}
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731

    def normed(cell: str, gate: str, x: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / np.sqrt(x.var() + 1e-12) * t[f"{cell}/{gate}/gamma"] + t[f"{cell}/{gate}/beta"]

    def step(scope: str, pose: np.ndarray, c: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inner = f"{scope}/input_projection_wrapper"
        cell = f"{inner}/layer_norm_basic_lstm_cell"
        x = pose @ t[f"{inner}/kernel"] + t[f"{inner}/bias"]
        i, j, f, o = np.split(np.concatenate([x, h]) @ t[f"{cell}/kernel"], 4)
        i, j, f, o = (normed(cell, g, v) for g, v in zip(GATES, (i, j, f, o), strict=True))
        c = normed(cell, "state", c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j))
        return c, np.tanh(c) * sigmoid(o)

    hidden = len(t["output_projection_wrapper/input_projection_wrapper/bias"])
    c = h = np.zeros(hidden)
    for pose in window[::-1]:
        c, h = step("output_projection_wrapper", pose, c, h)
    out, poses = np.ones(48), []
    for _ in window:
        c, h = step("rnn_decoder/output_projection_wrapper", out, c, h)
        scope = "rnn_decoder/output_projection_wrapper"
        out = out + h @ t[f"{scope}/kernel"] + t[f"{scope}/bias"]
        poses.append(out)
    return np.array(poses)


def network_with(tensors: dict[str, np.ndarray], hidden: int) -> Seq2Seq:
    network = Seq2Seq(hidden=hidden)
    network.load_state_dict({n: torch.from_numpy(t) for n, t in from_official(tensors).items()})
    return network.eval()


def stored(path: Path, *, with_statistics: bool = True, **card) -> Path:
    tensors = from_official(official_tensors(hidden=24))
    if with_statistics:
        tensors |= {f"statistics.{name}": value.astype(np.float32) for name, value in statistics().items()}
    write_weights(path, tensors, {"lifter": "seq2seq", **card})
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("weights") / "random.safetensors")


def made(path: Path, **options) -> lifting.Standardised:
    return seq2seq.create(seq2seq.Options(weights=path, **options))


def walk(frames: int, **options) -> LiftInput:
    return track(frames, joints="h36m16", **options)


def standardised(clip: LiftInput, *, pixels: bool = False) -> np.ndarray:
    """What the network reads, (T, 32)."""
    s = statistics()
    points = clip.keypoints if pixels else clip.camera.normalise(clip.keypoints) * 1146.0 + (514.0, 507.0)
    return (points.reshape(-1, 32) - s["mean_2d"]) / s["std_2d"]


def posed(standard: np.ndarray) -> np.ndarray:
    """Standardised answers (..., 48) to metres (..., 16, 3)."""
    s = statistics()
    return (standard * s["std_3d"] + s["mean_3d"]).reshape(*standard.shape[:-1], 16, 3)


# ------------------------------------------------------------------------------------------ network


def test_published_network_has_the_published_size():
    with torch.device("meta"):
        network = Seq2Seq()
    sizes = [sum(p.numel() for p in part.parameters()) for part in (network.encoder, network.decoder)]
    assert sizes == [8_465_440, 8_498_224]
    assert sum(p.numel() for p in network.parameters()) == 16_963_664


def test_forward_pass_twice_at_full_size():
    tensors = official_tensors()
    window = np.random.default_rng(3).normal(size=(5, 32))
    with torch.inference_mode():
        single = network_with(tensors, 1024)(torch.from_numpy(window[None]).float())[0].numpy()
    want = answer(tensors, window)
    assert np.abs(want).mean() > 0.5
    np.testing.assert_allclose(single, want, atol=1e-5)


def test_the_decoder_feeds_itself_and_the_encoder_ends_at_the_first_frame():
    network = network_with(official_tensors(hidden=24), 24)
    window = torch.from_numpy(np.random.default_rng(3).normal(size=(1, 6, 32))).float()
    with torch.inference_mode():
        # The encoder's output layer is not used: nothing depends on it.
        before = network(window)
        network.encoder.narrow.weight.zero_()
        assert torch.equal(network(window), before)
        # Answers are changes that add up from ones.
        network.decoder.narrow.weight.zero_()
        network.decoder.narrow.bias.fill_(0.5)
        assert network(window)[0, :, 0].tolist() == [1.5, 2.0, 2.5, 3.0, 3.5, 4.0]


def test_real_list_of_names_and_shapes(shared_data: Path):
    """The published checkpoint's 90 variables, as its index lists them, are this network and its optimiser's."""
    listed = json.loads((shared_data / "formats" / "Pose_3D_ckpt_index" / "variables.json").read_text())
    tensors = {v["name"]: np.broadcast_to(np.float32(0), v["shape"]) for v in listed}
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in Seq2Seq().state_dict().items()}
    assert {name: t.shape for name, t in from_official(tensors).items()} == shapes
    assert set(OFFICIAL_NAMES) == {n for n in tensors if "/" in n and "Adam" not in n}


def test_old_spelling_and_foreign_variables():
    tensors = official_tensors(hidden=4)
    scope = "output_projection_wrapper"
    old = {n.replace("/kernel", "/weights").replace("wrapper/bias", "wrapper/biases"): t for n, t in tensors.items()}
    assert f"{scope}/biases" in old
    new = from_official(tensors)
    assert all(np.array_equal(t, new[n]) for n, t in from_official(old).items())
    with pytest.raises(InputError, match="variable: expected one of the network's 30, got linear_model/w1"):
        from_official({**tensors, "linear_model/w1": np.zeros(3)})
    del tensors[f"{scope}/bias"]
    with pytest.raises(InputError, match=f"variable {scope}/bias: expected weights, got none"):
        from_official(tensors)


def test_checkpoint_of_the_published_structure(tmp_path: Path):
    """A TensorFlow checkpoint with the published names, shapes and counters, read without TensorFlow."""
    tensors = official_tensors()
    counters = {"global_step": np.int32(1798202), "learning_rate": np.float32(1e-5), "beta1_power": np.float32(0)}
    slots = {"rnn_decoder/output_projection_wrapper/bias/Adam": np.zeros(48, np.float32)}
    write_bundle(tmp_path / "checkpoint-1798202", {**tensors, **counters, **slots})
    s = statistics()
    np.savez(tmp_path / "s.npz", **{n: v * (1000 if n.endswith("3d") else 1) for n, v in s.items()})
    index = tmp_path / "checkpoint-1798202.index"
    with pytest.raises(MissingError, match=r"expected statistics inside .* set lifters\.seq2seq\.statistics to an"):
        made(index)
    lifter = made(index, statistics=tmp_path / "s.npz", linear_size=1024, flip=False, blend="last")
    clip = walk(5)
    out = lifter.lift(clip)
    np.testing.assert_allclose(out.joints_relative[:, 1:], posed(answer(tensors, standardised(clip))), atol=1e-5)


def test_converted_has_its_statistics_and_flags_inside(tmp_path: Path):
    """What the checkpoint lacks is given to convert once; the file that it writes needs nothing."""
    write_bundle(tmp_path / "checkpoint-1", official_tensors(hidden=24))
    vectors = {n: v * (1000 if n.endswith("3d") else 1) for n, v in statistics().items()}
    np.savez(tmp_path / "s.npz", **vectors)
    given = {"statistics": str(tmp_path / "s.npz"), "camera_frame": True, "sequence_length": 4}
    with pytest.raises(MissingError, match=r"set lifters\.seq2seq\.statistics to an \.npz"):
        convert.run(tmp_path / "checkpoint-1", tmp_path / "w.safetensors", "seq2seq")
    assert not (tmp_path / "w.safetensors").exists()
    convert.run(tmp_path / "checkpoint-1", tmp_path / "w.safetensors", "seq2seq", given)
    clip = walk(7)
    lifters = (made(tmp_path / "checkpoint-1.index", **given), made(tmp_path / "w.safetensors"))
    one, other = (lifter.lift(clip) for lifter in lifters)
    np.testing.assert_allclose(one.joints_relative, other.joints_relative, atol=1e-6)
    assert lifters[1].card.receptive_field == 7
    # The same statistics may be named again, others may not.
    made(tmp_path / "w.safetensors", statistics=tmp_path / "s.npz")
    np.savez(tmp_path / "other.npz", **{**vectors, "mean_2d": vectors["mean_2d"] + 1})
    with pytest.raises(InputError, match=r"statistics mean_2d: expected those inside the weights, got .*other\.npz"):
        made(tmp_path / "w.safetensors", statistics=tmp_path / "other.npz")


# ------------------------------------------------------------------------------------------ tracks


def test_windows_as_published(weights: Path):
    """All frames of the first window, then the last of each later one."""
    clip = walk(9)
    read, tensors = standardised(clip), official_tensors(hidden=24)
    windows = [posed(answer(tensors, read[k : k + 5])) for k in range(5)]
    want = np.concatenate([windows[0], *(w[-1:] for w in windows[1:])])
    out = made(weights, blend="last", flip=False).lift(clip)
    np.testing.assert_allclose(out.joints_relative[:, 1:], want, atol=1e-5)
    np.testing.assert_allclose(out.sigma, np.broadcast_to(DEFAULT_SIGMA_M, (9, 17)))


def test_mean_of_all_windows_that_see_a_frame(weights: Path):
    clip = walk(12)
    read, tensors = standardised(clip), official_tensors(hidden=24)
    out = made(weights, flip=False).lift(clip)
    seen = np.array([posed(answer(tensors, read[6 - p : 11 - p]))[p] for p in range(5)])
    np.testing.assert_allclose(out.joints_relative[6, 1:], seen.mean(0), atol=1e-5)
    spread = ((seen - seen.mean(0)) ** 2).mean((0, 2))
    np.testing.assert_allclose(out.sigma[6, 1:], np.sqrt(DEFAULT_SIGMA_M[1:] ** 2 + spread), atol=1e-5)
    edge = np.concatenate([read[:1]] * 4 + [read])
    first = np.mean([posed(answer(tensors, edge[4 - p : 9 - p]))[p] for p in range(5)], axis=0)
    np.testing.assert_allclose(out.joints_relative[0, 1:], first, atol=1e-5)


@pytest.mark.parametrize("blend", ["mean", "last"])
@pytest.mark.parametrize("frames", [0, 1, 4, 5, 6, 9, 10])
def test_any_length(weights: Path, frames: int, blend: str, monkeypatch: pytest.MonkeyPatch):
    clip = walk(frames)
    out = made(weights, blend=blend).lift(clip)
    check_output(out, frames, 17, "seq2seq")
    assert out.valid.all() and (out.sigma >= DEFAULT_SIGMA_M - 1e-12).all()
    monkeypatch.setattr(lifting, "_BATCH", 3)
    pieces = made(weights, blend=blend).lift(clip)
    np.testing.assert_allclose(pieces.joints_relative, out.joints_relative, atol=1e-5)
    np.testing.assert_allclose(pieces.sigma, out.sigma, atol=1e-5)


def test_shift_in_time(weights: Path):
    clip = walk(40)
    whole, later = (made(weights).lift(c).joints_relative for c in (clip, part(clip, 10, 40)))
    np.testing.assert_allclose(later[4:], whole[14:], atol=1e-5)


@pytest.mark.parametrize("temporal", [True, False])
def test_weights_of_turned_views_do_not_see_where_the_person_is(tmp_path: Path, weights: Path, temporal: bool):
    path = stored(tmp_path / "w.safetensors", view="turned")
    clip = replace(walk(20), temporal=temporal)
    one, other = beside_the_axis(clip, (0, 0, 1)), beside_the_axis(clip, (0.25, -0.1, 1))
    lifter = made(path)
    assert lifter.card.ray_blind and not made(weights).card.ray_blind
    np.testing.assert_allclose(lifter.lift(one).joints_relative, lifter.lift(other).joints_relative, atol=1e-5)
    # On the axis there is nothing to turn.
    np.testing.assert_allclose(lifter.lift(one).joints_relative, made(weights).lift(one).joints_relative, atol=1e-5)
    assert np.abs(made(weights).lift(one).joints_relative - made(weights).lift(other).joints_relative).max() > 1e-3


@pytest.mark.parametrize("card", [{"normaliser": "pixels"}, {"camera_frame": False}, {"use_sh": True}])
def test_turned_views_are_of_the_training_cameras_alone(tmp_path: Path, card: dict):
    path = stored(tmp_path / "w.safetensors", view="turned", **card)
    with pytest.raises(InputError, match="card: view: expected picture for pixels as they are"):
        made(path)


@pytest.mark.parametrize("normaliser", ["camera", "pixels"])
def test_mirrored_person_gives_the_mirrored_pose(weights: Path, normaliser: str):
    clip = walk(20)
    # A camera whose picture can be mirrored: principal point in the middle, no tangential distortion.
    k = np.array([[1145.0, 0, 499.5], [0, 1145.0, 500.5], [0, 0, 1]])
    clip = replace(clip, camera=Camera(1000, 1002, k, np.array([-0.2, 0.2, 0, 0, 0])))
    order = SET16.flip_permutation
    mirrored = replace(clip, keypoints=clip.keypoints[:, order] * (-1, 1) + (999, 0))
    one, other = (made(weights, normaliser=normaliser).lift(c) for c in (clip, mirrored))
    back = BODY.flip_permutation
    np.testing.assert_allclose(other.joints_relative, one.joints_relative[:, back] * (-1, 1, 1), atol=1e-5)
    np.testing.assert_allclose(other.sigma, one.sigma[:, back], atol=1e-5)


def test_gaps(weights: Path):
    clip = without(walk(60), slice(20, 30), WRIST16)
    out = made(weights).lift(clip)
    assert out.valid.all()
    assert (out.sigma[24, WRIST] > 0.5 * 5 / 50) and (out.sigma[24, WRIST] > out.sigma[40, WRIST] + 0.01)
    short = made(weights, max_gap_s=0.1).lift(clip)
    assert np.flatnonzero(~short.valid[:, WRIST]).tolist() == list(range(22, 28))
    gone = made(weights, max_gap_s=0.0).lift(without(walk(60), slice(20, 30)))
    assert gone.valid.all(1).tolist() == [not 20 <= k < 30 for k in range(60)]
    alone = made(weights).lift(part(walk(60), 0, 20))
    np.testing.assert_allclose(gone.joints_relative[:20], alone.joints_relative, atol=1e-5)
    check_output(short, 60, 17, "seq2seq")


@pytest.mark.parametrize("blend", ["mean", "last"])
def test_stills_do_not_see_each_other(weights: Path, blend: str):
    clip = replace(without(walk(6), [2]), temporal=False)
    out = made(weights, blend=blend, flip=False).lift(clip)
    assert out.valid.all(1).tolist() == [True, True, False, True, True, True]
    window = np.repeat(standardised(clip)[4:5], 5, 0)
    poses = posed(answer(official_tensors(hidden=24), window))
    want = poses.mean(0) if blend == "mean" else poses[-1]
    np.testing.assert_allclose(out.joints_relative[4, 1:], want, atol=1e-5)


def test_training_camera_makes_the_lens_not_matter(weights: Path):
    clip = walk(8)
    plane = clip.camera.normalise(clip.keypoints)
    k = np.array([[500.0, 0, 320], [0, 500.0, 240], [0, 0, 1]])
    other = replace(clip, keypoints=plane * 500 + (320, 240), camera=Camera(640, 480, k, np.zeros(5)))
    poses = [made(weights).lift(c).joints_relative for c in (clip, other)]
    np.testing.assert_allclose(poses[0], poses[1], atol=1e-5)
    raw = made(weights, normaliser="pixels", blend="last", flip=False).lift(clip).joints_relative
    want = posed(answer(official_tensors(hidden=24), standardised(clip, pixels=True)[:5]))
    np.testing.assert_allclose(raw[:5, 1:], want, atol=1e-5)


# ------------------------------------------------------------------------------------------ flags


def test_hourglass_joints_take_the_places_they_were_trained_in(tmp_path: Path, weights: Path):
    path = stored(tmp_path / "w.safetensors", use_sh=True)
    assert seq2seq.card(seq2seq.Options(weights=path)).joint_set_in == "mpii16"
    assert seq2seq.card(seq2seq.Options(weights=weights)).joint_set_in == "h36m16"
    mpii = JOINT_SETS["mpii16"]
    renamed = {"spine": "thorax", "thorax": "upper_neck"}
    clip = walk(6)
    keypoints = np.empty_like(clip.keypoints)
    for place, joint in enumerate(SET16.joints):
        keypoints[:, mpii.index(renamed.get(joint, joint))] = clip.keypoints[:, place]
    got = made(path).lift(replace(clip, keypoints=keypoints))
    want = made(weights).lift(clip)
    np.testing.assert_allclose(got.joints_relative, want.joints_relative, atol=1e-6)


def test_without_camera_frame_the_answer_has_world_axes(tmp_path: Path, weights: Path):
    path = stored(tmp_path / "w.safetensors", camera_frame=False)
    clip = walk(8)
    assert clip.camera.R is not None
    world = made(weights, flip=False).lift(clip).joints_relative
    np.testing.assert_allclose(made(path).lift(clip).joints_relative, world @ clip.camera.R.T, atol=1e-6)
    nowhere = replace(clip, camera=replace(clip.camera, R=None, t=None))
    with pytest.raises(ClipError, match="expected extrinsics, got none"):
        made(path).lift(nowhere)


def test_sequence_length_is_a_flag(tmp_path: Path):
    path = stored(tmp_path / "w.safetensors", sequence_length=3)
    clip = walk(3)
    want = posed(answer(official_tensors(hidden=24), standardised(clip)))
    got = made(path, blend="last", flip=False).lift(clip)
    np.testing.assert_allclose(got.joints_relative[:, 1:], want, atol=1e-5)
    assert seq2seq.card(seq2seq.Options(weights=path)).receptive_field == 5


@pytest.mark.parametrize(
    ("card", "options", "message"),
    [
        ({}, {"linear_size": 1024}, r"encoder\.widen\.bias: expected \(1024,\), got \(24,\)"),
        ({"sequence_length": 4}, {"sequence_length": 5}, "expected 4, as the card of the weights says, got 5"),
        ({"sequence_length": 0}, {}, "card: sequence_length: expected something like 5, got 0"),
        ({"normaliser": "none"}, {}, "card: normaliser: expected something like camera, got none"),
        ({"lifter": "gan"}, {}, "weights: expected those of lifter seq2seq, got gan's"),
    ],
)
def test_cards_that_contradict(tmp_path: Path, card: dict, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        made(stored(tmp_path / "w.safetensors", **card), **options)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("decoder.narrow.weight", (45, 24), r"decoder\.narrow\.weight: expected shape \(48, 24\), got \(45, 24\)"),
        ("statistics.std_3d", (51,), r"std_3d: expected shape \(48,\), got \(51,\)"),
        ("statistics.std_2d", None, "std_2d: expected positive numbers, got -1"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, name: str, shape: tuple | None, message: str):
    tensors = from_official(official_tensors(hidden=24))
    tensors |= {f"statistics.{key}": value.astype(np.float32) for key, value in statistics().items()}
    tensors[name] = np.ones(shape, np.float32) if shape else -tensors[name] / tensors[name]
    write_weights(tmp_path / "w.safetensors", tensors, {})
    with pytest.raises(InputError, match=message):
        made(tmp_path / "w.safetensors")


def test_missing_weights_say_how_to_get_them(tmp_path: Path):
    with pytest.raises(MissingError, match=r"posemill train seq2seq .* or set lifters\.seq2seq\.weights to a Tensor"):
        made(tmp_path / "none.safetensors")
