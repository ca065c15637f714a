"""calibration: where a subject's cameras stand, as a file, so that others before them are in the same world.

Without a calibration each subject's world comes from how that subject stands. Named in the sheet for everybody whom
these cameras saw, this file makes it one world, with one floor and metres that are alike.
"""

from __future__ import annotations

from pathlib import Path

from posemill.camera import Camera
from posemill.errors import InputError, expected
from posemill.formats.artifact import Clip, read
from posemill.formats.calibration import write_calibration

__all__ = ["run"]


def run(poses3d: Path, output: Path) -> dict[str, str]:
    """Write the cameras of all clips that are in the world, each by its clip's name.

    Parameters
    ----------
    poses3d
        A merged3d artifact.
    output
        posemill's JSON (:mod:`posemill.formats.calibration`).

    Returns
    -------
    Clip to the reason why its camera was left out.

    Raises
    ------
    InputError
        No clip is in the world before a camera that stands still.
    """
    artifact = read(poses3d, "merged3d")
    cameras: dict[str, Camera] = {}
    left_out: dict[str, str] = {}
    for name, clip in artifact.clips.items():
        reason = _unfit(clip)
        if reason is None and clip.camera is not None:
            cameras[name] = clip.camera
        else:
            left_out[name] = str(reason)
    if not cameras:
        got = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "no clips"
        raise InputError(expected("a clip in the world before a camera that stands still", "one", got, where=poses3d))
    write_calibration(output, cameras)
    return left_out


def _unfit(clip: Clip) -> str | None:
    """Why a clip's camera stands nowhere, or None."""
    if clip.status != "ok":
        return clip.reason
    if clip.motion is not None:
        return "its camera moves"
    if clip.attrs["frame"] != "world":
        return f"not in the world: {clip.attrs.get('world_reason', 'no reason said')}"
    return None
