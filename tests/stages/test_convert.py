"""convert: a foreign checkpoint through a lifter's own names to one file with its card; and where weights are from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import BaseModel

from posemill import registry
from posemill.errors import InputError, MissingError
from posemill.formats.weights import read_card, read_weights, weights_state, write_weights
from posemill.lifters import linear
from posemill.plan import weights_file
from posemill.provenance import sha256_file
from posemill.stages import convert, inventory
from tests.checkpoint_writers import write_chainer


class Options(BaseModel, extra="forbid"):
    weights: Path | None = None


def lifter(**parts) -> SimpleNamespace:
    """A lifter whose network has one matrix, kept transposed."""

    def to_ours(checkpoint):
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
    with pytest.raises(InputError, match=r"--lifter: expected one with published weights \(.*\), got linear"):
        convert.run(tmp_path / "a.npz", tmp_path / "o", "linear")
    with pytest.raises(MissingError, match=r"a\.npz: expected weights, got no file"):
        convert.run(tmp_path / "a.npz", tmp_path / "o", "mine")


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
