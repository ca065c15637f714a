"""Artifacts in memory, and the check that both reader and writer hold them to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from posemill.camera import Camera
from posemill.camera_motion import CameraMotion
from posemill.errors import ArtifactError, expected
from posemill.formats.schema import COORDINATES, OWN_NAMES, SCHEMAS, Field, Schema
from posemill.skeleton import joint_set

__all__ = [
    "ID",
    "Artifact",
    "Clip",
    "Track",
    "coordinates",
    "first_misfit",
    "only_clip",
    "only_joints",
    "schema_named",
    "validate",
]

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass
class Track:
    """One person in one clip: arrays by the schema's names, and free attributes."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Clip:
    """One video of one camera. ``status`` is ``ok``, or ``failed`` with a one-line ``reason`` and no tracks.

    ``time`` is (T,) seconds from the first frame, from the source's stamps. ``image_size`` is (width, height). Of a
    camera that moves, ``camera`` is the reference camera, and ``motion`` says how each frame's stands to it.
    """

    status: str = "ok"
    reason: str = ""
    fps: float = float("nan")
    temporal: bool = True
    image_size: tuple[int, int] = (0, 0)
    time: np.ndarray = field(default_factory=lambda: np.zeros(0))
    camera: Camera | None = None
    tracks: dict[str, Track] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    motion: CameraMotion | None = None

    def failed(self, reason: str) -> Clip:
        """Return this clip as failed: its description kept, its numbers dropped, the reason said."""
        return Clip("failed", reason, self.fps, self.temporal, self.image_size)


@dataclass
class Artifact:
    """Everything in one file, in memory. ``sha256`` is set by :func:`read`."""

    schema: str
    subject: str
    joint_set: str
    clips: dict[str, Clip] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""


def validate(artifact: Artifact, where: object) -> None:
    """Check an artifact against its schema: names, ids, shapes, flags, finiteness.

    Raises
    ------
    ArtifactError
        With ``where`` and the place inside the file.
    """
    schema = schema_named(artifact.schema, where)
    sizes = {name: len(labels) for name, labels in coordinates(artifact.joint_set).items()}
    for name in (artifact.subject, *artifact.clips):
        _check_id(name, where)
        if name in OWN_NAMES:
            raise ArtifactError(expected("clip", "another name: files have parts called so", name, where=where))
    _check_fields(artifact.arrays, schema.subject, sizes, f"{where}: /")
    for clip_id, clip in artifact.clips.items():
        _check_clip(clip, schema, sizes, f"{where}: /{clip_id}")


def _check_clip(clip: Clip, schema: Schema, sizes: dict[str, int], place: str) -> None:
    if clip.status == "failed":
        if not clip.reason or clip.tracks:
            raise ArtifactError(f"{place}: a failed clip: expected a reason and no tracks, got {clip.reason!r}")
        return
    if clip.status != "ok":
        raise ArtifactError(expected("status", "ok or failed", clip.status, where=place))
    time = np.asarray(clip.time)
    if time.ndim != 1 or len(time) == 0 or not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        raise ArtifactError(expected("time", "increasing finite seconds", f"shape {time.shape}", where=place))
    if min(clip.image_size) <= 0:
        raise ArtifactError(expected("image size", "positive width and height", clip.image_size, where=place))
    if schema.camera and clip.camera is None:
        raise ArtifactError(f"{place}: expected a camera, got none")
    if clip.motion is not None and (clip.camera is None or len(clip.motion.known) != len(time)):
        got = f"{len(clip.motion.known)} poses"
        raise ArtifactError(expected("motion of the camera", f"{len(time)} poses and a camera", got, where=place))
    for name in schema.clip_attrs:
        if name not in clip.attrs:
            raise ArtifactError(expected("attributes", name, sorted(clip.attrs), where=place))
    sizes = {**sizes, "time": len(time)}
    _check_fields(clip.arrays, schema.clip, sizes, place)
    for track_id, track in clip.tracks.items():
        _check_id(track_id, place)
        _check_fields(track.arrays, schema.track, sizes, f"{place}/{track_id}")


