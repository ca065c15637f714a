"""The rule models/{name}.safetensors: a lifter's weights from the configuration's motion."""

from __future__ import annotations

import h5py
import numpy as np

from posemill.formats.motion import MOTION_JOINTS
from posemill.formats.weights import read_card

from .conftest import new_project


def _motion(path, subjects=("S1", "S2", "S3"), frames=40):
    """A body that sways; three people."""
    rng = np.random.default_rng(0)
    body = np.cumsum(rng.normal(0, 0.1, (17, 3)), axis=0) + np.array([0, 0, 1])
    with h5py.File(path, "w") as file:
        file.attrs["joints"], file.attrs["fps"], file.attrs["units"] = list(MOTION_JOINTS), 50.0, "m"
        for subject in subjects:
            sway = 0.05 * np.sin(np.arange(frames) / 9)[:, None, None]
            file[f"train/{subject}/{subject}_01"] = (body * rng.uniform(0.9, 1.1) + sway).astype(np.float32)


def test_the_rule_trains_with_the_configured_options(tmp_path):
    project = new_project(tmp_path / "p")
    _motion(project.folder / "motion.h5")
    options = "{steps: 3, batch: 4, hidden: 16, groups: [train], held_out: [S1, S2], windows: 2}"
    planned, _ = project.snakemake(
        "models/gan.safetensors", "--config", f"training={{motion: motion.h5, options: {{gan: {options}}}}}"
    )
    assert planned == {"train": 1}
    card = read_card(project.folder / "models" / "gan.safetensors")
    assert card["held_out_subjects"] == ["S1", "S2"]
    assert card["network"]["hidden"] == 16


def test_without_motion_it_says_how_to_name_it(tmp_path):
    project = new_project(tmp_path / "p")
    _, text = project.snakemake("-n", "models/gan.safetensors", check=False)
    assert "expected motion to train on, got none; say training.motion in the configuration" in text
