"""A small project in a temporary folder, run by the real Snakemake."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
STUBS = Path(__file__).with_name("stubs")
CONFIG = """\
clips: clips.tsv
videos: null
detector: stub_standing
lifter: stub_upright
lifters: {stub_upright: {flip: true, tta: false}}
export: []
pictures: false
"""


def write_video(path: Path, brightness: int = 100, frames: int = 5) -> None:
    """A grey film of 64 x 64 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            image = np.full((64, 64, 3), brightness + i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


@dataclass
class Project:
    """A folder with a sheet, videos and a config, and Snakemake over it."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def snakemake(self, *arguments: str, check: bool = True) -> tuple[dict[str, int], str]:
        """Run the workflow; return how often each rule ran, and all that was printed."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nolock", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=300
        )
        text = done.stdout + done.stderr
        if check:
            assert done.returncode == 0, text
        ran = re.findall(r"^(?:local)?rule (\w+):", text, flags=re.MULTILINE)
        return {name: ran.count(name) for name in sorted(set(ran)) if name != "all"}, text

    def write_sheet(self, rows: list[str], more: str = "") -> None:
        """Write the sheet from rows with ``|`` between cells; ``more`` are further columns."""
        text = f"subject|clip|video|height_m{more}\n" + "".join(f"{row}\n" for row in rows)
        (self.folder / "clips.tsv").write_text(text.replace("|", "\t"))

    def configure(self, old: str, new: str) -> None:
        """Edit config.yaml."""
        file = self.folder / "config.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


def new_project(folder: Path, *, own_source: bool = False) -> Project:
    """Two clips of one subject; with ``own_source``, a copy of posemill's source that a test may edit."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "Snakefile", folder)
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    (folder / "containers").mkdir()
    shutil.copy(ROOT / "containers" / "images.yaml", folder / "containers")
    (folder / "config.yaml").write_text(CONFIG)
    for name in ("a", "b"):
        write_video(folder / "films" / f"{name}.mp4", 100 if name == "a" else 150)
    path = [str(STUBS)]
    if own_source:
        ignore = shutil.ignore_patterns("__pycache__", "models")
        shutil.copytree(ROOT / "src" / "posemill", folder / "src" / "posemill", ignore=ignore)
        path.insert(0, str(folder / "src"))
    project = Project(folder, {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"})
    project.write_sheet(["S1|a|films/a.mp4|1.75", "S1|b|films/b.mp4|1.75"])
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A project whose chain has run once; copied by each test, never changed."""
    project = new_project(tmp_path_factory.mktemp("finished") / "p", own_source=True)
    ran, _ = project.snakemake("results/S1/poses3d.h5")
    assert ran == {"detect": 2, "gather": 1, "lift": 1, "skeleton": 1, "place": 1, "merge": 1, "publish": 1}
    return project.folder


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A private copy of the finished project, time stamps kept."""
    folder = tmp_path / "p"
    shutil.copytree(finished, folder, symlinks=True)
    path = os.pathsep.join([str(folder / "src"), str(STUBS)])
    return Project(folder, {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})
