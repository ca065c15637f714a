"""The temporal network: its size, its forms, and two implementations that must agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posemill.errors import InputError
from posemill.networks.temporal import TemporalModel, TemporalModelOptimized1f, sizes_of
from posemill.networks.temporal_stream import TemporalStream

FIXTURES = Path(__file__).resolve().parents[1] / "formats" / "fixtures"


def official_tensors(widths: tuple[int, ...], *, inputs: int = 34, outputs: int = 51, channels: int = 1024) -> dict:
    """Random weights under the published names, such that the answer is about as large as a body in metres."""
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}

    def convolution(name: str, out: int, into: int, width: int) -> None:
        weight = rng.standard_normal((out, into, width), dtype=np.float32)
        tensors[f"{name}.weight"] = weight * np.float32(np.sqrt(2 / (into * width)))

    def norm(name: str) -> None:
        for part, mean in (("weight", 0.6), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            values = mean + 0.1 * rng.standard_normal(channels)
            tensors[f"{name}.{part}"] = np.abs(values).astype(np.float32) if mean else values.astype(np.float32)

    convolution("expand_conv", channels, inputs, widths[0])
    norm("expand_bn")
    for i, width in enumerate(widths[1:]):
        convolution(f"layers_conv.{2 * i}", channels, channels, width)
        convolution(f"layers_conv.{2 * i + 1}", channels, channels, 1)
        norm(f"layers_bn.{2 * i}")
        norm(f"layers_bn.{2 * i + 1}")
    convolution("shrink", outputs, channels, 1)
    tensors["shrink.weight"] *= np.float32(0.2)
    tensors["shrink.bias"] = (0.1 * rng.standard_normal(outputs)).astype(np.float32)
    return tensors


def keypoints(frames: int) -> np.ndarray:
    """A smooth movement of 17 points on the screen, (T, 17, 2)."""
    rng = np.random.default_rng(1)
    phase = np.arange(frames)[:, None, None] / 12 + rng.uniform(0, 6, (17, 2))
    return (rng.uniform(-0.5, 0.5, (17, 2)) + 0.1 * np.sin(phase)).astype(np.float32)


def answer(tensors: dict, widths: tuple[int, ...], sequence: np.ndarray, frame: int, *, causal: bool) -> np.ndarray:
    """The definition, from the top down: what each layer says at one time is asked of the layer below; float64."""
    memory: dict = {}
    at = {level: int(np.prod(widths[:level])) for level in range(1, len(widths))}

    def normed(name: str, values: np.ndarray) -> np.ndarray:
        g, b, m, v = (tensors[f"{name}.{p}"].astype(float) for p in ("weight", "bias", "running_mean", "running_var"))
        return np.maximum((values - m) / np.sqrt(v + 1e-5) * g + b, 0)

    def taps(width: int, apart: int) -> list[int]:
        back = (width - 1) if causal else (width - 1) // 2
        return [(k - back) * apart for k in range(width)]

    def layer(level: int, time: int) -> np.ndarray:
        if (level, time) not in memory:
            if level == 0:
                kernel = tensors["expand_conv.weight"].astype(float)
                parts = [kernel[..., k] @ sequence[time + dt].ravel() for k, dt in enumerate(taps(widths[0], 1))]
                memory[level, time] = normed("expand_bn", np.sum(parts, 0))
            else:
                wide, narrow = 2 * level - 2, 2 * level - 1
                kernel = tensors[f"layers_conv.{wide}.weight"].astype(float)
                offsets = taps(widths[level], at[level])
                inner = np.sum([kernel[..., k] @ layer(level - 1, time + dt) for k, dt in enumerate(offsets)], 0)
                inner = normed(f"layers_bn.{wide}", inner)
                inner = tensors[f"layers_conv.{narrow}.weight"][..., 0].astype(float) @ inner
                memory[level, time] = layer(level - 1, time) + normed(f"layers_bn.{narrow}", inner)
        return memory[level, time]

    out = tensors["shrink.weight"][..., 0].astype(float) @ layer(len(widths) - 1, frame) + tensors["shrink.bias"]
    return out.reshape(-1, 3)


def network_with(tensors: dict, *, form: type = TemporalModel, causal: bool = False) -> torch.nn.Module:
    network = form(**sizes_of({name: t.shape for name, t in tensors.items()}), causal=causal)
    network.load_state_dict({n: torch.from_numpy(t) for n, t in tensors.items()}, strict=False)
    return network.eval()


def run(network: torch.nn.Module, sequence: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(sequence)[None])[0].numpy()


# ------------------------------------------------------------------------------------------ size and names


@pytest.mark.parametrize(
    ("widths", "joints_out", "count"),
    [((3,) * 3, 17, 8_555_571), ((3,) * 4, 17, 12_753_971), ((3,) * 5, 17, 16_952_371), ((3,) * 5, 1, 16_903_171)],
)
@pytest.mark.parametrize("form", [TemporalModel, TemporalModelOptimized1f])
def test_published_networks_have_the_published_size(form: type, widths: tuple, joints_out: int, count: int):
    with torch.device("meta"):
        network = form(17, 2, joints_out, widths)
    assert sum(p.numel() for p in network.parameters()) == count
    assert network.receptive_field == 3 ** len(widths)


def test_names_are_those_of_the_published_checkpoint():
    with torch.device("meta"):
        state = TemporalModel().state_dict()
    assert len(state) == 56
    norms = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert set(state) == {
        *("expand_conv.weight", "shrink.weight", "shrink.bias"),
        *(f"layers_conv.{i}.weight" for i in range(8)),
        *(f"{norm}.{part}" for norm in ("expand_bn", *(f"layers_bn.{i}" for i in range(8))) for part in norms),
    }
    assert tuple(state["expand_conv.weight"].shape) == (1024, 34, 3)
    assert tuple(state["layers_conv.6.weight"].shape) == (1024, 1024, 3)
    assert tuple(state["layers_conv.7.weight"].shape) == (1024, 1024, 1)
    assert set(official_tensors((3,) * 5, channels=4)) == {n for n in state if "num_batches" not in n}


def test_sizes_are_read_off_the_shapes():
    shapes = {name: t.shape for name, t in official_tensors((3, 5, 3), inputs=51, outputs=3, channels=8).items()}
    sizes = {"joints_in": 17, "features_in": 3, "joints_out": 1, "filter_widths": [3, 5, 3], "channels": 8}
    assert sizes_of(shapes) == sizes
    assert sizes_of({"w1": (3, 4)}) == {}
    assert sizes_of({**shapes, "expand_conv.weight": (8, 50, 3)}) == {}


def test_even_filter_widths_have_no_middle():
    with pytest.raises(InputError, match="filter widths: expected odd numbers"):
        TemporalModel(filter_widths=(3, 2))


def test_batch_norm_momentum_is_set_everywhere():
    network = TemporalModel(channels=4, filter_widths=(3, 3))
    network.set_momentum(0.02)
    assert {m.momentum for m in network.modules() if isinstance(m, torch.nn.BatchNorm1d)} == {0.02}


# ------------------------------------------------------------------------------------------ forward pass


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("widths", "channels"), [((3, 3, 3), 1024), ((3, 5, 7), 16), ((5,), 16)])
def test_forward_pass_twice(widths: tuple[int, ...], channels: int, causal: bool):
    tensors, field = official_tensors(widths, channels=channels), int(np.prod(widths))
    sequence = keypoints(field + 2)
    got = run(network_with(tensors, causal=causal), sequence)
    assert got.shape == (3, 17, 3)
    for k in (0, 2):
        frame = k + (field - 1 if causal else (field - 1) // 2)
        np.testing.assert_allclose(got[k], answer(tensors, widths, sequence, frame, causal=causal), atol=1e-5)


def test_published_implementation_gave_the_same():
    """Answers of the public implementation on these weights, stored; not its code."""
    stored = np.load(FIXTURES / "temporal_243.npz")
    tensors = official_tensors((3,) * 5)
    np.testing.assert_allclose(run(network_with(tensors), keypoints(246)), stored["centred"], atol=1e-5)
    np.testing.assert_allclose(run(network_with(tensors, causal=True), keypoints(246)), stored["causal"], atol=1e-5)
    assert np.abs(stored["centred"]).mean() > 0.1


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("widths", [(3, 3, 3), (3, 5, 3), (7,)])
def test_strided_form_is_the_dilated_one(widths: tuple[int, ...], causal: bool):
    tensors, window = official_tensors(widths, channels=32), keypoints(int(np.prod(widths)))
    dilated = run(network_with(tensors, causal=causal).double(), window.astype(float))
    strided = run(network_with(tensors, form=TemporalModelOptimized1f, causal=causal).double(), window.astype(float))
    assert strided.shape == dilated.shape == (1, 17, 3)
    assert np.abs(strided - dilated).max() < 1e-14


def test_strided_form_in_single_precision_at_full_size():
    tensors, window = official_tensors((3, 3, 3)), keypoints(27)
    dilated = run(network_with(tensors), window)
    assert np.abs(run(network_with(tensors, form=TemporalModelOptimized1f), window) - dilated).max() < 2e-6


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("block", [1, 7, 500])
def test_stream_gives_what_one_pass_gives(block: int, causal: bool):
    widths = (3, 5, 3)
    network = network_with(official_tensors(widths, channels=32), causal=causal)
    sequence = keypoints(130)
    stream = TemporalStream(network).start()
    parts = [
        stream.push(torch.from_numpy(sequence[k : k + block].reshape(-1, 34))).numpy() for k in range(0, 130, block)
    ]
    got = np.concatenate(parts).reshape(-1, 17, 3)
    np.testing.assert_allclose(got, run(network, sequence), atol=2e-6)
    assert len(got) == 130 - 45 + 1


def test_a_still_is_a_sequence_that_never_moves():
    network = network_with(official_tensors((3, 3, 3), channels=32))
    frames = keypoints(5)
    still = TemporalStream(network).still(torch.from_numpy(frames.reshape(5, 34))).numpy().reshape(5, 17, 3)
    for frame, got in zip(frames, still, strict=True):
        np.testing.assert_allclose(got, run(network, np.repeat(frame[None], 27, 0))[0], atol=2e-6)
