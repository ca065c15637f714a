"""The temporal convolutional lifter of Pavllo et al. 2019 (VideoPose3D).

One set of parameters, three ways to run it, all with the same answers:

- :class:`TemporalModel` slides over a sequence with dilated convolutions;
- :class:`TemporalModelOptimized1f` answers one frame of each window of exactly the receptive field, with strides
  instead of dilations, which is what training needs;
- :class:`posemill.networks.temporal_stream.TemporalStream` runs over a sequence of any length in blocks.

Names of parameters are those of the published checkpoints.

References
----------
D. Pavllo, C. Feichtenhofer, D. Grangier, M. Auli, "3D human pose estimation in video with temporal convolutions and
semi-supervised training", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from posemill.errors import InputError, expected

__all__ = ["TemporalModel", "TemporalModelOptimized1f", "sizes_of"]


class _Temporal(nn.Module):
    """The parameters, and what follows from the filter widths."""

    strided = False

    def __init__(
        self,
        joints_in: int = 17,
        features_in: int = 2,
        joints_out: int = 17,
        filter_widths: Sequence[int] = (3, 3, 3, 3, 3),
        *,
        channels: int = 1024,
        causal: bool = False,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        if not filter_widths or any(width < 1 or width % 2 == 0 for width in filter_widths):
            raise InputError(expected("filter widths", "odd numbers", list(filter_widths)))
        self.joints_in, self.features_in, self.joints_out = joints_in, features_in, joints_out
        self.filter_widths, self.causal, self.channels = tuple(filter_widths), causal, channels
        self.dropout = nn.Dropout(dropout)
        first, *widths = self.filter_widths
        step = first if self.strided else 1
        self.expand_conv = nn.Conv1d(joints_in * features_in, channels, first, stride=step, bias=False)
        self.expand_bn = nn.BatchNorm1d(channels)
        convolutions: list[nn.Conv1d] = []
        for width, dilation in zip(widths, self.dilations, strict=True):
            stride, apart = (width, 1) if self.strided else (1, dilation)
            convolutions.append(nn.Conv1d(channels, channels, width, stride=stride, dilation=apart, bias=False))
            convolutions.append(nn.Conv1d(channels, channels, 1, bias=False))
        self.layers_conv = nn.ModuleList(convolutions)
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(channels) for _ in convolutions)
        self.shrink = nn.Conv1d(channels, 3 * joints_out, 1)

    @property
    def dilations(self) -> tuple[int, ...]:
        """Distance in frames between the taps of each block's filter (the blocks after the first layer)."""
        widths = self.filter_widths
        return tuple(prod(widths[:i]) for i in range(1, len(widths)))

    @property
    def receptive_field(self) -> int:
        """Frames that one answer looks at."""
        return prod(self.filter_widths)

    @property
    def padding(self) -> tuple[int, int]:
        """Frames to add before and after a sequence so that every frame gets an answer."""
        half = (self.receptive_field - 1) // 2
        return (2 * half, 0) if self.causal else (half, half)

    def set_momentum(self, momentum: float) -> None:
        """Set the momentum of every batch norm; the paper lets it decay from 0.1 to 0.001 over training."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = momentum

    def _residual(self, x: Tensor, width: int, dilation: int) -> Tensor:
        raise AssertionError("a subclass says which frames of a block's input its output is added to")

    def forward(self, keypoints: Tensor) -> Tensor:
        """Keypoints (B, T, J_in, F) to metres (B, T', J_out, 3)."""
        x = keypoints.flatten(2).transpose(1, 2)
        x = self.dropout(functional.relu(self.expand_bn(self.expand_conv(x))))
        convolutions, norms = list(self.layers_conv), list(self.layers_bn)
        for i, (width, dilation) in enumerate(zip(self.filter_widths[1:], self.dilations, strict=True)):
            skipped = self._residual(x, width, dilation)
            x = self.dropout(functional.relu(norms[2 * i](convolutions[2 * i](x))))
            x = skipped + self.dropout(functional.relu(norms[2 * i + 1](convolutions[2 * i + 1](x))))
        x = self.shrink(x).transpose(1, 2)
        return x.unflatten(2, (self.joints_out, 3))


class TemporalModel(_Temporal):
    """Dilated form: a sequence of T frames gives T - receptive_field + 1 answers.

    ``TemporalModel()`` is the published network: 16 952 371 trainable parameters, 243 frames.

    Parameters
    ----------
    joints_in, features_in, joints_out
        17, 2 and 17 in the published pose networks; ``joints_out=1`` is the trajectory network.
    filter_widths
        Odd; their product is the receptive field: five times 3 for 243 frames.
    channels, dropout
        1024 and 0.25 in the paper.
    causal
        Look at the past only.
    """

    def _residual(self, x: Tensor, width: int, dilation: int) -> Tensor:
        pad = (width - 1) * dilation // 2
        shift = (width // 2) * dilation if self.causal else 0
        return x[:, :, pad + shift : x.shape[2] - pad + shift]


class TemporalModelOptimized1f(_Temporal):
    """Strided form for windows of exactly ``receptive_field`` frames, (B, RF, J_in, F) to (B, 1, J_out, 3).

    With convolutions that let a single frame through, it takes that too.
    """

    strided = True

    def _residual(self, x: Tensor, width: int, dilation: int) -> Tensor:
        del dilation
        if x.shape[2] == 1:
            return x
        return x[:, :, width // 2 + (width // 2 if self.causal else 0) :: width]


def sizes_of(shapes: Mapping[str, tuple[int, ...]], joints_in: int = 17) -> dict[str, Any]:
    """Read the constructor's arguments off the shapes of a checkpoint's tensors.

    ``causal`` leaves no trace in the shapes and is not among them. An empty dict means that these are not the shapes
    of such a network.
    """
    expand, shrink = shapes.get("expand_conv.weight", ()), shapes.get("shrink.weight", ())
    layers = sum(name.startswith("layers_conv.") and name.endswith(".weight") for name in shapes)
    kernels = [expand, *(shapes.get(f"layers_conv.{i}.weight", ()) for i in range(0, layers, 2))]
    if len(shrink) != 3 or any(len(kernel) != 3 or not kernel[2] % 2 for kernel in kernels):
        return {}
    if shrink[0] % 3 or expand[1] % joints_in or any(a[0] != b[1] for a, b in pairwise(kernels)):
        return {}
    return {
        "joints_in": joints_in,
        "features_in": expand[1] // joints_in,
        "joints_out": shrink[0] // 3,
        "filter_widths": [kernel[2] for kernel in kernels],
        "channels": expand[0],
    }
