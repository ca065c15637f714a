"""detect with the sources that know the truth, on a small film with a truth file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.errors import InputError
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.plan import plan
from posemill.skeleton import JOINT_SETS
from posemill.stages import detect
from tests.unit.test_media import make_video, picture

JOINTS = len(JOINT_SETS["posemill28"])
FRAMES = 12
CAMERA = Camera(96, 64, np.array([[80.0, 0, 47.5], [0, 80.0, 31.5], [0, 0, 1]]), np.zeros(5), np.eye(3), np.zeros(3))


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """A swarm of joints 4 m away that moves to the right; clip ``walk`` of 12 frames at 25 Hz."""
    rng = np.random.default_rng(0)
    joints = rng.uniform(-0.8, 0.8, (1, JOINTS, 3)) * (1, 1, 0.2) + (0, 0, 4)
    joints = joints + np.arange(FRAMES)[:, None, None] * (0.02, 0, 0)
    arrays = {
        "keypoints": CAMERA.project(joints).astype(np.float32),
        "visible": np.ones((FRAMES, JOINTS), dtype=bool),
        "joints": joints.astype(np.float32),
        "joints_camera": joints.astype(np.float32),
        "contact": np.zeros((FRAMES, 4), dtype=bool),
    }
    time = np.arange(FRAMES) / 25
    clip = Clip(fps=25.0, image_size=(96, 64), time=time, camera=CAMERA, tracks={"p1": Track(arrays)})
    path = tmp_path / "truth.h5"
    write(path, Artifact("truth3d", "S1", "posemill28", {"walk": clip}, attrs={"height_m": 1.6}))
    return path


def run(tmp_path: Path, truth: Path | None, source: str, *, clip: str = "walk", **options: object) -> Clip:
    video = tmp_path / "a.mp4"
    if not video.exists():  # a film made twice has two time stamps, and so two contents
        make_video(video, map(picture, range(FRAMES)))
    sheet = {"subject": "S1", "clip": clip, "kind": "video", "fps": None, "start_s": None}
    detect.run(video, tmp_path / "out.h5", plan("detect", source, options, sheet), truth)
    artifact = read(tmp_path / "out.h5", "detections2d")
    assert artifact.joint_set == "posemill28" and set(artifact.provenance["inputs"]) >= {clip}
    return artifact.clips[clip]


def true_keypoints(truth: Path) -> np.ndarray:
    return read(truth, "truth3d").clips["walk"].tracks["p1"].arrays["keypoints"]


def test_exact_detections_are_the_truth(tmp_path, truth):
    clip = run(tmp_path, truth, "exact")
    assert clip.status == "ok" and list(clip.tracks) == ["p1"]
    arrays = clip.tracks["p1"].arrays
    assert arrays["valid"].all() and (arrays["sigma"] == np.float32(0.1)).all()
    np.testing.assert_array_equal(arrays["keypoints"], true_keypoints(truth))


def test_noisy_detections_err_by_what_they_say(tmp_path, truth):
    clip = run(tmp_path, truth, "noisy", size=0.01)
    first = (tmp_path / "out.h5").read_bytes()
    arrays = clip.tracks["p1"].arrays
    # 80 px focal length, 1.6 m at 4 m (the pelvis' depth): a hundredth of that height.
    pelvis = read(truth, "truth3d").clips["walk"].tracks["p1"].arrays["joints_camera"][:, 0, 2]
    np.testing.assert_allclose(arrays["sigma"], np.tile(0.01 * 80 * 1.6 / pelvis[:, None], JOINTS), rtol=1e-6)
    error = (arrays["keypoints"] - true_keypoints(truth)) / arrays["sigma"][..., None]
    assert 0.3 < np.nanstd(error) < 3 and np.nanmax(np.abs(error)) < 7.7
    run(tmp_path, truth, "noisy", size=0.01)
    assert (tmp_path / "out.h5").read_bytes() == first


def test_clip_without_a_truth_fails_and_says_so(tmp_path, truth):
    none, other = run(tmp_path, None, "exact"), run(tmp_path, truth, "noisy", clip="run")
    assert none.status == other.status == "failed"
    assert "column truth" in none.reason and "clips walk" in other.reason


def test_a_detector_that_looks_takes_no_truth(tmp_path, truth):
    with pytest.raises(InputError, match="expected no truth"):
        run(tmp_path, truth, "mediapipe")
