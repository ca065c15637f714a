"""Weights files: round trip, same bytes, and damage named in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill.errors import InputError, MissingError
from posemill.formats.weights import check_tensors, read_weights, write_weights

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(4, dtype=np.float16)}


def test_round_trip_with_card(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    write_weights(path, TENSORS, {"method": "linear", "results": {"mpjpe_mm": 60.5}})
    tensors, card = read_weights(path)
    assert card == {"method": "linear", "results": {"mpjpe_mm": 60.5}}
    assert tensors["a"].dtype == np.float16
    np.testing.assert_array_equal(tensors["b"], TENSORS["b"])


def test_equal_content_gives_equal_bytes(tmp_path: Path):
    write_weights(tmp_path / "1", TENSORS, {"x": 1, "y": 2})
    write_weights(tmp_path / "2", dict(reversed(TENSORS.items())), {"y": 2, "x": 1})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_absent_file_is_missing(tmp_path: Path):
    with pytest.raises(MissingError, match="expected weights"):
        read_weights(tmp_path / "none")


@pytest.mark.parametrize("damage", [b"", b"not weights at all", b"\xff" * 64])
def test_foreign_bytes_are_refused(tmp_path: Path, damage: bytes):
    path = tmp_path / "w.safetensors"
    path.write_bytes(damage)
    with pytest.raises(InputError, match="expected a whole safetensors file") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


def test_truncated_file_is_refused(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    write_weights(path, TENSORS, {})
    data = path.read_bytes()
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises(InputError):
            read_weights(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": np.ones(4)}, r"tensor b: expected shape \(2, 3\), got none"),
        ({"a": np.ones(5), "b": np.ones((2, 3))}, r"tensor a: expected shape \(4,\), got \(5,\)"),
        ({"a": np.full(4, np.nan), "b": np.ones((2, 3))}, "tensor a: expected finite numbers"),
        ({"a": np.ones(4), "b": np.ones((2, 3)), "c": np.ones(1)}, "only the network's, got c as well"),
    ],
)
def test_mismatch_names_the_tensor(tensors: dict, message: str):
    with pytest.raises(InputError, match=message):
        check_tensors(tensors, {"a": (4,), "b": (2, 3)}, "w.safetensors")
