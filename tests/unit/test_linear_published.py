"""``linear`` with the published TensorFlow checkpoint: a stand-in of its names, against the definition in numpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemill.errors import ClipError, InputError, MissingError
from posemill.formats.weights import write_weights
from posemill.lifters import linear
from posemill.lifters.answers import DEFAULT_SIGMA_M
from posemill.lifters.protocol import check_output
from posemill.networks.linear import OFFICIAL_NAMES, from_official
from posemill.stages import convert
from tests.checkpoint_writers import write_bundle
from tests.unit.test_seq2seq_lifter import WRIST, WRIST16, posed, standardised, statistics, walk
from tests.unit.test_temporal_lifter import track, without

NORMS = ("gamma", "beta", "moving_mean", "moving_variance")


def official_tensors(hidden: int = 1024) -> dict[str, np.ndarray]:
    """Random variables by TensorFlow's names, in TensorFlow's layout."""
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}
    layers = [("w1", "b1", "batch_normalization", 32, hidden)]
    for i in range(2):
        scope = f"two_linear_{i}"
        for k in (2, 3):
            norm = f"{scope}/batch_normalization{k - 1}{i}"
            layers.append((f"{scope}/w{k}_{i}", f"{scope}/b{k}_{i}", norm, hidden, hidden))
    for matrix, bias, norm, rows, columns in layers:
        # Frobenius norms on both sides of 1, so that clipping is seen.
        scale = 3.0 if matrix == "w1" else 0.5 / np.sqrt(hidden) / np.sqrt(hidden)
        tensors[matrix] = scale * rng.standard_normal((rows, columns), dtype=np.float32)
        tensors[bias] = 0.1 * rng.standard_normal(columns, dtype=np.float32)
        tensors |= {f"{norm}/{n}": 0.1 * rng.standard_normal(columns, dtype=np.float32) for n in NORMS}
        tensors[f"{norm}/gamma"] += 1
        tensors[f"{norm}/moving_variance"] = 0.05 + tensors[f"{norm}/moving_variance"] ** 2
    tensors["w4"] = rng.standard_normal((hidden, 48), dtype=np.float32)
    tensors["b4"] = rng.standard_normal(48, dtype=np.float32)
    return {f"linear_model/{name}": tensor for name, tensor in tensors.items()}


def answer(tensors: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The definition in numpy float64 on frames (T, 32): (T, 48), both standardised."""
    t = {name.removeprefix("linear_model/"): value.astype(float) for name, value in tensors.items()}

    def dense(x: np.ndarray, matrix: str, bias: str) -> np.ndarray:
        return x @ (t[matrix] / max(1.0, np.sqrt((t[matrix] ** 2).sum()))) + t[bias]

    def layer(x: np.ndarray, matrix: str, bias: str, norm: str) -> np.ndarray:
        gamma, beta, mean, variance = (t[f"{norm}/{name}"] for name in NORMS)
        return np.maximum((dense(x, matrix, bias) - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)

    y = layer(x, "w1", "b1", "batch_normalization")
    for i in range(2):
        s = f"two_linear_{i}"
        inner = layer(y, f"{s}/w2_{i}", f"{s}/b2_{i}", f"{s}/batch_normalization1{i}")
        y = y + layer(inner, f"{s}/w3_{i}", f"{s}/b3_{i}", f"{s}/batch_normalization2{i}")
    return dense(y, "w4", "b4")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a checkpoint with the published names, shapes, counters and slots, and of its statistics."""
    folder = tmp_path_factory.mktemp("published")
    tensors = official_tensors()
    counters = {"learning_rate": np.float32(1e-5), "global_step": np.int32(4874200)}
    slots = {"linear_model/b4/Adam": np.zeros(48, np.float32)}
    write_bundle(folder / "checkpoint-4874200", {**tensors, **counters, **slots})
    np.savez(folder / "s.npz", **{n: v * (1000 if n.endswith("3d") else 1) for n, v in statistics().items()})
    return folder


def test_every_parameter_has_its_variable():
    assert len(OFFICIAL_NAMES) == 5 * 6 + 2 == len(official_tensors(8))
    assert set(OFFICIAL_NAMES) == set(official_tensors(8))
    with pytest.raises(InputError, match="variable: expected one of the network's 32, got conv/kernel"):
        from_official({"conv/kernel": np.zeros((2, 2))})


def test_published_checkpoint(published: Path):
    index = published / "checkpoint-4874200.index"
    with pytest.raises(MissingError, match=r"expected statistics inside .* set lifters\.linear\.statistics to an"):
        linear.create(linear.Options(weights=index))
    options = linear.Options(weights=index, statistics=published / "s.npz", flip=False)
    card = linear.card(options)
    assert (card.joint_set_in, card.receptive_field, card.needs_camera) == ("h36m16", 1, True)
    clip = walk(300)
    out = check_output(linear.create(options).lift(clip), 300, 17, "linear")
    want = posed(answer(official_tensors(), standardised(clip)))
    np.testing.assert_allclose(out.joints_relative[:, 1:], want, atol=1e-5)
    np.testing.assert_allclose(out.sigma, np.broadcast_to(DEFAULT_SIGMA_M, (300, 17)))
    assert np.abs(want).mean() > 0.05


def test_converted_holds_its_statistics_and_flags(published: Path, tmp_path: Path, capsys):
    given = {"statistics": str(published / "s.npz"), "use_sh": True}
    convert.run(published / "checkpoint-4874200", tmp_path / "w.safetensors", "linear", given)
    options = linear.Options(weights=tmp_path / "w.safetensors")
    assert linear.card(options).joint_set_in == "mpii16"
    clip = track(6, joints="mpii16")
    one, other = (
        linear.create(o).lift(clip)
        for o in (options, linear.Options(weights=published / "checkpoint-4874200.index", **given))
    )
    np.testing.assert_allclose(one.joints_relative, other.joints_relative, atol=1e-6)
    with pytest.raises(InputError, match="use_sh: expected True, as the card of the weights says, got False"):
        linear.create(linear.Options(weights=tmp_path / "w.safetensors", use_sh=False))


def test_a_joint_that_is_missing_for_long_is_not_answered(published: Path):
    index = published / "checkpoint-4874200.index"
    lifter = linear.create(linear.Options(weights=index, statistics=published / "s.npz"))
    out = lifter.lift(without(walk(60), slice(10, 50), WRIST16))
    assert not out.valid[30, WRIST] and out.valid[30].sum() == 16
    assert out.valid[12, WRIST] and out.sigma[12, WRIST] > out.sigma[5, WRIST]


def test_world_axes_need_the_cameras_place(published: Path):
    index = published / "checkpoint-4874200.index"
    options = linear.Options(weights=index, statistics=published / "s.npz", camera_frame=False)
    clip = walk(3)
    turned = linear.create(options).lift(clip).joints_relative
    plain = linear.create(options.model_copy(update={"camera_frame": True, "flip": False})).lift(clip).joints_relative
    assert clip.camera.R is not None
    np.testing.assert_allclose(turned, plain @ clip.camera.R.T, atol=1e-6)
    nowhere = replace(clip, camera=replace(clip.camera, R=None, t=None))
    with pytest.raises(ClipError, match="expected extrinsics, got none"):
        linear.create(options).lift(nowhere)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": None}, "network: expected linear rays 1, or that of the published weights, got None"),
        ({"network": {"blocks": 3}}, r"tensor blocks\.2\.0\.dense\.weight: expected shape"),
        ({"camera_frame": "yes"}, "card: camera_frame: expected true or false, got yes"),
        ({"network": {"hidden": 9}}, r"first\.dense\.weight: expected shape \(9, 32\)"),
    ],
)
def test_cards_that_make_no_sense_are_refused(tmp_path: Path, change: dict, message: str):
    tensors = from_official(official_tensors(8)) | {
        f"statistics.{name}": value.astype(np.float32) for name, value in statistics().items()
    }
    write_weights(tmp_path / "w.safetensors", tensors, {"lifter": "linear", "network": {"max_norm": True}, **change})
    with pytest.raises(InputError, match=message):
        linear.create(linear.Options(weights=tmp_path / "w.safetensors"))
