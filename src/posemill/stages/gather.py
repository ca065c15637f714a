"""gather: one subject's detections to 2D tracks, cleaned, with cameras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posemill.camera import Camera
from posemill.clips import parse_box
from posemill.errors import ClipError, InputError, expected
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.calibration import read_calibration
from posemill.people.cleaning import clean
from posemill.people.options import GatherOptions
from posemill.people.subject import choose
from posemill.provenance import StageRequest, record

__all__ = ["run"]

# How well people know a focal length in pixels or a field of view that they type in.
_FOCAL_SIGMA, _FOV_SIGMA = 0.02, 0.05
# Phones round to whole mm, and of videos they show a part that steadying chooses: about 10 % less.
_STATED_SIGMA = {"stills": 0.05, "video": 0.12}


def run(detections: list[Path], output: Path, request: StageRequest) -> None:
    """Gather one subject's clips into a ``keypoints2d`` artifact.

    Parameters
    ----------
    detections
        ``detections2d`` artifacts of one subject and one detector.
    output
        Artifact to write.
    request
        Its sheet has ``clips``: clip to ``calibration`` (path), ``camera`` (name in it), ``focal_px`` and ``fov_deg``
        (across the width) and ``subject_box`` (:func:`posemill.clips.parse_box`), each None where not given. A
        calibration wins over a focal length, that over a field of view, that over what the file itself says, and that
        over the assumption of :meth:`posemill.camera.Camera.prior`.

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
            artifact.attrs["detector"] = one.provenance.get("method", "")
        if (one.subject, one.joint_set) != (artifact.subject, artifact.joint_set):
            want, got = f"{artifact.subject} in {artifact.joint_set}", f"{one.subject} in {one.joint_set}"
            raise InputError(
                expected("subject and joint set", want, got, where=path, do="gather one subject at a time")
            )
        for name, clip in one.clips.items():
            if name in artifact.clips:
                raise InputError(f"{path}: clip {name!r} is already there from {inputs[name]}; give it another name")
            inputs[name] = path
            artifact.clips[name] = _gather(clip, given.get(name) or {}, one.joint_set, options)
    if artifact is None:
        raise InputError("gather: expected at least one file of detections, got none")
    calibrations = {f"{c}/calibration": Path(s["calibration"]) for c, s in given.items() if s.get("calibration")}
    artifact.provenance = record(
        request, inputs | {role: file for role, file in calibrations.items() if file.is_file()}
    )
    write(output, artifact)


def _gather(clip: Clip, given: Mapping[str, Any], joints: str, options: GatherOptions) -> Clip:
    if clip.status == "failed":
        return clip.failed(clip.reason)
    try:
        camera = _camera(clip, given)
        chosen = choose(
            {name: track.arrays for name, track in clip.tracks.items()},
            clip.time,
            clip.image_size,
            by=options.subject,
            box=_box(given.get("subject_box")),
            looks={name: np.array(look, np.float64) for name, look in clip.attrs.get("looks", {}).items()},
            temporal=clip.temporal,
        )
        track, audit, trail = _clean(clip, chosen.arrays, joints, options)
    except ClipError as error:
        return clip.failed(str(error))
    attrs = {"people_seen": len(clip.tracks), "subject_tracks": list(chosen.tracks), "cleaning": audit}
    if trail:
        attrs["cleaned_frames"] = trail
    return Clip("ok", "", clip.fps, clip.temporal, clip.image_size, clip.time, camera, {"p1": track}, attrs=attrs)


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


def _camera(clip: Clip, given: Mapping[str, Any]) -> Camera:
    width, height = clip.image_size
    if given.get("calibration"):
        path = Path(given["calibration"])
        try:
            camera = read_calibration(path, given.get("camera") or None)
        except InputError as error:  # told by the file's name: an artifact says nothing of where a lab keeps its data
            raise ClipError(str(error).replace(str(path), path.name)) from None
        if (camera.width, camera.height) != (width, height):
            want, got = f"{width}x{height} as the video", f"{camera.width}x{camera.height}"
            raise ClipError(
                expected("calibration's image size", want, got, where=path.name, do="calibrate the video as it is")
            )
        return camera
    if given.get("focal_px"):
        return Camera.from_focal(width, height, float(given["focal_px"]), source="sheet", sigma=_FOCAL_SIGMA)
    if given.get("fov_deg"):
        focal_px = width / 2 / np.tan(np.radians(float(given["fov_deg"])) / 2)
        return Camera.from_focal(width, height, float(focal_px), source="sheet", sigma=_FOV_SIGMA)
    if "focal_35mm" in clip.attrs:
        sigma = _STATED_SIGMA["video" if clip.temporal else "stills"]
        return Camera.from_focal_35mm(width, height, float(clip.attrs["focal_35mm"]), sigma=sigma)
    return Camera.prior(width, height)
