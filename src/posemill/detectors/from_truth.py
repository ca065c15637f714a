"""What the sources of 2D that know the truth share: a truth's keypoints, disturbed or not, given out frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from posemill.arrays import PerJoint, Points2
from posemill.detectors.protocol import Detection, Truth, bounds
from posemill.skeleton import convert

__all__ = ["JOINTS", "FromTruth", "Observed"]

JOINTS = "posemill28"
"""Joint set of the detections; joints that a truth of another set does not have stay unknown."""


@dataclass(frozen=True)
class Observed:
    """Keypoints (T, J, 2) px and their standard deviation per coordinate (T, J) px, in the truth's joint set."""

    keypoints: Points2
    sigma: PerJoint


class FromTruth:
    """A :class:`~posemill.detectors.protocol.Detector` that looks up the truth of the frame nearest in time.

    Frames further than half a frame from all of the truth's have no detection, nor have joints outside the picture.
    Joints hidden by the body are given like the others.
    """

    joint_set = JOINTS
    device = "cpu"

    def __init__(self, truth: Truth, observed: Observed) -> None:
        self._time = truth.time
        self._tolerance_s = 0.5 * float(np.median(np.diff(truth.time))) if len(truth.time) > 1 else np.inf
        self._keypoints, self._known, _, self._sigma = convert(
            observed.keypoints, truth.joint_set, JOINTS, sigma=observed.sigma
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def detect(self, rgb: np.ndarray, time_s: float) -> list[Detection]:
        """Give the person of this moment; of the (H, W, 3) picture only the size counts."""
        frame = int(np.argmin(np.abs(self._time - time_s)))
        if abs(self._time[frame] - time_s) > self._tolerance_s * (1 + 1e-9):
            return []
        keypoints = self._keypoints[frame]
        size = np.array(rgb.shape[1::-1])
        with np.errstate(invalid="ignore"):
            inside = ((keypoints >= -0.5) & (keypoints <= size - 0.5)).all(-1)
        valid = self._known[frame] & inside
        if not valid.any():
            return []
        sigma = self._sigma[frame]
        return [Detection(keypoints, np.ones(len(valid)), sigma, bounds(keypoints, valid), valid)]
