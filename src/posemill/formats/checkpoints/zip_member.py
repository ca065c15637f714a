"""One member of a zip archive from a stranger, in memory that the archive's own size bounds."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from posemill.errors import InputError, expected

__all__ = ["DAMAGE", "check_sizes", "opened"]

# What zipfile lets out when an archive lies about itself.
DAMAGE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    MemoryError,
    RuntimeError,
    OverflowError,
    # A seek to where no file reaches.
    OSError,
)


@contextmanager
def opened(path: Path, what: str = "weights") -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever is wrong inside becomes one line.

    Parameters
    ----------
    what
        What the file should be, for messages.

    Raises
    ------
    InputError
        The archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DAMAGE as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(expected(what, "a whole zip archive", text, where=path)) from None


def check_sizes(path: Path, members: list[zipfile.ZipInfo], *, growth: int) -> None:
    """Refuse what cannot be in a file of this size, before any of it is unpacked.

    Parameters
    ----------
    growth
        How many times larger than the file the unpacked members may be. Trained weights hardly shrink when packed;
        a file that unpacks to far more is made to fill memory.

    Raises
    ------
    InputError
        Compressed in another way than deflate, encrypted, or larger than that.
    """
    size = path.stat().st_size
    for info in members:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise InputError(expected(f"member {info.filename!r}", "stored or deflated", "neither", where=path))
        if info.compress_size > size or (info.compress_type == zipfile.ZIP_STORED and info.file_size > size):
            got = f"{max(info.compress_size, info.file_size)} bytes"
            raise InputError(expected(f"member {info.filename!r}", f"at most {size} bytes", got, where=path))
    total, limit = sum(info.file_size for info in members), growth * size + 2**20
    if total > limit:
        raise InputError(expected("unpacked size", f"at most {limit} bytes", f"{total} bytes", where=path))
