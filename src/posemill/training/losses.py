"""Loss terms of the papers, as functions of tensors; distances are means over all points.

References
----------
M. R. I. Hossain, J. J. Little, ECCV 2018 (smoothness). D. Pavllo et al., CVPR 2019 (projection, bone lengths).
W. Zhu et al., "MotionBERT", ICCV 2023 (scale-free and velocity terms). B. Wandt, B. Rosenhahn, CVPR 2019 (camera).
I. Gulrajani et al., "Improved training of Wasserstein GANs", 2017 (gradient penalty).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = [
    "bone_length_gap",
    "camera_term",
    "distance",
    "gradient_penalty",
    "projected",
    "rotated",
    "scale_free_distance",
    "smoothness",
    "velocity_distance",
]

# A distance of exactly 0 has no gradient.
_TINY = 1e-8


def distance(answer: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean distance of points (..., D); ``weight`` (...) multiplies each."""
    lengths = ((answer.float() - target).square().sum(-1) + _TINY).sqrt()
    return lengths.mean() if weight is None else (lengths * weight).mean()


def scale_free_distance(answer: Tensor, target: Tensor) -> Tensor:
    """Mean distance of poses (N, T, J, 3) once each frame is brought to the size that fits the target best."""
    answer = answer.float()
    scale = (answer * target).sum((-1, -2), keepdim=True) / answer.square().sum((-1, -2), keepdim=True).clamp_min(_TINY)
    return distance(scale * answer, target)


def velocity_distance(answer: Tensor, target: Tensor) -> Tensor:
    """Mean distance of the steps from frame to frame, (N, T, J, 3)."""
    return distance(answer.float().diff(dim=1), target.diff(dim=1))


def smoothness(answer: Tensor, weight: Tensor) -> Tensor:
    """Mean weighted square of the steps from frame to frame; (N, T, D), (D,)."""
    return (answer.float().diff(dim=1).square() * weight).mean()


def projected(points: Tensor) -> Tensor:
    """Points (..., 3) in front of a camera on its normalised plane (..., 2), kept within 1 as by Pavllo et al."""
    return (points[..., :2] / points[..., 2:].clamp_min(0.05)).clamp(-1, 1)


def bone_length_gap(one: Tensor, other: Tensor, parents: Sequence[int]) -> Tensor:
    """Mean difference of the bones' mean lengths in two batches (N, J, 3)."""
    children, up = list(range(1, len(parents))), list(parents[1:])

    def lengths(pose: Tensor) -> Tensor:
        return ((pose[:, children] - pose[:, up]).square().sum(-1) + _TINY).sqrt().mean(0)

    return (lengths(one) - lengths(other)).abs().mean()


def camera_term(rows: Tensor) -> Tensor:
    """By how much rows M (N, 2, 3) are not those of a weak-perspective camera: mean of sum |2 M Mᵀ / tr(M Mᵀ) - I|."""
    square = rows @ rows.transpose(1, 2)
    trace = square.diagonal(dim1=1, dim2=2).sum(-1).clamp_min(_TINY)
    return (2 * square / trace[:, None, None] - torch.eye(2, device=rows.device)).abs().sum((1, 2)).mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Mean square of (gradient's norm - 1) at points evenly between real and fake samples (N, D)."""
    share = torch.rand(len(real), 1, device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return ((gradient.square().sum(1) + 1e-12).sqrt() - 1).square().mean()


def rotated(points: Tensor, axis: Tensor, angle: Tensor) -> Tensor:
    """Turn points (N, J, 3) about unit axes (N, 3) through the origin by angles (N,), right-handed."""
    axis = axis[:, None].expand_as(points)
    c, s = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    along = (points * axis).sum(-1, keepdim=True)
    return points * c + torch.linalg.cross(axis, points) * s + axis * along * (1 - c)
