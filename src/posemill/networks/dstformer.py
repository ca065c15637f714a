"""DSTformer, the dual-stream spatio-temporal transformer of MotionBERT, with its own tensor names.

References
----------
W. Zhu, X. Ma, Z. Liu, L. Liu, W. Wu, Y. Wang, "MotionBERT: A unified perspective on learning human motion
representations", ICCV 2023.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from posemill.networks.joint_attention import FeedForward, JointAttention, count, dimension

__all__ = ["FULL", "LITE", "DSTformer", "sizes"]

FULL: dict[str, int] = {"width": 512, "ratio": 2}
"""42 466 317 parameters."""
LITE: dict[str, int] = {"width": 256, "ratio": 4}
"""16 001 549 parameters."""

# As published; PyTorch's own default is 1e-5.
_NORM_EPS = 1e-6


class _Block(nn.Module):
    """Attention and feed-forward over joints (s) and frames (t), one after the other in the given order."""

    def __init__(self, width: int, heads: int, ratio: int, order: Literal["st", "ts"]) -> None:
        super().__init__()
        self.order = order
        over: dict[str, Literal["joints", "frames"]] = {"s": "joints", "t": "frames"}
        for axis in "st":
            self.add_module(f"norm1_{axis}", nn.LayerNorm(width, eps=_NORM_EPS))
            self.add_module(f"attn_{axis}", JointAttention(width, heads, over=over[axis], bias=True))
            self.add_module(f"norm2_{axis}", nn.LayerNorm(width, eps=_NORM_EPS))
            self.add_module(f"mlp_{axis}", FeedForward(width, ratio * width))

    def forward(self, x: Tensor) -> Tensor:
        for axis in self.order:
            for norm, layer in (("norm1", "attn"), ("norm2", "mlp")):
                x = x + self.get_submodule(f"{layer}_{axis}")(self.get_submodule(f"{norm}_{axis}")(x))
        return x


class DSTformer(nn.Module):
    """Keypoints of up to ``frames`` frames to as many poses: (b, t, 17, channels) to (b, t, 17, 3).

    Parameters
    ----------
    width
        Features of a token.
    depth
        Pairs of blocks: one looks at joints first and then at frames, the other the other way round, and each token
        weighs the two.
    heads
        Attention heads.
    ratio
        Hidden features of the feed-forward layers over ``width``.
    frames
        Length of the temporal embedding: no longer clip can be looked at at once.
    channels
        Per joint: x, y and the detector's confidence; 2 without the latter.
    representation
        Width of the last hidden layer.
    """

    def __init__(
        self,
        *,
        width: int = 512,
        depth: int = 5,
        heads: int = 8,
        ratio: int = 2,
        frames: int = 243,
        channels: int = 3,
        representation: int = 512,
        joints: int = 17,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.channels = channels
        self.joints_embed = nn.Linear(channels, width)
        self.blocks_st = nn.ModuleList(_Block(width, heads, ratio, "st") for _ in range(depth))
        self.blocks_ts = nn.ModuleList(_Block(width, heads, ratio, "ts") for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=_NORM_EPS)
        self.pre_logits = nn.Sequential(OrderedDict(fc=nn.Linear(width, representation), act=nn.Tanh()))
        self.head = nn.Linear(representation, 3)
        self.temp_embed = nn.Parameter(torch.zeros(1, frames, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, joints, width))
        self.ts_attn = nn.ModuleList(nn.Linear(2 * width, 2) for _ in range(depth))
        self._initialise()

    def _initialise(self) -> None:
        for embedding in (self.temp_embed, self.pos_embed):
            nn.init.trunc_normal_(embedding, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for fusion in self.ts_attn:
            # Both streams count alike at first.
            assert isinstance(fusion, nn.Linear)
            nn.init.zeros_(fusion.weight)
            nn.init.constant_(fusion.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, 17, channels) with t <= frames to (b, t, 17, 3)."""
        x = self.joints_embed(x) + self.pos_embed + self.temp_embed[:, : x.shape[1]]
        for joints_first, frames_first, fusion in zip(self.blocks_st, self.blocks_ts, self.ts_attn, strict=True):
            st, ts = joints_first(x), frames_first(x)
            share = fusion(torch.cat([st, ts], -1)).softmax(-1)
            x = st * share[..., :1] + ts * share[..., 1:]
        return self.head(self.pre_logits(self.norm(x)))


def sizes(tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Read the arguments of :class:`DSTformer` off the shapes of its tensors.

    All but the number of heads, which is no shape; the full network's where a tensor is absent.
    """
    width = dimension(tensors, "pos_embed", -1, 512)
    hidden = dimension(tensors, "blocks_st.0.mlp_s.fc1.weight", 0, 2 * width)
    return {
        "width": width,
        "depth": count(tensors, "blocks_st", 5),
        "ratio": max(hidden // max(width, 1), 1),
        "frames": dimension(tensors, "temp_embed", 1, 243),
        "channels": dimension(tensors, "joints_embed.weight", 1, 3),
        "representation": dimension(tensors, "pre_logits.fc.weight", 0, 512),
    }
