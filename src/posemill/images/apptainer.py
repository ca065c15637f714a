"""Apptainer: builds a ``.sif`` from a definition, without a daemon, or from an archive that Docker saved."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from posemill.errors import MissingError
from posemill.images import process
from posemill.images.catalog import Image

__all__ = ["build", "convert", "program", "selftest"]

# The default compression takes seven times as long for an image a tenth smaller.
_SQUASH = ("--mksquashfs-args", "-comp zstd -Xcompression-level 3")


def program() -> str:
    """Path of apptainer or singularity.

    Raises
    ------
    MissingError
        There is neither.
    """
    found = shutil.which("apptainer") or shutil.which("singularity")
    if found is None:
        raise MissingError("expected apptainer on PATH, got none; install Apptainer, or build with --engine docker")
    return found


def build(image: Image, recipe: Path, context: Path, base: Path | None, target: Path) -> None:
    """Build a ``.sif`` by the recipe's ``apptainer.def``; its test section runs the self-test.

    Parameters
    ----------
    context
        Folder that the definition copies into the image.
    base
        Folder of an unpacked base system; None for the public base of ``images.yaml``.

    Raises
    ------
    MissingError
        One line: why it could not be built.
    """
    where, agent = (str(base), "localimage") if base else (image.base_reference, "docker")
    values = {
        "bootstrap": agent,
        "base": where,
        "context": str(context),
        "version": image.version,
        "flavour": image.flavour,
    }
    # A definition that has no use for a value says so with a warning, which would worry the user.
    definition = recipe / "apptainer.def"
    used = definition.read_text()
    arguments = [
        part
        for name, value in values.items()
        if f"{{{{ {name} }}}}" in used
        for part in ("--build-arg", f"{name}={value}")
    ]
    with process.explained(image.name, where, "apptainer"):
        process.run([program(), "build", "--force", *_SQUASH, *_rootless(), *arguments, target, definition])


def convert(image: Image, archive: Path, target: Path) -> None:
    """Turn an archive that Docker saved into a ``.sif``."""
    with process.explained(image.name, str(archive), "apptainer"):
        process.run([program(), "build", "--force", *_SQUASH, target, f"docker-archive:{archive}"])


def selftest(image: Image, file: Path, command: list[str]) -> str:
    """Run a command in an image that sees nothing of this machine; return what it printed.

    Raises
    ------
    MissingError
        It failed.
    """
    arguments = [program(), "exec", "--containall", "--cleanenv", str(file), *command]
    done = subprocess.run(arguments, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise process.failure(image.name, str(file), "the self-test of apptainer's image", said)
    return done.stdout


def _rootless() -> list[str]:
    return [] if os.geteuid() == 0 else ["--fakeroot"]
