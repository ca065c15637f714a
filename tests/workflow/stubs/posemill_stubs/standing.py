"""Detector: a person stands in front of the camera, a little nearer in brighter pictures."""

import numpy as np
from pydantic import BaseModel

from posemill.detectors.protocol import Detection, DetectorCard
from posemill_stubs.body import projected

NAME = "stub_standing"
CARD = DetectorCard("h36m17", 1, "none", {"code": "Apache-2.0", "weights": "none", "data": "none"}, ("numpy",))


class Options(BaseModel, extra="forbid"):
    depth_m: float = 4.0


class Standing:
    joint_set = CARD.joint_set
    device = "cpu"

    def __init__(self, depth_m):
        self.depth_m = depth_m

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def detect(self, rgb, time_s):
        height, width = rgb.shape[:2]
        points = projected(width, height, self.depth_m - rgb.mean() / 255)
        box = np.concatenate([points.min(0), points.max(0)])
        return [Detection(points, np.ones(17), np.full(17, 0.5), box, np.ones(17, bool))]


def create(options, *, temporal):
    return Standing(options.depth_m)
