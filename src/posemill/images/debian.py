"""A base system made from Debian's packages alone, where no registry is needed or none can be reached."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

from posemill.errors import MissingError
from posemill.formats.atomic import finished_file
from posemill.images import process
from posemill.images.catalog import Checkout

__all__ = ["PROGRAM", "base_archive", "packages", "unpack"]

PROGRAM = "mmdebstrap"
_RELEASE = "bookworm"


def packages(recipe: Path) -> list[str]:
    """Debian packages that a recipe's ``packages.txt`` lists."""
    lines = (line.partition("#")[0].strip() for line in (recipe / "packages.txt").read_text().splitlines())
    return [line for line in lines if line]


def base_archive(checkout: Checkout, recipe: Path, *, fresh: bool = False) -> Path:
    """Make the base system with the recipe's packages, as a tar file in the cache.

    Parameters
    ----------
    fresh
        Make it again although there is one, for Debian's later corrections.

    Raises
    ------
    MissingError
        mmdebstrap is not there or failed.
    """
    wanted, exclude = packages(recipe), recipe / "dpkg.cfg"
    key = hashlib.sha256("\n".join([_RELEASE, *wanted, exclude.read_text()]).encode()).hexdigest()[:12]
    archive = checkout.cache / f"{_RELEASE}-{key}.tar"
    if archive.is_file() and not fresh:
        return archive
    if shutil.which(PROGRAM) is None:
        raise MissingError(
            f"base debian: expected {PROGRAM} on PATH, got none; apt-get install {PROGRAM}, or build with "
            "--base registry"
        )
    mirror = _own_mirror()
    try:
        with finished_file(archive) as part:
            process.run(
                [
                    *(PROGRAM, "--quiet", "--variant=minbase", f"--include={','.join(wanted)}"),
                    *(f"--dpkgopt={exclude}", "--aptopt=Acquire::Languages none"),
                    *(_RELEASE, part, *([mirror] if mirror else [])),
                ]
            )
    except process.ProgramError as error:
        raise process.failure("base debian", "Debian's mirror", PROGRAM, error.said) from None
    for old in checkout.cache.glob(f"{_RELEASE}-*.tar"):
        if old != archive:
            old.unlink()
    return archive


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a base system as Apptainer wants it; it makes the devices itself."""
    with tarfile.open(archive) as tar:
        # mmdebstrap made it just now: absolute links and foreign owners are as they should be.
        tar.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
        tar.extractall(folder, members=(m for m in tar if not (m.ischr() or m.isblk())))


def _own_mirror() -> str | None:
    """The mirror of this release that the machine's own apt uses; None leaves the choice to mmdebstrap."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = (line.split() for line in listed.splitlines())
    return next((parts[1] for parts in found if len(parts) == 2 and parts[0] == _RELEASE), None)
