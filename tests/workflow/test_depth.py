"""A depth network in the workflow: its jobs, what reruns when it changes, and its word in the skeleton."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.formats.artifact import read
from tests.tiny_depth import save_tiny_network

from .conftest import new_project
from .test_reruns import POSES, SKELETON_ON

SKELETON = "results/S1/skeleton.stub_standing.stub_upright.h5"
DEPTH_ON = {"depth": 2, **SKELETON_ON}


def name_a_model(project, more: str = ""):
    project.configure("export: []", f"export: []\ndepth: {{model: network{more}}}")


def test_a_network_is_asked_about_each_clip_and_its_word_is_in_the_skeleton(project):
    pytest.importorskip("transformers", reason="transformers is not installed")
    save_tiny_network(project.folder / "network")
    # It knows its own lens, or the clips' guessed focal length would make it say nothing.
    name_a_model(project, ", frames: 2, focal_px_per_width: 1.0")
    ran, text = project.snakemake(POSES)
    assert ran == DEPTH_ON, text
    clip = read(project.folder / "results/S1/depth/stub_standing/a.h5", "depth").clips["a"]
    depths_m = clip.tracks["p1"].arrays["depth"]
    assert clip.status == "ok" and len(clip.time) == 2 and np.isfinite(depths_m).sum() == 2 * 4
    bones = read(project.folder / SKELETON, "skeleton")
    said = [*bones.attrs["scales"], *bones.attrs["scales_doubted"]]
    assert "depth_network" in [word["source"] for word in said]
    assert {"depth/a", "depth/b"} <= set(bones.provenance["inputs"])
    assert project.snakemake(POSES)[0] == {}
    # Another network: depth and what follows, neither detect nor lift; whose page says other terms: the same.
    save_tiny_network(project.folder / "network", seed=1)
    assert project.snakemake("-n", POSES)[0] == DEPTH_ON
    project.configure("frames: 2", "frames: 3")
    assert project.snakemake("-n", POSES)[0] == DEPTH_ON
    project.configure("model: network", "model: null")
    assert project.snakemake("-n", POSES)[0] == SKELETON_ON


def test_a_model_that_is_not_there_ends_the_run_before_it_begins(tmp_path):
    project = new_project(tmp_path / "p")
    name_a_model(project)
    ran, text = project.snakemake("-n", POSES, check=False)
    assert ran == {} and "network: depth.model: expected a folder with config.json, got none; save a model" in text
    (project.folder / "network").mkdir()
    (project.folder / "network" / "config.json").write_text('{"model_type": "depth_anything"}')
    _, text = project.snakemake("-n", POSES, check=False)
    assert "depth_estimation_type: expected metric, got relative" in text
