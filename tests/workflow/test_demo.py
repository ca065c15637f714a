"""The demo as a newcomer runs it: every output, the figures that the README promises, and nothing to do twice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from posemill.formats import artifact
from posemill.formats.artifact import Artifact, Track
from posemill.formats.bvh import read_bvh
from posemill.formats.bvh_rig import joints_from_bvh
from posemill.plan import plan
from posemill.stages import evaluate, lift, merge, place

from .conftest import ROOT, Project


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Project:
    """The demo subject, run through the real chain."""
    folder = tmp_path_factory.mktemp("demo")
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles", "containers", "resources"):
        shutil.copytree(ROOT / name, folder / name)
    project = Project(folder)
    project.snakemake()
    return project


def pooled(report: dict) -> dict:
    """The figures of all clips in the world."""
    assert not report["failed"] and set(report["pooled"]) == {"world"}
    return report["pooled"]["world"]


def within_the_bars(figures: dict) -> None:
    """The bars of the demo: 12 visible limb joints, height given."""
    assert figures["frames_evaluated"] == figures["frames_truth"] >= 4 * 6 * 30
    assert figures["visible"]["p_mpjpe_mm"] <= 60
    assert figures["root_mm"]["mean"] <= 150


def test_everything_is_there(demo):
    results = demo.folder / "results" / "S9"
    clips = artifact.read(results / "poses3d.h5", "merged3d").clips
    assert len(clips) >= 4 and all(c.status == "ok" and c.attrs["frame"] == "world" for c in clips.values())
    for name in clips:
        assert (results / "export" / "bvh" / f"{name}.p1.bvh").is_file()
        assert (results / "export" / "csv" / f"{name}.p1.csv").is_file()
        assert (results / "pictures" / "mediapipe.posemill" / f"{name}.png").stat().st_size > 20_000
    assert "walk_and_turn" in (results / "evaluation.mediapipe.posemill.txt").read_text()


def test_again_there_is_nothing_to_do(demo):
    ran, text = demo.snakemake()
    assert ran == {} and "Nothing to be done" in text


def test_detected_keypoints_reach_the_bars(demo):
    report = json.loads((demo.folder / "results/S9/evaluation.mediapipe.posemill.json").read_text())
    figures = pooled(report)
    within_the_bars(figures)
    assert figures["visible"]["keypoints2d_percent"] <= 1.0


def test_true_keypoints_reach_the_bars(demo, tmp_path):
    truth = artifact.read(demo.folder / "resources/demo/S9/truth.h5", "truth3d")
    exact = Artifact("keypoints2d", truth.subject, truth.joint_set)
    for name, clip in truth.clips.items():
        points = clip.tracks["p1"].arrays["keypoints"]
        seen = np.ones(points.shape[:2], bool)
        arrays = {
            "keypoints": points,
            "score": seen.astype(np.float32),
            "sigma": np.full(points.shape[:2], 0.5, np.float32),
            "valid": seen,
            "bbox": np.concatenate([points.min(1), points.max(1)], 1),
        }
        exact.clips[name] = replace(clip, tracks={"p1": Track(arrays)})
    k, li, p, m = (tmp_path / f"{name}.h5" for name in ("k", "l", "p", "m"))
    artifact.write(k, exact)
    lift.run(k, li, plan("lift", "posemill"))
    place.run(k, li, p, plan("place", sheet={"height_m": truth.attrs["height_m"]}))
    merge.run(k, li, p, m, plan("merge"))
    report = evaluate.run(m, demo.folder / "resources/demo/S9/truth.h5", tmp_path / "e.json", plan("evaluate"), k)
    within_the_bars(pooled(report))


def test_bvh_gives_the_joints_back_within_a_millimetre(demo):
    results = demo.folder / "results" / "S9"
    for name, clip in artifact.read(results / "poses3d.h5").clips.items():
        bvh = read_bvh(results / "export" / "bvh" / f"{name}.p1.bvh")
        joints = joints_from_bvh(bvh, "world")
        error = np.linalg.norm(joints - clip.tracks["p1"].arrays["joints"], axis=-1)
        assert error.max() < 0.001, (name, error.max())
