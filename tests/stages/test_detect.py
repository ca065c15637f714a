"""detect with a detector that sees the bright square of the test videos."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel

from posemill import registry
from posemill.detectors.protocol import Detection, DetectorCard
from posemill.errors import InputError
from posemill.formats.artifact import Clip, read
from posemill.provenance import StageRequest
from posemill.stages import detect
from tests.unit.test_media import STEP, make_video, picture

DARK = np.zeros_like(picture(0))


class NoOptions(BaseModel):
    """This detector has nothing to set."""


class SquareDetector:
    """All twelve joints sit in the middle of the bright square; knees are never known."""

    joint_set = "limbs12"
    device = "cpu"
    contested_frames: tuple[int, ...] = ()

    def __init__(self, temporal: bool) -> None:
        self.temporal = temporal

    def __enter__(self) -> SquareDetector:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def detect(self, rgb: np.ndarray, time_s: float) -> list[Detection]:
        found = []
        bright = rgb.min(axis=-1) > 150
        for half in (slice(0, 32), slice(32, 64)):  # one person in each half of the picture
            y, x = np.nonzero(bright[half])
            if len(x):
                keypoints = np.tile([x.mean(), y.mean() + half.start], (12, 1))
                box = np.array([x.min(), y.min() + half.start, x.max(), y.max() + half.start], float)
                valid = np.array([k not in (1, 4) for k in range(12)])
                contested = np.arange(12) == 2 if round(25 * time_s) in self.contested_frames else None
                found.append(Detection(keypoints, np.full(12, 0.8), np.full(12, 2.0), box, valid, contested=contested))
        return found


@pytest.fixture(autouse=True)
def square_detector(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Put the detector in place of the installed ones; gives what ``temporal`` was at each start."""
    started: list[bool] = []

    def create(options: BaseModel, *, temporal: bool) -> SquareDetector:
        started.append(temporal)
        return SquareDetector(temporal)

    card = DetectorCard("limbs12", 2, "none", {"code": "Apache-2.0"}, ("numpy",))
    module = SimpleNamespace(NAME="square", Options=NoOptions, CARD=card, create=create)
    monkeypatch.setattr(registry, "load", lambda kind, name: module)
    return started


def run(video: Path, tmp_path: Path, **sheet: Any) -> Clip:
    given = {"subject": "S1", "clip": "walk", "kind": "video", "fps": None, "start_s": None}
    output = tmp_path / "out" / "walk.h5"
    detect.run(video, output, StageRequest("detect", "square", sheet=given | sheet))
    artifact = read(output, "detections2d")
    assert (artifact.subject, artifact.joint_set, list(artifact.clips)) == ("S1", "limbs12", ["walk"])
    assert list(artifact.provenance["inputs"]) == ["walk"]
    return artifact.clips["walk"]


def test_keypoints_follow_the_square(tmp_path: Path) -> None:
    clip = run(make_video(tmp_path / "a.mp4", map(picture, range(12))), tmp_path)
    assert (clip.status, clip.image_size, list(clip.tracks)) == ("ok", (96, 64), ["p1"])
    assert clip.fps == pytest.approx(25)
    np.testing.assert_allclose(clip.time, np.arange(12) / 25, atol=1e-6)
    arrays = clip.tracks["p1"].arrays
    np.testing.assert_allclose(arrays["keypoints"][:, 0, 0], STEP * np.arange(12) + 7.5, atol=0.6)
    assert not arrays["valid"][:, [1, 4]].any() and arrays["valid"][:, [0, 2, 3]].all()
    assert np.isnan(arrays["keypoints"][:, 1]).all() and (arrays["score"][:, 1] == 0).all()


