"""camera: how one clip's camera panned, tilted and zoomed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posemill import media
from posemill.background.corners import follow, people_boxes
from posemill.background.pan import find_pan
from posemill.errors import ClipError
from posemill.formats.artifact import only_clip, read
from posemill.formats.camera_path import write_camera_path
from posemill.formats.lens import lens_of
from posemill.progress import progress
from posemill.provenance import StageRequest, record

__all__ = ["run"]


def run(video: Path, detections: Path, output: Path, request: StageRequest) -> None:
    """Find the path of a camera that stands on one spot and turns, and write it as posemill's JSON.

    Parameters
    ----------
    video
        The clip's video.
    detections
        What detect wrote of it; where it saw people no background is looked for.
    output
        The file, for gather's ``camera_path``.
    request
        Its sheet has ``lens``, what :func:`posemill.formats.lens.lens_of` takes, and ``start_s`` as detect had it.

    Raises
    ------
    InputError
        There is no such video.
    ArtifactError
        The detections cannot be trusted, or are of several clips.

    Notes
    -----
    A camera whose path cannot be found is no error of the run: the file then says why, and gather fails the clip.
    """
    _, clip = only_clip(read(detections, "detections2d"), detections)
    about: dict[str, Any] = {"provenance": record(request, {"video": video, "detections": detections})}
    try:
        if clip.status == "failed":
            raise ClipError(clip.reason)
        if not clip.temporal:
            raise ClipError("camera_moves: expected a video, got stills")
        lens = lens_of(clip, request.sheet.get("lens") or {})
        boxes = people_boxes({n: t.arrays["bbox"].astype(np.float64) for n, t in clip.tracks.items()}, clip.time)
        shown = media.frames(video, start_s=float(request.sheet.get("start_s") or 0.0))
        pan = find_pan(follow(progress(shown, len(clip.time), "camera"), clip.time, boxes), clip.time, lens)
    except ClipError as error:
        write_camera_path(output, str(error), about)
        return
    said = {"corners": pan.corners, "keyframes": pan.keyframes, "residual_px": round(pan.residual_px, 3)}
    write_camera_path(output, pan.path, about | said | {"zooms": pan.zooms})
