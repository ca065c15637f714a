"""place: bone lengths and scale per subject, then the root in front of each camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posemill.errors import ArtifactError, ClipError, expected
from posemill.formats.artifact import Artifact, Clip, Track, first_misfit, only_joints, read, write
from posemill.placement.options import PlaceOptions
from posemill.placement.ray import root_rays, turned_to_ray
from posemill.placement.skeleton_scale import Skeleton, fit_skeleton, over_axes
from posemill.placement.translation import root_trajectory
from posemill.placement.world import world_source
from posemill.provenance import StageRequest, record
from posemill.skeleton import convert, normalise_pose

__all__ = ["run"]


def run(keypoints2d: Path, lifted3d: Path, output: Path, request: StageRequest) -> None:
    """Place one subject.

    Parameters
    ----------
    keypoints2d, lifted3d
        What gather and lift wrote of the same clips.
    output
        The placed3d artifact.
    request
        Options as in :class:`PlaceOptions`; ``sheet["height_m"]`` is the person's standing height or None.

    Raises
    ------
    ArtifactError
        An input cannot be trusted, or the two are not of the same clips.
    """
    options = PlaceOptions(**request.options)
    seen, lifted = read(keypoints2d, "keypoints2d"), read(lifted3d, "lifted3d")
    _check_pair(seen, lifted, keypoints2d, lifted3d)
    lifted = only_joints(lifted, "h36m17")
    ray_blind = bool(lifted.attrs.get("ray_blind", False))
    skeleton, problem = _skeleton(lifted, request.sheet.get("height_m"), options)
    result = Artifact(
        "placed3d",
        lifted.subject,
        "h36m17",
        provenance=record(request, {"keypoints2d": keypoints2d, "lifted3d": lifted3d}),
        arrays={
            "bone_lengths": skeleton.lengths_m,
            "scale": np.array(skeleton.scale),
            "scale_sigma": np.array(skeleton.scale_sigma),
        },
        attrs={"bones_assumed": list(skeleton.assumed), "ray_blind": ray_blind},
    )
    for name, clip in lifted.clips.items():
        if clip.status == "failed":
            result.clips[name] = clip
        elif problem:
            result.clips[name] = clip.failed(problem)
        else:
            result.clips[name] = _place_clip(seen.clips[name], clip, seen.joint_set, ray_blind, skeleton, options)
    write(output, result)


def _skeleton(lifted: Artifact, height_m: float | None, options: PlaceOptions) -> tuple[Skeleton, str]:
    """The subject's skeleton, and why the clips cannot be placed with it ("" if they can)."""
    tracks = [t for c in lifted.clips.values() for t in c.tracks.values()]
    poses = [t.arrays["joints_relative"].astype(np.float64) for t in tracks]
    sigmas = [over_axes(t.arrays["sigma"]) for t in tracks]
    sigma = {"height_sigma": options.height_scale_sigma, "prior_sigma": options.lifter_scale_sigma}
    try:
        return fit_skeleton(poses, sigmas, height_m=height_m, **sigma), ""
    except ClipError as error:
        return fit_skeleton(poses, sigmas, **sigma), str(error)


def _place_clip(
    seen: Clip, lifted: Clip, joint_set: str, ray_blind: bool, skeleton: Skeleton, options: PlaceOptions
) -> Clip:
    assert seen.camera is not None  # keypoints2d's schema has one in every clip
    tracks = {}
    for name, track in lifted.tracks.items():
        image = {key: value.astype(np.float64) for key, value in seen.tracks[name].arrays.items() if key != "valid"}
        points, valid, _, sigma_px = convert(
            image["keypoints"],
            joint_set,
            "h36m17",
            valid=seen.tracks[name].arrays["valid"],
            sigma=image["sigma"],
        )
        pose = track.arrays["joints_relative"]
        if ray_blind:
            flags = seen.tracks[name].arrays["valid"]
            rays = root_rays(seen.time, image["keypoints"], joint_set, flags, seen.camera, temporal=lifted.temporal)
            pose = turned_to_ray(pose, rays)
        path = root_trajectory(
            lifted.time,
            normalise_pose(pose, skeleton.lengths_m),
            over_axes(track.arrays["sigma"]) * skeleton.scale,
            points,
            sigma_px,
            valid & track.arrays["valid"],
            seen.camera,
            temporal=lifted.temporal,
            scale_sigma=skeleton.scale_sigma,
            options=options,
        )
        tracks[name] = Track({"root_camera": path.root, "root_sigma": path.sigma, "valid": path.valid}, track.attrs)
    if not any(t.arrays["valid"].any() for t in tracks.values()):
        return lifted.failed(
            f"no frame can be placed: expected {options.min_joints} or more joints that agree on a root at least "
            f"{options.min_depth_m} m in front of the camera; check the calibration and the 2D overlay"
        )
    return Clip(
        fps=lifted.fps,
        temporal=lifted.temporal,
        image_size=lifted.image_size,
        time=lifted.time,
        camera=seen.camera,
        tracks=tracks,
        attrs={"world_source": world_source(seen.camera), "scale_source": skeleton.scale_source},
    )


def _check_pair(seen: Artifact, lifted: Artifact, keypoints2d: Path, lifted3d: Path) -> None:
    redo = f"run lift again on {keypoints2d}"
    if (seen.subject, sorted(seen.clips)) != (lifted.subject, sorted(lifted.clips)):
        want, got = f"{seen.subject}: {sorted(seen.clips)}", f"{lifted.subject}: {sorted(lifted.clips)}"
        raise ArtifactError(expected("subject and clips", want, got, where=lifted3d, do=redo))
    name = first_misfit(lifted, seen)
    if name is not None:
        raise ArtifactError(f"{lifted3d}: /{name}: expected the frames and tracks of {keypoints2d}; {redo}")
