"""The stacked hourglass of Newell et al. 2016, in the form of the released weights and in that of the later code.

Modules are registered in the order in which the Torch7 network lists its own, so that weights go from one to the other
by position: :func:`layers` gives that order.

References
----------
A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016, arXiv:1603.06937.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["DEPTH", "Hourglass", "Level", "Residual", "Stack", "empty", "fused", "layers", "parameter_count"]

DEPTH = 4
"""Times that an hourglass halves its picture."""


class Residual(nn.Module):
    """Pre-activation bottleneck: 1x1 to half the width, 3x3, 1x1; the skip is a bare 1x1 where the width changes."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        half = width_out // 2
        self.norm1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, half, 1)
        self.norm2 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1)
        self.norm3 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, width_out, 1)
        self.skip = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, width_in, H, W) to (N, width_out, H, W)."""
        out = self.conv1(functional.relu(self.norm1(x), inplace=True))
        out = self.conv2(functional.relu(self.norm2(out), inplace=True))
        out = self.conv3(functional.relu(self.norm3(out), inplace=True))
        return out + (x if self.skip is None else self.skip(x))


def _residuals(count: int, width: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(width, width) for _ in range(count)))


class Level(nn.Module):
    """One octave of an hourglass: its own resolution kept, and half of it seen by the next level."""

    def __init__(self, depth: int, width: int, modules: int) -> None:
        super().__init__()
        self.skip = _residuals(modules, width)
        self.down = _residuals(modules, width)
        self.inner = Level(depth - 1, width, modules) if depth > 1 else _residuals(modules, width)
        self.up = _residuals(modules, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) to the same shape; H and W even at every level."""
        low = self.up(self.inner(self.down(functional.max_pool2d(x, 2))))
        return self.skip(x) + functional.interpolate(low, scale_factor=2.0, mode="nearest")


class Stack(nn.Module):
    """An hourglass, its heatmaps and, but for the last one, what the next one is told of them."""

    def __init__(self, features: int, joints: int, modules: int, *, after: bool, last: bool) -> None:
        super().__init__()
        self.hourglass = Level(DEPTH, features, modules)
        self.after = _residuals(modules, features) if after else nn.Sequential()
        # The earlier form has as many of these as modules, the later one one.
        lins = 1 if after else modules
        parts = [
            (nn.Conv2d(features, features, 1), nn.BatchNorm2d(features), nn.ReLU(inplace=True)) for _ in range(lins)
        ]
        self.lin = nn.Sequential(*(part for three in parts for part in three))
        self.heatmaps = nn.Conv2d(features, joints, 1)
        self.from_lin = None if last else nn.Conv2d(features, features, 1)
        self.from_heatmaps = None if last else nn.Conv2d(joints, features, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, features, H, W) to heatmaps (N, joints, H, W) and the next stack's input."""
        lin = self.lin(self.after(self.hourglass(x)))
        maps = self.heatmaps(lin)
        if self.from_lin is None or self.from_heatmaps is None:
            return maps, x
        return maps, x + self.from_lin(lin) + self.from_heatmaps(maps)


class Hourglass(nn.Module):
    """Stacked hourglasses.

    ``Hourglass()`` has 23 717 888 parameters and takes the released weights; ``Hourglass(after=True)`` has 25 434 112.

    Parameters
    ----------
    stacks, features, joints, modules
        8, 256, 16 and 1 as published; ``modules`` residuals at each place of an hourglass.
    after
        ``modules`` residuals between each hourglass and its 1x1 layer, as in the authors' code since September 2016.
    stem, middle
        Widths after the first convolution and after the second residual; 64 and 128 as published (``middle``: twice
        ``stem``, which is the width after the first residual). Some PyTorch versions have 64 and 256.
    """

    def __init__(
        self,
        stacks: int = 8,
        features: int = 256,
        joints: int = 16,
        modules: int = 1,
        after: bool = False,
        stem: int = 64,
        middle: int | None = None,
    ) -> None:
        super().__init__()
        middle = 2 * stem if middle is None else middle
        widths = (features, stem, middle)
        if min(stacks, joints, modules) < 1 or min(widths) < 2 or any(width % 2 for width in widths):
            raise ValueError("expected positive sizes and even widths")
        self.conv = nn.Conv2d(3, stem, 7, stride=2, padding=3)
        self.norm = nn.BatchNorm2d(stem)
        self.stem1 = Residual(stem, 2 * stem)
        self.stem2 = Residual(2 * stem, middle)
        self.stem3 = Residual(middle, features)
        self.stacks = nn.ModuleList(
            Stack(features, joints, modules, after=after, last=i == stacks - 1) for i in range(stacks)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Heatmaps of every stack, the last one's to be used.

        Parameters
        ----------
        x
            (N, 3, R, R) RGB in [0, 1], nothing subtracted; R a multiple of 64 (a rectangle of such sides works too).

        Returns
        -------
        list of (N, joints, R/4, R/4), linear.
        """
        if x.shape[-1] % 64 or x.shape[-2] % 64:
            raise ValueError(f"expected sides that are multiples of 64, got {tuple(x.shape[-2:])}")
        x = self.stem1(functional.relu(self.norm(self.conv(x)), inplace=True))
        x = self.stem3(self.stem2(functional.max_pool2d(x, 2)))
        answers = []
        for stack in self.stacks:
            maps, x = stack(x)
            answers.append(maps)
        return answers

    def last(self, x: Tensor) -> Tensor:
        """Heatmaps (N, joints, R/4, R/4) of the last stack alone."""
        return self(x)[-1]


def layers(network: Hourglass) -> Iterator[tuple[str, nn.Conv2d | nn.BatchNorm2d]]:
    """Names and modules of all convolutions and batch norms, in the order of the Torch7 network's list of modules."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            yield name, module


def fused(network: Hourglass) -> Hourglass:
    """Take batch norms that follow a convolution into it: the same answers, fewer passes over memory.

    The network is changed; it must be in evaluation mode, and its tensors no longer have the names of weights files.
    """
    for module in list(network.modules()):
        if isinstance(module, Residual):
            _fuse(module, "conv1", "norm2")
            _fuse(module, "conv2", "norm3")
        elif isinstance(module, Stack):
            for i in range(0, len(module.lin), 3):
                _fuse(module.lin, str(i), str(i + 1))
    _fuse(network, "conv", "norm")
    return network


def _fuse(parent: nn.Module, conv: str, norm: str) -> None:
    first, second = parent.get_submodule(conv), parent.get_submodule(norm)
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d)
    parent.register_module(conv, fuse_conv_bn_eval(first, second))
    parent.register_module(norm, nn.Identity())


def parameter_count(network: nn.Module) -> int:
    """Trained numbers of a network, running statistics not counted."""
    return sum(parameter.numel() for parameter in network.parameters())


def empty(**sizes: int | bool) -> Hourglass:
    """A network of these sizes that has no memory yet, to compare shapes with."""
    with torch.device("meta"):
        return Hourglass(**sizes)  # pyright: ignore[reportArgumentType]
