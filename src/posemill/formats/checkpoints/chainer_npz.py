"""Chainer's .npz: arrays named by their path in the network, such as ``l1/W`` and ``bn1/avg_mean``.

Trainers' snapshots hold the same names below ``updater/model:gen/``.
"""

from __future__ import annotations

import math
import re
import zipfile
from pathlib import Path

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.checkpoints import zip_member
from posemill.formats.checkpoints.checkpoint import Checkpoint

__all__ = ["read_npz"]

_HEADER = 4096
# numpy parses the description as a Python literal; numbers need only this much of it.
_DESCRIPTION = re.compile(
    r"\{'descr': '(?P<dtype>[<>|]?[fiub]\d{1,2})', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,15}, ?){0,16}\d{0,15})\), *\} *\n?"
)


def read_npz(path: Path) -> Checkpoint:
    """Read every array of numbers.

    Raises
    ------
    InputError
        Damaged, or with an array of Python objects (a parameter that was never initialised is stored as one).
    """
    tensors = {}
    with zip_member.opened(path) as archive:
        members = archive.infolist()
        zip_member.check_sizes(path, members, growth=20)
        for info in members:
            name = info.filename.removesuffix(".npy")
            tensors[name] = _read(archive, info, path)
    return Checkpoint("chainer_npz", tensors, {}, str(path))


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    what = f"array {info.filename[:120]!r}"
    with archive.open(info) as file:
        start = file.read(8)
        length = {1: 2, 2: 4, 3: 4}.get(start[6], 0) if start[:6] == b"\x93NUMPY" and len(start) == 8 else 0
        size = int.from_bytes(file.read(length), "little")
        if not length or size > _HEADER:
            raise InputError(expected(what, "an array of numpy", "something else", where=path))
        header = _DESCRIPTION.fullmatch(file.read(size).decode("latin-1"))
        data = file.read()
    if header is None:
        raise InputError(expected(what, "a description of numbers", "another (objects are not read)", where=path))
    dtype, fortran = np.dtype(header["dtype"]), header["fortran"] == "True"
    shape = tuple(int(n) for n in header["shape"].split(",") if n.strip())
    if math.prod(shape) * dtype.itemsize != len(data):
        raise InputError(expected(what, f"shape {shape}", f"{len(data)} bytes", where=path))
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
