"""Who is compared, how each is taught, and which of them is expected to be how much better than another."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BARS", "CONSTANTS", "ROWS", "SUPERVISED", "Bar", "Row"]


@dataclass(frozen=True)
class Row:
    """A lifter, taught in one way.

    Attributes
    ----------
    label
        What its row is called; ``lifter`` alone where it says all.
    options
        Of ``posemill train``, beside the number of steps.
    """

    label: str
    lifter: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The label as a file's name."""
        return re.sub(r"\W+", "_", self.label)


ROWS = (
    Row("posemill", "posemill"),
    # Small rounds, so that their number hits the budget.
    Row("linear", "linear", {"views_per_epoch": 8192}),
    Row("temporal", "temporal"),
    Row("temporal, one frame", "temporal", {"filter_widths": [1, 1, 1]}),
    Row("seq2seq", "seq2seq"),
    Row("dstformer", "dstformer"),
    Row("agformer", "agformer"),
    Row("gan", "gan", {"supervision": "unsupervised"}),
    Row("repnet", "repnet", {"supervision": "weak"}),
    Row("video_gan", "video_gan", {"supervision": "weak"}),
)
"""Each method by its own loss; ``temporal`` also without its neighbours in time, by the same layers."""

SUPERVISED = tuple(Row(f"{name}, supervised", name) for name in ("gan", "repnet", "video_gan"))
"""The adversarial ones shown the 3D of every window."""

CONSTANTS = ("mean pose before the camera", "mean pose, aligned")
"""Poses that are answered to everything: the mean of what trainings see, as it stands there (all headings, so nearly a
line), and after all are turned onto each other."""


@dataclass(frozen=True)
class Bar:
    """What a row's error may be at most, as a multiple of another's; by ``metric`` over 14 joints."""

    label: str
    other: str
    factor: float
    metric: str = "mpjpe"


BARS = (
    Bar("temporal", "temporal, one frame", 0.9),
    Bar("seq2seq", "linear", 0.93),
    Bar("repnet", "linear", 1.45),
    Bar("video_gan", "repnet", 1.0),
    *(Bar("gan", constant, 0.7, "p_mpjpe") for constant in CONSTANTS),
)
"""What is expected of methods taught alike: time helps, weak supervision costs, and ``gan`` looks at the picture."""
