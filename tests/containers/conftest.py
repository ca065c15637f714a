"""The images that the tests here run in, built once by the commands that a user types."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def needs(program: str) -> str:
    """Path of an engine's program; the test is skipped by name where there is none."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def posemill(*arguments: str, folder: Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run posemill in a folder; return its exit code and all that it printed."""
    command = [sys.executable, "-m", "posemill.cli", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=1500
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def one_build_at_a_time() -> Iterator[None]:
    """Hold the other test processes off: two builds would want the same cache, disk and processors."""
    lock = ROOT / ".cache" / "images" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def posemill_sif() -> Path:
    """The posemill image as this checkout makes it: $POSEMILL_SIF, the one that is there, or built now."""
    given = os.environ.get("POSEMILL_SIF")
    if given:
        return Path(given)
    needs("apptainer")
    with one_build_at_a_time():
        code, listed = posemill("images", "list", folder=ROOT)
        assert code == 0, listed
        state = next(line for line in listed.splitlines() if line.split()[0] == "posemill")
        if not state.endswith("as built"):
            code, said = posemill("images", "build", "--engine", "apptainer", folder=ROOT)
            assert code == 0, said
    return ROOT / "containers" / "posemill_0.1.0.sif"


def copy_recipes(folder: Path) -> Path:
    """The part of a checkout that says which images there are and how they are made."""
    folder.mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.sif", "*.tar", "images.lock.json", ".*")
    shutil.copytree(ROOT / "containers", folder / "containers", ignore=ignored)
    return folder


def copy_checkout(folder: Path) -> Path:
    """What images are built from, in a folder of its own, with the cache of wheels and base shared."""
    copy_recipes(folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (ROOT / ".cache" / "images").mkdir(parents=True, exist_ok=True)
    (folder / ".cache").symlink_to(ROOT / ".cache")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Recipes that a test may edit."""
    return copy_recipes(tmp_path / "checkout")
