"""posemill's Lua on a real Torch7: networks of every form, damaged and hostile files, peaks, the detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from posemill.detectors import heatmaps, hourglass
from posemill.formats.crop_files import CropWriter, FoundPeaks, PeakReader
from posemill.skeleton import JOINT_SETS
from tests.torch7.conftest import HERE, LUA, Made, Torch7, one_line, renamed

PREDICT = LUA / "predict.lua"
TAG = np.dtype([("frame", "<i8"), ("box", "<f8", (4,))])
SWAP = JOINT_SETS["mpii16"].flip_permutation


def write_crops(
    path: Path, pictures: np.ndarray, *, flip: bool = False, parabola: bool = False, chunk: int = 3
) -> np.ndarray:
    tags = np.zeros(len(pictures), TAG)
    tags["frame"] = np.arange(len(pictures)) * 7
    tags["box"] = np.random.default_rng(0).random((len(pictures), 4))
    with path.open("wb") as file:
        writer = CropWriter(file, tag=TAG, size=pictures.shape[-1], flip=flip, parabola=parabola)
        for start in range(0, len(pictures), chunk):
            writer.write(tags[start : start + chunk], pictures[start : start + chunk])
        writer.end()
    return tags


def read_peaks(path: Path) -> list[FoundPeaks]:
    with path.open("rb") as file:
        return list(PeakReader(file, tag=TAG, joints=16, where=path))


def predicted(torch: Torch7, weights: Path, pictures: np.ndarray, folder: Path, **how: bool):
    """Peaks, and the heatmaps that they were found in."""
    tags = write_crops(folder / "crops", pictures, **how)
    maps = folder / "maps.f32"
    code, said, problem = torch.run(PREDICT, folder / "crops", folder / "peaks", "-weights", weights, "-heatmaps", maps)
    assert code == 0, problem
    assert said == "" and problem == ""
    chunks = read_peaks(folder / "peaks")
    assert (np.concatenate([chunk.tags for chunk in chunks]) == tags).all()
    side = pictures.shape[-1] // 4
    return chunks, np.fromfile(maps, "<f4").reshape(len(pictures), 16, side, side)


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(3).random((5, 3, 64, 64), np.float32)


@pytest.mark.parametrize(
    ("form", "stacks", "modules", "kind"),
    [
        ("released", 8, 1, ""),
        ("head", 8, 1, ""),
        ("released", 1, 2, "whole"),
        ("head", 2, 2, ""),
        ("released", 2, 1, "old"),
    ],
)
def test_heatmaps_are_those_of_torch7_itself(torch: Torch7, made, tmp_path: Path, form, stacks, modules, kind):
    network: Made = made(form, stacks, modules, kind)
    picture = np.fromfile(network.picture, "<f4").reshape(1, 3, 64, 64)
    _, maps = predicted(torch, network.file, picture, tmp_path)
    answer = np.fromfile(network.heatmaps, "<f4").reshape(stacks, 16, 16, 16)[-1]
    assert np.abs(maps[0] - answer).max() <= (1e-5 if kind == "old" else 0)


def test_a_file_saved_on_a_gpu_gives_the_same_without_one(torch: Torch7, made, tmp_path: Path):
    network: Made = made("head", 8)
    other = tmp_path / "gpu.t7"
    other.write_bytes(renamed(network.file.read_bytes()))
    assert other.read_bytes() != network.file.read_bytes()
    picture = np.fromfile(network.picture, "<f4").reshape(1, 3, 64, 64)
    _, maps = predicted(torch, other, picture, tmp_path)
    assert np.array_equal(maps[0], np.fromfile(network.heatmaps, "<f4").reshape(8, 16, 16, 16)[-1])


@pytest.mark.parametrize("parabola", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_peaks_are_posemills(torch: Torch7, made, tmp_path: Path, crops, flip, parabola):
    chunks, maps = predicted(torch, made().file, crops, tmp_path, flip=flip, parabola=parabola)
    want = heatmaps.peaks(maps, parabola=parabola)
    got = [np.concatenate([chunk[k] for chunk in chunks]) for k in (1, 2, 3)]
    np.testing.assert_allclose(got[0], want.points, rtol=1e-6 if parabola else 0)
    assert np.array_equal(got[1], want.score)
    np.testing.assert_allclose(got[2], want.spread, rtol=1e-6)
    if flip:
        _, plain = predicted(torch, made().file, crops, tmp_path)
        _, mirrored = predicted(torch, made().file, crops[..., ::-1], tmp_path)
        np.testing.assert_allclose(maps, heatmaps.averaged(plain, mirrored, SWAP), atol=1e-5)


def test_a_stored_function_is_refused_and_not_run(torch: Torch7, made, tmp_path: Path, crops):
    marker, hostile = tmp_path / "marker", tmp_path / "hostile.t7"
    code, _, said = torch.run(HERE / "with_function.lua", made().file, hostile, marker)
    assert code == 0, said
    write_crops(tmp_path / "crops", crops)
    code, _, said = torch.run(PREDICT, tmp_path / "crops", tmp_path / "peaks", "-weights", hostile)
    assert code == 1 and "stored Lua function" in one_line(said)
    assert not marker.exists() and not (tmp_path / "peaks").exists()


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _other(data: bytes) -> bytes:
    return b"\x89PNG\r\n" + bytes(1000)


@pytest.mark.parametrize("change", [_cut, _other, lambda _: b""])
@pytest.mark.parametrize("which", ["weights", "crops"])
def test_a_bad_file_is_one_line(torch: Torch7, made, tmp_path: Path, crops, change: Callable, which):
    files = {"weights": tmp_path / "n.t7", "crops": tmp_path / "crops"}
    files["weights"].write_bytes(made().file.read_bytes())
    write_crops(files["crops"], crops)
    files[which].write_bytes(change(files[which].read_bytes()))
    code, _, said = torch.run(PREDICT, files["crops"], tmp_path / "peaks", "-weights", files["weights"])
    assert code == 1
    assert str(files[which]) in one_line(said)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["crops", "n.t7"]


def test_damaged_networks_load_or_are_refused(torch: Torch7, made, tmp_path: Path):
    whole = np.frombuffer(made("released", 1).file.read_bytes(), np.uint8)
    rng = np.random.default_rng(5)
    names = []
    for i in range(90):
        data = whole.copy()
        at = rng.integers(0, len(data) - 8)
        if i % 3 == 0:
            data = data[:at]
        elif i % 3 == 1:
            data[rng.integers(0, len(data), 4)] ^= rng.integers(1, 256, 4, dtype=np.uint8)
        else:
            data[at : at + 8] = np.frombuffer(b"\xff\xff\xff\x7f\xff\xff\xff\x7f", np.uint8)
        names.append(tmp_path / f"{i}.t7")
        names[-1].write_bytes(data.tobytes())
    (tmp_path / "list").write_text("".join(f"{name}\n" for name in names))
    code, said, problem = torch.run(HERE / "load_all.lua", LUA, tmp_path / "list")
    assert code == 0, problem
    lines = said.splitlines()
    assert len(lines) == len(names)
    refused = [line for line in lines if line.startswith("refused: ")]
    assert len(refused) > 30
    assert all(line.strip() == "loaded" or line.startswith(("refused: ", "error: ")) for line in lines)


def test_a_network_of_ours_is_the_same_in_torch7(torch: Torch7, tmp_path: Path, crops):
    import torch as pytorch

    from posemill.formats.torch7_writer import write_torch7
    from posemill.networks.hourglass import Hourglass
    from posemill.networks.hourglass_torch7 import graph_module

    pytorch.manual_seed(0)
    network = Hourglass(stacks=2, features=16, stem=8, after=True).eval()
    write_torch7(tmp_path / "own.t7", graph_module(network))
    with pytorch.inference_mode():
        want = network(pytorch.from_numpy(crops))[-1].numpy()
    _, maps = predicted(torch, tmp_path / "own.t7", crops, tmp_path)
    np.testing.assert_allclose(maps, want, atol=1e-4)


def test_both_detectors_find_the_same_joints(torch: Torch7, made, tmp_path: Path):
    from posemill.detectors import hourglass_torch7

    rng = np.random.default_rng(1)
    frames = [(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8), k / 25) for k in range(3)]
    given = {"weights": made().file, "boxes": "frame"}
    with hourglass.create(hourglass.Options.model_validate(given), temporal=True) as one:
        want = one.detect_many(frames)
    options = hourglass_torch7.Options.model_validate({**given, "torch7": torch.program})
    with hourglass_torch7.create(options, temporal=True) as other:
        got = other.detect_many(frames)
    for a, b in zip(want, got, strict=True):
        assert len(a) == len(b) == 1
        assert np.array_equal(a[0].valid, b[0].valid)
        np.testing.assert_allclose(a[0].keypoints, b[0].keypoints, atol=1e-4)
        np.testing.assert_allclose(a[0].score, b[0].score, atol=1e-4)
        np.testing.assert_allclose(a[0].sigma, b[0].sigma, rtol=1e-3)
