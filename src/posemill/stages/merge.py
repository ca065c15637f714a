"""merge: the normalised pose and the placed root as one animation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from posemill.errors import ArtifactError, expected
from posemill.formats.artifact import Artifact, Clip, Track, only_joints, read, write
from posemill.merging.feet import SeenPerson, smooth_soles
from posemill.merging.merge import merge
from posemill.merging.options import MergeOptions
from posemill.placement.ray import root_rays, turned_to_ray
from posemill.placement.skeleton_file import from_arrays
from posemill.placement.skeleton_scale import Skeleton
from posemill.placement.world import frame_of
from posemill.provenance import StageRequest, record

__all__ = ["run"]


_OF_GATHER = ("people_seen", "cleaning")


def run(keypoints2d: Path, lifted3d: Path, placed3d: Path, output: Path, request: StageRequest) -> None:
    """Merge one subject.

    Parameters
    ----------
    keypoints2d, lifted3d, placed3d
        What gather, lift and place wrote of the same clips.
    output
        The merged3d artifact.
    request
        Options as in :class:`MergeOptions`.

    Raises
    ------
    ArtifactError
        An input cannot be trusted, or they are not of the same clips.
    """
    options = MergeOptions(**request.options)
    paths = {"keypoints2d": keypoints2d, "lifted3d": lifted3d, "placed3d": placed3d}
    seen, lifted, placed = (read(path, schema) for schema, path in paths.items())
    _check_same(seen, lifted, placed, paths)
    lifted = replace(lifted, clips={name: _before_camera(lifted, seen, name) for name in lifted.clips})
    body, skeleton = only_joints(lifted, placed.joint_set), from_arrays(placed)
    result = Artifact(
        "merged3d",
        placed.subject,
        placed.joint_set,
        provenance=record(request, paths),
        attrs={**placed.attrs, "scale_sigma": skeleton.scale_sigma},
    )
    for name, clip in placed.clips.items():
        if clip.status == "failed":
            result.clips[name] = clip
            continue
        people = _in_image(body.clips[name], seen, name, skeleton.scale, options)
        merged = _merge_clip(body.clips[name], clip, people, skeleton, options)
        # Who was seen and what was done to their keypoints, for the summary.
        merged.attrs |= {key: seen.clips[name].attrs[key] for key in _OF_GATHER if key in seen.clips[name].attrs}
        result.clips[name] = merged
    write(output, result)


def _before_camera(of: Artifact, images: Artifact, name: str) -> Clip:
    """Return a lifted clip with its poses turned to the person's ray where place turned them."""
    lifted, seen, joint_set = of.clips[name], images.clips[name], images.joint_set
    if lifted.status != "ok" or not lifted.attrs.get("ray_blind", of.attrs.get("ray_blind", False)):
        return lifted
    assert seen.camera is not None  # keypoints2d's schema has one in every clip
    tracks = {}
    for name, track in lifted.tracks.items():
        image = seen.tracks[name].arrays
        rays = root_rays(
            seen.time, image["keypoints"], joint_set, image["valid"], seen.camera, temporal=lifted.temporal
        )
        pose = turned_to_ray(track.arrays["joints_relative"], rays)
        tracks[name] = Track({**track.arrays, "joints_relative": pose}, track.attrs)
    return replace(lifted, tracks=tracks)


def _in_image(lifted: Clip, seen: Artifact, name: str, scale: float, options: MergeOptions) -> dict[str, SeenPerson]:
    """Per track, the person in the image, and the soles where the lifter knows them."""
    people, offsets, moving = {}, seen.attrs.get("joint_offsets"), options if lifted.temporal else None
    for track, pose in lifted.tracks.items():
        soles = scale * smooth_soles(lifted.time, pose.arrays["joints_relative"], moving)
        image = seen.clips[name].tracks[track].arrays
        people[track] = SeenPerson(
            image["keypoints"], image["sigma"], image["valid"], seen.joint_set, soles, joint_offsets=offsets
        )
    return people


def _merge_clip(
    lifted: Clip,
    placed: Clip,
    people: dict[str, SeenPerson],
    skeleton: Skeleton,
    options: MergeOptions,
) -> Clip:
    frame = frame_of(placed.attrs["world_source"])
    tracks = {}
    for name, track in placed.tracks.items():
        pose = lifted.tracks[name].arrays
        merged = merge(
            placed.time,
            pose["joints_relative"],
            pose["sigma"],
            track.arrays["root_camera"],
            track.arrays["root_sigma"],
            skeleton,
            placed.camera,
            temporal=placed.temporal,
            options=options,
            seen=people[name],
            offset=placed.motion.offset if placed.motion is not None and placed.motion.travels else None,
            shared_sigma=float(np.hypot(skeleton.scale_sigma, placed.camera.focal_sigma if placed.camera else 0.0)),
        )
        tracks[name] = Track({key: getattr(merged, key) for key in merged.__dataclass_fields__}, track.attrs)
    contact = "feet_at_rest" if frame == "world" and placed.temporal else "none"
    locked = contact != "none" and options.lock_feet
    return Clip(
        fps=placed.fps,
        temporal=placed.temporal,
        image_size=placed.image_size,
        time=placed.time,
        camera=placed.camera,
        motion=placed.motion,
        tracks=tracks,
        attrs={**placed.attrs, "frame": frame, "contact_source": contact, "feet_locked": locked},
    )


def _check_same(seen: Artifact, lifted: Artifact, placed: Artifact, paths: dict[str, Path]) -> None:
    """Check that place worked on exactly these files: its provenance has their checksums."""
    found = placed.provenance.get("inputs", {})
    for role, artifact in (("keypoints2d", seen), ("lifted3d", lifted)):
        if found.get(role) != artifact.sha256:
            raise ArtifactError(
                expected(
                    f"made from {paths[role].name}",
                    artifact.sha256[:12],
                    str(found.get(role))[:12],
                    where=paths["placed3d"],
                    do="run place again",
                )
            )
