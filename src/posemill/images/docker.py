"""A Docker engine, through its SDK: build with streamed progress, tag, digest, save."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from posemill.errors import MissingError, expected
from posemill.images import process
from posemill.images.catalog import Image

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["available", "build", "connect", "digest", "import_base", "remove", "save", "selftest"]

_PIP = "pip install 'posemill[images]'"


@contextlib.contextmanager
def connect() -> Iterator[DockerClient]:
    """Connect to the engine that ``DOCKER_HOST`` names, or this machine's.

    Raises
    ------
    MissingError
        No SDK, no daemon, or no permission; one line.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        raise MissingError(f"the Docker SDK for Python is not installed; {_PIP}") from None
    client = None
    try:
        # An engine may answer late while it writes a layer of gigabytes.
        client = docker.from_env(timeout=600)
        client.ping()
    except (DockerException, OSError) as error:
        if client is not None:
            client.close()
        raise _no_engine(error) from None
    try:
        yield client
    except DockerException as error:
        raise MissingError(f"Docker: {' '.join(str(error).split())[:300]}") from error
    finally:
        client.close()


def _no_engine(error: Exception) -> MissingError:
    where = os.environ.get("DOCKER_HOST", "this machine's socket")
    other = "or build with --engine apptainer"
    text = repr(error)
    if "PermissionError" in text or "Permission denied" in text:
        return MissingError(f"Docker at {where}: no permission; join the group docker, {other}")
    if "FileNotFoundError" in text or "Connection refused" in text or "ConnectionRefused" in text:
        return MissingError(f"Docker at {where}: expected a running daemon, got none; start it, {other}")
    return MissingError(f"Docker at {where}: {' '.join(str(error).split())[:200]}; start it, {other}")


def available() -> bool:
    """Whether an engine answers."""
    try:
        with connect():
            return True
    except MissingError:
        return False


def import_base(client: DockerClient, archive: Path, tag: str) -> str:
    """Bring a base system's tar file into the engine; return its tag."""
    from docker.errors import ImageNotFound

    with contextlib.suppress(ImageNotFound):
        client.images.get(tag)
        return tag
    repository, _, label = tag.partition(":")
    answer = client.api.import_image_from_file(str(archive), repository=repository, tag=label)
    if '"error"' in str(answer):
        raise process.failure(tag, str(archive), "docker import", str(answer).splitlines())
    return tag


def build(client: DockerClient, image: Image, context: Path, base: str) -> None:
    """Build and tag an image from a folder with its Dockerfile; every line of the engine is shown.

    Raises
    ------
    MissingError
        One line: why it could not be built.
    """
    from docker.errors import APIError

    said: list[str] = []
    arguments = {"base": base, "version": image.version, "flavour": image.flavour}
    dockerfile = (context / "Dockerfile").read_text()
    used = {name: value for name, value in arguments.items() if f"ARG {name}\n" in dockerfile}
    try:
        for message in client.api.build(
            path=str(context), tag=image.tag, buildargs=used, rm=True, forcerm=True, decode=True
        ):
            text = _line(message)
            if text:
                said.append(text)
                process.stream(text)
            if "error" in message:
                raise process.failure(image.name, base, "docker", said)
    except APIError as error:
        raise process.failure(image.name, base, "docker", [*said, str(error.explanation or error)]) from None


def _line(message: dict[str, Any]) -> str:
    text = message.get("stream") or message.get("error") or ""
    if not text and message.get("status") and "progressDetail" not in message:
        text = f"{message.get('id', '')} {message['status']}"
    return text.strip()


def digest(client: DockerClient, tag: str) -> str | None:
    """SHA-256 that the engine knows an image by, with its prefix; None where there is no such image."""
    from docker.errors import ImageNotFound

    try:
        return cast(str, client.images.get(tag).id)
    except ImageNotFound:
        return None


def save(client: DockerClient, tag: str, file: IO[bytes]) -> None:
    """Write an image as an archive that ``docker load`` and Apptainer read.

    Raises
    ------
    MissingError
        The engine has no image of that tag.
    """
    from docker.errors import ImageNotFound

    try:
        chunks = client.images.get(tag).save(named=True)
    except ImageNotFound:
        raise MissingError(expected("Docker image", tag, "none", do="posemill images build --engine docker")) from None
    for chunk in chunks:
        file.write(chunk)


def selftest(client: DockerClient, image: Image, command: list[str]) -> str:
    """Run a command in an image without network; return what it printed.

    Raises
    ------
    MissingError
        It failed.
    """
    from docker.errors import APIError, ContainerError, ImageNotFound

    try:
        answer = client.containers.run(image.tag, command, network_mode="none", remove=True, stderr=False)
    except ContainerError as error:
        said = cast(bytes, error.stderr or b"").decode(errors="replace").splitlines()
        raise process.failure(image.name, image.tag, "the self-test of docker's image", said) from None
    except ImageNotFound:
        raise MissingError(expected("Docker image", image.tag, "none", do="posemill images build")) from None
    except APIError as error:
        raise process.failure(image.name, image.tag, "docker", [str(error.explanation or error)]) from None
    return answer.decode(errors="replace")


def remove(client: DockerClient, tag: str) -> None:
    """Forget an image, if it is there."""
    from docker.errors import ImageNotFound

    with contextlib.suppress(ImageNotFound):
        client.images.remove(tag, force=True)
