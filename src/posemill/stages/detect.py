"""detect: one clip's pictures to 2D detections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posemill import media, registry
from posemill.detectors.protocol import BatchDetector, Detection, Detector, DetectorCard, Truth
from posemill.errors import ClipError, InputError, expected
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.weights import weights_state, weights_terms
from posemill.media import Frame, VideoInfo
from posemill.media.ahead import ahead, batched
from posemill.people.appearance import appearance
from posemill.people.tracks import match
from posemill.progress import progress
from posemill.provenance import StageRequest, record
from posemill.skeleton import convert, joint_set
from posemill.training.profile import profile_of

__all__ = ["run"]

_BLOCK = 1024
_LOOKS = 256


class _Rows:
    """Rows of one width, collected as float32 blocks: memory grows by the numbers themselves and nothing else."""

    def __init__(self, width: int) -> None:
        self._width, self._count = width, 0
        self._blocks: list[np.ndarray] = []

    def __len__(self) -> int:
        return self._count

    def append(self, row: np.ndarray | None) -> None:
        """Add a row, of NaN where there is none."""
        place = self._count % _BLOCK
        if place == 0:
            self._blocks.append(np.full((_BLOCK, self._width), np.nan, dtype=np.float32))
        if row is not None:
            self._blocks[-1][place] = row
        self._count += 1

    def skip_to(self, count: int) -> None:
        """Add empty rows until there are ``count``."""
        while self._count < count:
            self.append(None)

    def array(self) -> np.ndarray:
        """(rows, width) float32."""
        return np.concatenate(self._blocks)[: self._count] if self._blocks else np.zeros((0, self._width), np.float32)


class _People:
    """Detections sorted by person as they come."""

    def __init__(self, joints: int) -> None:
        self._joints = joints
        self._rows: list[_Rows] = []
        self._boxes, self._seen_s = np.zeros((0, 4)), np.zeros(0)
        self._numbers: dict[int, int] = {}
        self._looks: list[list[np.ndarray]] = []

    def add(
        self, frame: int, time_s: float, detections: list[Detection], looks: list[np.ndarray], *, temporal: bool
    ) -> None:
        """Add the detections of the frame with this number of frames before it, and what each looks like."""
        found = np.array([d.bbox for d in detections]).reshape(-1, 4)
        elapsed_s = time_s - self._seen_s if temporal else np.full(len(self._seen_s), np.inf)
        moves = match(self._boxes, found, elapsed_s)
        for detection, moved, look in zip(detections, moves, looks, strict=True):
            person = int(moved) if detection.person is None else self._numbers.get(detection.person, -1)
            if person < 0:
                person = len(self._rows)
                if detection.person is not None:
                    self._numbers[detection.person] = person
                self._rows.append(_Rows(self._joints * 6 + 4))
                self._looks.append([])
                self._boxes = np.concatenate([self._boxes, detection.bbox[None]])
                self._seen_s = np.append(self._seen_s, time_s)
            self._boxes[person], self._seen_s[person] = detection.bbox, time_s
            self._rows[person].skip_to(frame)
            contested = np.zeros(self._joints) if detection.contested is None else detection.contested
            parts = (detection.keypoints, detection.score, detection.sigma, detection.valid, contested, detection.bbox)
            self._rows[person].append(np.concatenate([np.ravel(part) for part in parts]))
            # Thinned out as it grows, so that memory stays flat.
            if np.isfinite(look).any():
                self._looks[person].append(look)
                if len(self._looks[person]) > _LOOKS:
                    self._looks[person] = self._looks[person][::2]

    def looks(self) -> dict[str, list[float]]:
        """Median of what each track looks like, where that is known."""
        with np.errstate(all="ignore"):
            return {
                f"p{number}": np.nan_to_num(np.nanmedian(looks, axis=0)).round(1).tolist()
                for number, looks in enumerate(self._looks, 1)
                if looks and np.isfinite(looks).any(axis=0).all()
            }

    def tracks(self, frames: int) -> dict[str, Track]:
        """Tracks p1, p2, ... in order of appearance, NaN and score 0 where not seen."""
        tracks: dict[str, Track] = {}
        doubts: dict[str, np.ndarray] = {}
        j = self._joints
        for number, rows in enumerate(self._rows, 1):
            rows.skip_to(frames)
            keypoints, score, sigma, valid, contested, bbox = np.split(rows.array(), np.arange(2, 7) * j, axis=1)
            seen = valid == 1
            arrays = {
                "keypoints": np.where(seen[..., None], keypoints.reshape(-1, j, 2), np.float32(np.nan)),
                "score": np.where(seen, score, np.float32(0)),
                "sigma": np.where(seen, sigma, np.float32(np.nan)),
                "valid": seen,
                "bbox": np.where(seen.any(axis=1, keepdims=True), bbox, np.float32(np.nan)),
            }
            tracks[f"p{number}"] = Track(arrays)
            doubts[f"p{number}"] = contested == 1
        if any(doubt.any() for doubt in doubts.values()):
            for name, doubt in doubts.items():
                tracks[name].arrays["contested"] = doubt
        return tracks


def run(video: Path, output: Path, request: StageRequest, truth: Path | None = None, peaks: Path | None = None) -> None:
    """Detect people in one clip and write a ``detections2d`` artifact.

    Parameters
    ----------
    video
        Video file, image, or folder of images.
    output
        Artifact to write.
    request
        Its sheet has ``subject``, ``clip``, ``kind`` (``video`` or ``stills``), ``fps`` (overrides the stamps; None
        keeps them) and ``start_s`` (in the file's own time; what comes before is skipped).
    truth
        Artifact of kind ``truth3d``, for detectors that need it and for no others.
    peaks
        What Torch7 found in the clip's crops, for the detector ``hourglass_torch7``, which then starts no Torch7.

    Raises
    ------
    InputError
        No such file; a folder of images as a video without ``fps``; a truth for a detector that looks at the picture.
    ArtifactError
        The truth cannot be trusted.
    MissingError
        The detector cannot run here.

    Notes
    -----
    What is wrong with the content of the clip is no error of the run: the artifact then says ``failed`` and why.
    """
    sheet = request.sheet
    module = registry.load("detectors", request.method)
    subject, name = str(sheet.get("subject") or "S1"), str(sheet.get("clip") or "clip")
    clip = Clip(temporal=sheet.get("kind") != "stills")
    options = module.Options.model_validate(request.options)
    # Weights may decide which joints there are.
    card: DetectorCard = module.card(options) if hasattr(module, "card") else module.CARD
    if truth is not None and not card.needs_truth:
        raise InputError(f"detector {request.method} looks at the picture: expected no truth, got {truth}")
    if peaks is not None and request.method != "hourglass_torch7":
        raise InputError(expected("--peaks", "detector hourglass_torch7", request.method))
    device = "cpu"
    try:
        info = media.probe(video)
        clip.image_size = (info.width, info.height)
        if info.focal_35mm is not None:
            clip.attrs["focal_35mm"] = info.focal_35mm
        clip.fps = _rate(video, info, clip.temporal, sheet.get("fps"))
        told: dict[str, Any] = {"truth": _truth(truth, subject, name, request.method)} if card.needs_truth else {}
        told |= {"peaks": peaks} if peaks is not None else {}
        with module.create(options, temporal=clip.temporal, **told) as detector:
            device = detector.device
            shown = media.frames(video, start_s=float(sheet.get("start_s") or 0.0), info=info)
            if isinstance(detector, BatchDetector):
                # The next batch, and a little more; pictures are large.
                shown = ahead(shown, detector.batch + 2)
            shown = progress(shown, info.frame_count_hint, f"detect {subject}/{name}")
            _detect(clip, shown, detector, sheet.get("fps"))
    except ClipError as error:
        clip = clip.failed(str(error))
    artifact = Artifact("detections2d", subject, card.joint_set, {name: clip})
    if card.profile:
        artifact.attrs["joint_offsets"] = profile_of(card.profile).offsets
    inputs = {name: video} | ({"truth": truth} if truth is not None else {})
    find = getattr(module, "weights", None)
    file = find(options) if find else None
    licences = {request.method: weights_terms(file, card.licences)}
    artifact.provenance = record(request, inputs, device=device, licences=licences)
    if file is not None:
        artifact.provenance["weights_state"] = weights_state(file)
    write(output, artifact)


def _truth(path: Path | None, subject: str, name: str, detector: str) -> Truth:
    """Truth of one clip; ClipError if there is none."""
    if path is None:
        raise ClipError(
            f"detector {detector} needs the clip's truth: expected a file of kind truth3d, got none; name it in the "
            "sheet's column truth (--truth by hand), or choose another detector"
        )
    artifact = read(path, "truth3d")
    clip = artifact.clips.get(name)
    if clip is None or clip.status != "ok" or clip.camera is None or len(clip.tracks) != 1:
        known = ", ".join(sorted(n for n, c in artifact.clips.items() if c.status == "ok")) or "none"
        raise ClipError(f"{path.name}: clip {name}: expected a truth with a camera and one person, got clips {known}")
    (track,) = clip.tracks.values()
    try:
        height_m = float(artifact.attrs["height_m"])
    except (KeyError, TypeError, ValueError):
        raise ClipError(f"{path.name}: expected the person's height as attribute height_m, got none") from None
    pelvis = convert(track.arrays["joints_camera"].astype(np.float64), artifact.joint_set, "h36m17")[0][:, 0]
    return Truth(
        f"{subject}/{name}",
        clip.time,
        track.arrays["keypoints"].astype(np.float64),
        track.arrays["visible"],
        artifact.joint_set,
        clip.camera.focal_px * height_m / pelvis[:, 2],
    )


def _rate(video: Path, info: VideoInfo, temporal: bool, fps: float | None) -> float:
    if temporal and not info.temporal and fps is None:
        raise InputError(f"{video}: images as a video: expected their fps in the sheet, got none; or call them stills")
    if not temporal:
        return float("nan")
    return float(fps) if fps is not None else info.fps


def _timed(clip: Clip, shown: Iterator[Frame], fps: float | None) -> Iterator[tuple[np.ndarray, float]]:
    """Pictures and their times in s."""
    for frame in shown:
        yield frame.rgb, frame.index / fps if fps is not None and clip.temporal else frame.time_s


def _detect(clip: Clip, shown: Iterator[Frame], detector: Detector, fps: float | None) -> None:
    """Fill in the clip's times and tracks; ClipError if nobody is seen."""
    people = _People(len(joint_set(detector.joint_set)))
    times: list[float] = []
    batches = detector if isinstance(detector, BatchDetector) else None
    for some in batched(_timed(clip, shown, fps), batches.batch if batches else 1):
        found = batches.detect_many(some) if batches else [detector.detect(*frame) for frame in some]
        for (rgb, time_s), detections in zip(some, found, strict=True):
            looks = [appearance(rgb, d.keypoints, d.valid, detector.joint_set) for d in detections]
            people.add(len(times), time_s, detections, looks, temporal=clip.temporal)
            times.append(time_s)
    clip.time = np.array(times)
    clip.tracks = people.tracks(len(times))
    if len(clip.tracks) > 1 and clip.temporal:
        clip.attrs["looks"] = people.looks()
    if clip.temporal and fps is None and len(times) > 1:
        clip.fps = (len(times) - 1) / (times[-1] - times[0])
    if not any(track.arrays["valid"].any() for track in clip.tracks.values()):
        raise ClipError(f"nobody seen in {len(times)} frames")
