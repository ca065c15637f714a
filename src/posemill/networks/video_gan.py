"""Temporal lifter in two networks: the pose from the pose's image, the root's place from where that image is.

Each looks at 27 frames and answers for the middle one; both are of one class, differ in input (16 joints relative to
the pelvis, or 17 absolute ones) and output (48 numbers or 3), and are trained by reprojection and a critic
(:class:`posemill.networks.kcs.KcsCritic`), without any 3D of the same images.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["VideoGan", "from_official"]

_SLOPE = 0.01


class VideoGan(nn.Module):
    """Three convolutions over three frames each, two of them with a residual block.

    ``VideoGan(32, 48)`` is the pose network with 8 149 048 parameters, ``VideoGan(34, 3)`` the root network with
    8 110 003.

    Parameters
    ----------
    width_in, width_out
        Numbers per frame.
    hidden
        Channels; 1000 in the original.
    """

    def __init__(self, width_in: int = 32, width_out: int = 48, *, hidden: int = 1000) -> None:
        super().__init__()
        self.w1 = nn.Conv1d(width_in, hidden, 3)
        self.w21, self.w22 = nn.Conv1d(hidden, hidden, 3), nn.Conv1d(hidden, hidden, 1)
        self.w31, self.w32 = nn.Conv1d(hidden, hidden, 3), nn.Conv1d(hidden, hidden, 1)
        self.w4 = nn.Conv1d(hidden, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Windows of 27 frames (N, 27, width_in) to their middle frames (N, width_out), with strides."""
        h = functional.leaky_relu(functional.conv1d(x.transpose(1, 2), self.w1.weight, self.w1.bias, 3), _SLOPE)
        for spatial, point in ((self.w21, self.w22), (self.w31, self.w32)):
            inner = functional.leaky_relu(functional.conv1d(h, spatial.weight, spatial.bias, 3), _SLOPE)
            h = functional.leaky_relu(point(inner) + h[:, :, 1::3], _SLOPE)
        return self.w4(h)[:, :, 0]

    def over_clip(self, x: Tensor) -> Tensor:
        """All frames of clips at once (N, T + 26, width_in) to (N, T, width_out): the same numbers, dilated."""
        h = functional.leaky_relu(self.w1(x.transpose(1, 2)), _SLOPE)
        for dilation, spatial, point in ((3, self.w21, self.w22), (9, self.w31, self.w32)):
            inner = functional.conv1d(h, spatial.weight, spatial.bias, dilation=dilation)
            inner = functional.leaky_relu(inner, _SLOPE)
            h = functional.leaky_relu(point(inner) + h[:, :, dilation:-dilation], _SLOPE)
        return self.w4(h).transpose(1, 2)


def from_official(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take the two generators out of a training checkpoint: ``pose.w1.weight``, …, ``root.w4.bias``.

    ``model_G_pose`` and ``model_G_root`` are the networks; critic and optimisers are left out.
    """
    generators = {"model_G_pose.": "pose.", "model_G_root.": "root."}
    return {
        ours + name.removeprefix(theirs): tensor
        for theirs, ours in generators.items()
        for name, tensor in tensors.items()
        if name.startswith(theirs)
    }
