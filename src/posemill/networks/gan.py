"""The depth network of Kudo et al. 2018, which is also their discriminator.

Input is the pose in the image, ``x0, y0, x1, y1, …`` of h36m17, centred on the pelvis and divided by the mean
distance of the 16 other joints from it; output is one depth per joint in the same unit (or one number: real or not).

References
----------
Y. Kudo, K. Ogaki, Y. Matsui, Y. Odagiri, "Unsupervised Adversarial Learning of 3D Human Pose from 2D Joint
Locations", arXiv:1803.08244, 2018.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ACTIVATIONS", "GanMLP", "from_official", "image_pose"]

ACTIVATIONS = ("leaky_relu", "relu")
# Chainer's defaults, which differ from torch's.
_SLOPE, _NORM_EPS, _NORM_MOMENTUM = 0.2, 2e-5, 0.1


class GanMLP(nn.Module):
    """Three hidden layers with one skip: ``h3 = f(l3 h2 + h1)``.

    ``GanMLP()`` is the generator with 2 152 465 parameters, ``GanMLP(width_out=1)`` the discriminator with 2 136 065.

    Parameters
    ----------
    width_in, width_out, hidden
        34, 17 (depths) or 1 (discriminator), and 1024 in the paper.
    activation
        ``leaky_relu`` (slope 0.2), or ``relu`` as in the authors' supervised recipe.
    batch_norm
        Batch norm after each hidden layer; the skip is added after the third one and before the activation.
    """

    def __init__(
        self,
        width_in: int = 34,
        width_out: int = 17,
        *,
        hidden: int = 1024,
        activation: str = "leaky_relu",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: expected {' or '.join(ACTIVATIONS)}, got {activation}")
        self.activation = activation
        self.l1 = nn.Linear(width_in, hidden)
        self.l2 = nn.Linear(hidden, hidden)
        self.l3 = nn.Linear(hidden, hidden)
        self.l4 = nn.Linear(hidden, width_out)
        for layer in (self.l1, self.l2, self.l3, self.l4):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.batch_norm = batch_norm
        if batch_norm:
            self.bn1 = nn.BatchNorm1d(hidden, eps=_NORM_EPS, momentum=_NORM_MOMENTUM)
            self.bn2 = nn.BatchNorm1d(hidden, eps=_NORM_EPS, momentum=_NORM_MOMENTUM)
            self.bn3 = nn.BatchNorm1d(hidden, eps=_NORM_EPS, momentum=_NORM_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """(frames, width_in) to (frames, width_out)."""
        first = self._activate(self._norm(1, self.l1(x)))
        second = self._activate(self._norm(2, self.l2(first)))
        third = self._activate(self._norm(3, self.l3(second)) + first)
        return self.l4(third)

    def _activate(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, _SLOPE) if self.activation == "leaky_relu" else torch.relu(x)

    def _norm(self, layer: int, x: Tensor) -> Tensor:
        return getattr(self, f"bn{layer}")(x) if self.batch_norm else x


_NAMES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias", "avg_mean": "running_mean"}
_NAMES["avg_var"] = "running_var"
_LAYER = re.compile(r"(l[1-4])/(W|b)|(bn[1-3])/(gamma|beta|avg_mean|avg_var)")
_SNAPSHOT = "updater/model:gen/"


def from_official(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the tensors of a Chainer ``gen_epoch_N.npz``, or of a trainer's snapshot, to those of :class:`GanMLP`.

    ``l1/W`` becomes ``l1.weight`` (both are (out, in)), ``bn1/gamma`` ``bn1.weight`` and so on; batch norm's counter
    ``N`` is left out, and of a snapshot everything but the generator. Unknown names stay as they are.
    """
    if any(name.startswith(_SNAPSHOT) for name in tensors):
        tensors = {n.removeprefix(_SNAPSHOT): t for n, t in tensors.items() if n.startswith(_SNAPSHOT)}
    renamed = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match:
            layer, part = (g for g in match.groups() if g)
            renamed[f"{layer}.{_NAMES[part]}"] = tensor
        elif not re.fullmatch(r"bn[1-3]/N", name):
            renamed[name] = tensor
    return renamed


def image_pose(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre on the pelvis and divide by the mean distance of the other 16 joints from it.

    Parameters
    ----------
    points
        (..., 17, 2) h36m17 in the image, any unit and scale.

    Returns
    -------
    pose (..., 17, 2), scale (...) in the unit of ``points``; NaN where all joints are in one place
    """
    centred = points - points[..., :1, :]
    scale = np.linalg.norm(centred[..., 1:, :], axis=-1).mean(-1)
    scale = np.where(scale > 0, scale, np.nan)
    return centred / scale[..., None, None], scale
