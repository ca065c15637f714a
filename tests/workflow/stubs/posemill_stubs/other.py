"""Detector: the same person further away."""

from posemill_stubs.standing import CARD, Options, Standing

NAME = "stub_other"
__all__ = ["CARD", "NAME", "Options", "create"]


def create(options, *, temporal):
    return Standing(options.depth_m + 1)
