"""Networks that Torch7 saved give the heatmaps that Torch7 gave."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from posemill.detectors import hourglass
from posemill.detectors.heatmaps import peaks
from posemill.formats.checkpoints import Checkpoint, read_checkpoint
from posemill.formats.torch7_writer import write_torch7
from posemill.lifters.loading import build
from posemill.networks.hourglass import Hourglass, fused
from posemill.networks.hourglass_torch7 import graph_module

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "torch7"
NETWORKS = ("released", "head", "released8", "head8", "two_modules", "old_norm")


def unpacked(name: str, folder: Path) -> Path:
    """A fixture, unpacked into a folder."""
    path = folder / f"{name}.t7"
    path.write_bytes(gzip.decompress((FIXTURES / f"{name}.t7.gz").read_bytes()))
    return path


def network_of(checkpoint: Checkpoint) -> Hourglass:
    """The network that the detector would build of a checkpoint."""
    tensors, card = hourglass.convert(checkpoint, hourglass.Options())
    return build(Hourglass, card["network"], tensors, checkpoint.where)


@pytest.mark.parametrize("name", NETWORKS)
def test_heatmaps_are_torch7s(name: str, tmp_path: Path) -> None:
    """Within 1e-4, the same peaks, also with batch norms taken into convolutions; every size is read from the file."""
    with np.load(FIXTURES / "heatmaps.npz") as stored:
        given, wanted = stored[f"{name}.input"], stored[f"{name}.heatmaps"]
    network = network_of(read_checkpoint(unpacked(name, tmp_path)))
    assert len(network.stacks) == (8 if name.endswith("8") else 2 if name in ("released", "head") else 1)
    for made in (network, fused(network)):
        with torch.inference_mode():
            got = made.last(torch.from_numpy(given)).numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-4, rtol=0)
        np.testing.assert_array_equal(peaks(got).points, peaks(wanted).points)


@pytest.mark.parametrize("name", ["cudnn", "function"])
def test_another_machines_types_and_functions(name: str, tmp_path: Path) -> None:
    """A GPU's type names mean the same numbers; a stored function is passed over."""
    ours, theirs = (read_checkpoint(unpacked(each, tmp_path)) for each in ("released", name))
    assert ours.tensors.keys() == theirs.tensors.keys()
    for key, tensor in ours.tensors.items():
        np.testing.assert_array_equal(theirs.tensors[key], tensor)


@pytest.mark.parametrize(("after", "modules"), [(False, 261), (True, 269)])
def test_what_we_write_is_what_we_read(after: bool, modules: int, tmp_path: Path) -> None:
    """A network of ours as .t7 has as many modules as the published code's, and comes back to the last bit."""
    torch.manual_seed(0)
    network = Hourglass(8, 8, 16, stem=4, after=after)
    graph = graph_module(network)
    assert len(graph.get("modules")) == modules
    write_torch7(tmp_path / "own.t7", graph)
    back = network_of(read_checkpoint(tmp_path / "own.t7")).state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(back[name], tensor), name
