"""The lens of a clip: from a calibration, the sheet, the file itself, or an assumption that says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posemill.camera import Camera
from posemill.errors import ClipError, InputError, expected
from posemill.formats.artifact_model import Clip
from posemill.formats.calibration import read_calibration

__all__ = ["lens_of"]

# How well people know a focal length in pixels or a field of view that they type in.
_FOCAL_SIGMA, _FOV_SIGMA = 0.02, 0.05
# Phones round to whole mm, and of videos they show a part that steadying chooses: about 10 % less.
_STATED_SIGMA = {"stills": 0.05, "video": 0.12}


def lens_of(clip: Clip, given: Mapping[str, Any]) -> Camera:
    """Return the camera of a detected clip.

    Parameters
    ----------
    clip
        With its image size, and ``focal_35mm`` among its attributes where the file says it.
    given
        ``calibration`` (path), ``camera`` (name in it), ``focal_px`` and ``fov_deg`` (across the width), each None
        where not given. A calibration wins over a focal length, that over a field of view, that over what the file
        itself says, and that over the assumption of :meth:`posemill.camera.Camera.prior`.

    Raises
    ------
    ClipError
        The calibration cannot be used for this clip.
    """
    width, height = clip.image_size
    if given.get("calibration"):
        path = Path(given["calibration"])
        try:
            camera = read_calibration(path, given.get("camera") or None)
        except InputError as error:  # told by the file's name: an artifact says nothing of where a lab keeps its data
            raise ClipError(str(error).replace(str(path), path.name)) from None
        if (camera.width, camera.height) != (width, height):
            want, got = f"{width}x{height} as the video", f"{camera.width}x{camera.height}"
            raise ClipError(
                expected("calibration's image size", want, got, where=path.name, do="calibrate the video as it is")
            )
        return camera
    if given.get("focal_px"):
        return Camera.from_focal(width, height, float(given["focal_px"]), source="sheet", sigma=_FOCAL_SIGMA)
    if given.get("fov_deg"):
        focal_px = width / 2 / np.tan(np.radians(float(given["fov_deg"])) / 2)
        return Camera.from_focal(width, height, float(focal_px), source="sheet", sigma=_FOV_SIGMA)
    if "focal_35mm" in clip.attrs:
        sigma = _STATED_SIGMA["video" if clip.temporal else "stills"]
        return Camera.from_focal_35mm(width, height, float(clip.attrs["focal_35mm"]), sigma=sigma)
    return Camera.prior(width, height)
