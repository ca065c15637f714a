"""The sources that know the truth, in the workflow: the truth is an input, and a clip without one fails alone."""

from __future__ import annotations

import numpy as np

from posemill.camera import Camera
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.skeleton import JOINT_SETS

from .conftest import new_project


def test_exact_runs_through_evaluate(tmp_path):
    project = new_project(tmp_path / "p")
    frames, joints = 5, len(JOINT_SETS["posemill28"])
    swarm = np.random.default_rng(0).uniform((-0.4, -0.4, 3.6), (0.4, 0.4, 4.4), (1, joints, 3))
    body = np.repeat(swarm, frames, 0).astype(np.float32)
    camera = Camera.from_focal(64, 64, 64.0, source="calibration", sigma=0.0)
    camera = Camera(64, 64, camera.K, camera.dist, np.eye(3), np.zeros(3))
    arrays = {
        "keypoints": camera.project(body).astype(np.float32),
        "visible": np.ones((frames, joints), dtype=bool),
        "joints": body,
        "joints_camera": body,
        "contact": np.zeros((frames, 4), dtype=bool),
    }
    clip = Clip(fps=25.0, image_size=(64, 64), time=np.arange(5) / 25, camera=camera, tracks={"p1": Track(arrays)})
    write(project.folder / "truth.h5", Artifact("truth3d", "S1", "posemill28", {"a": clip}, attrs={"height_m": 1.75}))
    text = "subject|clip|video|height_m|truth\n" + "".join(f"S1|{c}|films/{c}.mp4|1.75|truth.h5\n" for c in "ab")
    (project.folder / "clips.tsv").write_text(text.replace("|", "\t"))

    evaluation = "results/S1/evaluation.exact.stub_upright.json"
    ran, _ = project.snakemake("--config", "detector=exact", "--", evaluation)
    assert ran["detect"] == 2 and ran["evaluate"] == 1
    results = project.folder / "results" / "S1"
    found = read(results / "detect" / "exact" / "a.h5").clips["a"].tracks["p1"].arrays
    np.testing.assert_array_equal(found["keypoints"], arrays["keypoints"])
    other = read(results / "detect" / "exact" / "b.h5").clips["b"]
    assert other.status == "failed" and "expected a truth with a camera and one person, got clips a" in other.reason
    # Another truth is noticed.
    dry = ("--config", "detector=exact", "--dry-run", "--", evaluation)
    write(project.folder / "truth.h5", Artifact("truth3d", "S1", "posemill28", {"a": clip}, attrs={"height_m": 1.8}))
    assert project.snakemake(*dry)[0]["detect"] == 2
