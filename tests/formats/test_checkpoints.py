"""Foreign weights: every format's names, numbers and extras come through, and nothing is run."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import time
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from posemill.errors import InputError, MissingError
from posemill.formats.checkpoints import read_checkpoint
from posemill.formats.checkpoints.crc32c import _BYTE, crc32c
from posemill.formats.checkpoints.tf_bundle import read_index
from posemill.formats.weights import write_weights
from tests.checkpoint_fuzz import fuzz
from tests.checkpoint_writers import block, write_bundle, write_chainer, write_keras, write_torch


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv1d(4, 6, 3, bias=False), torch.nn.BatchNorm1d(6), torch.nn.Conv1d(6, 3, 1))


def training_file() -> dict:
    """What VideoPose3D's training saves, optimiser and random state included."""
    model = network()
    optimiser = torch.optim.Adam(model.parameters(), amsgrad=True)
    model(torch.zeros(2, 4, 5)).sum().backward()
    optimiser.step()
    return {
        "epoch": 80,
        "lr": 1e-3,
        "random_state": np.random.RandomState(3),
        "optimizer": optimiser.state_dict(),
        "model_pos": model.state_dict(),
        "model_traj": None,
        "min_loss": np.float64(0.047),
    }


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_training_file(tmp_path: Path, legacy: bool):
    content = training_file()
    found = read_checkpoint(write_torch(tmp_path / "a.bin", content, legacy=legacy))
    assert found.kind == "torch"
    wanted = {k: v.numpy() for k, v in content["model_pos"].items() if not k.endswith("num_batches_tracked")}
    part = found.part("model_pos")
    assert list(part) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(part[name], value)
    assert found.extras["epoch"] == 80 and found.extras["lr"] == 1e-3 and found.extras["min_loss"] == 0.047
    assert found.extras["optimizer"] == "optimiser, not read" and found.extras["model_traj"] is None
    assert found.extras["random_state"].startswith("numpy.random")


# Protocol 0 loses the storages: PyTorch cannot read it either.
@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_every_protocol_of_pickle_reads_alike(tmp_path: Path, protocol: int):
    content = OrderedDict(w=torch.arange(6.0).reshape(2, 3).T, n=torch.tensor(7), stats={"mean": np.arange(3.0)})
    torch.save(content, tmp_path / "a.pt", pickle_protocol=protocol)
    found = read_checkpoint(tmp_path / "a.pt")
    np.testing.assert_array_equal(found.tensors["w"], [[0, 3], [1, 4], [2, 5]])
    assert found.tensors["n"] == 7
    np.testing.assert_array_equal(found.extras["stats.mean"], np.arange(3.0))


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_types_views_prefixes_and_parameters(tmp_path: Path, legacy: bool):
    base = torch.arange(24.0).reshape(4, 6)
    content = {
        "state_dict": OrderedDict(
            [
                ("module.window", base[1:3, ::2]),
                ("module.tied", base),
                ("module.half", base.half()),
                ("module.brain", base.bfloat16()),
                ("module.flags", base > 3),
                ("module.parameter", torch.nn.Parameter(base)),
                ("module.empty", torch.zeros(0, 3)),
                ("module.bn.num_batches_tracked", torch.tensor(5)),
            ]
        ),
        "args": argparse.Namespace(layers=3),
        "best": {"epochs": [1, 2], "by": defaultdict(dict)},
    }
    found = read_checkpoint(write_torch(tmp_path / "a.pth.tar", content, legacy=legacy))
    part = found.part("model", "state_dict")
    assert set(part) == {"window", "tied", "half", "brain", "flags", "parameter", "empty"}
    np.testing.assert_array_equal(part["window"], base[1:3, ::2])
    for name in ("tied", "half", "brain", "parameter"):
        np.testing.assert_array_equal(part[name], base)
    assert part["half"].dtype == np.float16 and part["brain"].dtype == np.float32
    np.testing.assert_array_equal(part["flags"], base > 3)
    assert part["empty"].shape == (0, 3)
    assert found.extras["args"] == "argparse.Namespace" and found.extras["best.epochs.1"] == 2


