"""posemill's artifacts: one HDF5 file per subject and stage, one reader and one writer.

Layout
------
The first 512 bytes are an HDF5 user block that any HDF5 tool skips and ``head -c 512`` shows: kind, schema version,
size and SHA-256 of the rest. So a file that was cut, flipped, appended to or edited by hand is noticed before any
number is read from it. Then::

    /                     attrs: schema, schema_version, subject, joint_set, provenance (JSON), complete
    /joint, /space, ...   dimension scales with labels
    /{clip}               attrs: status, reason, fps, temporal, image_width, image_height
    /{clip}/time          (T,) seconds, the dimension scale that every dataset below it shares
    /{clip}/camera        K, dist, and R, t where the camera's place is known
    /{clip}/{track}       the datasets of ``posemill.formats.schema``, attrs: dims, units, frame on each

No time stamps, no absolute paths, no random ids: the same work gives the same bytes. Opens in plain h5py and with
``xarray.open_datatree(path, engine="h5netcdf")``.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from posemill.camera import Camera
from posemill.errors import ArtifactError, PosemillError, expected
from posemill.formats.atomic import write_bytes
from posemill.formats.schema import COORDINATES, SCHEMAS, Field, Schema
from posemill.skeleton import joint_set

__all__ = ["Artifact", "Clip", "Track", "file_sha256", "read", "to_bytes", "write"]

BLOCK = 512
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REDO = "delete it and run the stage again"


@dataclass
class Track:
    """One person in one clip: arrays by the schema's names, and free attributes."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Clip:
    """One video of one camera. ``status`` is ``ok``, or ``failed`` with a one-line ``reason`` and no tracks.

    ``time`` is (T,) seconds from the first frame, from the source's stamps. ``image_size`` is (width, height).
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


# ---------------------------------------------------------------------------------------------- validation


def validate(artifact: Artifact, where: object) -> None:
    """Check an artifact against its schema: names, ids, shapes, flags, finiteness.

    Raises
    ------
    ArtifactError
        With ``where`` and the place inside the file.
    """
    schema = _schema(artifact.schema, where)
    sizes = {name: len(labels) for name, labels in _coordinates(artifact.joint_set).items()}
    for name in (artifact.subject, *artifact.clips):
        _check_id(name, where)
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
    for name in schema.clip_attrs:
        if name not in clip.attrs:
            raise ArtifactError(expected("attributes", name, sorted(clip.attrs), where=place))
    sizes = {**sizes, "time": len(time)}
    _check_fields(clip.arrays, schema.clip, sizes, place)
    for track_id, track in clip.tracks.items():
        _check_id(track_id, place)
        _check_fields(track.arrays, schema.track, sizes, f"{place}/{track_id}")


def _check_fields(arrays: dict[str, np.ndarray], fields: tuple[Field, ...], sizes: dict[str, int], place: str) -> None:
    names = {f.name for f in fields}
    if set(arrays) != names:
        raise ArtifactError(expected("datasets", sorted(names), sorted(arrays), where=place))
    for f in fields:
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
    valid = arrays["valid"]
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


def _schema(name: object, where: object) -> Schema:
    schema = SCHEMAS.get(str(name))
    if schema is None:
        raise ArtifactError(expected("kind", " or ".join(SCHEMAS), name, where=where))
    return schema


def _coordinates(joints: str) -> dict[str, tuple[str, ...]]:
    names = joint_set(joints)
    bones = tuple(names.joints[child] for _, child in names.bones)
    return {"joint": names.joints, "bone": bones, **COORDINATES}


# ---------------------------------------------------------------------------------------------- writing


def to_bytes(artifact: Artifact, where: object = "artifact") -> bytes:
    """Serialise a valid artifact; equal artifacts give equal bytes."""
    validate(artifact, where)
    schema = SCHEMAS[artifact.schema]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=BLOCK) as f:
        f.attrs["schema"] = schema.name
        f.attrs["schema_version"] = schema.version
        f.attrs["subject"] = artifact.subject
        f.attrs["joint_set"] = artifact.joint_set
        f.attrs["attrs"] = _json(artifact.attrs)
        f.attrs["provenance"] = _json(artifact.provenance)
        scales = _write_scales(f, artifact, schema)
        for spec in schema.subject:
            _write_field(f, spec, artifact.arrays[spec.name], scales, spec.frame)
        for clip_id in sorted(artifact.clips):
            _write_clip(f.create_group(clip_id), artifact.clips[clip_id], schema, scales)
        f.attrs["complete"] = True
    data = bytearray(buffer.getvalue())
    header = _header(schema, len(data), hashlib.sha256(memoryview(data)[BLOCK:]).hexdigest())
    data[: len(header)] = header
    return bytes(data)


def write(path: Path, artifact: Artifact) -> None:
    """Validate and write an artifact in one step; byte-identical for identical content.

    Raises
    ------
    ArtifactError
        The artifact does not fit its schema (a bug of the stage that made it).
    InputError
        The folder cannot be written, or the disk is full.
    """
    write_bytes(path, to_bytes(artifact, path))


def _header(schema: Schema, size: int, digest: str) -> bytes:
    text = f"posemill artifact\nschema {schema.name}\nversion {schema.version}\nbytes {size}\nsha256 {digest}\n"
    return text.encode().ljust(BLOCK, b"\n")


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _write_scales(f: h5py.File, artifact: Artifact, schema: Schema) -> dict[str, h5py.Dataset]:
    used = {d for spec in (*schema.subject, *schema.clip, *schema.track) for d in spec.dims} - {"time"}
    used |= {"row", "column", "coefficient", "space"} if schema.camera else set()
    scales = {}
    for name, labels in _coordinates(artifact.joint_set).items():
        if name in used:
            scale = f.create_dataset(name, data=list(labels), dtype=h5py.string_dtype(), track_times=False)
            scale.make_scale(name)
            scales[name] = scale
    return scales


def _write_field(
    group: h5py.Group, spec: Field, value: np.ndarray, scales: dict[str, h5py.Dataset], frame: str
) -> None:
    ds = group.create_dataset(spec.name, data=np.asarray(value).astype(spec.dtype), track_times=False)
    ds.attrs["dims"] = _json(spec.dims)
    ds.attrs["units"] = spec.units
    ds.attrs["frame"] = frame
    for axis, name in enumerate(spec.dims):
        ds.dims[axis].attach_scale(scales[name])


def _write_clip(group: h5py.Group, clip: Clip, schema: Schema, scales: dict[str, h5py.Dataset]) -> None:
    group.attrs["status"] = clip.status
    group.attrs["reason"] = clip.reason
    group.attrs["fps"] = float(clip.fps)
    group.attrs["temporal"] = bool(clip.temporal)
    group.attrs["image_width"], group.attrs["image_height"] = (int(v) for v in clip.image_size)
    group.attrs["attrs"] = _json(clip.attrs)
    if clip.status == "failed":
        return
    time = group.create_dataset("time", data=np.asarray(clip.time, dtype=np.float64), track_times=False)
    time.attrs["units"], time.attrs["frame"], time.attrs["dims"] = "s", "none", _json(["time"])
    time.make_scale("time")
    scales = {**scales, "time": time}
    frame = str(clip.attrs.get("frame", "none"))
    for spec in schema.clip:
        _write_field(group, spec, clip.arrays[spec.name], scales, _frame(spec, frame))
    if clip.camera is not None:
        _write_camera(group.create_group("camera"), clip.camera, scales)
    for track_id in sorted(clip.tracks):
        track = clip.tracks[track_id]
        sub = group.create_group(track_id)
        sub.attrs["attrs"] = _json(track.attrs)
        for spec in schema.track:
            _write_field(sub, spec, track.arrays[spec.name], scales, _frame(spec, frame))


def _frame(spec: Field, clip_frame: str) -> str:
    return clip_frame if spec.frame == "clip" else spec.frame


_CAMERA = (
    Field("K", ("row", "column"), "px", "image", "float64"),
    Field("dist", ("coefficient",), "1", "image", "float64"),
    Field("R", ("row", "column"), "1", "camera", "float64"),
    Field("t", ("space",), "m", "camera", "float64"),
)


def _write_camera(group: h5py.Group, camera: Camera, scales: dict[str, h5py.Dataset]) -> None:
    group.attrs["width"], group.attrs["height"] = int(camera.width), int(camera.height)
    group.attrs["intrinsics_source"] = camera.intrinsics_source
    group.attrs["focal_sigma"] = float(camera.focal_sigma)
    group.attrs["convention"] = "X_cam = R X_world + t; x right, y down, z forward; OpenCV distortion"
    for spec in _CAMERA:
        value = getattr(camera, spec.name)
        if value is not None:
            _write_field(group, spec, value, scales, spec.frame)


# ---------------------------------------------------------------------------------------------- reading


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with Path(path).open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read(path: Path, schema: str | None = None) -> Artifact:
    """Read an artifact, trusting nothing.

    Parameters
    ----------
    path
        The file.
    schema
        The kind that the caller needs; any if None.

    Raises
    ------
    ArtifactError
        The file is missing, truncated, foreign, older, changed since it was written, or not what its schema says.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: expected an artifact, got: {error.strerror}") from error
    name, version = _check_header(data, path)
    spec = _schema(name, path)
    if schema is not None and name != schema:
        raise ArtifactError(expected("kind of artifact", schema, name, where=path))
    if version != spec.version:
        todo = _REDO if version < spec.version else "update posemill"
        raise ArtifactError(expected(f"{name} version", spec.version, version, where=path, do=todo))
    try:
        with h5py.File(io.BytesIO(data), "r") as f:
            artifact = _read_file(f, spec, path)
    except PosemillError as error:
        raise error if isinstance(error, ArtifactError) else ArtifactError(f"{path}: {error}") from error
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{path}: expected the layout of {name} {version}, got: {reason}; {_REDO}") from error
    artifact.sha256 = hashlib.sha256(data).hexdigest()
    validate(artifact, path)
    return artifact


