"""Two people in view: the subject is followed on every frame, though the other one is nearer and hides them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemill.formats.artifact import Clip, read
from posemill.plan import plan
from posemill.skeleton import convert
from posemill.stages import detect, gather, twin

CLIP, HEIGHT_M = "squat_and_reach_cam1", 1.75


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.8 s in which somebody walks by before the subject."""
    folder = tmp_path_factory.mktemp("bystander")
    twin.run(
        folder,
        motions=("squat_and_reach",),
        cameras=1,
        duration_s=2.8,
        fps=12,
        width=400,
        height=300,
        height_m=HEIGHT_M,
        bystander=True,
    )
    return folder / "S9"


def gathered(scene: Path, tmp_path: Path, subject: str, **options: Any) -> Clip:
    found, kept = tmp_path / "detections2d.h5", tmp_path / "keypoints2d.h5"
    sheet = {"subject": "S9", "clip": CLIP, "kind": "video"}
    detect.run(scene / f"{CLIP}.mp4", found, plan("detect", "mediapipe", options, sheet))
    gather.run([found], kept, plan("gather", "", {"subject": subject}, {"clips": {}}))
    return read(kept, "keypoints2d").clips[CLIP]


def away(scene: Path, clip: Clip) -> np.ndarray:
    """Mean distance of 12 limb joints from the subject's own, as a share of stature, (T,); NaN where nobody is seen."""
    artifact = read(scene / "truth.h5", "truth3d")
    truth = artifact.clips[CLIP]
    arrays = truth.tracks["p1"].arrays
    assert truth.camera is not None
    there = convert(arrays["keypoints"].astype(np.float64), artifact.joint_set, "limbs12")[0]
    seen = convert(clip.tracks["p1"].arrays["keypoints"].astype(np.float64), "blazepose33", "limbs12")[0]
    size = truth.camera.focal_px * HEIGHT_M / np.median(arrays["joints_camera"][:, 0, 2])
    known = np.isfinite(seen).all((1, 2))
    return np.where(known, np.linalg.norm(seen - there, axis=-1).mean(1) / size, np.nan)


def test_the_right_person_on_every_frame(scene: Path, tmp_path: Path) -> None:
    clip = gathered(scene, tmp_path, "main")
    error = away(scene, clip)
    assert clip.attrs["people_seen"] == 2
    # Where the subject is hidden whole, nobody is made up for longer than gaps are filled.
    assert np.isfinite(error).mean() > 0.9
    assert np.nanmax(error) < 0.25 and np.nanmedian(error) < 0.015


def test_alone_mediapipe_goes_over_to_who_is_nearer(scene: Path, tmp_path: Path) -> None:
    error = away(scene, gathered(scene, tmp_path, "main", follow=False))
    assert (error > 0.25).sum() > 10