def test_a_plain_state_dict_and_a_part_that_is_not_there(tmp_path: Path):
    found = read_checkpoint(write_torch(tmp_path / "a.pth", network().state_dict()))
    assert "0.weight" in found.part("model_pos", "")
    with pytest.raises(InputError, match=r"expected tensors under 'model_pos' or 'state_dict', got 0, 1, 2"):
        found.part("model_pos", "state_dict")


class _Runs:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (eval, "eval"), (os.mkdir, "mkdir"), (getattr, "getattr"), (torch.load, "load")],
)
def test_code_is_refused_by_name_and_not_run(tmp_path: Path, legacy: bool, function, name: str):
    trap = tmp_path / "trap"
    argument = str(trap) if function is os.mkdir else f"touch {trap}"
    content = {"model_pos": network().state_dict(), "extra": _Runs(function, argument)}
    path = write_torch(tmp_path / "a.bin", content, legacy=legacy)
    with pytest.raises(InputError, match=rf"expected data only, got the code '\w+(\.\w+)*\.{name}', which is not run"):
        read_checkpoint(path)
    assert not trap.exists()


def test_a_whole_module_is_code(tmp_path: Path):
    with pytest.raises(InputError, match=r"the code 'torch\.nn\.modules"):
        read_checkpoint(write_torch(tmp_path / "a.pt", network()))


def test_allowed_names_do_nothing_else_than_hold_data(tmp_path: Path):
    """A name of the table that is given to another purpose: a list that is called, a state for a number."""
    for program in (
        b"\x80\x02ccollections\nOrderedDict\n(dccollections\nOrderedDict\nR.",
        b"\x80\x02c__builtin__\ndict\n)R.",
        b"\x80\x02K\x01}b.",
        b"\x80\x02]]K\x01s.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04tR.",
    ):
        path = tmp_path / "a.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
        with pytest.raises(InputError) as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------ Chainer


@pytest.mark.parametrize("compressed", [False, True])
def test_chainer(tmp_path: Path, compressed: bool):
    rng = np.random.default_rng(0)
    arrays = {f"l1/{n}": rng.normal(size=s).astype(np.float32) for n, s in (("W", (8, 34)), ("b", (8,)))}
    arrays |= {f"bn1/{n}": np.ones(8, np.float32) for n in ("gamma", "beta", "avg_mean", "avg_var")}
    arrays |= {"bn1/N": np.array(12), "f": np.asfortranarray(rng.normal(size=(3, 4)))}
    found = read_checkpoint(write_chainer(tmp_path / "a.npz", arrays, compressed=compressed))
    assert found.kind == "chainer_npz" and list(found.tensors) == list(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(found.tensors[name], value)


def test_chainer_objects_are_refused(tmp_path: Path):
    path = write_chainer(tmp_path / "a.npz", {"l1/W": np.array(_Runs(os.system, "false"), dtype=object)})
    with pytest.raises(InputError, match=r"'l1/W.npy': expected .* \(objects are not read\)"):
        read_checkpoint(path)


def test_an_array_that_unpacks_to_far_more_than_weights_do(tmp_path: Path):
    path = write_chainer(tmp_path / "a.npz", {"l1/W": np.zeros((4096, 4096), np.float32)})
    with pytest.raises(InputError, match="unpacked size: expected at most"):
        read_checkpoint(path)


# ------------------------------------------------------------------------------------------ Keras


@pytest.mark.parametrize("split_names", [False, True])
@pytest.mark.parametrize("whole_model", [False, True])
def test_keras(tmp_path: Path, whole_model: bool, split_names: bool):
    rng = np.random.default_rng(0)
    layers = {"input_1": {}} | {
        f"dense_{k}": {f"dense_{k}/kernel:0": rng.normal(size=(4, k)), f"dense_{k}/bias:0": np.zeros(k, np.float32)}
        for k in (10, 9, 2)
    }
    path = write_keras(tmp_path / "a.h5", layers, whole_model=whole_model, split_names=split_names)
    found = read_checkpoint(path)
    assert found.kind == "keras_h5" and found.extras == {"layers": list(layers), "keras_version": "2.2.4"}
    wanted = {name: value for weights in layers.values() for name, value in weights.items()}
    assert list(found.tensors) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found.tensors[name], value)


