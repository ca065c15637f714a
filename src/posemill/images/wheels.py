"""The Python part of an image: wheels of posemill's checkout and of all that it needs, as constraints.txt pins it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

from posemill.errors import InputError, MissingError, expected
from posemill.images import process
from posemill.images.catalog import Checkout

__all__ = ["PYTHON", "collect", "torch_requirement"]

PYTHON = "3.11"
_GLIBC_MINOR = 36  # Debian 12's
# Published as source only; it is all Python, so that a wheel made by any Python will do.
_WITHOUT_WHEEL = ("connection_pool",)
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src")


def collect(checkout: Checkout, flavour: str, index: str | None, folder: Path) -> None:
    """Put all wheels of an image into ``folder``.

    What was fetched is kept in the checkout's cache, until the pins change; posemill's own wheel is always made anew.

    Parameters
    ----------
    flavour
        Which torch: ``cpu`` or ``cuda``.
    index
        Address of a further package index, for torch.

    Raises
    ------
    MissingError
        A wheel cannot be had; one line.
    """
    if platform.machine() != "x86_64":
        raise MissingError(expected("machine", "x86_64, for which there are MediaPipe's wheels", platform.machine()))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        own = _own_wheel(checkout, Path(work))
        for wheel in _fetched(checkout, own, flavour, index).iterdir():
            _link(wheel, folder / wheel.name)
        shutil.copy(own, folder / own.name)


def torch_requirement(constraints: str, flavour: str) -> str:
    """Requirement for the pinned torch in a flavour: wheels for the CPU alone are labelled ``+cpu``.

    >>> torch_requirement("torch==2.13.0", "cpu")
    'torch==2.13.0+cpu'
    >>> torch_requirement("torch==2.13.0", "cuda")
    'torch==2.13.0,!=2.13.0+cpu'

    Raises
    ------
    InputError
        torch is not pinned.
    """
    found = re.search(r"^torch==([0-9.]+)\s*$", constraints, flags=re.MULTILINE)
    if found is None:
        raise InputError("constraints.txt: expected a line torch==VERSION, got none; pin torch")
    version = found[1]
    return f"torch=={version}+cpu" if flavour == "cpu" else f"torch=={version},!={version}+cpu"


def _own_wheel(checkout: Checkout, work: Path) -> Path:
    # From a copy: setuptools would leave its build folder in the checkout, and take deleted modules from an old one.
    source = work / "source"
    source.mkdir()
    for name in _SOURCES:
        path = checkout.root / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(path, source / name)
    _pip("wheel", "--no-deps", "--wheel-dir", work, source, what="posemill's own wheel")
    return next(work.glob("posemill-*.whl"))


def _fetched(checkout: Checkout, own: Path, flavour: str, index: str | None) -> Path:
    constraints = checkout.root / "constraints.txt"
    unused = checkout.containers / "posemill" / "unused.txt"
    parts = [p.read_bytes() for p in (constraints, unused, checkout.root / "pyproject.toml")] + [flavour.encode()]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
    kept = checkout.cache / f"wheels-{flavour}-{key}"
    if kept.is_dir():
        return kept
    checkout.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=checkout.cache) as work:
        fetched = Path(work) / "wheels"
        made = ("--no-deps", "--constraint", constraints, "--wheel-dir", fetched)
        _pip("wheel", *made, *_WITHOUT_WHEEL, what="wheels of what is published as source")
        _pip(
            "download",
            *("--dest", fetched, "--find-links", fetched, "--constraint", constraints, "--only-binary", ":all:"),
            *("--python-version", PYTHON, "--implementation", "cp"),
            *(part for abi in ("cp311", "abi3", "none") for part in ("--abi", abi)),
            *(part for name in _platforms() for part in ("--platform", name)),
            *(("--extra-index-url", index) if index else ()),
            *(own, "pip", torch_requirement(constraints.read_text(), flavour)),
            what=f"torch and the other wheels of flavour {flavour}",
        )
        for name in _lines(unused):
            for wheel in fetched.glob(f"{name}-*.whl"):
                wheel.unlink()
        (fetched / own.name).unlink(missing_ok=True)
        for old in checkout.cache.glob(f"wheels-{flavour}-*"):
            shutil.rmtree(old)
        fetched.rename(kept)
    return kept


def _platforms() -> list[str]:
    """Every platform whose wheels run on the image's libc, newest first."""
    numbered = [f"manylinux_2_{minor}_x86_64" for minor in range(_GLIBC_MINOR, 4, -1)]
    return [*numbered, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]


def _lines(file: Path) -> list[str]:
    return [text for line in file.read_text().splitlines() if (text := line.partition("#")[0].strip())]


def _pip(*arguments: str | Path, what: str) -> None:
    try:
        process.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments])
    except process.ProgramError as error:
        if any("no space left" in line.lower() for line in error.said):
            raise MissingError(f"{what}: the disk is full; free some space, or set TMPDIR to another disk") from None
        # The first of pip's errors names what is missing; those after it say where to read on.
        reason = next((line for line in error.said if line.startswith("ERROR")), str(error))
        raise MissingError(
            f"{what}: {reason.removeprefix('ERROR: ')}; a package index that has it is named with --index, "
            "or in pip's own configuration"
        ) from None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
