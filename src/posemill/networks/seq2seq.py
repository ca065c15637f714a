"""The sequence-to-sequence lifter of Hossain and Little 2018: an LSTM reads a window of 2D poses, another writes 3D.

References
----------
M. R. I. Hossain, J. J. Little, "Exploiting temporal information for 3D human pose estimation", ECCV 2018.
J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from posemill.networks.tensorflow_names import renamed

__all__ = ["OFFICIAL_NAMES", "Seq2Seq", "from_official"]

State = tuple[Tensor, Tensor]
_GATES = ("input", "transform", "forget", "output")
# TensorFlow's for this cell; torch's 1e-5 would be another network.
_EPS = 1e-12


class LayerNormLSTMCell(nn.Module):
    """LSTM cell with layer-normalised gates and state; (c, h) of width ``hidden``.

    No bias but those of the norms. The state that is handed on is the normalised one. Recurrent dropout acts on the
    candidate, so that memory is never erased by it.
    """

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.gates = nn.Linear(2 * hidden, 4 * hidden, bias=False)
        self.norms = nn.ModuleDict({name: nn.LayerNorm(hidden, eps=_EPS) for name in (*_GATES, "state")})
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, state: State) -> State:
        """Frame (B, hidden) and (c, h) to the next (c, h)."""
        c, h = state
        parts = self.gates(torch.cat([x, h], -1)).chunk(4, -1)
        i, j, f, o = (self.norms[name](part) for name, part in zip(_GATES, parts, strict=True))
        c = c * torch.sigmoid(f + 1.0) + torch.sigmoid(i) * self.dropout(torch.tanh(j))
        c = self.norms["state"](c)
        return c, torch.tanh(c) * torch.sigmoid(o)


class _Recurrent(nn.Module):
    """A cell between a linear layer that widens its input and one that narrows its output."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, hidden)
        self.cell = LayerNormLSTMCell(hidden, dropout)
        self.narrow = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, state: State) -> State:
        """(B, width) and (c, h) to the next (c, h)."""
        return self.cell(self.dropout(self.widen(x)), state)

    def read(self, state: State) -> Tensor:
        """Say what the cell puts out, (B, width)."""
        return self.narrow(self.dropout(state[1]))


class Seq2Seq(nn.Module):
    """Encoder and decoder for windows of standardised poses.

    ``Seq2Seq()`` is the published network: 16 963 664 trainable parameters, 32 of which (the bias of the encoder's
    output) and 32 768 (its matrix) the answer does not depend on.

    Parameters
    ----------
    width_in, width_out
        32 and 48: 16 joints.
    hidden
        Width of the cells; 1024 in the paper.
    dropout
        Share of units dropped in training; 0.5 in the paper.
    """

    def __init__(self, width_in: int = 32, width_out: int = 48, *, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__()
        self.hidden = hidden
        self.encoder = _Recurrent(width_in, hidden, dropout)
        self.decoder = _Recurrent(width_out, hidden, dropout)

    def forward(self, windows: Tensor) -> Tensor:
        """(B, frames, width_in) to (B, frames, width_out).

        The encoder reads the frames backwards, so that it ends where the decoder begins. The decoder starts from ones
        and is fed its own last answer, in training too; it says how the pose moves on from there.
        """
        empty = windows.new_zeros(len(windows), self.hidden)
        state = (empty, empty)
        for frame in reversed(range(windows.shape[1])):
            state = self.encoder(windows[:, frame], state)
        pose = windows.new_ones(len(windows), self.decoder.narrow.out_features)
        answers = []
        for _ in range(windows.shape[1]):
            state = self.decoder(pose, state)
            pose = pose + self.decoder.read(state)
            answers.append(pose)
        return torch.stack(answers, 1)


def _official_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for ours, scope in (
        ("encoder", "output_projection_wrapper"),
        ("decoder", "rnn_decoder/output_projection_wrapper"),
    ):
        inner = f"{scope}/input_projection_wrapper"
        cell = f"{inner}/layer_norm_basic_lstm_cell"
        names |= {
            f"{inner}/kernel": f"{ours}.widen.weight",
            f"{inner}/bias": f"{ours}.widen.bias",
            f"{cell}/kernel": f"{ours}.cell.gates.weight",
            f"{scope}/kernel": f"{ours}.narrow.weight",
            f"{scope}/bias": f"{ours}.narrow.bias",
        }
        for gate in (*_GATES, "state"):
            names[f"{cell}/{gate}/gamma"] = f"{ours}.cell.norms.{gate}.weight"
            names[f"{cell}/{gate}/beta"] = f"{ours}.cell.norms.{gate}.bias"
    return names


OFFICIAL_NAMES: Mapping[str, str] = _official_names()
"""Variable of the published TensorFlow checkpoint to parameter of :class:`Seq2Seq`; matrices are transposed."""


def from_official(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename and transpose the variables of the published checkpoint.

    Raises
    ------
    InputError
        Naming the variable that belongs to another network, or that is missing.
    """
    return renamed(tensors, OFFICIAL_NAMES)
