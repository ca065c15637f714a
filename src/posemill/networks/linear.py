"""The lifting network of Martinez et al. 2017: two residual blocks of fully connected layers.

References
----------
J. Martinez, R. Hossain, J. Romero, J. J. Little, "A simple yet effective baseline for 3d human pose estimation",
ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from posemill.networks.rays import OUTPUT_WIDTH, mirror_inputs, mirror_outputs
from posemill.networks.tensorflow_names import renamed

__all__ = ["OFFICIAL_NAMES", "LinearLifter", "from_official", "predict"]


class _Dense(nn.Linear):
    """A linear layer whose weight matrix can be clipped to Frobenius norm 1 each time it is used."""

    def __init__(self, width_in: int, width_out: int, *, max_norm: bool) -> None:
        super().__init__(width_in, width_out)
        self.max_norm = max_norm
        # The paper's initialisation, for weights and biases alike.
        std = (2.0 / width_in) ** 0.5
        nn.init.trunc_normal_(self.weight, std=std, a=-2 * std, b=2 * std)
        nn.init.trunc_normal_(self.bias, std=std, a=-2 * std, b=2 * std)

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight
        if self.max_norm:
            # As TensorFlow's clip_by_norm: the stored weights stay as they are.
            weight = weight / torch.linalg.matrix_norm(weight).clamp(min=1.0)
        return functional.linear(input, weight, self.bias)


class _Layer(nn.Module):
    """Dense, batch norm, ReLU, dropout."""

    def __init__(self, width_in: int, width: int, dropout: float, eps: float, *, max_norm: bool) -> None:
        super().__init__()
        self.dense = _Dense(width_in, width, max_norm=max_norm)
        self.norm = nn.BatchNorm1d(width, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(functional.relu(self.norm(self.dense(x))))


class LinearLifter(nn.Module):
    """Fully connected lifter, one frame at a time.

    ``LinearLifter(32, 48)`` is the published network: 16 joints in and out, 4 291 632 trainable parameters.

    Parameters
    ----------
    width_in, width_out
        Length of the input and output vectors.
    hidden
        Width of the hidden layers; 1024 in the paper.
    blocks
        Residual blocks of two layers each; 2 in the paper.
    dropout
        Share of hidden units dropped in training; 0.5 in the paper.
    norm_eps
        Epsilon of the batch norms: 1e-5 is torch's, 1e-3 that of the published TensorFlow weights.
    max_norm
        Clip each weight matrix to Frobenius norm 1 in the forward pass, as the published weights need.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        *,
        hidden: int = 1024,
        blocks: int = 2,
        dropout: float = 0.5,
        norm_eps: float = 1e-5,
        max_norm: bool = False,
    ) -> None:
        super().__init__()
        self.first = _Layer(width_in, hidden, dropout, norm_eps, max_norm=max_norm)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _Layer(hidden, hidden, dropout, norm_eps, max_norm=max_norm),
                _Layer(hidden, hidden, dropout, norm_eps, max_norm=max_norm),
            )
            for _ in range(blocks)
        )
        self.last = _Dense(hidden, width_out, max_norm=max_norm)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width_in) to (..., width_out)."""
        before = x.shape[:-1]
        x = self.first(x.flatten(0, -2))
        for block in self.blocks:
            x = x + block(x)
        return self.last(x).unflatten(0, before)


def _official_names() -> dict[str, str]:
    names: dict[str, str] = {}
    layers = [("first", "w1", "b1", "batch_normalization")]
    for k in range(2):
        for layer, (matrix, bias) in enumerate((("w2", "b2"), ("w3", "b3"))):
            scope = f"two_linear_{k}/"
            norm = f"{scope}batch_normalization{layer + 1}{k}"
            layers.append((f"blocks.{k}.{layer}", f"{scope}{matrix}_{k}", f"{scope}{bias}_{k}", norm))
    for ours, matrix, bias, norm in layers:
        names |= {matrix: f"{ours}.dense.weight", bias: f"{ours}.dense.bias"}
        names |= {f"{norm}/{theirs}": f"{ours}.norm.{name}" for theirs, name in _NORM.items()}
    return {f"linear_model/{name}": ours for name, ours in (names | {"w4": "last.weight", "b4": "last.bias"}).items()}


_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
OFFICIAL_NAMES: Mapping[str, str] = _official_names()
"""Variable of the published TensorFlow checkpoint to parameter of :class:`LinearLifter`; matrices are transposed."""


def from_official(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename and transpose the variables of the published checkpoint.

    Raises
    ------
    InputError
        Naming the variable that belongs to another network, or that is missing.
    """
    return renamed(tensors, OFFICIAL_NAMES)


def predict(network: nn.Module, inputs: np.ndarray, *, flip: bool, batch: int = 8192) -> tuple[np.ndarray, np.ndarray]:
    """Run a network on the inputs of :mod:`posemill.networks.rays`.

    Parameters
    ----------
    inputs
        (T, INPUT_WIDTH) float32.
    flip
        Average with the mirrored-back answer for the mirrored person; half of their difference is added to sigma.
    batch
        Frames at a time: bounds memory for clips of any length.

    Returns
    -------
    joints (T, 16, 3) metres in the virtual frame, relative to the pelvis; sigma (T, 16) metres per axis
    """
    joints = np.empty((len(inputs), OUTPUT_WIDTH // 4, 3), dtype=np.float32)
    sigma = np.empty(joints.shape[:2], dtype=np.float32)
    network.eval()
    for start in range(0, len(inputs), batch):
        part = slice(start, start + batch)
        joints[part], log_sigma = _run(network, inputs[part])
        variance = np.exp(2 * log_sigma)
        if flip:
            other, log_sigma = mirror_outputs(*_run(network, mirror_inputs(inputs[part])))
            variance = (variance + np.exp(2 * log_sigma)) / 2 + ((joints[part] - other) ** 2).mean(-1) / 4
            joints[part] = (joints[part] + other) / 2
        sigma[part] = np.sqrt(variance)
    return joints, sigma


def _run(network: nn.Module, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    device = next(network.parameters()).device
    with torch.inference_mode():
        out = network(torch.from_numpy(inputs).to(device)).float().cpu().numpy()
    joints = OUTPUT_WIDTH // 4
    return out[:, : 3 * joints].reshape(-1, joints, 3), out[:, 3 * joints :]
