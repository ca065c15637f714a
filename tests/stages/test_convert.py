"""convert: a foreign checkpoint through a lifter's own names to one file with its card; and where weights are from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from posemill import registry
from posemill.cli import app
from posemill.errors import InputError, MissingError
from posemill.formats.weights import read_card, read_weights, weights_state, write_weights
from posemill.lifters import linear, temporal
from posemill.networks.dstformer import DSTformer
from posemill.networks.temporal import TemporalModel
from posemill.plan import weights_file
from posemill.provenance import sha256_file
from posemill.stages import convert, inventory
from tests.checkpoint_writers import write_chainer


class Options(BaseModel, extra="forbid"):
    weights: Path | None = None


def lifter(**parts) -> SimpleNamespace:
    """A lifter whose network has one matrix, kept transposed."""

    def to_ours(checkpoint, options):
        return {"w": checkpoint.tensors["l1/W"].T}, {"method": "mine", "units": "m"}

    def create(options):
        if read_weights(options.weights)[0]["w"].shape != (3, 2):
            raise InputError(f"{options.weights}: tensor w: expected shape (3, 2), got another")

    return SimpleNamespace(NAME="mine", Options=Options, convert=to_ours, create=create, **parts)


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    module = lifter(weights=lambda options: options.weights, missing=lambda path: f"lifter mine: put it at {path}")
    real = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: module if name == "mine" else real(kind, name))
    return module


def test_what_is_written_has_our_names_its_card_and_its_origin(tmp_path: Path, mine, capsys):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    source, output = write_chainer(tmp_path / "official.npz", {"l1/W": array}), tmp_path / "ours.safetensors"
    convert.run(source, output, "mine")
    tensors, card = read_weights(output)
    np.testing.assert_array_equal(tensors["w"], array.T)
    origin = {"file": "official.npz", "kind": "chainer_npz", "sha256": sha256_file(source)}
    assert card == {"method": "mine", "units": "m", "converted_from": origin} == read_card(output)
    assert sha256_file(output) in capsys.readouterr().out
    assert weights_state(output) == "user's"


def test_what_the_lifter_would_not_read_is_not_written(tmp_path: Path, mine):
    source, output = write_chainer(tmp_path / "a.npz", {"l1/W": np.zeros((5, 5))}), tmp_path / "o.safetensors"
    output.write_bytes(b"what was there")
    with pytest.raises(InputError, match=rf"^{source}: tensor w: expected shape \(3, 2\), got another$"):
        convert.run(source, output, "mine")
    assert output.read_bytes() == b"what was there"


def test_a_lifter_without_published_weights_and_an_absent_file(tmp_path: Path, mine):
    del mine.convert
    with pytest.raises(InputError, match=r"--lifter: expected one with published weights \(.*linear.*\), got mine"):
        convert.run(tmp_path / "a.npz", tmp_path / "o", "mine")
    with pytest.raises(MissingError, match=r"a\.npz: expected weights, got no file"):
        convert.run(tmp_path / "a.npz", tmp_path / "o", "seq2seq")


def test_what_a_file_does_not_say_comes_by_option_and_goes_in(tmp_path: Path, capsys):
    """A temporal network of other widths, channels and name: only its joints and that it is causal must be said."""
    network = TemporalModel(17, 2, 17, (3, 5, 3), channels=16)
    torch.save({"model_pos": network.state_dict(), "epoch": 80}, tmp_path / "mine.bin")
    output = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match=r"mine\.bin: joint_set_in: expected h36m17 or coco17, got None; set"):
        convert.run(tmp_path / "mine.bin", output, "temporal")
    assert not output.exists()
    options = ["--option", "joint_set_in=coco17", "--option", "causal=true"]
    app(
        ["convert", str(tmp_path / "mine.bin"), "--lifter", "temporal", "-o", str(output), *options],
        result_action="return_value",
    )
    card = temporal.card(temporal.Options(weights=output))
    assert (card.joint_set_in, card.receptive_field) == ("coco17", 45)
    assert read_card(output)["network"] == {"causal": True}
    with pytest.raises(InputError, match=r"lifters\.temporal: widths: extra .*; options: .*joint_set_in"):
        convert.run(tmp_path / "mine.bin", output, "temporal", {"widths": 3})
    with pytest.raises(InputError, match="--option: expected what the checkpoint does not say, got weights"):
        convert.run(tmp_path / "mine.bin", output, "temporal", {"weights": "a.bin"})


@pytest.mark.parametrize(
    ("name", "given"),
    [("gan", {"activation": "relu", "view": "turned"}), ("dstformer", {"normaliser": "crop", "root_relative": False})],
)
def test_the_card_says_what_the_options_said(tmp_path: Path, name: str, given: dict):
    rng = np.random.default_rng(0)
    if name == "gan":
        widths = {"l1": (8, 34), "l2": (8, 8), "l3": (8, 8), "l4": (17, 8)}
        parts = {f"{layer}/W": rng.normal(size=shape).astype(np.float32) for layer, shape in widths.items()}
        parts |= {f"{layer}/b": np.zeros(shape[0], np.float32) for layer, shape in widths.items()}
        source = write_chainer(tmp_path / "a.npz", parts)
    else:
        source = tmp_path / "a.bin"
        network = DSTformer(width=16, depth=1, frames=9, representation=8)
        torch.save({"model_pos": {f"module.{n}": t for n, t in network.state_dict().items()}}, source)
    convert.run(source, tmp_path / "w.safetensors", name, given)
    card = read_card(tmp_path / "w.safetensors")
    assert {**card, **card.get("network", {})}.items() >= given.items()


# ------------------------------------------------------------------------------------------ states


def test_shipped_made_by_rule_and_the_users(tmp_path: Path):
    assert weights_state(linear.SHIPPED) == "shipped"
    tensors = {"w": np.ones(2, np.float32)}
    write_weights(tmp_path / "a.safetensors", tensors, {"trained_on": {"clips": 3}})
    assert weights_state(tmp_path / "a.safetensors") == "made by rule"
    (tmp_path / "a.md").write_text("sha256: another")
    assert weights_state(tmp_path / "a.safetensors") == "made by rule"
    (tmp_path / "a.md").write_text(f"sha256: `{sha256_file(tmp_path / 'a.safetensors')}`")
    assert weights_state(tmp_path / "a.safetensors") == "shipped"
    (tmp_path / "b.bin").write_bytes(b"\x80\x02")
    assert weights_state(tmp_path / "b.bin") == "user's"


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\2\0\0\0\0\0\0\0{}", b"\4\0\0\0\0\0\0\0[[[[", b"\1" * 9])
def test_a_file_without_a_card_has_an_empty_one(tmp_path: Path, content: bytes):
    (tmp_path / "w").write_bytes(content)
    assert read_card(tmp_path / "w") == {}


def test_without_weights_the_lifters_own_line_or_the_command(tmp_path: Path, mine):
    path = tmp_path / "none.safetensors"
    with pytest.raises(MissingError, match=f"^lifter mine: put it at {path}$"):
        weights_file("lifters", "mine", {"weights": str(path)})
    with pytest.raises(MissingError, match=f"expected weights at {path}, got nothing; .* posemill train linear") as e:
        weights_file("lifters", "linear", {"weights": str(path)})
    assert "\n" not in str(e.value)


def test_the_list_and_the_doctor_say_the_state(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "250")
    inventory.print_methods(["lifters"])
    assert "shipped: linear.safetensors" in capsys.readouterr().out
    found = {f.name: f for f in inventory.examine()}
    assert found["lifter linear"].ok and found["lifter linear"].found == "shipped: linear.safetensors"