def test_same_work_same_bytes(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", map(picture, range(12)))
    run(video, tmp_path)
    first = (tmp_path / "out" / "walk.h5").read_bytes()
    run(video, tmp_path)
    assert (tmp_path / "out" / "walk.h5").read_bytes() == first


def test_person_who_leaves_half_way(tmp_path: Path) -> None:
    clip = run(make_video(tmp_path / "a.mp4", [*map(picture, range(6)), *[DARK] * 6]), tmp_path)
    arrays = clip.tracks["p1"].arrays
    assert clip.status == "ok" and len(clip.time) == 12
    assert arrays["valid"].any(axis=1).tolist() == [True] * 6 + [False] * 6
    assert np.isnan(arrays["keypoints"][6:]).all() and np.isnan(arrays["bbox"][6:]).all()


def test_second_person_who_comes_late_has_a_track_from_the_start(tmp_path: Path) -> None:
    both = [np.maximum(picture(i), picture(i)[::-1]) for i in range(6)]
    clip = run(make_video(tmp_path / "a.mp4", [*map(picture, range(3)), *both]), tmp_path)
    seen = {name: track.arrays["valid"].any(axis=1).sum() for name, track in clip.tracks.items()}
    assert seen == {"p1": 9, "p2": 6}
    assert (clip.tracks["p1"].arrays["keypoints"][:, 0, 1] < 32).all()


def test_contested_sides_are_written_where_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = make_video(tmp_path / "a.mp4", map(picture, range(6)))
    assert "contested" not in run(video, tmp_path).tracks["p1"].arrays
    monkeypatch.setattr(SquareDetector, "contested_frames", (2, 3))
    contested = run(video, tmp_path).tracks["p1"].arrays["contested"]
    assert np.argwhere(contested).tolist() == [[2, 2], [3, 2]]


def test_nobody_seen(tmp_path: Path) -> None:
    clip = run(make_video(tmp_path / "a.mp4", [DARK] * 7), tmp_path)
    assert (clip.status, clip.reason, clip.tracks) == ("failed", "nobody seen in 7 frames", {})


@pytest.mark.parametrize("content", [b"", b"this is not a video\n" * 40])
def test_what_is_no_video_fails_the_clip_alone(tmp_path: Path, content: bytes) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(content)
    clip = run(video, tmp_path)
    assert clip.status == "failed" and clip.reason.startswith("a.mp4: expected a video")
    assert str(tmp_path) not in clip.reason


def test_damage_fails_the_clip_alone(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", map(picture, range(60)))
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    clip = run(video, tmp_path)
    assert clip.status == "failed" and clip.reason.startswith("a.mkv: damaged at ") and not clip.tracks


def test_missing_video_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such video"):
        run(tmp_path / "none.mp4", tmp_path)
    assert not (tmp_path / "out").exists()


def test_fps_of_the_sheet_overrides_the_stamps(tmp_path: Path) -> None:
    """A 250 Hz camera whose file plays slowly at 25."""
    clip = run(make_video(tmp_path / "a.mp4", map(picture, range(12))), tmp_path, fps=250.0)
    assert clip.fps == 250
    np.testing.assert_allclose(clip.time, np.arange(12) / 250)


def test_start_skips_and_keeps_source_times(tmp_path: Path) -> None:
    clip = run(make_video(tmp_path / "a.mp4", map(picture, range(12))), tmp_path, start_s=0.2)
    np.testing.assert_allclose(clip.time, np.arange(5, 12) / 25, atol=1e-6)


def test_folder_of_stills(tmp_path: Path, square_detector: list[bool]) -> None:
    folder = tmp_path / "poses"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(picture(index)).save(folder / f"{index}.png")
    clip = run(folder, tmp_path, kind="stills")
    assert (clip.temporal, square_detector) == (False, [False])
    np.testing.assert_array_equal(clip.time, [0, 1, 2])
    with pytest.raises(InputError, match="expected their fps"):
        run(folder, tmp_path)
    clip = run(folder, tmp_path, fps=10.0)
    assert clip.temporal and clip.fps == 10
    np.testing.assert_allclose(clip.time, [0, 0.1, 0.2])