def test_keras_data_outside_the_file_are_refused(tmp_path: Path):
    import h5py

    other = write_keras(tmp_path / "b.h5", {"d": {"d/kernel:0": np.ones((2, 2))}}, whole_model=False)
    for link in (h5py.ExternalLink(other.name, "/d/d/kernel:0"), h5py.SoftLink("/elsewhere")):
        path = write_keras(tmp_path / "a.h5", {"d": {"d/kernel:0": np.ones((2, 2))}})
        with h5py.File(path, "a") as file:
            del file["model_weights/d/d/kernel:0"]
            file["model_weights/d/d/kernel:0"] = link
        with pytest.raises(InputError, match="'d/kernel:0': expected a group or dataset of this file"):
            read_checkpoint(path)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.attrs["layer_names"] = [b"d"]
        group = file.create_group("d")
        group.attrs["weight_names"] = [b"huge"]
        group.create_dataset("huge", (10**9, 10**3), "f4")
    with pytest.raises(InputError, match="weight 'huge': expected 4000000000000 bytes, got fewer"):
        read_checkpoint(tmp_path / "c.h5")


# ------------------------------------------------------------------------------------------ TensorFlow


def test_the_index_of_an_official_checkpoint(shared_data: Path):
    folder = shared_data / "formats" / "Pose_3D_ckpt_index"
    entries, shards = read_index(folder / "checkpoint-1798202.index")
    listed = json.loads((folder / "variables.json").read_text())
    assert shards == 1 and len(entries) == len(listed) == 90
    for wanted in listed:
        got = entries[wanted["name"]]
        assert (got.shape, got.offset, got.size) == (tuple(wanted["shape"]), wanted["offset"], wanted["size"])
        assert got.dtype == {1: "<f4", 3: "<i4"}[wanted["dtype"]]
    with pytest.raises(MissingError, match=r"expected its data beside it, checkpoint-1798202\.data-00000-of-00001"):
        read_checkpoint(folder / "checkpoint-1798202.index")


def variables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    names = [f"linear_model/two_linear_{i}/{n}_{i}" for i in range(12) for n in ("w2", "b2", "w3", "b3")]
    out = {name: rng.normal(size=(7, 60)).astype(np.float32) for name in names}
    slots = {f"{name}/{slot}": value for name, value in out.items() for slot in ("Adam", "Adam_1")}
    return {**out, **slots, "global_step": np.int32(7), "linear_model/w1": rng.normal(size=(32, 1024))}


def test_tensorflow_by_index_and_by_prefix_without_the_optimiser(tmp_path: Path):
    wanted = variables()
    write_bundle(tmp_path / "checkpoint-7", wanted)
    for path in (tmp_path / "checkpoint-7.index", tmp_path / "checkpoint-7"):
        found = read_checkpoint(path)
        assert found.kind == "tf_bundle" and found.extras == {"slots_left_out": 96}
        assert list(found.tensors) == sorted(name for name in wanted if "Adam" not in name)
        for name, value in found.tensors.items():
            np.testing.assert_array_equal(value, wanted[name])


def test_a_changed_byte_of_tensorflows_data_is_noticed(tmp_path: Path):
    path = write_bundle(tmp_path / "c", variables())
    data = tmp_path / "c.data-00000-of-00001"
    raw = data.read_bytes()
    data.write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    with pytest.raises(InputError, match="tensor global_step: expected the index's checksum, got another"):
        read_checkpoint(path)
    data.write_bytes(raw[:-4])
    with pytest.raises(InputError, match=r"expected inside \d+ bytes"):
        read_checkpoint(path)


def test_crc32c_is_that_of_the_definition():
    """RFC 3720, B.4; and the side-by-side way equals one byte after another at every kind of length."""
    assert crc32c(bytes(32)) == 0x8A9136AA and crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    rng = np.random.default_rng(0)
    for length in (0, 1, 2047, 2048, 2049, 4096, 13 * 2048 + 77):
        data, register = rng.bytes(length), 0xFFFFFFFF
        for byte in data:
            register = (register >> 8) ^ int(_BYTE[(register ^ byte) & 0xFF])
        assert crc32c(data) == register ^ 0xFFFFFFFF


