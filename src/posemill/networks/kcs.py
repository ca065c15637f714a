"""Kinematic chain space, and the critic of Wandt and Rosenhahn 2019 that judges poses in it.

References
----------
B. Wandt, B. Rosenhahn, "RepNet: Weakly Supervised Training of an Adversarial Reprojection Network for 3D Human Pose
Estimation", CVPR 2019. B. Wandt, H. Ackermann, B. Rosenhahn, "A Kinematic Chain Space for Monocular Motion Capture",
ECCV Workshops 2018.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BONES", "KCS_SIGNS", "KcsCritic", "kcs", "kcs_matrix"]

BONES = (
    *((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (7, 10), (10, 11), (11, 12)),
    *((7, 13), (13, 14), (14, 15), (0, 3), (0, 6)),
)
"""Pairs of the 16 joints: right leg, left leg, pelvis (or spine), thorax, neck, head, left arm, right arm."""
KCS_SIGNS = ("corrected", "released")
_HIPS = BONES.index((0, 3))


def kcs_matrix(sign: str = "corrected") -> np.ndarray:
    """(16, 15): joints (3, 16) times it are bones (3, 15).

    Parameters
    ----------
    sign
        ``released``: in the authors' first release the column of the bone between the hips had +1 at both ends, so
        that it was a sum and no bone; their published results, and critics trained until October 2020, used it.
        ``corrected``: it is a difference like the others.
    """
    if sign not in KCS_SIGNS:
        raise ValueError(f"kcs_sign: expected {' or '.join(KCS_SIGNS)}, got {sign}")
    matrix = np.zeros((16, len(BONES)))
    for bone, (first, second) in enumerate(BONES):
        matrix[first, bone], matrix[second, bone] = 1, -1
    if sign == "released":
        matrix[3, _HIPS] = 1
    return matrix


def kcs(pose: Tensor, matrix: Tensor) -> Tensor:
    """Gram matrix of the bones, (N, 3, 16) to (N, 15, 15): squared lengths on the diagonal, angles beside it."""
    bones = pose @ matrix
    return bones.transpose(-1, -2) @ bones


class KcsCritic(nn.Module):
    """Wasserstein critic: one path for the joints, one for their kinematic chain space; 2 373 401 parameters.

    Parameters
    ----------
    kcs_sign
        As in :func:`kcs_matrix`; belongs to the weights and stands in their card.
    planar
        True: poses are ``x1 … x16, y1 …, z1 …``; False: ``x1, y1, z1, x2, …``.
    slope
        Of the leaky ReLU: 0.3 in the authors' (Keras), 0.01 in the PyTorch variants.
    hidden
        Width of the second path; the first path has a tenth.
    """

    matrix: Tensor

    def __init__(
        self, *, kcs_sign: str = "corrected", planar: bool = True, slope: float = 0.3, hidden: int = 1000
    ) -> None:
        super().__init__()
        self.planar, self.slope = planar, slope
        matrix = torch.from_numpy(kcs_matrix(kcs_sign)).float()
        self.register_buffer("matrix", matrix, persistent=False)
        narrow = hidden // 10
        self.pose1, self.pose2 = nn.Linear(48, narrow), nn.Linear(narrow, narrow)
        self.pose3, self.pose4 = nn.Linear(narrow, narrow), nn.Linear(narrow, narrow)
        self.kcs1, self.kcs2 = nn.Linear(225, hidden), nn.Linear(hidden, hidden)
        self.kcs3 = nn.Linear(hidden, hidden)
        self.both, self.score = nn.Linear(narrow + hidden, narrow), nn.Linear(narrow, 1)

    def forward(self, pose: Tensor) -> Tensor:
        """(N, 48) poses, pelvis-centred metres, to (N, 1); the authors train it to be low for real poses."""
        joints = pose.reshape(-1, 3, 16) if self.planar else pose.reshape(-1, 16, 3).transpose(1, 2)
        a = self._act(self.pose1(pose))
        a = self.pose4(self._act(self.pose3(self._act(self.pose2(a))) + a))
        b = self._act(self.kcs1(kcs(joints, self.matrix).flatten(1)))
        b = self.kcs3(self._act(self.kcs2(b))) + b
        return self.score(self._act(self.both(torch.cat([a, b], 1))))

    def _act(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.slope)
