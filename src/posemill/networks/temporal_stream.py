"""Run a temporal convolutional network over a sequence of any length, block by block.

Every convolution of the network is a sum of matrix products, one per tap, over frames that lie next to each other in
memory; batch norms are folded into them. Each layer keeps the last frames of its input, so that blocks need not
overlap: nothing is computed twice, memory does not grow with the sequence, and the answers are those of one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from posemill.networks.temporal import TemporalModel

__all__ = ["TemporalStream"]


@dataclass(frozen=True)
class _Layer:
    """A convolution with its batch norm: ``taps`` (width, C_in, C_out), ``bias`` (C_out,)."""

    taps: Tensor
    bias: Tensor
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Frames of the past that the first answer needs beside its own."""
        return (len(self.taps) - 1) * self.dilation

    def __call__(self, x: Tensor, *, relu: bool = True) -> Tensor:
        """Frames (T, C_in) to (T - reach, C_out)."""
        frames = len(x) - self.reach
        y = torch.addmm(self.bias, x[:frames], self.taps[0])
        for tap, weight in enumerate(self.taps[1:], start=1):
            y.addmm_(x[tap * self.dilation : tap * self.dilation + frames], weight)
        return y.relu_() if relu else y

    def constant(self) -> _Layer:
        """Return the layer that answers alike where all frames of the input are equal."""
        return _Layer(self.taps.sum(0, keepdim=True), self.bias)


def _fold(convolution: Any, norm: Any, dilation: int = 1) -> _Layer:
    """Fold a batch norm in inference into the convolution before it."""
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    taps = convolution.weight.double().permute(2, 1, 0) * scale
    bias = norm.bias.double() - norm.running_mean.double() * scale
    return _Layer(taps.float().contiguous(), bias.float(), dilation)


class TemporalStream:
    """A network ready for sequences; several :meth:`start` from the same one.

    Parameters
    ----------
    network
        In its dilated form; its weights are copied.
    device
        Where to compute.
    """

    def __init__(self, network: TemporalModel, device: str | torch.device = "cpu") -> None:
        network = network.eval().to(device)
        with torch.inference_mode():
            self._first = _fold(network.expand_conv, network.expand_bn)
            self._blocks = [
                (
                    _fold(network.layers_conv[2 * i], network.layers_bn[2 * i], dilation),
                    _fold(network.layers_conv[2 * i + 1], network.layers_bn[2 * i + 1]),
                )
                for i, dilation in enumerate(network.dilations)
            ]
            bias = network.shrink.bias
            assert isinstance(bias, nn.Parameter)
            self._last = _Layer(network.shrink.weight.permute(2, 1, 0).contiguous(), bias.detach().clone())
        # Where in its reach a block's answer takes the input that is added to it: the middle, or the newest frame.
        self._late = 1.0 if network.causal else 0.5
        self.padding = network.padding
        self.receptive_field = network.receptive_field
        self.device = torch.device(device)

    def start(self) -> _Sequence:
        """Begin a sequence."""
        return _Sequence(self)

    def still(self, inputs: Tensor) -> Tensor:
        """Answer frames that stand alone, (B, J_in * F) to (B, 3 * J_out): each as if it had always been like that."""
        with torch.inference_mode():
            x = self._first.constant()(inputs.to(self.device))
            for wide, narrow in self._blocks:
                x = x + narrow(wide.constant()(x))
            return self._last(x, relu=False)


class _Sequence:
    """What a stream remembers of one sequence."""

    def __init__(self, stream: TemporalStream) -> None:
        self._stream = stream
        self._past: list[Tensor | None] = [None] * (1 + len(stream._blocks))

    def push(self, inputs: Tensor) -> Tensor:
        """Take the next frames (N, J_in * F); return the answers that they complete, (M, 3 * J_out), in order.

        All pushes together give receptive_field - 1 answers fewer than frames.
        """
        stream = self._stream
        with torch.inference_mode():
            x = self._with_past(0, inputs.to(stream.device), stream._first.reach)
            if len(x) <= stream._first.reach:
                return self._nothing(x)
            x = stream._first(x)
            for i, (wide, narrow) in enumerate(stream._blocks, start=1):
                x = self._with_past(i, x, wide.reach)
                frames = len(x) - wide.reach
                if frames <= 0:
                    return self._nothing(x)
                late = int(wide.reach * stream._late)
                x = narrow(wide(x)).add_(x[late : late + frames])
            return stream._last(x, relu=False)

    def _with_past(self, layer: int, x: Tensor, reach: int) -> Tensor:
        past = self._past[layer]
        x = x if past is None else torch.cat([past, x])
        # A copy, so that the block itself can be freed.
        self._past[layer] = x[max(len(x) - reach, 0) :].clone()
        return x

    def _nothing(self, x: Tensor) -> Tensor:
        return x.new_empty((0, len(self._stream._last.bias)))
