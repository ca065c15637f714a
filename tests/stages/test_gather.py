from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.errors import InputError
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.calibration import write_calibration
from posemill.provenance import StageRequest
from posemill.stages import gather
from tests.unit.test_people import walker

SIZE = (1200, 1000)


def track(frames: int = 40, *, seen: slice = slice(None), shift: float = 0.0) -> Track:
    keypoints, _ = walker(frames)
    valid = np.zeros((frames, 12), bool)
    valid[seen] = True
    keypoints = np.where(valid[..., None], keypoints + shift, np.nan)
    box = np.where(valid[:, :1], [100.0, 100, 400, 1000], np.nan)
    arrays = {"keypoints": keypoints, "score": valid * 0.9, "sigma": np.where(valid, 5.0, np.nan), "bbox": box}
    return Track({k: v.astype(np.float32) for k, v in arrays.items()} | {"valid": valid})


def detections(path: Path, clips: dict[str, Clip], *, subject: str = "S1") -> Path:
    write(path, Artifact("detections2d", subject, "limbs12", clips))
    return path


def one(**tracks: Track) -> Clip:
    return Clip(fps=30.0, image_size=SIZE, time=np.arange(40) / 30, tracks=tracks or {"p1": track()})


def run(paths: list[Path], tmp_path: Path, clips: dict[str, Any] | None = None, **options: Any) -> Artifact:
    output = tmp_path / "keypoints2d.h5"
    gather.run(paths, output, StageRequest("gather", options=options, sheet={"clips": clips or {}}))
    return read(output, "keypoints2d")


def test_clips_of_one_subject_come_together(tmp_path: Path) -> None:
    paths = [detections(tmp_path / f"{name}.h5", {name: one()}) for name in ("b", "a")]
    found = run(paths, tmp_path)
    assert sorted(found.clips) == ["a", "b"] and found.joint_set == "limbs12"
    assert sorted(found.provenance["inputs"]) == ["a", "b"]
    camera = found.clips["a"].camera
    assert camera is not None and camera.intrinsics_source == "prior" and camera.focal_px == 1200
    keypoints, _ = walker(40)
    np.testing.assert_allclose(found.clips["a"].tracks["p1"].arrays["keypoints"][15:-15], keypoints[15:-15], atol=0.1)


def test_where_the_detector_has_its_joints_is_passed_on(tmp_path: Path) -> None:
    paths = [detections(tmp_path / f"{name}.h5", {name: one()}) for name in ("a", "b")]
    assert "joint_offsets" not in run(paths, tmp_path).attrs
    told = Artifact("detections2d", "S1", "limbs12", {"c": one()}, attrs={"joint_offsets": {"hip": [0.0, 0.01, 0.0]}})
    write(tmp_path / "c.h5", told)
    assert run([tmp_path / "c.h5"], tmp_path).attrs["joint_offsets"] == {"hip": [0.0, 0.01, 0.0]}
    with pytest.raises(InputError, match=r"c\.h5: joint_offsets: expected as in .*a\.h5, got others"):
        run([*paths, tmp_path / "c.h5"], tmp_path)


def test_the_longest_seen_person_is_p1(tmp_path: Path) -> None:
    path = detections(tmp_path / "a.h5", {"a": one(p1=track(seen=slice(0, 10)), p2=track(shift=50))})
    clip = run([path], tmp_path).clips["a"]
    assert list(clip.tracks) == ["p1"] and clip.attrs["people_seen"] == 2
    assert clip.tracks["p1"].arrays["valid"].all()


def test_failed_clips_stay_failed_and_the_others_go_on(tmp_path: Path) -> None:
    path = detections(tmp_path / "a.h5", {"bad": Clip().failed("bad.mp4: damaged"), "good": one()})
    found = run([path], tmp_path)
    assert (found.clips["bad"].status, found.clips["bad"].reason) == ("failed", "bad.mp4: damaged")
    assert found.clips["good"].status == "ok"


