"""From the camera to the world.

The camera's place is from a calibration, or from the people who stand before it, or it stays unknown: then the frame is
the camera's. A person in camera coordinates is a result, a person in an invented room is not.

A world from the body has the floor at z = 0, z up, and the camera above its origin, looking along y: which way is
north, and where in the room the camera stands, no picture of people tells. So all clips of one camera are in one world.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from posemill.camera import Camera
from posemill.geometry import unit
from posemill.placement.floor import Floor

__all__ = ["above_floor", "frame_of", "world_source"]


def world_source(camera: Camera) -> str:
    """Where a gathered camera's place in the world is from: ``calibration`` or ``none``."""
    return "calibration" if camera.in_world else "none"


def frame_of(source: str) -> str:
    """Frame of the merged animation: ``camera`` where the ``world_source`` is ``none``, else ``world``."""
    return "camera" if source == "none" else "world"


def above_floor(camera: Camera, floor: Floor) -> Camera:
    """Return the camera with its place in the world of its floor: x right, y forward, z up, at (0, 0, height)."""
    axis = np.array([0.0, 0.0, 1.0])
    ahead = axis - (axis @ floor.up) * floor.up
    if np.linalg.norm(ahead) < 0.1:
        # It looks straight down or up: forward is where the picture's top is, or its bottom.
        top = np.array([0.0, np.sign(floor.up[2]), 0.0])
        ahead = top - (top @ floor.up) * floor.up
    forward = unit(ahead)
    r = np.stack([np.cross(forward, floor.up), forward, floor.up], axis=-1)
    return replace(camera, R=r, t=-r @ np.array([0.0, 0.0, floor.height_m]))
