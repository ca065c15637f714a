"""Torch7 where it is: ``th`` on PATH and the image that $POSEMILL_TORCH7_IMAGE names. Elsewhere tests are skipped."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from posemill import torch7

HERE = Path(__file__).parent
LUA = HERE.parents[1] / "containers" / "hourglass"


@dataclass(frozen=True)
class Torch7:
    """One installation; ``program`` is the detector's option torch7."""

    program: str | None

    def run(self, script: Path, *arguments: str | Path, timeout: int = 300) -> tuple[int, str, str]:
        """Run a script with arguments; its exit code, what it printed and what it complained of."""
        paths = [Path(a) for a in arguments if "/" in str(a)]
        *start, _ = torch7.command(self.program, [script.parent, *(p.parent for p in paths)])
        if len(start) > 1:
            # The image sees what is read read-only; these tests write beside it.
            start = [word.replace(",ro", "") for word in start]
        done = subprocess.run(
            [*start, str(script), *map(str, arguments)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=torch7.environment(),
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="session", params=["th", "image"])
def torch(request: pytest.FixtureRequest) -> Torch7:
    if request.param == "th":
        if shutil.which("th") is None:
            pytest.skip("th (Torch7) is not installed")
        return Torch7(shutil.which("th"))
    image = os.environ.get("POSEMILL_TORCH7_IMAGE")
    if not image:
        pytest.skip("th (Torch7) in an image: $POSEMILL_TORCH7_IMAGE names none")
    return Torch7(image)


@dataclass(frozen=True)
class Made:
    """A network that Torch7 made, the picture that it was given and what it answered, all stacks."""

    file: Path
    side: int

    @property
    def picture(self) -> Path:
        return self.file.with_suffix(".input.f32")

    @property
    def heatmaps(self) -> Path:
        return self.file.with_suffix(".heatmaps.f32")


@pytest.fixture(scope="session")
def made(torch: Torch7, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    """Make a network of a form (released, head), with so many stacks; once each."""
    known: dict[tuple[object, ...], Made] = {}

    def make(form: str = "released", stacks: int = 2, modules: int = 1, kind: str = "") -> Made:
        key = (form, stacks, modules, kind)
        if key not in known:
            folder = tmp_path_factory.mktemp("network")
            code, _, said = torch.run(
                HERE / "make_network.lua", folder / "n", str(stacks), "8", "4", str(modules), form, "64", kind
            )
            assert code == 0, said
            known[key] = Made(folder / "n.t7", 64)
        return known[key]

    return make


def renamed(data: bytes) -> bytes:
    """A file as a GPU's Torch7 writes it: classes of cudnn, tensors of CUDA; the numbers are laid out alike."""
    for old, new in {
        b"nn.SpatialConvolution": b"cudnn.SpatialConvolution",
        b"nn.SpatialMaxPooling": b"cudnn.SpatialMaxPooling",
        b"nn.ReLU": b"cudnn.ReLU",
        b"torch.FloatTensor": b"torch.CudaTensor",
        b"torch.FloatStorage": b"torch.CudaStorage",
    }.items():
        data = data.replace(struct.pack("<i", len(old)) + old, struct.pack("<i", len(new)) + new)
    return data


def one_line(said: str) -> str:
    """What a program complained of, which must be one line of ours."""
    lines = said.strip().splitlines()
    assert len(lines) == 1 and re.match(r"hourglass: ", lines[0]), said
    return lines[0]
