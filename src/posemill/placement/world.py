"""From the camera to the world.

The camera's place is taken from a calibration or it stays unknown, and then the frame stays the camera's: a person in
camera coordinates is a result, a person in an invented room is not.
"""

from __future__ import annotations

from posemill.camera import Camera

__all__ = ["frame_of", "world_source"]


def world_source(camera: Camera) -> str:
    """Where the camera's place in the world is from: ``calibration`` or ``none``."""
    return "calibration" if camera.in_world else "none"


def frame_of(source: str) -> str:
    """Frame of the merged animation for a ``world_source``: ``world``, or ``camera`` where it is ``none``."""
    return "camera" if source == "none" else "world"
