"""A cluster, and projects whose jobs it runs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ..conftest import ROOT
from ..workflow.conftest import STUBS
from .one_node import OneNode, missing_programs

# Where .ci/install_slurm puts them; an environment that make slurm completed has them itself.
PLUGINS = ROOT / ".cache" / "cluster_plugins"
NEEDED = ("snakemake_executor_plugin_slurm", "snakemake_executor_plugin_cluster_generic")


@pytest.fixture(scope="session")
def slurm() -> Iterator[OneNode]:
    """A running Slurm; the test is skipped by name where there is none."""
    missing = missing_programs()
    missing += [name for name in NEEDED if not (PLUGINS / name).is_dir() and not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here; .ci/install_slurm installs it")
    node = OneNode()
    try:
        node.start()
        yield node
    finally:
        node.stop()


@dataclass
class ClusterRun:
    """A call of Snakemake that goes on beside the test."""

    process: subprocess.Popen[str]
    log: Path

    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text()

    def wait(self) -> tuple[int, str]:
        """Exit code and all that was printed."""
        try:
            return self.process.wait(400), self.text()
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after 400 s:\n{self.text()}") from None

    def until(self, true: Callable[[], object]) -> None:
        """Wait for something to come true while it runs."""
        deadline = time.monotonic() + 120
        while not true():
            assert self.process.poll() is None and time.monotonic() < deadline, self.text()
            time.sleep(0.1)


@dataclass
class ClusterProject:
    """A folder with the workflow, and Snakemake that hands its jobs to the cluster."""

    folder: Path
    slurm: OneNode
    runs: list[ClusterRun] = field(default_factory=list)

    def start(self, *arguments: str) -> ClusterRun:
        """Call Snakemake; times are short where a cluster's are long."""
        path = os.pathsep.join([str(PLUGINS), str(STUBS)])
        env = {**os.environ, **self.slurm.env, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        log = self.folder / "run.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--latency-wait", "10", *arguments],
                cwd=self.folder, env=env, stdout=stream, stderr=stream, text=True,
            )  # fmt: skip
        self.runs.append(ClusterRun(process, log))
        return self.runs[-1]

    def use(self, *names: str) -> None:
        """Copy these parts of the checkout."""
        for name in names:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.sif"))
            else:
                shutil.copy(source, self.folder)


@pytest.fixture
def project(slurm, tmp_path) -> Iterator[ClusterProject]:
    """An empty folder; what still runs in it when the test ends is ended."""
    project = ClusterProject(tmp_path / "p", slurm)
    project.folder.mkdir()
    yield project
    for run in project.runs:
        run.process.kill()


def finished(text: str, rule: str) -> int:
    """How many jobs of a rule a run of Snakemake says it finished."""
    return len(re.findall(rf"^Finished jobid: \d+ \(Rule: {rule}\)", text, flags=re.MULTILINE))