def _check_fields(arrays: dict[str, np.ndarray], fields: tuple[Field, ...], sizes: dict[str, int], place: str) -> None:
    names, optional = {f.name for f in fields}, {f.name for f in fields if f.optional}
    if not names - optional <= set(arrays) <= names:
        raise ArtifactError(expected("datasets", sorted(names - optional), sorted(arrays), where=place))
    for f in (f for f in fields if f.name in arrays):
        value = np.asarray(arrays[f.name])
        shape = tuple(sizes[d] for d in f.dims)
        if value.shape != shape:
            raise ArtifactError(expected(f"{f.name} {f.dims}", shape, value.shape, where=place))
        kind = "b" if f.dtype == "bool" else "f"
        if value.dtype.kind != kind:
            raise ArtifactError(expected(f"type of {f.name}", f.dtype, value.dtype, where=place))
        if kind == "f":
            _check_gap(f, value, arrays, place)


def _check_gap(f: Field, value: np.ndarray, arrays: dict[str, np.ndarray], place: str) -> None:
    finite = np.isfinite(value)
    if f.gap is None:
        if not finite.all():
            raise ArtifactError(f"{place}: {f.name}: expected finite numbers, got {int((~finite).sum())} that are not")
        return
    valid = finite.any(axis=-1) if f.gap == "rows" else arrays["valid"]
    if f.gap == "any valid":
        valid = valid.any(axis=-1)
    valid = valid.reshape(valid.shape + (1,) * (value.ndim - valid.ndim))
    wrong = int((finite != np.broadcast_to(valid, value.shape)).sum())
    if wrong:
        raise ArtifactError(
            f"{place}: {f.name}: expected numbers where valid and NaN elsewhere, got {wrong} values otherwise"
        )


def _check_id(name: str, where: object) -> None:
    if not ID.fullmatch(name):
        raise ArtifactError(expected("id", ID.pattern, repr(name), where=where))


def schema_named(name: object, where: object) -> Schema:
    """Look a schema up; raises ArtifactError with the names that exist."""
    schema = SCHEMAS.get(str(name))
    if schema is None:
        raise ArtifactError(expected("kind", " or ".join(SCHEMAS), name, where=where))
    return schema


def coordinates(joints: str) -> dict[str, tuple[str, ...]]:
    """Labels of every dimension of a file with this joint set, but ``time``."""
    names = joint_set(joints)
    bones = tuple(names.joints[child] for _, child in names.bones)
    return {"joint": names.joints, "bone": bones, **COORDINATES}


def only_clip(artifact: Artifact, where: object) -> tuple[str, Clip]:
    """Name and clip of an artifact that has one; raises ArtifactError for others."""
    if len(artifact.clips) != 1:
        raise ArtifactError(expected("clips", "one", ", ".join(sorted(artifact.clips)), where=where))
    return next(iter(artifact.clips.items()))


def only_joints(artifact: Artifact, joints: str) -> Artifact:
    """Return an artifact of fewer joints: those of the joint set ``joints``, all of which it must have."""
    if artifact.joint_set == joints:
        return artifact
    pick = joint_set(artifact.joint_set).indices(joint_set(joints).joints)
    fields = {f.name: f.dims for f in schema_named(artifact.schema, artifact.subject).track}

    def of(track: Track) -> Track:
        arrays = {
            name: np.take(value, pick, axis=fields[name].index("joint")) if "joint" in fields[name] else value
            for name, value in track.arrays.items()
        }
        return Track(arrays, track.attrs)

    clips = {
        name: replace(clip, tracks={key: of(track) for key, track in clip.tracks.items()})
        for name, clip in artifact.clips.items()
    }
    return replace(artifact, joint_set=joints, clips=clips)


def first_misfit(derived: Artifact, source: Artifact) -> str | None:
    """Name the first good clip of ``derived`` whose frames or tracks ``source`` lacks; both have the same clips."""

    def fits(clip: Clip, other: Clip) -> bool:
        if clip.status != "ok":
            return True
        return other.status == "ok" and np.array_equal(other.time, clip.time) and set(clip.tracks) <= set(other.tracks)

    return next((name for name, clip in derived.clips.items() if not fits(clip, source.clips[name])), None)
