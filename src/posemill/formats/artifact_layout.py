"""Where an artifact's parts lie inside its HDF5 file; the layout is told in :mod:`posemill.formats.artifact`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import h5py
import numpy as np

from posemill.camera import Camera
from posemill.camera_motion import CameraMotion
from posemill.errors import ArtifactError, expected
from posemill.formats.artifact_model import Artifact, Clip, Track, coordinates
from posemill.formats.schema import Field, Schema
from posemill.skeleton import joint_set

__all__ = ["REDO", "read_tree", "write_tree"]

REDO = "delete it and run the stage again"

_BEYOND = "_beyond"
_JOINT_BEYOND = "joint" + _BEYOND


def write_tree(f: h5py.File, artifact: Artifact, schema: Schema) -> None:
    """Write a valid artifact into an empty file; ``complete`` comes last."""
    f.attrs["schema"] = schema.name
    f.attrs["schema_version"] = schema.version
    f.attrs["subject"] = artifact.subject
    body = _body(artifact.joint_set, schema)
    f.attrs["joint_set"] = body
    if body != artifact.joint_set:
        f.attrs["joint_set" + _BEYOND] = artifact.joint_set
    f.attrs["attrs"] = _json(artifact.attrs)
    f.attrs["provenance"] = _json(artifact.provenance)
    scales = _write_scales(f, _labels(body, artifact.joint_set), schema)
    for spec in (spec for spec in schema.subject if spec.name in artifact.arrays):
        _write_field(f, spec, artifact.arrays[spec.name], scales, spec.frame)
    for clip_id in sorted(artifact.clips):
        _write_clip(f.create_group(clip_id), artifact.clips[clip_id], schema, scales, len(joint_set(body)))
    f.attrs["complete"] = True


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _write_scales(f: h5py.File, labels: dict[str, tuple[str, ...]], schema: Schema) -> dict[str, h5py.Dataset]:
    used = {d for spec in (*schema.subject, *schema.clip, *schema.track) for d in spec.dims} - {"time"}
    used |= {"row", "column", "coefficient", "space"} if schema.camera else set()
    scales = {}
    for name, each in labels.items():
        if name in used or name == _JOINT_BEYOND:
            scale = f.create_dataset(name, data=list(each), dtype=h5py.string_dtype(), track_times=False)
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


def _body(joints: str, schema: Schema) -> str:
    """Name of the joint set of the joints under the fields' own names."""
    if not schema.body:
        return joints
    body = joint_set(schema.body).joints
    return schema.body if joint_set(joints).joints[: len(body)] == body else joints


def _labels(body: str, whole: str) -> dict[str, tuple[str, ...]]:
    labels = coordinates(body)
    beyond = joint_set(whole).joints[len(joint_set(body)) :]
    return {**labels, _JOINT_BEYOND: beyond} if beyond else labels


def _parts(spec: Field, value: np.ndarray, body: int) -> Iterator[tuple[Field, np.ndarray]]:
    """A dataset, or two where it has joints beyond the first ``body``."""
    value = np.asarray(value)
    axis = spec.dims.index("joint") if "joint" in spec.dims else None
    if axis is None or value.shape[axis] == body:
        yield spec, value
        return
    first, rest = np.split(value, [body], axis=axis)
    yield spec, first
    dims = tuple(_JOINT_BEYOND if name == "joint" else name for name in spec.dims)
    yield replace(spec, name=spec.name + _BEYOND, dims=dims), rest


def _write_clip(group: h5py.Group, clip: Clip, schema: Schema, scales: dict[str, h5py.Dataset], body: int) -> None:
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
    for spec in (spec for spec in schema.clip if spec.name in clip.arrays):
        _write_field(group, spec, clip.arrays[spec.name], scales, _frame(spec, frame))
    if clip.camera is not None:
        _write_camera(group.create_group("camera"), clip.camera, scales)
        if clip.motion is not None:
            _write_motion(group["camera"], clip.motion, scales)
    for track_id in sorted(clip.tracks):
        track = clip.tracks[track_id]
        sub = group.create_group(track_id)
        sub.attrs["attrs"] = _json(track.attrs)
        for spec in (spec for spec in schema.track if spec.name in track.arrays):
            for part, value in _parts(spec, track.arrays[spec.name], body):
                _write_field(sub, part, value, scales, _frame(spec, frame))


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


_MOTION = (
    Field("frame_K", ("time", "row", "column"), "px", "image", "float64"),
    Field("frame_turn", ("time", "row", "column"), "1", "camera", "float64"),
    Field("frame_offset", ("time", "space"), "m", "camera", "float64"),
    Field("frame_known", ("time",), "1", "none", "bool"),
    Field("frame_dist", ("coefficient",), "1", "image", "float64"),
)


def _write_motion(group: Any, motion: CameraMotion, scales: dict[str, h5py.Dataset]) -> None:
    group.attrs["motion"] = "X_cam = frame_turn X_frame + frame_offset; the camera above is the clip's reference camera"
    for spec in _MOTION:
        _write_field(group, spec, getattr(motion, spec.name.removeprefix("frame_")), scales, spec.frame)


def read_tree(f: Any, schema: Schema, where: object) -> Artifact:
    """Read an open ``h5py.File``; raises ArtifactError, or what h5py raises for parts that are missing."""
    if not bool(f.attrs.get("complete", False)):
        raise ArtifactError(f"{where}: expected a complete file, got one whose writing was interrupted; {REDO}")
    for key, want in (("schema", schema.name), ("schema_version", schema.version)):
        if f.attrs[key] != want:
            raise ArtifactError(expected(key, want, f.attrs[key], where=where))
    artifact = Artifact(
        schema=schema.name,
        subject=str(f.attrs["subject"]),
        joint_set=str(f.attrs.get("joint_set" + _BEYOND, f.attrs["joint_set"])),
        provenance=json.loads(f.attrs["provenance"]),
        attrs=json.loads(f.attrs["attrs"]),
    )
    labels = _labels(str(f.attrs["joint_set"]), artifact.joint_set)
    for key, item in f.items():
        if isinstance(item, h5py.Group):
            artifact.clips[key] = _read_clip(item)
        elif key in labels:
            found = tuple(v.decode() for v in item[()])
            if found != labels[key]:
                raise ArtifactError(expected(f"/{key}", labels[key], found, where=where))
        else:
            artifact.arrays[key] = item[()] if item.shape else np.asarray(item[()])
    return artifact


def _read_clip(group: Any) -> Clip:
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
            if "motion" in item.attrs:
                clip.motion = CameraMotion(**{s.name.removeprefix("frame_"): item[s.name][()] for s in _MOTION})
        elif key == "time":
            clip.time = item[()]
        elif isinstance(item, h5py.Group):
            clip.tracks[key] = Track(_read_track(item), json.loads(str(item.attrs["attrs"])))
        else:
            clip.arrays[key] = item[()]
    return clip


def _read_track(group: Any) -> dict[str, np.ndarray]:
    arrays = {}
    for name, ds in group.items():
        if name.endswith(_BEYOND):
            continue
        arrays[name] = ds[()]
        if name + _BEYOND in group:
            beyond = group[name + _BEYOND]
            axis = json.loads(beyond.attrs["dims"]).index(_JOINT_BEYOND)
            arrays[name] = np.concatenate([arrays[name], beyond[()]], axis=axis)
    return arrays


def _read_camera(group: Any) -> Camera:
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
