"""A second person in the room, who walks round the first one: before and behind, in other clothes, without a truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.camera import Camera
from posemill.twin.body import Body, Pose
from posemill.twin.kinematics import turn
from posemill.twin.motions import animate
from posemill.twin.parts import SHIRT, TROUSERS
from posemill.twin.shape import Shape, build

__all__ = ["Bystander", "walk_round"]

_HEIGHT_M = 1.84
_CLOTHES = {SHIRT: (176, 58, 46), TROUSERS: (62, 58, 54)}
# The walk's middle lies this much nearer to the camera than the room's.
_NEARER_M = 0.25


@dataclass(frozen=True)
class Bystander:
    """A dressed body and what it does."""

    shape: Shape
    pose: Pose


def walk_round(time: np.ndarray, camera: Camera) -> Bystander:
    """Somebody tall who walks round the middle of the room, seven seconds a round, across the camera's view first.

    Parameters
    ----------
    time
        (T,) s.
    camera
        With extrinsics.
    """
    body = Body.of_height(_HEIGHT_M)
    shape = build(body)
    colours = shape.colours.copy()
    for old, new in _CLOTHES.items():
        colours[(shape.colours == old).all(-1)] = new
    towards = camera.centre[:2] / np.linalg.norm(camera.centre[:2])
    # The long way of the oval lies across the view, and half of it is nearer than the room's middle.
    rotation = turn("z", float(np.arctan2(towards[1], towards[0]) - np.pi / 2))
    pose = animate("walk_and_turn", body, time)
    middle = np.array([*(_NEARER_M * towards), 0.0])
    moved = Pose(pose.positions @ rotation.T + middle, rotation @ pose.rotations, pose.contact)
    return Bystander(replace(shape, colours=colours), moved)
