"""``noisy``: the truth's projections with the errors of a detector: heavy tails, correlated in time, of a stated size.

The size is the standard deviation of each coordinate as a share of the person's height in the image
(:mod:`posemill.detectors.noise` says of which law and how its shape was fitted). Noise depends on the seed and on the
clip's name: no two clips share theirs, and the same clip gets the same again.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from posemill.detectors.from_truth import JOINTS, FromTruth, Observed
from posemill.detectors.noise import TIME_CONSTANT_S, errors_over_time
from posemill.detectors.protocol import DetectorCard, Truth

__all__ = ["CARD", "NAME", "Options", "create", "observe"]

NAME = "noisy"


class Options(BaseModel):
    """Options of the noisy source."""

    model_config = ConfigDict(extra="forbid")

    size: Annotated[
        float, Field(gt=0, le=0.2, description="Standard deviation per coordinate as a share of the person's height.")
    ] = 0.012
    time_constant_s: Annotated[
        float, Field(ge=0, description="Errors this far apart correlate by 1/e; 0: every frame by itself.")
    ] = TIME_CONSTANT_S
    seed: Annotated[int, Field(ge=0, description="Another seed, other noise.")] = 0


CARD = DetectorCard(
    joint_set=JOINTS,
    people=1,
    weights="none needed",
    licences={
        "code": "Apache-2.0",
        "weights": "none",
        "data": "the truth's own; tail fitted to stacked hourglass predictions on MPII (BSD-3-Clause)",
    },
    libraries=("numpy", "scipy"),
    needs_truth=True,
    reference="tail: Newell et al. 2016, arXiv:1603.06937",
    notes=("for evaluation only: it is told the answer",),
)


def observe(options: Options, truth: Truth, *, temporal: bool = True) -> Observed:
    """Disturb the truth's keypoints; sigma is the size of the noise in pixels."""
    frames, joints = np.shape(truth.keypoints)[:2]
    errors = errors_over_time(
        truth.time,
        joints,
        _generator(options.seed, truth.clip),
        temporal=temporal,
        time_constant_s=options.time_constant_s,
    )
    size_px = np.broadcast_to((options.size * np.asarray(truth.person_height_px))[:, None], (frames, joints))
    return Observed(truth.keypoints + errors * size_px[..., None], size_px)


def _generator(seed: int, clip: str) -> np.random.Generator:
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8], "big")])


def create(options: Options, *, temporal: bool, truth: Truth) -> FromTruth:
    """Make the detector of one clip."""
    return FromTruth(truth, observe(options, truth, temporal=temporal))
