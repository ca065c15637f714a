"""Lifter: another person stands there."""

from posemill_stubs import upright
from posemill_stubs.upright import CARD, Options, Upright, weights

NAME = "stub_tall"
__all__ = ["CARD", "NAME", "Options", "create", "upright", "weights"]


class Tall(Upright):
    scale = 1.1


def create(options):
    return Tall()
