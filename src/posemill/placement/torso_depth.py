"""How far away a depth network says that a person's torso is, beside where the person was placed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemill.errors import ArtifactError, expected
from posemill.formats.artifact import Artifact, Clip
from posemill.placement.observed import Placed
from posemill.skeleton import TORSO, joint_set

__all__ = ["TorsoDepth", "log_ratio", "torso_depths"]

# A hip or shoulder lies this far behind the surface that is seen of it: about half of a trunk's thickness.
_INSIDE_M = 0.10
_OPPOSITE = [TORSO.index(("right" if name.startswith("left") else "left") + name[name.index("_") :]) for name in TORSO]


@dataclass(frozen=True)
class TorsoDepth:
    """What a network says of one person of one clip.

    Attributes
    ----------
    frames
        (N,) which of the clip's frames it looked at.
    surface_m
        (N, 4) metres along the frame's optical axis, of the surface seen at :data:`posemill.skeleton.TORSO`; NaN
        unknown.
    focal_px
        (N,) px, the focal length that it takes the pictures to have; None where it does not say.
    """

    frames: np.ndarray
    surface_m: np.ndarray
    focal_px: np.ndarray | None


def torso_depths(files: Mapping[Path, Artifact], seen: Artifact) -> dict[str, dict[str, TorsoDepth]]:
    """Take the subject's depths, clip to track, out of depth artifacts (by their files) of the clips of keypoints2d.

    Clips that failed, there or here, are left out.

    Raises
    ------
    ArtifactError
        A file is of another person, clip or video.
    """
    out: dict[str, dict[str, TorsoDepth]] = {}
    for path, artifact in files.items():
        for name, clip in artifact.clips.items():
            if artifact.subject != seen.subject or name not in seen.clips or name in out:
                want = f"each clip of {seen.subject} once: {', '.join(sorted(seen.clips))}"
                raise ArtifactError(expected("depth of", want, f"{artifact.subject} {name}", where=path))
            if clip.status == "ok" and seen.clips[name].status == "ok":
                out[name] = _of_clip(clip, artifact.joint_set, seen.clips[name], path)
    return out


def _of_clip(clip: Clip, joints: str, seen: Clip, path: Path) -> dict[str, TorsoDepth]:
    frames = np.searchsorted(seen.time, clip.time)
    if frames[-1] >= len(seen.time) or not np.array_equal(seen.time[frames], clip.time):
        do = "run depth again on the clip's detections"
        raise ArtifactError(expected("depth", "frames of keypoints2d", "other times", where=path, do=do))
    torso, focal_px = joint_set(joints).indices(TORSO), clip.arrays.get("focal_px")
    result = {}
    for track in seen.tracks:
        # Which of the detected tracks are the subject is gather's answer; no two of them are in one frame.
        surface_m = np.full((len(frames), len(TORSO)), np.nan)
        for name in seen.attrs.get("subject_tracks", [track]):
            if name in clip.tracks:
                surface_m = np.fmax(surface_m, clip.tracks[name].arrays["depth"][:, torso])
        result[track] = TorsoDepth(frames, surface_m, focal_px)
    return result


def log_ratio(depth: TorsoDepth, placed: Placed) -> np.ndarray:
    """Log of the network's depth over that of the same joints as placed, (N,); NaN where either is unknown.

    Of a joint and its opposite the further one counts only if it is no further than a trunk is thick: else the nearer
    one may be what is seen there.
    """
    one = placed.observed
    joints, focal_px = placed.joints, np.full(len(one.time), one.camera.focal_px)
    if one.motion is not None:
        joints = one.motion.to_frames(joints)
        focal_px = np.sqrt(one.motion.K[:, 0, 0] * one.motion.K[:, 1, 1])
    there_m = joints[depth.frames][:, joint_set(one.joints_of).indices(TORSO), 2]
    surface_m = depth.surface_m
    if depth.focal_px is not None:
        surface_m = surface_m * (focal_px[depth.frames] / depth.focal_px)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log((surface_m + _INSIDE_M) / there_m)
        ratio[there_m - there_m[:, _OPPOSITE] > _INSIDE_M] = np.nan
    known = np.isfinite(ratio).any(axis=-1)
    out = np.full(len(ratio), np.nan)
    out[known] = np.nanmedian(ratio[known], axis=-1)
    return out
