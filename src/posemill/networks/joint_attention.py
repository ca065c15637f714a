"""Self-attention over the joints of a frame or the frames of a joint, as the DSTformer family has it.

Axes: b - clip, t - frame, j - joint, d - feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FeedForward", "JointAttention", "count", "dimension"]


class JointAttention(nn.Module):
    """Multi-head scaled dot-product attention, (b, t, j, d) to (b, t, j, d).

    Parameters
    ----------
    over
        ``joints``: the joints of each frame attend to each other. ``frames``: the frames of each joint do.
    bias
        Whether queries, keys and values have a bias.
    """

    def __init__(self, width: int, heads: int, *, over: Literal["joints", "frames"], bias: bool) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"{width} features are not to be shared by {heads} heads")
        self.heads = heads
        self.over = over
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, j, d) to the same."""
        x = x.transpose(1, 2) if self.over == "frames" else x
        outer, inner, tokens, width = x.shape
        parts = self.qkv(x).view(outer * inner, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(query, key, value)
        y = self.proj(y.transpose(1, 2).reshape(outer, inner, tokens, width))
        return y.transpose(1, 2) if self.over == "frames" else y


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU between them, token by token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) to the same."""
        return self.fc2(functional.gelu(self.fc1(x)))


def dimension(tensors: Mapping[str, np.ndarray], name: str, axis: int, otherwise: int) -> int:
    """Size of one axis of a tensor, at least 1; ``otherwise`` where there is no such tensor or axis."""
    shape = tensors[name].shape if name in tensors else ()
    return max(int(shape[axis]), 1) if -len(shape) <= axis < len(shape) else otherwise


def count(tensors: Mapping[str, np.ndarray], start: str, otherwise: int) -> int:
    """How many layers there are, from 0 on, with tensors ``{start}.{number}.…``; ``otherwise`` if there are none."""
    found = {name[len(start) + 1 :].split(".")[0] for name in tensors if name.startswith(start + ".")}
    layers = next(number for number in range(len(found) + 1) if str(number) not in found)
    return layers or otherwise