def _check_header(data: bytes, path: Path) -> tuple[str, int]:
    """Check kind, size and checksum before HDF5 sees the file; return (schema, version)."""
    lines = data[:BLOCK].split(b"\n")
    if lines[0] != b"posemill artifact":
        found = "an HDF5 file of another program" if data[:8] == b"\x89HDF\r\n\x1a\n" else f"{len(data)} other bytes"
        raise ArtifactError(expected("contents", "a posemill artifact", found, where=path))
    try:
        entries = dict(line.decode().split(" ", 1) for line in lines[1:6] if line)
        name, version, size, digest = (
            entries["schema"],
            int(entries["version"]),
            int(entries["bytes"]),
            entries["sha256"],
        )
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: expected a readable header, got a damaged one; {_REDO}") from error
    if size != len(data):
        raise ArtifactError(
            expected("size", f"{size} bytes", f"{len(data)} bytes (cut or appended)", where=path, do=_REDO)
        )
    found = hashlib.sha256(memoryview(data)[BLOCK:]).hexdigest()
    # The header itself is compared whole, so that no byte of the file is outside the check.
    header = f"posemill artifact\nschema {name}\nversion {version}\nbytes {size}\nsha256 {digest}\n".encode()
    if found != digest or data[:BLOCK] != header.ljust(BLOCK, b"\n"):
        raise ArtifactError(
            f"{path}: checksum: expected {digest[:12]}, got {found[:12]}: "
            f"damaged or changed after it was written; {_REDO}"
        )
    return name, version


