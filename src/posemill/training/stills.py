"""Single frames first: convolutions over time that let one frame through their middle taps.

A window of 27 frames costs several times a frame. What a pose looks like is learnt from frames; what the frames beside
it add is learnt after that, from a network that begins where the frames have led.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posemill.training.engine import Training

__all__ = ["frames_of", "silence_neighbours", "with_matrix_convolutions"]


def frames_of(training: Training, index: int, frames: int, stills: float) -> int:
    """Frames of the windows of a pool: 1 where all its batches are of the share of the training that sees stills."""
    ends = (index + 1) * training.passes * (training.pool_rows // training.batch)
    return 1 if ends <= stills * training.steps else frames


def silence_neighbours(network: Any) -> None:
    """Set all but the middle taps of convolutions to 0, in place: what stills have taught holds for windows too."""
    import torch
    from torch import nn

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv1d):
                (width,) = module.kernel_size
                module.weight[:, :, : width // 2] = 0
                module.weight[:, :, width // 2 + 1 :] = 0


def with_matrix_convolutions(network: Any) -> Any:
    """Let convolutions whose stride is their width run as matrix products: many times as fast backwards on CPUs.

    A single frame goes through their middle taps.
    """
    from torch import nn
    from torch.nn import functional

    def forward(self: Any, x: Any) -> Any:
        (width,) = self.kernel_size
        n, channels, frames = x.shape
        if frames == 1 < width and self.stride == self.kernel_size:
            return functional.linear(x[:, :, 0], self.weight[:, :, width // 2], self.bias)[:, :, None]
        if self.stride != self.kernel_size or frames % width:
            return nn.Conv1d.forward(self, x)
        rows = x.reshape(n, channels, frames // width, width).transpose(1, 2).flatten(2)
        return functional.linear(rows, self.weight.flatten(1), self.bias).transpose(1, 2)

    for module in network.modules():
        if isinstance(module, nn.Conv1d):
            module.forward = forward.__get__(module)
    return network