def test_keys_that_would_unfold_are_refused(tmp_path: Path):
    path = tmp_path / "a.index"
    good = write_bundle(tmp_path / "b", {"v" * 5000: np.zeros(3, np.float32)})
    path.write_bytes(good.read_bytes())
    with pytest.raises(InputError, match="an entry beyond its block"):
        read_checkpoint(path)
    assert block([])[4:8] == b"\1\0\0\0"


# ------------------------------------------------------------------------------------------ which kind


def test_the_kind_is_told_by_content_not_by_name(tmp_path: Path):
    write_weights(tmp_path / "w.h5", {"a": np.ones(3, np.float32)}, {"method": "linear"})
    found = read_checkpoint(tmp_path / "w.h5")
    assert found.kind == "safetensors" and found.extras == {"method": "linear"}
    assert read_checkpoint(write_chainer(tmp_path / "w.bin", {"a/b": np.ones(2)})).kind == "chainer_npz"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"hello, world",
        b"\x80",
        pickle.dumps({"a": 1}),
        b"\x89HDF\r\n\x1a\n",
        b"\x57\xfb\x80\x8b\x24\x75\x47\xdb",
    ],
)
def test_what_is_no_weights_file_is_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "w"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_absent_file_is_missing(tmp_path: Path):
    with pytest.raises(MissingError, match="expected weights, got no file"):
        read_checkpoint(tmp_path / "none.bin")


def test_damaged_files_are_answers_or_one_line():
    """A few; ``python -m tests.checkpoint_fuzz 10000`` reads many."""
    found, longest_s = fuzz(400, seed=1)
    assert sum(found.values()) == 400 and longest_s < 30
    assert all(found[f"{kind}: refused"] for kind in ("torch zip", "torch legacy", "chainer", "keras", "tensorflow"))


@pytest.mark.parametrize(
    "program",
    [
        # Forty times a pair of the pair before: its hash, its text and its flattening take 2**40 steps.
        b"\x80\x02)" + b"2\x86" * 40 + b".",
        b"\x80\x02}" + b")" + b"2\x86" * 40 + b"K\x01s.",
        b"\x80\x02}K\x01]" + b"".join(b"]q%c(h%ch%ce" % (i + 1, i + 1, i + 1) for i in range(3)) + b"s.",
        # A list that holds itself, in a dictionary.
        b"\x80\x02}X\x01\x00\x00\x00a]q\x00h\x00as.",
        # A place in the memo, and texts, far beyond the file.
        b"\x80\x02}r\xff\xff\xff\xff.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fab.",
        b"\x80\x02T\xff\xff\xff\x7fab.",
        b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
        b"\x80\x02I" + b"9" * 100_000 + b"\n.",
        # An array of 2**120 numbers, and one whose type is a list.
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(tR(K\x01(\x8a\x08" + b"\0" * 7 + b"\x01tNNNtb.",
        b"\x80\x02cnumpy\ndtype\n(]tR.",
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_short_programs_that_would_take_long_or_grow(tmp_path: Path, program: bytes, legacy: bool):
    path = tmp_path / "a.pt"
    if legacy:
        head = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        path.write_bytes(b"".join(head) + program + pickle.dumps([], 2))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
    start = time.perf_counter()
    try:
        assert not read_checkpoint(path).tensors
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
    assert time.perf_counter() - start < 10


def test_tensors_that_claim_more_than_their_storage(tmp_path: Path):
    """Stride 0 repeats one number without end; an offset or shape leaves the storage."""

    class Claims:
        def __init__(self, *what):
            self.what = what

        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (storage, *self.what, False, OrderedDict())

    storage = torch.arange(6.0).untyped_storage()
    storage = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    for claim in ((0, (10**12,), (0,)), (6, (1,), (1,)), (0, (3, 3), (3, 1)), (-1, (2,), (1,)), (0, (2,), (-1,))):
        for legacy in (False, True):
            with pytest.raises(InputError) as caught:
                read_checkpoint(write_torch(tmp_path / "a.pt", {"w": Claims(*claim)}, legacy=legacy))
            assert "\n" not in str(caught.value)
