"""``posemill images``: build, list, verify and export the images that the stages can run in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

__all__ = ["app"]

app = App(name="images", help="Build and check the container images that the stages can run in.")

_NAME = "posemill"


@app.command
def build(
    name: str = _NAME,
    *,
    engine: str = "auto",
    base: str = "auto",
    index: str | None = None,
    fresh: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Build an image: a .sif beside containers/images.yaml, and with Docker also an image in its engine.

    Parameters
    ----------
    name
        Which of containers/images.yaml: posemill, posemill-cuda, hourglass.
    engine
        docker, apptainer, or auto: Docker if its daemon answers, else Apptainer.
    base
        debian (made here by mmdebstrap), registry (named in images.yaml), or auto: the first where mmdebstrap is.
    index
        Address of a further package index, for a torch that pip's own configuration does not lead to.
    fresh
        Make the Debian base again, for its later corrections.
    """
    from posemill.errors import InputError
    from posemill.images.build import BASES, ENGINES
    from posemill.images.build import build as run
    from posemill.images.catalog import find_checkout

    for option, value, known in (("--engine", engine, ENGINES), ("--base", base, BASES)):
        if value not in known:
            raise InputError(f"{option}: expected {', '.join(known)}, got {value!r}")
    run(find_checkout(), name, engine=engine, base=base, index=index, fresh=fresh)


@app.command(name="list")
def list_() -> None:
    """List the images: which exist, their size and digest, and whether their code is that of this checkout."""
    from posemill.images.catalog import find_checkout
    from posemill.images.inspect import states

    for row in states(find_checkout()):
        size = f"{row.size / 2**20:.0f} MiB" if row.size else ""
        print(f"{row.name:<14} {row.uri:<24} {size:>9}  {row.digest[:12]:<12}  {row.state}".rstrip())


@app.command
def verify(name: str = _NAME) -> None:
    """Compare an image with the lock file and run its self-test inside it.

    Parameters
    ----------
    name
        Which of containers/images.yaml.
    """
    from posemill.images.catalog import find_checkout
    from posemill.images.inspect import verify as run

    for line in run(find_checkout(), name):
        print(line)


@app.command
def export(name: str = _NAME, *, output: Annotated[Path, Parameter(name=["--output", "-o"])]) -> None:
    """Write an image as one file to take elsewhere.

    Parameters
    ----------
    name
        Which of containers/images.yaml.
    output
        Name that ends in .sif (Apptainer) or .tar (docker load).
    """
    from posemill.images.catalog import find_checkout
    from posemill.images.inspect import export as run

    run(find_checkout(), name, output)
