"""gather: one subject's detections to 2D tracks, cleaned, with cameras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posemill.clip_sources import parse_box
from posemill.errors import ClipError, InputError, expected
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.camera_path import CameraPath, read_camera_path
from posemill.formats.lens import lens_of
from posemill.people.cleaning import clean
from posemill.people.moving_camera import seen_from_still
from posemill.people.options import GatherOptions
from posemill.people.subject import choose
from posemill.provenance import StageRequest, record

__all__ = ["run"]


def run(detections: list[Path], output: Path, request: StageRequest) -> None:
    """Gather one subject's clips into a ``keypoints2d`` artifact.

    Parameters
    ----------
    detections
        ``detections2d`` artifacts of one subject and one detector.
    output
        Artifact to write.
    request
        Its sheet has ``clips``: clip to what :func:`posemill.formats.lens.lens_of` chooses its lens from,
        ``subject_box`` (:func:`posemill.clip_sources.parse_box`, in pixels of the video), and, of a camera that moves,
        ``camera_path`` (path); each None where not given.

    Raises
    ------
    InputError
        Files of several subjects or detectors, or the same clip twice.

    Notes
    -----
    A clip that failed before stays failed with its reason; one whose calibration does not fit becomes so.
    """
    options = GatherOptions.model_validate(request.options)
    given: Mapping[str, Mapping[str, Any]] = request.sheet.get("clips") or {}
    artifact: Artifact | None = None
    inputs: dict[str, Path] = {}
    for path in detections:
        one = read(path, "detections2d")
        if artifact is None:
            artifact = Artifact("keypoints2d", one.subject, one.joint_set)
            artifact.attrs = {"detector": one.provenance.get("method", ""), **one.attrs}
        if (one.subject, one.joint_set) != (artifact.subject, artifact.joint_set):
            want, got = f"{artifact.subject} in {artifact.joint_set}", f"{one.subject} in {one.joint_set}"
            raise InputError(
                expected("subject and joint set", want, got, where=path, do="gather one subject at a time")
            )
        if one.attrs.get("joint_offsets") != artifact.attrs.get("joint_offsets"):
            want, got = f"as in {detections[0]}", f"others, of {one.provenance.get('method') or 'an unnamed detector'}"
            raise InputError(expected("joint_offsets", want, got, where=path, do="detect all clips alike"))
        for name, clip in one.clips.items():
            if name in artifact.clips:
                raise InputError(f"{path}: clip {name!r} is already there from {inputs[name]}; give it another name")
            inputs[name] = path
            artifact.clips[name] = _gather(clip, given.get(name) or {}, one.joint_set, options)
    if artifact is None:
        raise InputError("gather: expected at least one file of detections, got none")
    cameras = {
        f"{clip}/{name}": Path(said[name])
        for clip, said in given.items()
        for name in ("calibration", "camera_path")
        if said.get(name)
    }
    artifact.provenance = record(request, inputs | {role: file for role, file in cameras.items() if file.is_file()})
    write(output, artifact)


def _gather(clip: Clip, given: Mapping[str, Any], joints: str, options: GatherOptions) -> Clip:
    if clip.status == "failed":
        return clip.failed(clip.reason)
    try:
        camera = lens_of(clip, given)
        chosen = choose(
            {name: track.arrays for name, track in clip.tracks.items()},
            clip.time,
            clip.image_size,
            by=options.subject,
            box=_box(given.get("subject_box")),
            looks={name: np.array(look, np.float64) for name, look in clip.attrs.get("looks", {}).items()},
            temporal=clip.temporal,
        )
        arrays, motion, moved = chosen.arrays, None, {}
        if given.get("camera_path"):
            still = seen_from_still(arrays, clip.time, camera, _path(Path(given["camera_path"])))
            arrays, camera, motion = still.arrays, still.camera, still.motion
            moved = {"camera_unknown_frames": still.unknown, "beside_reference": still.beside}
        track, audit, trail = _clean(clip, arrays, joints, options)
    except ClipError as error:
        return clip.failed(str(error))
    attrs = {"people_seen": len(clip.tracks), "subject_tracks": list(chosen.tracks), "cleaning": audit | moved}
    if trail:
        attrs["cleaned_frames"] = trail
    tracks = {"p1": track}
    return Clip("ok", "", clip.fps, clip.temporal, clip.image_size, clip.time, camera, tracks, {}, attrs, motion)


def _path(path: Path) -> CameraPath:
    try:
        return read_camera_path(path)
    except InputError as error:  # told by the file's name, as with calibrations
        raise ClipError(str(error).replace(str(path), path.name)) from None


def _box(text: str | None) -> np.ndarray | None:
    """Time (NaN for whenever) and box of the sheet's ``subject_box``; None where it says nothing."""
    return None if text is None else np.array(parse_box(text))


def _clean(
    clip: Clip, arrays: Mapping[str, np.ndarray], joints: str, options: GatherOptions
) -> tuple[Track, dict[str, int], dict[str, Any]]:
    cleaned = clean(
        arrays["keypoints"].astype(np.float64),
        arrays["score"],
        arrays["sigma"],
        arrays["valid"],
        clip.time,
        joints=joints,
        temporal=clip.temporal,
        options=options,
        contested=arrays.get("contested"),
    )
    if not cleaned.valid.any():
        raise ClipError(f"no keypoint left after cleaning ({cleaned.audit})")
    points = {
        "keypoints": cleaned.keypoints.astype(np.float32),
        "score": cleaned.score.astype(np.float32),
        "sigma": cleaned.sigma.astype(np.float32),
        "valid": cleaned.valid,
    }
    return Track({**points, "bbox": _boxes(points["keypoints"])}), cleaned.audit, cleaned.trail


def _boxes(keypoints: np.ndarray) -> np.ndarray:
    """Bounding boxes (T, 4) px of the valid keypoints; NaN where there are none."""
    nowhere = np.isnan(keypoints).all(axis=(1, 2))
    low = np.where(np.isnan(keypoints), np.inf, keypoints).min(axis=1)
    high = np.where(np.isnan(keypoints), -np.inf, keypoints).max(axis=1)
    return np.where(nowhere[:, None], np.float32(np.nan), np.concatenate([low, high], axis=1))
