"""Where Torch7 is on this machine, and posemill's Lua for it: what runs outside Python."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import yaml

from posemill import apptainer
from posemill.errors import MissingError, expected

__all__ = ["PROGRAM", "command", "environment", "lua_digest", "lua_folder", "sheet"]

PROGRAM = "/opt/hourglass/predict.lua"
"""The program in the image ``hourglass``."""
_MODULES = ("bridge.lua", "network.lua", "peaks.lua", "predict.lua", "t7.lua")


@cache
def lua_folder() -> Path | None:
    """Folder of posemill's Lua in a checkout, the one that is worked in or this package's; None in a bare package."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        lua = folder / "containers" / "hourglass"
        if all((lua / name).is_file() for name in _MODULES):
            return lua
    return None


def lua_digest() -> str:
    """SHA-256 of the Lua, or "" where it is in the image alone."""
    folder = lua_folder()
    if folder is None:
        return ""
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _MODULES)).hexdigest()


def sheet(detector: str, image: str = "") -> dict[str, str]:
    """What a request says of the code that a detector runs outside Python: the image's digest, or that of the Lua."""
    return {"torch7": image or lua_digest()} if detector == "hourglass_torch7" else {}


def command(given: str | None, files: Iterable[Path]) -> list[str]:
    """Words that start predict.lua here; its arguments are to be added.

    Parameters
    ----------
    given
        A ``th``, or an image for Apptainer (a file, a folder, an address). None: ``th`` on PATH, else the image
        ``hourglass`` of the checkout.
    files
        What the program is to read, to be seen in the image.

    Raises
    ------
    MissingError
        There is no such thing; one line.
    """
    lua = lua_folder()
    if given is None:
        found, image = shutil.which("th"), _built_image()
        if found is not None and lua is not None:
            return [found, str(lua / "predict.lua")]
        if image is None:
            want = "th on PATH and a checkout's containers/hourglass, or the image hourglass"
            do = "install Torch7, or build the image: posemill images build hourglass"
            raise MissingError(expected("Torch7", want, found or "none", do=do))
        given = str(image)
    elif "://" not in given:
        path = Path(given)
        if not path.exists():
            raise MissingError(expected("torch7", "a th or an image", f"nothing at {given}"))
        if path.is_file() and path.suffix not in (".sif", ".img"):
            if lua is None:
                want = "a checkout's containers/hourglass, for the Lua"
                raise MissingError(expected("torch7", want, "none", do="work in a checkout, or name an image"))
            return [given, str(lua / "predict.lua")]
    engine = shutil.which("apptainer") or shutil.which("singularity")
    if engine is None:
        raise MissingError(expected("engine for the image", "apptainer on PATH", "none", do="install Apptainer"))
    seen = apptainer.mounts([*files, *([lua / "predict.lua"] if lua else [])], [])
    words = [engine, "exec", "--cleanenv", "--no-eval", *(["--nv"] if apptainer.has_gpu() else [])]
    for name, value in environment({}).items():
        words += ["--env", f"{name}={value}"]
    for mount in seen:
        words += shlex.split(mount.argument())
    return [*words, given, "th", str(lua / "predict.lua") if lua else PROGRAM]


def environment(base: dict[str, str] | None = None) -> dict[str, str]:
    """Environment for ``th``: OpenBLAS has the processors, and OpenMP's pool does not fight with it for them.

    Measured with both left alone: slower than on one processor.
    """
    env = dict(os.environ) if base is None else dict(base)
    processors = str(len(os.sched_getaffinity(0)))
    threads = os.environ.get("OPENBLAS_NUM_THREADS", processors)
    return {**env, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": threads}


def _built_image() -> Path | None:
    folder = lua_folder()
    page = folder.parent / "images.yaml" if folder else None
    if page is None or not page.is_file():
        return None
    file = page.parent / yaml.safe_load(page.read_text())["hourglass"]["uri"]
    return file if file.exists() else None