def test_calibration_wins_over_focal_length_over_field_of_view(tmp_path: Path) -> None:
    path = detections(tmp_path / "a.h5", {name: one() for name in "abcd"})
    calibration = tmp_path / "rig.json"
    write_calibration(calibration, {"left": Camera.from_focal(*SIZE, 777.0, source="calibration", sigma=0)})
    every = {"calibration": str(calibration), "camera": "left", "focal_px": 888.0, "fov_deg": 90.0}
    sheet = {
        "a": every,
        "b": every | {"calibration": None},
        "c": every | {"calibration": None, "focal_px": None},
        "d": dict.fromkeys(every),
    }
    clips = run([path], tmp_path, sheet).clips
    cameras = {name: clip.camera for name, clip in clips.items()}
    focal = {name: (round(c.focal_px, 6), c.intrinsics_source) for name, c in cameras.items() if c}
    # 90 degrees across 1200 px: f = 600 / tan 45.
    assert focal == {"a": (777, "calibration"), "b": (888, "sheet"), "c": (600, "sheet"), "d": (1200, "prior")}


def test_what_the_file_says_of_its_lens_is_better_than_nothing(tmp_path: Path) -> None:
    told = {"focal_35mm": 26.0}
    clips = {"video": replace(one(), attrs=told), "given": replace(one(), attrs=told)}
    stills = replace(one(), attrs=told, temporal=False, fps=float("nan"), time=np.arange(40.0))
    path = detections(tmp_path / "a.h5", {**clips, "stills": stills})
    found = run([path], tmp_path, {"given": {"focal_px": 900.0}}).clips
    cameras = {name: clip.camera for name, clip in found.items()}
    # 26 mm on a diagonal of 43.27 mm; the picture's diagonal is 1562 px.
    said = {name: (round(c.focal_px), c.intrinsics_source, c.focal_sigma) for name, c in cameras.items() if c}
    assert said == {"video": (939, "metadata", 0.12), "given": (900, "sheet", 0.02), "stills": (939, "metadata", 0.05)}


@pytest.mark.parametrize(
    ("size", "camera", "reason"),
    [
        ((600, 500), None, "rig.json: calibration's image size: expected 1200x1000 as the video, got 600x500"),
        (SIZE, "right", "rig.json: camera: expected left, got right"),
    ],
)
def test_calibration_that_does_not_fit_fails_its_clip_alone(
    tmp_path: Path, size: tuple[int, int], camera: str | None, reason: str
) -> None:
    path = detections(tmp_path / "a.h5", {"a": one(), "b": one()})
    calibration = tmp_path / "rig.json"
    write_calibration(calibration, {"left": Camera.prior(*size)})
    clips = run([path], tmp_path, {"a": {"calibration": str(calibration), "camera": camera}}).clips
    assert clips["a"].status == "failed" and clips["a"].reason.startswith(reason)
    assert clips["b"].status == "ok"


def test_person_who_left_stays_gone(tmp_path: Path) -> None:
    path = detections(tmp_path / "a.h5", {"a": one(p1=track(seen=slice(0, 20)))})
    arrays = run([path], tmp_path).clips["a"].tracks["p1"].arrays
    assert arrays["valid"].all(axis=1).tolist() == [True] * 20 + [False] * 20
    assert np.isnan(arrays["bbox"][20:]).all()


def test_options_reach_the_cleaning(tmp_path: Path) -> None:
    arrays = track()
    arrays.arrays["valid"][10:13, 3] = False
    arrays.arrays["keypoints"][10:13, 3] = np.nan
    arrays.arrays["sigma"][10:13, 3] = np.nan
    path = detections(tmp_path / "a.h5", {"a": one(p1=arrays)})
    assert run([path], tmp_path).clips["a"].attrs["cleaning"]["filled"] == 3
    clip = run([path], tmp_path, max_gap_s=0.0).clips["a"]
    assert clip.attrs["cleaning"]["filled"] == 0 and not clip.tracks["p1"].arrays["valid"][10:13, 3].any()


def test_strangers_and_doubles_are_refused(tmp_path: Path) -> None:
    first = detections(tmp_path / "a.h5", {"a": one()})
    double = detections(tmp_path / "b.h5", {"a": one()})
    stranger = detections(tmp_path / "c.h5", {"c": one()}, subject="S2")
    with pytest.raises(InputError, match=r"b\.h5: clip 'a' is already there"):
        run([first, double], tmp_path)
    with pytest.raises(InputError, match=r"c\.h5: subject and joint set: expected S1 in limbs12, got S2"):
        run([first, stranger], tmp_path)
    with pytest.raises(InputError, match="expected at least one file"):
        run([], tmp_path)
