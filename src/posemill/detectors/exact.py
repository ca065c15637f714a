"""``exact``: the truth's own projections instead of a detector, to judge what comes after detection.

All joints inside the picture are seen, hidden ones too. Sigma is 0.1 px, so that nothing divides by zero.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from posemill.detectors.from_truth import JOINTS, FromTruth, Observed
from posemill.detectors.protocol import DetectorCard, Truth

__all__ = ["CARD", "NAME", "SIGMA_PX", "Options", "create", "observe"]

NAME = "exact"
SIGMA_PX = 0.1


class Options(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid")


CARD = DetectorCard(
    joint_set=JOINTS,
    people=1,
    weights="none needed",
    licences={"code": "Apache-2.0", "weights": "none", "data": "the truth's own"},
    libraries=("numpy",),
    needs_truth=True,
    notes=("for evaluation only: it is told the answer",),
)


def observe(options: Options, truth: Truth, *, temporal: bool = True) -> Observed:
    """Give the truth's keypoints as they are."""
    keypoints = np.asarray(truth.keypoints, dtype=np.float64)
    return Observed(keypoints, np.full(keypoints.shape[:-1], SIGMA_PX))


def create(options: Options, *, temporal: bool, truth: Truth) -> FromTruth:
    """Make the detector of one clip."""
    return FromTruth(truth, observe(options, truth, temporal=temporal))
