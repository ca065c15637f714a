"""What a stage in a container may see of the machine: the folders that the run names, its GPU, and nothing else.

Apptainer shows a container the working directory, ``/tmp`` and the whole environment. Data that lie elsewhere have to
be bound, and what the environment says about another Python must stay outside.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Mount", "arguments", "has_gpu", "mounts"]

# Never bound as a whole, because the image has its own; a file in one of them is bound alone.
_SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "sys", "usr")
_OF_THE_IMAGE = {Path("/", name) for name in _SYSTEM}
_TOP = {Path("/", name) for name in ("", "opt", "root", "run", "tmp", "var", "var/tmp")}
# A command line holds 128 KiB; beyond so many folders their parents are bound.
_MOST_FOLDERS = 100

# There where an NVIDIA driver is loaded.
_DRIVER = "/dev/nvidiactl"

# Set for each job by Snakemake or the cluster, and meant for the stage.
_PASSED = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "HDF5_USE_FILE_LOCKING",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
)


@dataclass(frozen=True, order=True)
class Mount:
    """A folder (or single file) of the machine, under the same name in the container."""

    path: Path
    writable: bool = False

    def argument(self) -> str:
        """As words of a shell command; ``--mount`` takes every file name, ``--bind`` none with commas or colons."""
        quoted = str(self.path).replace('"', '""')
        spec = f'type=bind,"source={quoted}","destination={quoted}"{"" if self.writable else ",ro"}'
        return f"--mount {shlex.quote(spec)}"


def mounts(inputs: Iterable[Path], outputs: Iterable[Path], cwd: Path | None = None) -> list[Mount]:
    """Find what must be bound so that all these paths can be opened in the container as they are written.

    Symbolic links are followed, at whatever place of a path they stand: the folders that they lead through are bound
    too. What lies in the working directory is there already.

    Parameters
    ----------
    inputs
        Files and folders that are read; bound read-only. Those that do not exist are left out.
    outputs
        Folders that are written.
    cwd
        Working directory of the jobs; default: this process's.

    Returns
    -------
    list of Mount
        In an order in which no mount hides an earlier one.
    """
    here = (cwd or Path.cwd()).resolve()
    written = {spot for path in outputs for spot in _trail(here / path) if not _inside(spot, {here})}
    read = {spot for path in inputs for spot in _folders(here / path)}
    read = _few({spot for spot in read if not _inside(spot, {here, *written})})
    found = [Mount(spot) for spot in read if not _inside(spot.parent, read)]
    found += [Mount(spot, writable=True) for spot in written if not _inside(spot.parent, written)]
    if _inside(here, read):
        # A folder above the working directory would be mounted over it, read-only.
        found.append(Mount(here, writable=True))
    return sorted(mount for mount in found if mount.path.exists())


def _folders(path: Path) -> Iterator[Path]:
    """What must be seen to open a file, or a folder and the files in it; nothing for one that does not exist."""
    if not path.is_dir():
        yield from map(_folder, _trail(path) if path.exists() else ())
        return
    yield from _trail(path)
    for member in path.iterdir():
        if member.is_symlink() and member.is_file():
            yield from map(_folder, _trail(member))


def _trail(path: Path) -> tuple[Path, ...]:
    """An absolute path, and for each symbolic link in it the path that it then becomes; the physical one last."""
    path = Path(os.path.normpath(path))
    above = _trail_of_folder(path.parent) if path.name else ()
    spots = [spot / path.name for spot in above] or [path]
    if spots[-1].is_symlink():
        target = spots[-1].readlink()
        # A relative link is followed from the name under which its folder is mounted, and from its true place.
        nexts = [Path(os.path.normpath(spot / target)) for spot in above]
        spots += [spot for spot in nexts[:-1] if spot.exists()]
        spots += _trail(nexts[-1])
    return tuple(dict.fromkeys(spots))


_trail_of_folder = cache(_trail)


def _inside(path: Path, folders: Collection[Path]) -> bool:
    """Whether a path is one of these folders or lies in one."""
    return path in folders or any(above in folders for above in path.parents)


def _folder(path: Path) -> Path:
    """Folder of a file, or the file where the folder may not be bound."""
    return path if _image_has_its_own(path.parent) else path.parent


@cache
def _image_has_its_own(folder: Path) -> bool:
    return folder in _TOP or _inside(folder, _OF_THE_IMAGE)


def _few(folders: set[Path]) -> set[Path]:
    """At most so many folders as a command line holds; parents instead where there are more."""
    while len(folders) > _MOST_FOLDERS:
        fewer = {_folder(folder) for folder in folders}
        if fewer == folders:
            break
        folders = fewer
    return folders


def has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded here."""
    return Path(_DRIVER).exists()


def arguments(visible: Iterable[Mount], image: str, settings: Path) -> str:
    """Arguments of ``apptainer exec`` for every job, as a piece of a shell command.

    The shell evaluates it when a job starts, on the machine where it runs: the job's thread counts and the processors
    and GPUs that a cluster gave it are known only then. A GPU is passed in where there is an NVIDIA driver.

    Parameters
    ----------
    visible
        What :func:`mounts` found.
    image
        Digest of the image, for the provenance of what is made in it.
    settings
        Folder in which libraries may keep settings and caches, as seen by the jobs.
    """
    fixed = {
        "POSEMILL_IMAGE_DIGEST": image,
        "PYTHONNOUSERSITE": "1",
        "MPLCONFIGDIR": str(settings),
    }
    words = ["--cleanenv", "--no-eval"]
    words += [f"--env {shlex.quote(f'{name}={value}')}" for name, value in fixed.items()]
    words += [f'${{{name}+--env "{name}=${name}"}}' for name in _PASSED]
    words += [mount.argument() for mount in visible]
    words.append(f"$(test -e {shlex.quote(_DRIVER)} && echo --nv)")
    return " ".join(words)
