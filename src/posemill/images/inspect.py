"""What images there are, whether they are what was built, and copies to take elsewhere."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posemill.errors import ArtifactError, InputError, MissingError, expected
from posemill.formats.atomic import finished_file
from posemill.images import apptainer, docker
from posemill.images.build import sif_from_docker
from posemill.images.catalog import Checkout, Image
from posemill.images.selftest import stage_code
from posemill.provenance import ContentKeys, sha256_file

__all__ = ["State", "export", "states", "verify"]


@dataclass(frozen=True)
class State:
    """One row of ``posemill images list``; size in bytes, digest as SHA-256 or ""."""

    name: str
    uri: str
    size: int
    digest: str
    state: str


def states(checkout: Checkout) -> list[State]:
    """Look at every image of ``images.yaml``; nothing is run."""
    keys = ContentKeys(checkout.cache / "content.json")
    locked = checkout.locked()
    rows = [_state(checkout, image, locked.get(image.name), keys) for image in checkout.images().values()]
    keys.save()
    return rows


def _state(checkout: Checkout, image: Image, entry: dict[str, Any] | None, keys: ContentKeys) -> State:
    if "://" in image.uri:
        return State(image.name, image.uri, 0, "", "fetched by the engine")
    file = checkout.file(image)
    if not file.is_file():
        in_docker = f"; in Docker as {image.tag}" if entry and entry["docker"] else ""
        return State(image.name, image.uri, 0, "", f"absent: posemill images build {image.name}{in_docker}")
    digest = keys(file)
    return State(image.name, image.uri, file.stat().st_size, digest, _verdict(checkout, image, entry, digest))


def _verdict(checkout: Checkout, image: Image, entry: dict[str, Any] | None, digest: str) -> str:
    if entry is None:
        return "made elsewhere: not in the lock file"
    if entry["sha256"] != digest:
        return "changed: not what the lock file says"
    if entry["recipe"] != checkout.recipe(image):
        return f"older recipe: posemill images build {image.name}"
    other = _differing(entry["code"])
    return f"older code: {', '.join(other)}" if other else "as built"


def _differing(code: dict[str, str]) -> list[str]:
    """Stages and methods whose code differs from that of the posemill that runs here."""
    if not code:
        return []
    here = stage_code()
    return [name for name in sorted({*here, *code}) if here.get(name) != code.get(name)]


def verify(checkout: Checkout, name: str) -> list[str]:
    """Compare an image's digest with the lock file and run its self-test; return what was found, in lines.

    Raises
    ------
    MissingError
        There is no such image, or its self-test fails.
    ArtifactError
        It is not the one that was built here.
    """
    image = checkout.image(name)
    file = checkout.file(image)
    entry = checkout.locked().get(name)
    if file.is_file():
        found = [_same_file(file, entry)]
        said = apptainer.selftest(image, file, _selftest(image))
    elif entry and entry["docker"]:
        with docker.connect() as client:
            found = [_same_docker(image, docker.digest(client, image.tag), entry)]
            said = docker.selftest(client, image, _selftest(image))
    else:
        raise MissingError(expected("image", file.name, "none", where=file, do=f"posemill images build {name}"))
    if not image.flavour:
        return [*found, said.strip()]
    report = json.loads(said.strip().splitlines()[-1])
    found.append("self-test: " + ", ".join(f"{k} {v}" for k, v in report["libraries"].items()))
    other = _differing(report["code"])
    found.append(f"code: other than here: {', '.join(other)}; rebuild it" if other else "code: the same as here")
    return found


def _selftest(image: Image) -> list[str]:
    if image.flavour:
        return ["python", "-m", "posemill.images.selftest", image.flavour]
    return ["th", "/opt/hourglass/selftest.lua"]


def _same_file(file: Path, entry: dict[str, Any] | None) -> str:
    digest = sha256_file(file)
    if entry is None:
        return f"digest: {digest}, made elsewhere (not in the lock file)"
    if entry["sha256"] != digest:
        raise ArtifactError(
            expected("digest", entry["sha256"], digest, where=file, do="it is not what was built here; build it again")
        )
    return f"digest: {digest}, as built"


def _same_docker(image: Image, digest: str | None, entry: dict[str, Any]) -> str:
    if digest != entry["docker"]:
        raise ArtifactError(
            expected(f"Docker image {image.tag}", entry["docker"], digest or "none", do="build it again")
        )
    return f"digest: {digest} in Docker, as built"


def export(checkout: Checkout, name: str, target: Path) -> None:
    """Write an image as one file: ``.sif`` for Apptainer, ``.tar`` for ``docker load``.

    Raises
    ------
    InputError
        Another suffix.
    MissingError
        The image, or the engine that it takes, is not there.
    """
    image = checkout.image(name)
    file = checkout.file(image)
    if target.suffix == ".tar":
        with docker.connect() as client, finished_file(target) as part, part.open("wb") as out:
            docker.save(client, image.tag, out)
    elif target.suffix != ".sif":
        raise InputError(f"{target}: expected a name that ends in .sif or .tar, got {target.suffix or 'no suffix'}")
    elif file.is_file():
        with finished_file(target) as part:
            shutil.copyfile(file, part)
    else:
        with docker.connect() as client, finished_file(target) as part:
            sif_from_docker(client, image, part)
