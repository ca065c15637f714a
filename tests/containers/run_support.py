"""A clean clone in which the workflow runs with and without containers."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Clone:
    """A clone of this repository. Its own source plans the runs; the stages run where the test says."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def snakemake(self, *arguments: str, check: bool = True) -> tuple[dict[str, int], str]:
        """Run the workflow; return how often each rule ran, and all that was printed."""
        path = os.pathsep.join([str(self.folder / "src"), self.env.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.env, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        text = done.stdout + done.stderr
        if check:
            assert done.returncode == 0, text
        ran = re.findall(r"^(?:local)?rule (\w+):", text, flags=re.MULTILINE)
        return {name: ran.count(name) for name in sorted(set(ran)) if name != "all"}, text

    def copy(self, folder: Path) -> Clone:
        """Its twin, results and records included, time stamps kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Clone(folder, dict(self.env))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold off the other processes that test with this folder."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is made once in a session of tests, however many processes share it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with alone(folder):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


def clone(folder: Path, sif: Path | None) -> Clone:
    """What ``git clone`` gives, with the changes that are not committed yet, and the image in its place."""
    git = ["git", "-C", str(ROOT)]
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--modified", "--others", "--exclude-standard"], capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        (folder / name).unlink(missing_ok=True)
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    if sif is not None:
        images = yaml.safe_load((folder / "containers" / "images.yaml").read_text())
        (folder / "containers" / images["posemill"]["uri"]).symlink_to(sif)
    return Clone(folder)
