"""Clips: what is known of each, and a subject's together."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

__all__ = ["IMAGES", "VIDEOS", "Clip", "Clips", "kind_of", "safe_id"]

VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm")
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Clip:
    """One video of one camera, or one folder of stills. Numbers are None where the sheet says nothing."""

    subject: str
    clip: str
    video: Path
    kind: str = "video"
    camera: str | None = None
    calibration: Path | None = None
    height_m: float | None = None
    fps: float | None = None
    fov_deg: float | None = None
    focal_px: float | None = None
    start_s: float | None = None
    camera_height_m: float | None = None
    skeleton: Path | None = None
    pose3d: Path | None = None
    truth: Path | None = None
    subject_box: str | None = None
    camera_path: Path | None = None
    pans: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the row names."""
        named = (self.video, self.calibration, self.skeleton, self.pose3d, self.truth, self.camera_path)
        return tuple(p for p in named if p is not None)


@dataclass
class Clips:
    """Clips by subject and id, and the one-line problems of those that were left out."""

    clips: dict[tuple[str, str], Clip] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @cached_property
    def _by_subject(self) -> dict[str, tuple[Clip, ...]]:
        # Asked once per job: a search through all clips would cost a workflow of many clips the square of their number.
        grouped: dict[str, list[Clip]] = {}
        for key in sorted(self.clips):
            grouped.setdefault(key[0], []).append(self.clips[key])
        return {subject: tuple(clips) for subject, clips in grouped.items()}

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects in order of name."""
        return tuple(self._by_subject)

    def of(self, subject: str) -> tuple[Clip, ...]:
        """All clips of a subject in order of id."""
        return self._by_subject.get(subject, ())

    def height_m(self, subject: str) -> float | None:
        """The subject's height, if any of its rows says it."""
        return next((c.height_m for c in self.of(subject) if c.height_m is not None), None)

    def skeleton(self, subject: str) -> Path | None:
        """The file of the subject's bones that is to be used as it is, if any of its rows names one."""
        return next((c.skeleton for c in self.of(subject) if c.skeleton is not None), None)

    def poses3d(self, subject: str) -> dict[str, Path]:
        """Clip to the poses that another system made of it."""
        return {c.clip: c.pose3d for c in self.of(subject) if c.pose3d is not None}

    def camera_heights_m(self, subject: str) -> dict[str, float]:
        """Clip to the height of its camera above the floor, where it is known."""
        return {c.clip: c.camera_height_m for c in self.of(subject) if c.camera_height_m is not None}

    def cameras(self, subject: str) -> dict[str, str]:
        """Clip to the first clip of the same camera, of clips that share one with another clip.

        The same calibration file and camera name in the sheet, or, without a calibration, the same folder of videos and
        camera name. A camera that moves is another one in each clip.
        """
        first: dict[tuple[object, ...], str] = {}
        shared: dict[str, str] = {}
        for clip in self.of(subject):
            if (clip.calibration or clip.camera) and not clip.pans and clip.camera_path is None:
                key = (clip.calibration, None if clip.calibration else clip.video.parent, clip.camera)
                shared[clip.clip] = first.setdefault(key, clip.clip)
        count = Counter(shared.values())
        return {clip: camera for clip, camera in shared.items() if count[camera] > 1}

    def truth(self, subject: str) -> Path | None:
        """The subject's truth file, if any of its rows names one."""
        return next((c.truth for c in self.of(subject) if c.truth is not None), None)


def safe_id(name: str) -> str:
    """Turn a name into an id that is safe in paths and wildcards; "" if nothing of it can be kept.

    >>> safe_id("my clip; rm -rf ../x")
    'my_clip__rm_-rf_.._x'
    >>> safe_id("../..")
    ''
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip("._-")


def kind_of(path: Path) -> str:
    """``stills`` of an image or a folder, else ``video``."""
    return "stills" if path.is_dir() or path.suffix.lower() in IMAGES else "video"