def _read_file(f: h5py.File, schema: Schema, path: Path) -> Artifact:
    if not bool(f.attrs.get("complete", False)):
        raise ArtifactError(f"{path}: expected a complete file, got one whose writing was interrupted; {_REDO}")
    for key, want in (("schema", schema.name), ("schema_version", schema.version)):
        if f.attrs[key] != want:
            raise ArtifactError(expected(key, want, f.attrs[key], where=path))
    artifact = Artifact(
        schema=schema.name,
        subject=str(f.attrs["subject"]),
        joint_set=str(f.attrs["joint_set"]),
        provenance=json.loads(f.attrs["provenance"]),
        attrs=json.loads(f.attrs["attrs"]),
    )
    labels = _coordinates(artifact.joint_set)
    for key, item in f.items():
        if isinstance(item, h5py.Group):
            artifact.clips[key] = _read_clip(item)
        elif key in labels:
            found = tuple(v.decode() for v in item[()])
            if found != labels[key]:
                raise ArtifactError(expected(f"/{key}", labels[key], found, where=path))
        else:
            artifact.arrays[key] = item[()] if item.shape else np.asarray(item[()])
    return artifact


def _read_clip(group: h5py.Group) -> Clip:
    clip = Clip(
        status=str(group.attrs["status"]),
        reason=str(group.attrs["reason"]),
        fps=float(group.attrs["fps"]),
        temporal=bool(group.attrs["temporal"]),
        image_size=(int(group.attrs["image_width"]), int(group.attrs["image_height"])),
        attrs=json.loads(group.attrs["attrs"]),
    )
    for key, item in group.items():
        if key == "camera":
            clip.camera = _read_camera(item)
        elif key == "time":
            clip.time = item[()]
        elif isinstance(item, h5py.Group):
            arrays = {name: ds[()] for name, ds in item.items()}
            clip.tracks[key] = Track(arrays, json.loads(item.attrs["attrs"]))
        else:
            clip.arrays[key] = item[()]
    return clip


def _read_camera(group: h5py.Group) -> Camera:
    return Camera(
        width=int(group.attrs["width"]),
        height=int(group.attrs["height"]),
        K=group["K"][()],
        dist=group["dist"][()],
        R=group["R"][()] if "R" in group else None,
        t=group["t"][()] if "t" in group else None,
        intrinsics_source=str(group.attrs["intrinsics_source"]),
        focal_sigma=float(group.attrs["focal_sigma"]),
    )
