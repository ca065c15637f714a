"""What place and skeleton work on: one person of one clip, lifted, with the same joints in the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Times, Vector3
from posemill.camera import Camera
from posemill.camera_motion import CameraMotion
from posemill.errors import ArtifactError, expected
from posemill.formats.artifact import Artifact, Clip, Track, first_misfit, only_joints
from posemill.joint_axes import moved_by
from posemill.placement.options import PlaceOptions
from posemill.placement.own_root import OwnRoot, put_in_place
from posemill.placement.ray import root_rays, turned_to_ray
from posemill.placement.skeleton_scale import Skeleton, over_axes
from posemill.placement.translation import Trajectory, root_trajectory
from posemill.skeleton import convert, joint_set, normalise_pose

__all__ = ["BODIES", "Observed", "Placed", "body_set", "check_pair", "observe"]

BODIES = ("posemill21", "h36m17")
"""Joint sets that are placed, the one with heels and toes first; the second is the beginning of the first."""

_PLACED = "h36m17"
_PLACED_JOINTS = len(joint_set(_PLACED))


@dataclass(frozen=True)
class Observed:
    """One person of one clip.

    Attributes
    ----------
    time, temporal, camera
        (T,) seconds; False for stills; the camera that saw it, or the reference camera of one that moves.
    pose, sigma, valid
        (T, J, 3) as lifted, turned to the person's ray if the lifter is ray-blind, in its unit, camera axes; (T, J) one
        sigma for all axes; flags.
    joints_of
        Joint set of these, one of :data:`BODIES`.
    keypoints, keypoint_sigma_px, seen
        (T, 17, 2) px, (T, 17) px and flags: the joints of h36m17 in the image.
    own_root
        The root that the lifter says itself, in its unit; None if it does not.
    motion
        Of a camera that moves.
    joint_offsets
        Where in the body the detector's joints are, of :func:`posemill.joint_axes.moved_by`; None: not known.
    """

    time: Times
    temporal: bool
    camera: Camera
    pose: Points3
    sigma: PerJoint
    valid: Flags
    joints_of: str
    keypoints: Points2
    keypoint_sigma_px: PerJoint
    seen: Flags
    own_root: OwnRoot | None = None
    motion: CameraMotion | None = None
    joint_offsets: Mapping[str, Sequence[float]] | None = None

    def path(self, skeleton: Skeleton, options: PlaceOptions) -> Trajectory:
        """Find the root's path of a person of these bones."""
        if self.own_root is None or not options.own_root:
            return self._path(skeleton, options, None)
        own: OwnRoot | None = self.own_root.scaled(skeleton.scale)
        if own is not None and own.free:
            alone = self._path(skeleton, options, None)
            own = put_in_place(own, alone.root, alone.sigma)
        elif own is not None and self._offset is not None:
            own = replace(own, root=own.root + self._offset)
        return self._path(skeleton, options, own)

    @property
    def _offset(self) -> Vector3 | None:
        return self.motion.offset if self.motion is not None and self.motion.travels else None

    def _path(self, skeleton: Skeleton, options: PlaceOptions, own: OwnRoot | None) -> Trajectory:
        placed = slice(_PLACED_JOINTS)
        pose = normalise_pose(self.pose[:, placed], skeleton.body_lengths_m)
        if options.joint_offsets and self.joint_offsets:
            pose = pose + moved_by(pose, self.joint_offsets, skeleton.stature_m)
        return root_trajectory(
            self.time,
            pose,
            self.sigma[:, placed] * skeleton.scale,
            self.keypoints,
            self.keypoint_sigma_px,
            self.seen & self.valid[:, placed],
            self.camera,
            temporal=self.temporal,
            offset=self._offset,
            scale_sigma=skeleton.scale_sigma,
            options=options,
            own=own,
        )

    def on(self, path: Trajectory, skeleton: Skeleton) -> Placed:
        """Put the person of these bones on a root's path."""
        return Placed(self, normalise_pose(self.pose, skeleton.lengths_m, self.joints_of) + path.root[:, None])


class Placed(NamedTuple):
    """A person of one clip, and all joints (T, J, 3) m before the camera, camera axes; NaN where unknown."""

    observed: Observed
    joints: Points3


def body_set(lifted: Artifact) -> str:
    """The largest of :data:`BODIES` whose joints a lifted3d artifact has."""
    there = set(joint_set(lifted.joint_set).joints)
    return next(name for name in BODIES if set(joint_set(name).joints) <= there)


def check_pair(seen: Artifact, lifted: Artifact, keypoints2d: object, lifted3d: object) -> None:
    """Check that lifted3d is of the same clips, frames and tracks as keypoints2d.

    Raises
    ------
    ArtifactError
        It is not.
    """
    redo = f"run lift again on {keypoints2d}"
    if (seen.subject, sorted(seen.clips)) != (lifted.subject, sorted(lifted.clips)):
        want, got = f"{seen.subject}: {sorted(seen.clips)}", f"{lifted.subject}: {sorted(lifted.clips)}"
        raise ArtifactError(expected("subject and clips", want, got, where=lifted3d, do=redo))
    name = first_misfit(lifted, seen)
    if name is not None:
        raise ArtifactError(f"{lifted3d}: /{name}: expected the frames and tracks of {keypoints2d}; {redo}")


def observe(seen: Artifact, lifted: Artifact) -> dict[str, dict[str, Observed]]:
    """Join keypoints2d and lifted3d: clip to track to what is known; failed clips are left out."""
    body = body_set(lifted)
    lifted = only_joints(lifted, body)
    ray_blind = bool(lifted.attrs.get("ray_blind", False))
    return {
        name: {
            track: _one(
                clip,
                clip.tracks[track],
                seen.clips[name],
                seen.clips[name].tracks[track],
                seen,
                body,
                # What another system answered is no matter of the lifter's.
                bool(clip.attrs.get("ray_blind", ray_blind)),
            )
            for track in clip.tracks
        }
        for name, clip in lifted.clips.items()
        if clip.status == "ok"
    }


def _one(
    clip: Clip, lifted: Track, image_clip: Clip, image: Track, seen: Artifact, body: str, ray_blind: bool
) -> Observed:
    assert image_clip.camera is not None  # keypoints2d's schema has one in every clip
    keypoints, flags = image.arrays["keypoints"].astype(np.float64), image.arrays["valid"]
    points, valid, _, sigma_px = convert(
        keypoints, seen.joint_set, _PLACED, valid=flags, sigma=image.arrays["sigma"].astype(np.float64)
    )
    pose = lifted.arrays["joints_relative"].astype(np.float64)
    if ray_blind:
        camera = image_clip.camera
        rays = root_rays(image_clip.time, keypoints, seen.joint_set, flags, camera, temporal=clip.temporal)
        pose = turned_to_ray(pose, rays)
    return Observed(
        clip.time,
        clip.temporal,
        image_clip.camera,
        pose,
        over_axes(lifted.arrays["sigma"]),
        lifted.arrays["valid"],
        body,
        points,
        sigma_px,
        valid,
        _own_root(lifted),
        image_clip.motion,
        seen.attrs.get("joint_offsets"),
    )


def _own_root(lifted: Track) -> OwnRoot | None:
    if "root" not in lifted.arrays:
        return None
    root, sigma = (lifted.arrays[name].astype(np.float64) for name in ("root", "root_sigma"))
    return OwnRoot(root, sigma, bool(lifted.attrs.get("root_free", False)))
