"""Poses to compare, from whatever file they come: what is known of each clip, in one form.

============================  ===================================================================================
file                          frames
============================  ===================================================================================
artifact ``truth3d``          world and camera, with visibility, contacts and the exact 2D
artifact ``merged3d``         camera, and the world where its camera stands there; sigma and contacts
artifact ``lifted3d``         relative: camera axes, the root at the origin
motion HDF5                   world; clips of one subject (``posemill.formats.motion``)
``.trc``                      world (y up in the file, z up here); one clip, named as the file
``.bvh``                      world (y up in the file, z up here); one clip, named as the file; m, cm or mm by the legs
``.npz``                      as its ``frame`` says, else unknown; one clip, named as the file
a folder                      of ``.trc``, ``.bvh`` and ``.npz`` files, one per clip
============================  ===================================================================================
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats import artifact as artifacts
from posemill.formats.artifact import Artifact, Clip, file_sha256
from posemill.formats.bvh import bvh_joints, read_bvh
from posemill.formats.bvh_names import joints_of_nodes, metres_per_unit
from posemill.formats.bvh_rig import from_y_up
from posemill.formats.motion import read_motion
from posemill.formats.pose_npz import read_pose_npz
from posemill.formats.poses import PoseClip, Poses
from posemill.formats.trc import joints_of_markers, read_trc
from posemill.skeleton import joint_set

__all__ = ["PoseClip", "Poses", "read_truth"]

_FILES = (".trc", ".bvh", ".npz")
_FEET = ("left", "right")
_SOLES = ("left_heel", "left_toe", "right_heel", "right_toe")


def read_truth(path: Path, subject: str = "") -> Poses:
    """Read poses of any kind that this module knows; predictions come in by the same way.

    What has no 3D joints is a prediction only.

    Parameters
    ----------
    subject
        Whose clips, of a file with several subjects.

    Raises
    ------
    ArtifactError
        One of posemill's files that cannot be trusted.
    InputError
        A file of no kind above, with a field missing, of the wrong shape, or without this subject.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    try:
        with path.open("rb") as file:
            start = file.read(18)
    except OSError as error:
        raise InputError(f"{path}: expected poses, got: {error.strerror}") from None
    if start.startswith(b"posemill artifact"):
        return _read_artifact(path)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_motion(path, subject)
    if start.startswith(b"PathFileType") or path.suffix.lower() == ".trc":
        return _one_clip(path, "trc", *_read_trc(path))
    if start.startswith(b"HIERARCHY"):
        return _one_clip(path, "bvh", *_read_bvh(path))
    if start.startswith(b"PK"):
        return _one_clip(path, "npz", *read_pose_npz(path))
    raise InputError(expected("contents", "an artifact, motion HDF5, TRC, BVH or npz", f"{start[:12]!r}", where=path))


def _one_clip(path: Path, kind: str, joints: str, clip: PoseClip) -> Poses:
    return Poses(path, kind, joints, {_clip_id(path): clip}, file_sha256(path))


def _clip_id(path: Path) -> str:
    """File name without suffix, and without the person that exporters put behind the clip."""
    return re.sub(r"\.p\d+$", "", path.stem)


def _read_folder(path: Path) -> Poses:
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in _FILES and p.name[0] != ".")
    if not files:
        raise InputError(expected("contents of the folder", ".trc, .bvh or .npz files", "none", where=path))
    parts = [read_truth(file) for file in files]
    sets = sorted({part.joint_set for part in parts})
    if len(sets) > 1:
        raise InputError(expected("joint set", "the same in all files", ", ".join(sets), where=path))
    clips: dict[str, PoseClip] = {}
    for part in parts:
        for name, clip in part.clips.items():
            if name in clips:
                raise InputError(expected(f"clip {name}", "one file", "several", where=path))
            clips[name] = clip
    digest = hashlib.sha256(json.dumps([(p.path.name, p.sha256) for p in parts]).encode()).hexdigest()
    return Poses(path, "folder", sets[0], clips, digest)


# ---------------------------------------------------------------------------------------------- artifacts


def _read_artifact(path: Path) -> Poses:
    artifact = artifacts.read(path)
    readers = {
        "truth3d": _from_truth,
        "merged3d": _from_merged,
        "lifted3d": _from_lifted,
        "placed3d": _from_placed,
        "keypoints2d": _from_keypoints,
        "detections2d": _from_keypoints,
    }
    if artifact.schema not in readers:
        raise InputError(expected("kind of artifact", " or ".join(readers), artifact.schema, where=path))
    if artifact.schema == "lifted3d" and artifact.attrs.get("units", "m") != "m":
        raise InputError(
            expected("units of the lifter", "m", artifact.attrs["units"], where=path, do="evaluate the merged file")
        )
    clips = {}
    for name, clip in artifact.clips.items():
        if clip.status != "ok":
            clips[name] = PoseClip(np.zeros(0), {}, failed=clip.reason or "no reason given")
            continue
        if len(clip.tracks) != 1:
            raise InputError(expected(f"clip {name}", "one person", sorted(clip.tracks) or "nobody", where=path))
        clips[name] = readers[artifact.schema](clip)
    return _of_artifact(path, artifact, clips)


