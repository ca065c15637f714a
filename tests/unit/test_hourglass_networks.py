"""The networks that make heatmaps: sizes, names, and others' weights by our names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posemill.errors import InputError
from posemill.lifters.loading import build
from posemill.networks.hourglass import Hourglass, empty, fused, layers, parameter_count
from posemill.networks.hourglass_names import from_pytorch
from posemill.networks.pose_resnet import PoseResnet


@pytest.mark.parametrize(("after", "count"), [(False, 23_717_888), (True, 25_434_112)])
def test_published_hourglasses(after: bool, count: int) -> None:
    """As many parameters as the released network and as that of the later code."""
    assert parameter_count(empty(after=after)) == count


@pytest.mark.parametrize(("depth", "count"), [(50, 33_999_697), (101, 52_991_825), (152, 68_635_473)])
def test_published_pose_resnets(depth: int, count: int) -> None:
    """As many parameters as the authors' for the 17 joints of COCO; 338 tensors of 50 layers."""
    with torch.device("meta"):
        network = PoseResnet(depth, 17)
    assert parameter_count(network) == count
    assert len(network.state_dict()) == {50: 338, 101: 644, 152: 950}[depth]
    assert network(torch.zeros(1, 3, 256, 192, device="meta")).shape == (1, 17, 64, 48)


def test_hourglass_answers_at_a_quarter() -> None:
    """One answer for each stack; sides that an hourglass cannot halve so often are refused."""
    network = Hourglass(2, 8, 16, stem=4).eval()
    assert [tuple(maps.shape) for maps in network(torch.zeros(1, 3, 128, 64))] == [(1, 16, 32, 16)] * 2
    with pytest.raises(ValueError, match="64"):
        network(torch.zeros(1, 3, 96, 64))


@pytest.mark.parametrize("form", [{}, {"after": True, "modules": 2}, {"modules": 2}])
def test_fused_norms_change_nothing(form: dict) -> None:
    """Batch norms taken into the convolutions before them: the same heatmaps."""
    torch.manual_seed(0)
    network = Hourglass(2, 8, 3, stem=4, **form).eval()
    for _, layer in layers(network):
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(fused(network).last(x), network.last(x), atol=1e-5, rtol=1e-4)


_PLACES = {"skip": 0, "down": 1, "up": 2}


def as_in_pytorch(network: Hourglass) -> dict[str, np.ndarray]:
    """A network's tensors by the names of the common PyTorch versions, written out by hand."""
    names = {}
    own = network.state_dict()

    def take(ours: str, theirs: str) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            if f"{ours}.{part}" in own:
                names[f"{theirs}.{part}"] = own[f"{ours}.{part}"].numpy()

    def residual(ours: str, theirs: str) -> None:
        for i in (1, 2, 3):
            take(f"{ours}.norm{i}", f"{theirs}.bn{i}")
            take(f"{ours}.conv{i}", f"{theirs}.conv{i}")
        take(f"{ours}.skip", f"{theirs}.downsample.0")

    take("conv", "conv1")
    take("norm", "bn1")
    for i in (1, 2, 3):
        residual(f"stem{i}", f"layer{i}.0")
    for s, stack in enumerate(network.stacks):
        for level in range(4):
            inner = f"stacks.{s}.hourglass" + ".inner" * (3 - level)
            for place, number in _PLACES.items():
                residual(f"{inner}.{place}.0", f"hg.{s}.hg.{level}.{number}.0")
        residual(f"stacks.{s}.hourglass.inner.inner.inner.inner.0", f"hg.{s}.hg.0.3.0")
        residual(f"stacks.{s}.after.0", f"res.{s}.0")
        take(f"stacks.{s}.lin.0", f"fc.{s}.0")
        take(f"stacks.{s}.lin.1", f"fc.{s}.1")
        for ours, theirs in {"heatmaps": "score", "from_lin": "fc_", "from_heatmaps": "score_"}.items():
            if getattr(stack, ours) is not None:
                take(f"stacks.{s}.{ours}", f"{theirs}.{s}")
    return names


@pytest.mark.parametrize("middle", [8, 16])
def test_pytorch_versions_by_our_names(middle: int) -> None:
    """Every tensor finds its place, and the sizes are read from them."""
    torch.manual_seed(0)
    network = Hourglass(2, 16, 5, after=True, stem=4, middle=middle).eval()
    tensors, sizes = from_pytorch(as_in_pytorch(network), "here")
    again = build(Hourglass, sizes, tensors, "here")
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(again.last(x), network.last(x))


def test_other_networks_tensors_are_named() -> None:
    """A tensor that no stacked hourglass has is said."""
    tensors = as_in_pytorch(Hourglass(1, 4, 2, after=True, stem=2))
    with pytest.raises(InputError, match="layer4"):
        from_pytorch({**tensors, "layer4.0.conv1.weight": np.zeros(3)}, "here")
    with pytest.raises(InputError, match="parts of one"):
        from_pytorch({k: v for k, v in tensors.items() if k.startswith("conv1")}, "here")
