"""The network of the lifter ``posemill``: each frame by itself, then its neighbours in time, any number of frames.

Residual blocks of two matrices on every frame (after Martinez et al. 2017); between them blocks that also see the
frames ``d`` before and after, ``d`` growing from block to block (dilated convolution over time, after Pavllo et al.
2019). Beyond the ends of a clip there is nothing: zeros, as for a neighbour that is not there. Without its later
neighbours (``causal``) the same network serves live use; it is trained for both.

Output per frame and joint: x, y, z relative to the pelvis in metres of the standard body, in the frame of
:mod:`posemill.networks.clip_rays`, and the logarithms of a sigma for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from posemill.networks.clip_rays import INPUT_WIDTH, mirrored
from posemill.skeleton import JOINT_SETS

__all__ = ["JOINTS_OUT", "PosemillNet", "predict"]

_SET = JOINT_SETS["posemill21"]
JOINTS_OUT = len(_SET) - 1
"""Joints of posemill21 but the pelvis, which is the origin."""
_FLIP = _SET.flip_permutation[1:] - 1


class _Frame(nn.Module):
    """What a frame says by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        _begin_small(self.outer)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(functional.relu(self.inner(self.norm(x))))


class _Time(nn.Module):
    """What a frame says together with those ``dilation`` frames before and after."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(3 * width, width)
        self.outer = nn.Linear(width, width)
        _begin_small(self.outer)

    def forward(self, x: Tensor, after: Tensor | None, stride: int) -> Tensor:
        """``after`` (N, 1, 1): 0 for clips whose later frames are not seen; None: all are."""
        h, reach, frames = self.norm(x), self.dilation * stride, x.shape[1]
        if reach < frames:
            rim = functional.pad(h, (0, 0, reach, reach))
            earlier, later = rim[:, :frames], rim[:, 2 * reach :]
        else:
            earlier = later = torch.zeros_like(h)
        if after is not None:
            later = later * after.to(later.dtype)
        return x + self.outer(functional.relu(self.inner(torch.cat([earlier, h, later], -1))))


def _begin_small(layer: nn.Linear) -> None:
    # Blocks begin near the identity.
    with torch.no_grad():
        layer.weight.mul_(0.5)
        layer.bias.zero_()


class PosemillNet(nn.Module):
    """See the module's head.

    Parameters
    ----------
    width
        Of all blocks.
    before, after
        Blocks of single frames before and after those over time.
    dilations
        One block over time for each.
    """

    def __init__(self, width: int = 384, before: int = 2, dilations: Sequence[int] = (1, 3, 9), after: int = 1) -> None:
        super().__init__()
        self.dilations = tuple(dilations)
        self.first = nn.Linear(INPUT_WIDTH, width)
        self.before = nn.ModuleList(_Frame(width) for _ in range(before))
        self.time = nn.ModuleList(_Time(width, d) for d in self.dilations)
        self.after = nn.ModuleList(_Frame(width) for _ in range(after))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, 6 * JOINTS_OUT)
        with torch.no_grad():
            # Metres are small numbers.
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()

    @property
    def reach(self) -> int:
        """How many frames before and after one answer looks at."""
        return sum(self.dilations)

    def forward(self, x: Tensor, after: Tensor | None = None, stride: int = 1) -> Tensor:
        """Inputs (N, T, INPUT_WIDTH) to (N, T, 6 * JOINTS_OUT): positions, then logarithms of sigma.

        Parameters
        ----------
        after
            (N, 1, 1): 1 where later frames are seen, 0 where not; None: all are.
        stride
            Neighbours in time are so many frames apart: clips of a high frame rate are seen at a lower one.
        """
        x = self.first(x)
        for block in self.before:
            x = block(x)
        for block in self.time:
            x = block(x, after, stride)
        for block in self.after:
            x = block(x)
        return self.last(self.norm(x))


def predict(
    network: PosemillNet, inputs: np.ndarray, *, flip: bool, causal: bool = False, stride: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, T, JOINTS_OUT, 3) m and their sigmas, of inputs (N, T, INPUT_WIDTH); float64.

    ``flip``: the mean over the person and the mirrored person turned back, whose disagreement enters sigma.
    """
    device = next(network.parameters()).device
    after = torch.zeros((len(inputs), 1, 1), device=device) if causal else None

    def answer(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            out = network(torch.from_numpy(x).to(device), after, stride).float().cpu().numpy().astype(np.float64)
        out = out.reshape(*x.shape[:2], 2, JOINTS_OUT, 3)
        return out[:, :, 0], np.exp(out[:, :, 1])

    joints, sigma = answer(inputs)
    if not flip:
        return joints, sigma
    other, other_sigma = answer(mirrored(inputs))
    other, other_sigma = other[..., _FLIP, :] * (-1.0, 1.0, 1.0), other_sigma[..., _FLIP, :]
    spread = (joints - other) ** 2 / 4
    return (joints + other) / 2, np.sqrt((sigma**2 + other_sigma**2) / 2 + spread)