def _of_artifact(path: Path, artifact: Artifact, clips: dict[str, PoseClip]) -> Poses:
    return Poses(
        path,
        artifact.schema,
        artifact.joint_set,
        clips,
        artifact.sha256,
        artifact.subject,
        artifact.attrs,
        artifact.provenance,
    )


def _common(clip: Clip) -> dict[str, Any]:
    person = next(iter(clip.tracks))
    return {
        "time": clip.time,
        "fps": float(clip.fps),
        "temporal": clip.temporal,
        "person": person,
        "camera": clip.camera,
    }


def _from_truth(clip: Clip) -> PoseClip:
    arrays = next(iter(clip.tracks.values())).arrays
    return PoseClip(
        joints={"world": arrays["joints"], "camera": arrays["joints_camera"]},
        visible=arrays["visible"],
        keypoints=arrays["keypoints"],
        contact=arrays["contact"],
        contact_points=_SOLES,
        **_common(clip),
    )


def _from_merged(clip: Clip) -> PoseClip:
    arrays, frame = next(iter(clip.tracks.values())).arrays, str(clip.attrs["frame"])
    return PoseClip(
        joints={"camera": arrays["joints_camera"], frame: arrays["joints"]},
        root={frame: arrays["root"]},
        # The methods find contacts in the world only; elsewhere the flags say nothing.
        contact=arrays["contact"] if clip.attrs.get("contact_source", "") != "none" else None,
        contact_points=_FEET,
        sigma=arrays["sigma"],
        sigma_frame=frame,
        frame=frame,
        own_world=clip.attrs["world_source"] == "body",
        **_common(clip),
    )


def _from_lifted(clip: Clip) -> PoseClip:
    arrays = next(iter(clip.tracks.values())).arrays
    joints = arrays["joints_relative"]
    return PoseClip(
        joints={"relative": joints},
        sigma=arrays["sigma"],
        sigma_frame="relative",
        frame="relative",
        **_common(clip),
    )


def _from_placed(clip: Clip) -> PoseClip:
    arrays = next(iter(clip.tracks.values())).arrays
    return PoseClip(joints={}, root={"camera": arrays["root_camera"]}, frame="camera", **_common(clip))


def _from_keypoints(clip: Clip) -> PoseClip:
    arrays = next(iter(clip.tracks.values())).arrays
    return PoseClip(joints={}, keypoints=arrays["keypoints"], frame="image", **_common(clip))


# ---------------------------------------------------------------------------------------------- other files


def _read_motion(path: Path, subject: str) -> Poses:
    clips = read_motion(path, groups=None)
    subjects = sorted({clip.subject for clip in clips})
    chosen = subject if subject in subjects else subjects[0] if len(subjects) == 1 else ""
    if not chosen:
        shown = ", ".join(subjects[:8]) + (", ..." if len(subjects) > 8 else "")
        raise InputError(expected("subject", subject or "one subject", shown or "none", where=path))
    found = {
        clip.clip: PoseClip(np.arange(len(clip.joints)) / clip.fps, {"world": clip.joints}, fps=clip.fps)
        for clip in clips
        if clip.subject == chosen
    }
    return Poses(path, "motion", "h36m17", found, file_sha256(path), chosen)


def _read_trc(path: Path) -> tuple[str, PoseClip]:
    trc = read_trc(path)
    name, index = joints_of_markers(trc.markers, path)
    joints = np.full((len(trc.time), len(joint_set(name)), 3), np.nan)
    joints[:, index] = trc.points
    return name, PoseClip(trc.time, {"world": joints})


def _read_bvh(path: Path) -> tuple[str, PoseClip]:
    bvh = read_bvh(path)
    name, index = joints_of_nodes(bvh.names, path)
    if not bvh.frame_time_s > 0 or not len(bvh.motion):
        raise InputError(expected("frames", "some, and a Frame Time above 0", f"{len(bvh.motion)}", where=path))
    joints = bvh_joints(bvh)[:, index]
    joints = from_y_up(joints * metres_per_unit(joints, name, path), "world")
    return name, PoseClip(bvh.frame_time_s * np.arange(len(joints)), {"world": joints}, fps=1 / bvh.frame_time_s)
