"""Lifter: every joint at the depth of the pelvis."""

import numpy as np
from pydantic import BaseModel

from posemill.lifters.protocol import LifterCard, LiftOutput

NAME = "flat"
CARD = LifterCard(joint_set_in="h36m17", licences={"code": "Apache-2.0", "weights": "none", "data": "none"})


class Options(BaseModel, extra="forbid"):
    depth_m: float = 4.0


class Flat:
    device = "cpu"

    def __init__(self, options):
        self.options = options

    def lift(self, clip):
        rays = clip.camera.normalise(clip.keypoints)
        flat = np.concatenate([rays - rays[:, :1], np.zeros_like(rays[..., :1])], -1) * self.options.depth_m
        valid = np.isfinite(flat).all(-1)
        return LiftOutput(np.where(valid[..., None], flat, np.nan), np.where(valid, 0.3, np.nan), valid)


def create(options):
    return Flat(options)
