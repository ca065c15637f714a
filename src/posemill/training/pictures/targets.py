"""Heatmaps that networks are to answer with, and how far an answer is from the joint."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["STRIDE", "coarse_errors", "heatmap_loss", "heatmaps"]

STRIDE = 4
"""Input pixels per heatmap pixel."""


def heatmaps(joints: Tensor, present: Tensor, side: int, sigma: float) -> Tensor:
    """Gaussians of height 1 at joints (N, J, 2) input px, as (N, J, side, side); zeros for joints that are not there.

    Pixel centres are at whole numbers: heatmap pixel k is at input pixel 4 (k + 1/2) - 1/2.
    """
    import torch

    at = (joints + 0.5) / STRIDE - 0.5
    grid = torch.arange(side, dtype=joints.dtype, device=joints.device)
    rows, columns = (torch.exp(-((grid - at[..., k, None]) ** 2) / (2 * sigma**2)) for k in (1, 0))
    return rows[..., :, None] * columns[..., None, :] * present[..., None, None]


def heatmap_loss(answers: list[Tensor], target: Tensor, asked: Tensor, emphasis: float) -> Tensor:
    """Sum over stacks of squared differences per joint that is asked for.

    Parameters
    ----------
    target
        (N, J, H, W), and ``asked`` (N, J): joints that somebody annotated, in the picture or known to be outside.
    emphasis
        Weight of a peak's pixels beside those of the rest, minus 1; 0 as published.
    """
    weight = (1 + emphasis * target) * asked[..., None, None]
    count = asked.sum().clamp_min(1)
    return sum(((answer.float() - target).square() * weight).sum() for answer in answers) / count  # pyright: ignore[reportReturnType]


def coarse_errors(answer: Tensor, joints: Tensor, present: Tensor) -> Tensor:
    """Distances (M,) in input px between the highest heatmap pixels and the joints that are present."""
    import torch

    side = answer.shape[-1]
    index = answer.flatten(2).argmax(-1)
    at = torch.stack([index % side, index // side], -1).to(joints.dtype)
    return torch.linalg.vector_norm(STRIDE * (at + 0.5) - 0.5 - joints, dim=-1)[present]
