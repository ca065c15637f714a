"""skeleton: one person's bone lengths over all clips, in metres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posemill.formats.artifact import read, write
from posemill.placement.observed import body_set, check_pair, observe
from posemill.placement.options import PlaceOptions
from posemill.placement.skeleton_file import to_artifact
from posemill.placement.subject import measure
from posemill.placement.torso_depth import torso_depths
from posemill.provenance import StageRequest, record

__all__ = ["run"]


def run(keypoints2d: Path, lifted3d: Path, output: Path, request: StageRequest, depths: Sequence[Path] = ()) -> None:
    """Measure one subject.

    Parameters
    ----------
    keypoints2d, lifted3d
        What gather and lift wrote of the same clips.
    output
        The skeleton artifact.
    request
        Options as in :class:`posemill.placement.options.SkeletonOptions`. Its sheet has ``height_m``, the person's
        standing height or None, ``camera_heights_m``, clip to the camera's height above the floor where it is known,
        and ``cameras``, clip to the camera that it shares with other clips.
    depths
        What the stage depth wrote of these clips, or of some.

    Raises
    ------
    ArtifactError
        An input cannot be trusted, or they are not of the same clips.
    """
    seen, lifted = read(keypoints2d, "keypoints2d"), read(lifted3d, "lifted3d")
    check_pair(seen, lifted, keypoints2d, lifted3d)
    asked = {path: read(path, "depth") for path in depths}
    measured = measure(
        observe(seen, lifted),
        height_m=request.sheet.get("height_m"),
        camera_heights_m=request.sheet.get("camera_heights_m") or {},
        cameras=request.sheet.get("cameras") or {},
        joints_of=body_set(lifted),
        options=PlaceOptions(**request.options),
        depths=torso_depths(asked, seen),
    )
    inputs = {"keypoints2d": keypoints2d, "lifted3d": lifted3d}
    inputs |= {f"depth/{name}": path for path, one in asked.items() for name in one.clips}
    write(output, to_artifact(measured, lifted, record(request, inputs)))
