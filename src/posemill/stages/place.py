"""place: the root in front of each camera, and the camera in the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.placement.floor import Floor
from posemill.placement.observed import Observed, Placed, body_set, check_pair, observe
from posemill.placement.options import PlaceOptions
from posemill.placement.shared_floors import find_floors
from posemill.placement.skeleton_file import read_skeleton, to_arrays
from posemill.placement.skeleton_scale import Skeleton
from posemill.placement.subject import measure
from posemill.placement.world import above_floor, world_source
from posemill.provenance import StageRequest, record

__all__ = ["run"]


def run(keypoints2d: Path, lifted3d: Path, output: Path, request: StageRequest, skeleton: Path | None = None) -> None:
    """Place one subject.

    Parameters
    ----------
    keypoints2d, lifted3d
        What gather and lift wrote of the same clips.
    output
        The placed3d artifact.
    request
        Options as in :class:`PlaceOptions`. Its sheet has ``cameras``, clip to the camera that it shares with other
        clips; and, without a skeleton, what the stage ``skeleton`` needs.
    skeleton
        What skeleton wrote of the subject, now or once; without, the bones are measured here, over these clips.

    Raises
    ------
    ArtifactError
        An input cannot be trusted, or they are not of the same subject and clips.
    """
    options = PlaceOptions(**request.options)
    seen, lifted = read(keypoints2d, "keypoints2d"), read(lifted3d, "lifted3d")
    check_pair(seen, lifted, keypoints2d, lifted3d)
    clips, cameras, joints_of = observe(seen, lifted), request.sheet.get("cameras") or {}, body_set(lifted)
    inputs = {"keypoints2d": keypoints2d, "lifted3d": lifted3d}
    if skeleton is not None:
        inputs["skeleton"] = skeleton
        tracks = [track for found in clips.values() for track in found.values()]
        body, problem = read_skeleton(skeleton, lifted, joints_of, tracks)
    else:
        measured = measure(
            clips,
            height_m=request.sheet.get("height_m"),
            camera_heights_m=request.sheet.get("camera_heights_m") or {},
            cameras=cameras,
            joints_of=joints_of,
            options=options,
        )
        body, problem = measured.skeleton, measured.problem
    result = Artifact(
        "placed3d",
        lifted.subject,
        body.joints_of,
        provenance=record(request, inputs),
        arrays=to_arrays(body),
        attrs={
            "bones_assumed": list(body.assumed),
            "ray_blind": bool(lifted.attrs.get("ray_blind", False)),
        },
    )
    people: dict[str, list[Placed]] = {}
    for name, clip in lifted.clips.items():
        if clip.status == "failed":
            result.clips[name] = clip
        elif problem:
            result.clips[name] = clip.failed(problem)
        else:
            result.clips[name], people[name] = _place_clip(clip, clips[name], body, options)
    _put_into_world(result.clips, people, body, cameras, options)
    write(output, result)


def _place_clip(
    lifted: Clip, tracks: Mapping[str, Observed], body: Skeleton, options: PlaceOptions
) -> tuple[Clip, list[Placed]]:
    """Place the people of one clip before its camera."""
    placed, people = {}, []
    for name, one in tracks.items():
        path = one.path(body, options)
        arrays = {"root_camera": path.root, "root_sigma": path.sigma, "valid": path.valid}
        placed[name] = Track(arrays, lifted.tracks[name].attrs)
        people.append(one.on(path, body))
    if not any(t.arrays["valid"].any() for t in placed.values()):
        return lifted.failed(
            f"no frame can be placed: expected {options.min_joints} or more joints that agree on a root at least "
            f"{options.min_depth_m} m in front of the camera; check the calibration and the 2D overlay"
        ), []
    camera = people[0].observed.camera
    return Clip(
        fps=lifted.fps,
        temporal=lifted.temporal,
        image_size=lifted.image_size,
        time=lifted.time,
        camera=camera,
        motion=people[0].observed.motion,
        tracks=placed,
        attrs={"world_source": world_source(camera), "scale_source": body.scale_source},
    ), people


def _put_into_world(
    clips: dict[str, Clip],
    people: Mapping[str, list[Placed]],
    body: Skeleton,
    cameras: Mapping[str, str],
    options: PlaceOptions,
) -> None:
    """Give clips without a calibrated place the floor that their people stand on, or say why they have none."""
    homeless = {name: found for name, found in people.items() if clips[name].attrs.get("world_source") == "none"}
    if not options.world:
        for name in homeless:
            clips[name].attrs["world_reason"] = "option world is false"
        return
    for name, floor in find_floors(homeless, body.stature_m, cameras, options).items():
        clip = clips[name]
        if isinstance(floor, str):
            clip.attrs["world_reason"] = floor
            continue
        assert clip.camera is not None  # placed clips have one
        clips[name] = replace(clip, camera=above_floor(clip.camera, floor))
        clips[name].attrs |= {"world_source": "body", "floor": _said_of(floor, body)}


def _said_of(floor: Floor, body: Skeleton) -> dict[str, float | int]:
    """What is kept of a floor beside the camera: rounded, for people to read."""
    sigma_m = float(np.hypot(floor.height_sigma_m, floor.height_m * body.scale_sigma))
    return {
        "camera_height_m": round(floor.height_m, 3),
        "camera_height_sigma_m": round(sigma_m, 3),
        "up_sigma_deg": round(floor.up_sigma_deg, 2),
        "upright_s": round(floor.upright_s, 2),
        "standing_spots": floor.spots,
    }
