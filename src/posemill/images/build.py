"""Build an image: its folder of wheels and recipe, its base, one of the two engines, the lock file."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posemill.errors import InputError, MissingError
from posemill.formats.atomic import finished_file
from posemill.images import apptainer, debian, docker, process, wheels
from posemill.images.catalog import Checkout, Image
from posemill.images.selftest import stage_code
from posemill.provenance import sha256_file

__all__ = ["BASES", "ENGINES", "build"]

ENGINES = ("auto", "docker", "apptainer")
BASES = ("auto", "debian", "registry")
# Measured for flavour cpu: wheels 0.5, base 0.3, unpacked 2, image 0.7; Docker keeps them twice. CUDA's libraries are
# about 4 GiB more, each time.
_NEEDED_GIB = {"": 3.0, "cpu": 5.0, "cuda": 20.0}


def build(
    checkout: Checkout, name: str, *, engine: str, base: str, index: str | None = None, fresh: bool = False
) -> None:
    """Build one image and note it in the lock file.

    Parameters
    ----------
    engine
        ``docker``, ``apptainer``, or ``auto``: Docker if its daemon answers, else Apptainer.
    base
        ``debian`` (made here by mmdebstrap), ``registry`` (the public image that images.yaml names), or ``auto``:
        the former where mmdebstrap is at hand.
    index
        Address of a further package index, for torch.
    fresh
        Make the Debian base again although there is one.

    Raises
    ------
    InputError, MissingError
        One line: what is missing and what to do.
    """
    image = checkout.image(name)
    file = checkout.file(image)
    recipe = checkout.containers / image.recipe
    has_packages = (recipe / "packages.txt").is_file()
    if base == "debian" and not has_packages:
        raise InputError(f"image {name}: is made on {image.base} only; leave out --base debian")
    from_debian = base == "debian" or (base == "auto" and has_packages and shutil.which(debian.PROGRAM) is not None)
    engine = _engine(engine)
    checkout.cache.mkdir(parents=True, exist_ok=True)
    process.free_space([checkout.containers, Path(tempfile.gettempdir())], _NEEDED_GIB[image.flavour], name)

    _say(f"{image.name}: base {'of Debian packages' if from_debian else image.base}, built by {engine}")
    archive = debian.base_archive(checkout, recipe, fresh=fresh) if from_debian else None
    with _context(checkout, image, recipe, index) as context:
        if engine == "docker":
            identity = _with_docker(image, context, archive, file)
        else:
            identity = ""
            with finished_file(file) as part, _unpacked(archive) as folder:
                apptainer.build(image, recipe, context, folder, part)
    _lock(checkout, image, file, archive, identity)


def _say(text: str) -> None:
    print(f"posemill: {text}", file=sys.stderr, flush=True)


def _engine(wanted: str) -> str:
    if wanted == "docker":
        # Now, and not after minutes of fetching wheels.
        with docker.connect():
            return wanted
    if wanted == "auto" and docker.available():
        return "docker"
    try:
        apptainer.program()
    except MissingError:
        if wanted == "auto":
            raise MissingError(
                "expected a Docker daemon or apptainer on PATH, got neither; install Apptainer, or start Docker and "
                "pip install 'posemill[images]'"
            ) from None
        raise
    return "apptainer"


@contextmanager
def _context(checkout: Checkout, image: Image, recipe: Path, index: str | None) -> Iterator[Path]:
    """The folder that an engine gets: the recipe's files, and the wheels where it has a torch."""
    with tempfile.TemporaryDirectory(dir=checkout.cache, prefix="context-") as work:
        context = Path(work) / image.name
        shutil.copytree(recipe, context)
        if image.flavour:
            _say(f"{image.name}: wheels of flavour {image.flavour}")
            wheels.collect(checkout, image.flavour, index, context / "wheels")
        yield context


@contextmanager
def _unpacked(archive: Path | None) -> Iterator[Path | None]:
    if archive is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="posemill-base-") as work:
        debian.unpack(archive, Path(work))
        # Else only root could read the image's own root folder.
        Path(work).chmod(0o755)
        yield Path(work)


def _with_docker(image: Image, context: Path, archive: Path | None, file: Path) -> str:
    """Build in the engine, and make the ``.sif`` of it where there is Apptainer; return the engine's digest."""
    with docker.connect() as client:
        base = image.base_reference
        if archive is not None:
            # By content: a base that was made again is another one.
            base = docker.import_base(client, archive, f"posemill-base:{sha256_file(archive)[:16]}")
        docker.build(client, image, context, base)
        identity = docker.digest(client, image.tag) or ""
        _say(f"{image.name}: in Docker as {image.tag}, {identity}")
        try:
            apptainer.program()
        except MissingError:
            _say(f"{image.name}: no {file.name}, which takes Apptainer; posemill images export writes it as .tar")
            return identity
        with finished_file(file) as part:
            sif_from_docker(client, image, part)
    return identity


def sif_from_docker(client: Any, image: Image, target: Path) -> None:
    """Save an image out of a Docker engine and convert it."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as saved:
        docker.save(client, image.tag, saved)
        saved.flush()
        apptainer.convert(image, Path(saved.name), target)


def _lock(checkout: Checkout, image: Image, file: Path, archive: Path | None, identity: str) -> None:
    there = file.is_file()
    entry = {
        "uri": image.uri,
        "sha256": sha256_file(file) if there else "",
        "size": file.stat().st_size if there else 0,
        "docker": identity,
        "base": f"debian packages, sha256:{sha256_file(archive)}" if archive else image.base,
        "recipe": checkout.recipe(image),
        "code": stage_code() if image.flavour else {},
    }
    checkout.lock(image.name, entry)
    _say(f"{image.name}: {json.dumps({k: v for k, v in entry.items() if k in ('uri', 'sha256', 'size', 'docker')})}")
