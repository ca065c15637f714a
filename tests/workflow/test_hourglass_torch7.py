"""The detector hourglass_torch7 in the workflow: three jobs for each clip, their files between gone, the same by hand.

A stub stands for Torch7; tests/torch7 has the real one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from posemill.formats.artifact import read
from tests.workflow.conftest import ROOT, Project, new_project

STUB = Path(__file__).with_name("stub_torch7")
JOBS = {"hourglass_weights": 1, "hourglass_crops": 2, "hourglass_peaks": 2, "hourglass_keypoints": 2, "gather": 1}
KEYPOINTS = "results/S1/keypoints2d.hourglass_torch7.h5"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    from posemill.formats.weights import write_weights
    from posemill.networks.hourglass import Hourglass

    project = new_project(tmp_path / "p")
    shutil.copytree(ROOT / "containers" / "hourglass", project.folder / "containers" / "hourglass")
    sizes = {"stacks": 1, "features": 8, "stem": 4}
    tensors = {name: value.numpy() for name, value in Hourglass(**sizes).state_dict().items()}
    card = {"detector": "hourglass", "network": sizes, "resolution": 256}
    write_weights(project.folder / "w.safetensors", tensors, card)
    given = "detectors: {hourglass_torch7: {weights: w.safetensors, boxes: frame}}"
    project.configure("detector: stub_standing", f"detector: hourglass_torch7\n{given}")
    project.env["PATH"] = os.pathsep.join([str(STUB), os.environ["PATH"]])
    return project


def keypoints(file: Path) -> np.ndarray:
    (clip,) = read(file, "detections2d").clips.values()
    assert clip.status == "ok", clip.reason
    return clip.tracks["p1"].arrays["keypoints"]


def test_three_jobs_a_clip_and_the_same_by_hand(project: Project):
    ran, _ = project.snakemake(KEYPOINTS)
    assert ran == JOBS
    left = {p.name for p in project.folder.rglob("*") if p.suffix in (".crops", ".peaks", ".t7")}
    assert left == set()
    again, _ = project.snakemake(KEYPOINTS)
    assert again == {}

    by_hand = project.folder / "hand.h5"
    words = ["detect", "films/a.mp4", "--detector", "hourglass_torch7", "--output", str(by_hand)]
    words += ["--option", "weights=w.safetensors", "--option", "boxes=frame"]
    command = [sys.executable, "-m", "posemill.cli", *words]
    done = subprocess.run(
        command, cwd=project.folder, env={**os.environ, **project.env}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    of_jobs = keypoints(project.folder / "results/S1/detect/hourglass_torch7/a.h5")
    assert len(of_jobs) == 5 and np.isfinite(of_jobs).all()
    assert np.array_equal(keypoints(by_hand), of_jobs)

    project.configure("boxes: frame", "boxes: frame, flip: false")
    ran, _ = project.snakemake(KEYPOINTS, "-n")
    assert ran == JOBS


def test_a_clip_that_is_no_video_fails_alone(project: Project):
    (project.folder / "films" / "b.mp4").write_text("no video")
    ran, _ = project.snakemake(KEYPOINTS)
    assert ran == JOBS
    (clip,) = read(project.folder / "results/S1/detect/hourglass_torch7/b.h5", "detections2d").clips.values()
    assert clip.status == "failed" and "b.mp4" in str(clip.reason)


def test_without_torch7_one_line_says_so_before_any_job(project: Project):
    if any(Path(folder, "th").exists() for folder in os.environ["PATH"].split(os.pathsep)):
        project.env["PATH"] = os.pathsep.join(
            folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "th").exists()
        )
    else:
        project.env["PATH"] = os.environ["PATH"]
    _, said = project.snakemake(KEYPOINTS, check=False)
    (line,) = [line for line in said.splitlines() if "expected th on PATH" in line]
    assert "posemill images build hourglass" in line
    assert not (project.folder / "results" / "S1" / "detect").exists()
