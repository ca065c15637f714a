"""A lifter in a package of its own: built, installed, listed and run, with nothing in posemill edited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from posemill.formats import artifact

from .conftest import ROOT, Project, new_project

SOURCE = Path(__file__).with_name("flat_lifter")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the package into."""
    folder = tmp_path_factory.mktemp("package")
    # The build writes beside its source.
    shutil.copytree(SOURCE, folder / "source")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*install, "--target", str(folder / "site"), str(folder / "source")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def with_flat(site: Path, tmp_path: Path) -> Project:
    project = new_project(tmp_path / "p")
    project.env["PYTHONPATH"] = os.pathsep.join([project.env["PYTHONPATH"], str(site)])
    return project


def test_it_is_small_and_the_guides_own():
    code = (SOURCE / "posemill_flat.py").read_text()
    assert len(code.splitlines()) <= 40
    assert code in (ROOT / "docs" / "adding-a-method.md").read_text()


def test_installed_it_is_listed(with_flat: Project):
    command = [str(Path(sys.executable).with_name("posemill")), "list", "lifters"]
    env = {**os.environ, **with_flat.env, "COLUMNS": "200"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if "flat" in line.split())
    assert "h36m17" in line


def test_installed_it_runs_and_its_typos_and_edits_are_found(with_flat: Project, site: Path):
    target = ("--config", "lifter=flat", "--", "results/S1/poses3d.h5")
    ran, _ = with_flat.snakemake(*target)
    assert ran == {"detect": 2, "gather": 1, "lift": 1, "skeleton": 1, "place": 1, "merge": 1, "publish": 1}
    lifted = artifact.read(with_flat.folder / "results/S1/lifted3d.stub_standing.flat.h5", "lifted3d")
    joints = lifted.clips["a"].tracks["p1"].arrays["joints_relative"]
    assert np.isfinite(joints).all() and not joints[..., 2].any() and np.ptp(joints[..., 1]) > 0.5
    assert lifted.provenance["method"] == "flat" and lifted.provenance["weights_state"] == "none needed"

    file = site / "posemill_flat.py"
    file.write_text(file.read_text().replace("valid, 0.3, np.nan", "valid, 0.4, np.nan"))
    ran, _ = with_flat.snakemake("--dry-run", *target)
    assert ran == {"lift": 1, "skeleton": 1, "place": 1, "merge": 1, "publish": 1}

    with_flat.configure("stub_upright: {flip: true", "flat: {depth: 3}, stub_upright: {flip: true")
    ran, text = with_flat.snakemake("--config", "lifter=flat", check=False)
    assert ran == {} and "lifters.flat: depth: extra inputs are not permitted; options: depth_m" in text
