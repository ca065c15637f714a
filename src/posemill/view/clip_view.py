"""What a picture shows of a clip, and in which colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Times

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CONTACT", "FAINT", "INK", "LEFT", "MIDDLE", "PAPER", "PATH", "RIGHT", "ClipView", "bare"]

INK, FAINT, PAPER = "#1d2733", "#8a96a3", "#ffffff"
LEFT, RIGHT, MIDDLE = "#1f77d0", "#e8622c", "#3c4654"
PATH, CONTACT = "#7a4fb5", "#1c9c5b"


@dataclass(frozen=True)
class ClipView:
    """What is drawn of one clip and person.

    Attributes
    ----------
    title
        Headline.
    frame
        Index of the frame that is shown.
    time
        (T,) seconds.
    rgb
        (H, W, 3) uint8, the frame.
    joint_set_2d, keypoints, score
        (J, 2) px and (J,) of the frame; NaN where unknown.
    joint_set_3d, joints, valid
        (T, J, 3) m in ``axes``, (T, J); the set is h36m17 or begins with it.
    contact
        (T, 2) left and right foot on the floor.
    sigma_m
        (T, J, 3).
    axes
        ``world`` (z up) or ``camera``.
    axes_label
        Where the axes come from, for the reader.
    camera_centre
        (3,) in ``axes``, to choose the side to look from; None: unknown.
    temporal
        False for unrelated stills: then no path is drawn.
    """

    title: str
    frame: int
    time: Times
    rgb: np.ndarray
    joint_set_2d: str
    keypoints: Points2
    score: PerJoint
    joint_set_3d: str
    joints: Points3
    valid: Flags
    contact: np.ndarray
    sigma_m: Points3
    axes: str
    axes_label: str
    camera_centre: np.ndarray | None = None
    temporal: bool = True


def bare(ax: Axes) -> None:
    """Leave nothing of axes but what is drawn on them."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
