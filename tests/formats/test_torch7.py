"""Torch7's files: what was written is read, and what is damaged is one line."""

from __future__ import annotations

import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from posemill.errors import InputError, PosemillError
from posemill.formats.checkpoints import read_checkpoint
from posemill.formats.checkpoints.torch7_modules import read_torch7_network
from posemill.formats.torch7 import read_torch7
from posemill.formats.torch7_values import FUNCTION, Object, Storage, Table, Tensor
from posemill.formats.torch7_writer import LongStorage, array_table, write_torch7
from posemill.networks.hourglass import Hourglass
from posemill.networks.hourglass_torch7 import graph_module
from tests.checkpoint_fuzz import damage


def text(string: str) -> bytes:
    return struct.pack("<i", len(string)) + string.encode()


def number(value: float) -> bytes:
    return struct.pack("<id", 1, value)


def tensor(index: int, kind: str, sizes: tuple[int, ...], strides: tuple[int, ...], offset: int, data: bytes, long="q"):
    """The bytes of a tensor and its storage, by hand."""
    item = {"Float": 4, "Double": 8, "Half": 2, "CudaHalf": 2, "Long": struct.calcsize(f"<{long}")}[kind]
    n = len(sizes)
    return (
        struct.pack("<ii", 4, index) + text("V 1") + text(f"torch.{kind}Tensor") + struct.pack("<i", n)
        + struct.pack(f"<{2 * n + 1}{long}", *sizes, *strides, offset)
        + struct.pack("<ii", 4, index + 1) + text("V 1") + text(f"torch.{kind}Storage")
        + struct.pack(f"<{long}", len(data) // item) + data
    )  # fmt: skip


def test_plain_values_and_shared_objects(tmp_path: Path) -> None:
    """Numbers, texts, tables and what occurs twice."""
    shared = Table(a=1.5, b="ä", c=True, d=np.arange(6, dtype=np.float64).reshape(2, 3))
    shared["self"] = shared
    whole = array_table([shared, shared, LongStorage((3, 4)), Object("nn.Thing", 2, Table(x=2.0))])
    write_torch7(tmp_path / "a.t7", whole)
    first, second, longs, thing = read_torch7(tmp_path / "a.t7").sequence()
    assert first is second and first["self"] is first
    assert (first["a"], first["b"], first["c"]) == (1.5, "ä", True)
    np.testing.assert_array_equal(first["d"].array(), np.arange(6).reshape(2, 3))
    assert isinstance(longs, Storage) and longs.numbers.tolist() == [3, 4]
    assert (thing.kind, thing.version, thing.get("x")) == ("nn.Thing", 2, 2.0)


@pytest.mark.parametrize("kind", ["Float", "Double", "Half", "CudaHalf"])
def test_strided_views(kind: str, tmp_path: Path) -> None:
    """A transposed part of a storage of any width, its offset counted from 1."""
    dtype = {"Float": "<f4", "Double": "<f8"}.get(kind, "<f2")
    (tmp_path / "a.t7").write_bytes(tensor(1, kind, (2, 3), (1, 2), 3, np.arange(10).astype(dtype).tobytes()))
    found = read_torch7(tmp_path / "a.t7")
    assert isinstance(found, Tensor)
    np.testing.assert_array_equal(found.array(), [[2, 4, 6], [3, 5, 7]])


def test_longs_of_four_bytes(tmp_path: Path) -> None:
    """As written on a machine whose long is 4 bytes."""
    (tmp_path / "a.t7").write_bytes(tensor(1, "Long", (3,), (1,), 1, np.arange(3, dtype="<i4").tobytes(), "i"))
    np.testing.assert_array_equal(read_torch7(tmp_path / "a.t7").array(), [0, 1, 2])


@pytest.mark.parametrize("kind", [6, 7, 8])
def test_functions_are_passed_over(kind: int, tmp_path: Path) -> None:
    """All three ways in which Torch7 has stored functions."""
    index = b"" if kind == 6 else struct.pack("<i", 2)
    function = struct.pack("<i", kind) + index + text("code") + struct.pack("<iii", 3, 3, 0)
    (tmp_path / "a.t7").write_bytes(struct.pack("<iii", 3, 1, 1) + number(1) + function)
    assert read_torch7(tmp_path / "a.t7").sequence() == [FUNCTION]


def test_nesting_costs_no_recursion(tmp_path: Path) -> None:
    """Tables in tables, 100 000 deep."""
    deep = b"".join(struct.pack("<iii", 3, i, 1) + number(1) for i in range(1, 100_001))
    (tmp_path / "a.t7").write_bytes(deep + number(7))
    found, depth = read_torch7(tmp_path / "a.t7"), 0
    while isinstance(found, Table):
        found, depth = found[1], depth + 1
    assert (found, depth) == (7, 100_000)


BIG = 2**62
DAMAGED = {
    "empty": (b"", "an empty file"),
    "cut": (struct.pack("<iii", 3, 1, 1) + number(1), "left"),
    "string longer than the file": (struct.pack("<ii", 2, 2**31 - 1), "where 0 are left"),
    "negative string": (struct.pack("<ii", 2, -1), "-1 bytes"),
    "table of a billion pairs": (struct.pack("<iii", 3, 1, 10**9), "1000000000 pairs"),
    "endless storage": (tensor(1, "Float", (2,), (1,), 1, b"")[:-8] + struct.pack("<q", BIG), "storage of"),
    "tensor beyond its storage": (tensor(1, "Float", (2, 2), (2, 1), 2, bytes(16)), "up to element 4"),
    "negative stride": (tensor(1, "Float", (2,), (-1,), 2, bytes(8)), "negative"),
    "dimensions": (struct.pack("<ii", 4, 1) + text("V 1") + text("torch.FloatTensor") + struct.pack("<i", 100), "100"),
    "unknown type": (struct.pack("<i", 99), "unknown type 99"),
    "bytes after the end": (number(1) + b"more", "4 bytes after"),
    "a key that is nil": (struct.pack("<iii", 3, 1, 1) + struct.pack("<i", 0) + number(1), "key"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_one_line(case: str, tmp_path: Path) -> None:
    """What is wrong is said."""
    data, said = DAMAGED[case]
    (tmp_path / "a.t7").write_bytes(data)
    with pytest.raises(InputError) as error:
        read_torch7(tmp_path / "a.t7")
    assert said in str(error.value) and "a.t7" in str(error.value) and "\n" not in str(error.value)


def test_tensors_larger_than_the_file(tmp_path: Path) -> None:
    """A stride of 0 makes many numbers of one; a network may not have more than its file."""
    fields = struct.pack("<iii", 3, 2, 1) + struct.pack("<i", 2) + text("weight")
    many = tensor(3, "Float", (10**6, 10**6), (0, 0), 1, bytes(4))
    conv = struct.pack("<ii", 4, 1) + text("V 1") + text("nn.SpatialConvolution") + fields + many
    whole = struct.pack("<ii", 4, 10) + text("V 1") + text("nn.Sequential") + struct.pack("<iii", 3, 11, 1)
    whole += struct.pack("<i", 2) + text("modules") + struct.pack("<iii", 3, 12, 1) + number(1) + conv
    (tmp_path / "a.t7").write_bytes(whole)
    with pytest.raises(InputError, match="no more numbers than the file has"):
        read_torch7_network(tmp_path / "a.t7")


def test_modules_without_end(tmp_path: Path) -> None:
    """A container that contains itself, and one that is its parts' part many times over."""
    loop = Object("nn.Sequential", 1, Table())
    loop.fields["modules"] = array_table([loop])
    write_torch7(tmp_path / "loop.t7", loop)
    wide = Object("nn.Identity", 1, Table())
    for _ in range(30):
        wide = Object("nn.Sequential", 1, Table(modules=array_table([wide] * 10)))
    write_torch7(tmp_path / "wide.t7", wide)
    for name in ("loop", "wide"):
        with pytest.raises(InputError, match="without end"):
            read_checkpoint(tmp_path / f"{name}.t7")


def test_ascii_files_are_named(tmp_path: Path) -> None:
    """Torch7 can also write text; that is said, with the way out."""
    (tmp_path / "a.t7").write_bytes(b"4\n1\n3\nV 1\n12\nnn.Sequential\n")
    with pytest.raises(InputError, match="binary"):
        read_checkpoint(tmp_path / "a.t7")


def _seeds(folder: Path) -> list[bytes]:
    """Small networks with all that files may have in them."""
    torch.manual_seed(0)
    write_torch7(folder / "graph.t7", graph_module(Hourglass(1, 2, 1, stem=2)))
    function = struct.pack("<ii", 8, 20) + text("code") + struct.pack("<iii", 3, 21, 0)
    fields = (struct.pack("<iii", 3, 2, 5) + struct.pack("<i", 2) + text("weight")
              + tensor(3, "CudaHalf", (2, 3, 1, 1), (3, 1, 1, 1), 1, bytes(12))
              + struct.pack("<i", 2) + text("kW") + number(1) + struct.pack("<i", 2) + text("train")
              + struct.pack("<ii", 5, 1) + struct.pack("<i", 2) + text("f") + function
              + struct.pack("<i", 2) + text("me") + struct.pack("<ii", 4, 1))  # fmt: skip
    conv = struct.pack("<ii", 4, 1) + text("V 1") + text("cudnn.SpatialConvolution") + fields
    listed = struct.pack("<iii", 3, 32, 1) + number(1) + conv
    whole = struct.pack("<ii", 4, 30) + text("V 1") + text("nn.Sequential") + struct.pack("<iii", 3, 31, 1)
    one = whole + struct.pack("<i", 2) + text("modules") + listed
    norm = Table(running_std=np.ones(4), running_mean=np.ones(4), eps=1e-5, weight=np.ones(4, np.float32))
    parts = [Object("nn.SpatialBatchNormalization", 1, norm), Object("nn.Identity", 1, Table(output=norm["eps"]))]
    parts = [Object("nn.ConcatTable", 1, Table(modules=array_table(parts), again=array_table([parts, norm][1:])))]
    write_torch7(folder / "norm.t7", Object("nn.Sequential", 1, Table(modules=array_table(parts))))
    return [one, (folder / "norm.t7").read_bytes(), (folder / "graph.t7").read_bytes()]


def test_ten_thousand_damaged_files(tmp_path: Path) -> None:
    """Each is refused in one line or read; none takes a second, and memory stays where it was."""
    rng, seeds = np.random.default_rng(0), _seeds(tmp_path)
    before, longest = psutil.Process().memory_info().rss, 0.0
    outcomes: dict[str, int] = {"refused": 0, "read": 0}
    # In memory where that is to be had: a disk that others use would take longer than the reading.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder) / "broken.t7"
        for seed in seeds:
            path.write_bytes(seed)
            assert _outcome(path) == "read"
        for turn in range(10_000):
            # The whole graph is larger than the others, and slower to read.
            seed = seeds[2] if turn % 100 == 0 else seeds[turn % 2]
            path.write_bytes(damage(seed, rng))
            start = time.process_time()
            outcomes[_outcome(path)] += 1
            longest = max(longest, time.process_time() - start)
    assert min(outcomes.values()) > 100, outcomes
    assert longest < 5
    assert psutil.Process().memory_info().rss - before < 300 * 2**20


def _outcome(path: Path) -> str:
    found: Any = None
    try:
        found = read_torch7_network(path)
    except PosemillError as error:
        assert "\n" not in str(error)
    return "refused" if found is None else "read"
