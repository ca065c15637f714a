"""Poses of one subject in memory, whatever file they come from: what evaluation compares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from posemill.camera import Camera

__all__ = ["FRAMES", "PoseClip", "Poses"]

FRAMES = ("world", "camera", "relative", "unknown")
"""``relative``: axes of the camera, the root at the origin."""


@dataclass(frozen=True)
class PoseClip:
    """One person in one clip.

    Attributes
    ----------
    time
        (T,) seconds.
    joints
        Frame (of :data:`FRAMES`) to (T, J, 3) metres, NaN where unknown; the same poses in each.
    fps
        Frames per second; NaN if unknown.
    temporal
        False for stills.
    person
        Name of the track.
    root
        Frame to (T, 3) metres, where the root is known apart from the joints.
    visible
        (T, J) whether the camera sees the joint; None if unknown.
    keypoints
        (T, J, 2) px exact projections; None if unknown.
    camera
        Where known.
    contact, contact_points
        (T, F) flags and the names of the F points; None if unknown.
    sigma, sigma_frame
        (T, J, 3) metres per axis of that frame.
    frame
        In which the file states its root.
    own_world
        Its world has the truth's floor and up and no more: another origin, another north.
    failed
        Reason, of a clip without poses; "" of the others.
    """

    time: np.ndarray
    joints: dict[str, np.ndarray]
    fps: float = float("nan")
    temporal: bool = True
    person: str = "p1"
    root: dict[str, np.ndarray] = field(default_factory=dict)
    visible: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    camera: Camera | None = None
    contact: np.ndarray | None = None
    contact_points: tuple[str, ...] = ()
    sigma: np.ndarray | None = None
    sigma_frame: str = ""
    frame: str = "world"
    own_world: bool = False
    failed: str = ""

    @property
    def rate(self) -> float:
        """Frames per second, from the times where it is not stated; NaN of stills."""
        if self.fps > 0:
            return float(self.fps)
        return 1.0 / float(np.median(np.diff(self.time))) if len(self.time) > 1 else float("nan")


@dataclass(frozen=True)
class Poses:
    """One subject's clips from one file."""

    path: Path
    kind: str
    joint_set: str
    clips: dict[str, PoseClip]
    sha256: str
    subject: str = ""
    attrs: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
