"""ResNet with three deconvolutions: the simple baseline for 2D pose. Names of tensors are the authors'.

References
----------
B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018, arXiv:1804.06208.
K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BLOCKS", "PoseResnet"]

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Bottlenecks in each of the four layers, by depth."""
_EXPANSION = 4


class _Bottleneck(nn.Module):
    """1x1, 3x3 (which has the stride), 1x1 to four times the width, added to the input."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        out = width * _EXPANSION
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(width_in, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))
            if stride != 1 or width_in != out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        out = functional.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        return functional.relu(out + (x if self.downsample is None else self.downsample(x)), inplace=True)


class PoseResnet(nn.Module):
    """Pictures to heatmaps at a quarter of their size.

    ``PoseResnet(50, 16)`` has 33 999 440 parameters, 101 layers 52 991 568, 152 layers 68 635 216.

    Parameters
    ----------
    depth
        50, 101 or 152.
    joints
        16 for MPII, 17 for COCO.
    """

    def __init__(self, depth: int = 50, joints: int = 16) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth: expected {', '.join(map(str, BLOCKS))}, got {depth}")
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        width_in = 64
        for layer, count in enumerate(BLOCKS[depth], start=1):
            width = 64 * 2 ** (layer - 1)
            blocks = []
            for i in range(count):
                blocks.append(_Bottleneck(width_in, width, 2 if i == 0 and layer > 1 else 1))
                width_in = width * _EXPANSION
            self.add_module(f"layer{layer}", nn.Sequential(*blocks))
        ups: list[nn.Module] = []
        for _ in range(3):
            ups += [nn.ConvTranspose2d(width_in, 256, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(256)]
            ups.append(nn.ReLU(inplace=True))
            width_in = 256
        self.deconv_layers = nn.Sequential(*ups)
        self.final_layer = nn.Conv2d(256, joints, 1)
        # The authors' start of what no ImageNet weights are for.
        for module in self.deconv_layers:
            if isinstance(module, nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.001)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        self.final_layer.bias = nn.Parameter(torch.zeros(joints))

    def forward(self, x: Tensor) -> Tensor:
        """Heatmaps (N, joints, H/4, W/4) of pictures (N, 3, H, W), normalised, sides multiples of 32."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for layer in range(1, 5):
            x = self.get_submodule(f"layer{layer}")(x)
        return self.final_layer(self.deconv_layers(x))
