"""MotionAGFormer: attention beside graph convolution, layer by layer, with its own tensor names.

References
----------
S. Mehraban, V. Adeli, B. Taati, "MotionAGFormer: Enhancing 3D human pose estimation with a transformer-GCNFormer
network", WACV 2024.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from posemill.networks.joint_attention import FeedForward, JointAttention, count, dimension
from posemill.skeleton import JOINT_SETS

__all__ = ["SIZES", "MotionAGFormer", "joint_graph", "sizes"]

SIZES: dict[str, dict[str, int]] = {
    "xs": {"depth": 12, "width": 64, "frames": 27},
    "s": {"depth": 26, "width": 64, "frames": 81},
    "b": {"depth": 16, "width": 128, "frames": 243},
    "l": {"depth": 26, "width": 128, "frames": 243},
}
"""The published ones: 2 241 531, 4 817 119, 11 723 811 and 19 007 111 parameters."""

# The published graph is the tree of the 17 joints, but these look at their neighbour without being looked at by it.
# So the network is not mirror-symmetric by itself; the average with the mirrored answer is.
_ONE_WAY = (("left_hip", "pelvis"), ("left_shoulder", "thorax"), ("right_shoulder", "thorax"))


def joint_graph() -> np.ndarray:
    """Normalised adjacency D^-1/2 A D^-1/2 of the joints, (17, 17) float32: row = who looks, D = out-degrees."""
    body = JOINT_SETS["h36m17"]
    graph = np.zeros((len(body), len(body)))
    for parent, child in body.bones:
        graph[parent, child] = graph[child, parent] = 1
    for looks, seen in _ONE_WAY:
        graph[body.index(seen), body.index(looks)] = 0
    scale = graph.sum(1) ** -0.5
    return (scale[:, None] * graph * scale).astype(np.float32)


class _GraphConvolution(nn.Module):
    """Graph convolution over the joints of a frame or the frames of a joint, (b, t, j, d) to the same.

    The graph of the joints is fixed. That of the frames joins each frame to the ``neighbours`` frames most like it
    (itself mostly among them), by the inner product of their features. The batch norm has one channel per node, so
    that the network knows frames by their number and works for one length of clip only.
    """

    def __init__(self, width: int, nodes: int, *, over: Literal["joints", "frames"], neighbours: int) -> None:
        super().__init__()
        if neighbours < 1:
            raise ValueError(f"{neighbours} neighbours are no graph")
        self.over = over
        self.neighbours = neighbours
        self.U = nn.Linear(width, width)
        self.V = nn.Linear(width, width)
        self.batch_norm = nn.BatchNorm1d(nodes)
        for linear in (self.U, self.V):
            nn.init.normal_(linear.weight, std=(2 / width) ** 0.5)
        if over == "joints":
            # Always on a real device: weights of a network that is built on the meta device are assigned, this is not.
            self.register_buffer("graph", torch.tensor(joint_graph(), device="cpu"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2) if self.over == "frames" else x
        shape = x.shape
        x = x.flatten(0, 1)
        graph = self.similar(x) if self.over == "frames" else self.get_buffer("graph").to(x.dtype)
        x = functional.relu(x + self.batch_norm(graph @ self.V(x) + self.U(x)))
        x = x.view(shape)
        return x.transpose(1, 2) if self.over == "frames" else x

    def similar(self, x: Tensor) -> Tensor:
        """Normalised graph of tokens (n, t, d): (n, t, t)."""
        likeness = x @ x.transpose(1, 2)
        # Ties with the last of the nearest are neighbours too.
        least = likeness.topk(min(self.neighbours, x.shape[1]), dim=-1).values[..., -1:]
        graph = (likeness >= least).to(x.dtype)
        scale = graph.sum(-1).rsqrt()
        return scale[..., :, None] * graph * scale[..., None, :]


class _Former(nn.Module):
    """Mixer and feed-forward layer, each normalised before and scaled per feature after."""

    def __init__(self, width: int, ratio: int, mixer: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, ratio * width)
        self.layer_scale_1 = nn.Parameter(torch.full((width,), 1e-5))
        self.layer_scale_2 = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale_1 * self.mixer(self.norm1(x))
        return x + self.layer_scale_2 * self.mlp(self.norm2(x))


class _Layer(nn.Module):
    """Two streams, attention and graph, each over joints and then frames; each token weighs the two."""

    def __init__(self, width: int, heads: int, ratio: int, frames: int, joints: int, neighbours: int) -> None:
        super().__init__()
        self.att_spatial = _Former(width, ratio, JointAttention(width, heads, over="joints", bias=False))
        self.att_temporal = _Former(width, ratio, JointAttention(width, heads, over="frames", bias=False))
        spatial = _GraphConvolution(width, joints, over="joints", neighbours=neighbours)
        temporal = _GraphConvolution(width, frames, over="frames", neighbours=neighbours)
        self.graph_spatial = _Former(width, ratio, spatial)
        self.graph_temporal = _Former(width, ratio, temporal)
        self.fusion = nn.Linear(2 * width, 2)
        # Both streams count alike at first.
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        attended = self.att_temporal(self.att_spatial(x))
        convolved = self.graph_temporal(self.graph_spatial(x))
        share = self.fusion(torch.cat([attended, convolved], -1)).softmax(-1)
        return attended * share[..., :1] + convolved * share[..., 1:]


class MotionAGFormer(nn.Module):
    """Keypoints of exactly ``frames`` frames to as many poses: (b, frames, 17, channels) to (b, frames, 17, 3).

    Parameters
    ----------
    depth, width, frames
        Layers, features of a token and length of a clip; see :data:`SIZES`.
    heads
        Attention heads.
    ratio
        Hidden features of the feed-forward layers over ``width``.
    neighbours
        Frames that a frame is joined to in the temporal graph.
    channels
        Per joint: x, y and the detector's confidence.
    representation
        Width of the last hidden layer.
    """

    def __init__(
        self,
        *,
        depth: int = 16,
        width: int = 128,
        frames: int = 243,
        heads: int = 8,
        ratio: int = 4,
        neighbours: int = 2,
        channels: int = 3,
        representation: int = 512,
        joints: int = 17,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.channels = channels
        self.joints_embed = nn.Linear(channels, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, joints, width))
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(_Layer(width, heads, ratio, frames, joints, neighbours) for _ in range(depth))
        self.rep_logit = nn.Sequential(OrderedDict(fc=nn.Linear(width, representation), act=nn.Tanh()))
        self.head = nn.Linear(representation, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(b, frames, 17, channels) to (b, frames, 17, 3)."""
        x = self.joints_embed(x) + self.pos_embed
        for layer in self.layers:
            x = layer(x)
        return self.head(self.rep_logit(self.norm(x)))


def sizes(tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Read the arguments of :class:`MotionAGFormer` off the shapes of its tensors.

    All but heads and neighbours, which are no shapes; those of size B where a tensor is absent.
    """
    width = dimension(tensors, "pos_embed", -1, 128)
    hidden = dimension(tensors, "layers.0.att_spatial.mlp.fc1.weight", 0, 4 * width)
    return {
        "depth": count(tensors, "layers", 16),
        "width": width,
        "frames": dimension(tensors, "layers.0.graph_temporal.mixer.batch_norm.weight", 0, 243),
        "ratio": max(hidden // max(width, 1), 1),
        "channels": dimension(tensors, "joints_embed.weight", 1, 3),
        "representation": dimension(tensors, "rep_logit.fc.weight", 0, 512),
    }
