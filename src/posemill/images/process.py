"""Programs that build: what they say goes to stderr as it comes, and its end is kept for the one line of an error."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from posemill.errors import MissingError, PosemillError, expected

__all__ = ["ProgramError", "failure", "free_space", "run", "stream"]

_KEPT = 40
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class ProgramError(PosemillError):
    """A program ended with an error.

    Attributes
    ----------
    said
        The last lines that it printed.
    """

    def __init__(self, program: str, code: int, said: Sequence[str]) -> None:
        self.said = tuple(said)
        last = next((line for line in reversed(self.said) if line), "it said nothing")
        super().__init__(f"{program} ended with exit code {code}: {last}")


def stream(line: str) -> None:
    """Pass a program's line on."""
    print(f"  {line}", file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], *, env: dict[str, str] | None = None) -> None:
    """Run a program and show its output.

    Raises
    ------
    ProgramError
        It failed.
    """
    kept: deque[str] = deque(maxlen=_KEPT)
    environment = {**os.environ, **(env or {})}
    arguments = [str(part) for part in command]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            text = _COLOUR.sub("", line).rstrip()
            kept.append(text)
            stream(text)
        code = process.wait()
    finally:
        # Ctrl-C: nothing goes on building behind the user's back.
        if process.poll() is None:
            process.terminate()
            process.wait()
    if code:
        raise ProgramError(Path(arguments[0]).name, code, kept)


# What engines say when it is not the recipe that is wrong, and the way out.
_CAUSES = (
    (r"^\s*(?:posemill|hourglass): ", "its own check refuses it", "mend recipe or base; the whole output is above"),
    (
        r"no space left on device|disk quota exceeded",
        "the disk is full",
        "free some space, or set TMPDIR to another disk",
    ),
    (
        r"Requesting capability set",
        "root lacks a capability that Apptainer wants",
        "export APPTAINER_DROP_CAPS=CAP_SYS_RESOURCE and try again",
    ),
    (
        r"pinging container registry|pull access denied|manifest unknown|manifest for .* not found|dial tcp"
        r"|no such host|requested access to the resource is denied|unable to retrieve auth token"
        r"|Client\.Timeout|network is unreachable|TLS handshake|error getting credentials|toomanyrequests",
        "its base {base} cannot be fetched",
        "check the name and the network, or name another base in containers/images.yaml",
    ),
)


def failure(image: str, base: str, engine: str, said: Sequence[str]) -> MissingError:
    """Say in one line why an image could not be built: cause and way out where they are known."""
    for pattern, cause, do in _CAUSES:
        line = next((line for line in reversed(said) if re.search(pattern, line, re.IGNORECASE)), None)
        if line is not None:
            return MissingError(f"image {image}: {cause.format(base=base)}: {_short(line)}; {do}")
    last = next((line for line in reversed(said) if line.strip()), "it said nothing")
    return MissingError(f"image {image}: {engine} could not build it: {_short(last)}; its whole output is above")


def _short(line: str, limit: int = 300) -> str:
    text = re.sub(r"^\s*(FATAL|ERROR|INFO)\s*:\s*", "", " ".join(_COLOUR.sub("", line).split()))
    return text if len(text) <= limit else f"{text[:limit]}..."


def free_space(folders: Sequence[Path], needed_gib: float, image: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises
    ------
    MissingError
        Too little is free in a folder.
    """
    for folder in folders:
        free = shutil.disk_usage(folder).free / 2**30
        if free < needed_gib:
            do = "free some space, or set TMPDIR to another disk for temporary files"
            raise MissingError(
                expected(f"to build image {image}", f"{needed_gib:g} GiB free", f"{free:.1f} GiB", where=folder, do=do)
            )


@contextlib.contextmanager
def explained(image: str, base: str, engine: str) -> Iterator[None]:
    """Turn a program's failure into :func:`failure`'s line."""
    try:
        yield
    except ProgramError as error:
        raise failure(image, base, engine, error.said) from None
