"""Lifter: whatever it is shown, a person stands there."""

import numpy as np
from pydantic import BaseModel

from posemill.lifters.protocol import LifterCard, LiftOutput
from posemill_stubs.body import STANDING

NAME = "stub_upright"
CARD = LifterCard(joint_set_in="h36m17", licences={"code": "Apache-2.0", "weights": "none", "data": "none"})


class Options(BaseModel, extra="forbid"):
    flip: bool = True
    tta: bool = False
    weights: str | None = None


def weights(options):
    from pathlib import Path

    return Path(options.weights) if options.weights else None


class Upright:
    device = "cpu"
    scale = 1.0

    def lift(self, clip):
        valid = clip.valid.any(-1)[:, None] & np.ones((1, 17), bool)
        joints = np.where(valid[..., None], STANDING * self.scale, np.nan)
        return LiftOutput(joints, np.where(valid, 0.05, np.nan), valid)


def create(options):
    return Upright()
