"""Weights that other projects published, read as data: no framework is needed and no code in a file is run.

The kind is told by content, not by name. A reader trusts nothing: every length is held against the size of the file
before memory is asked for, and whatever does not fit is one line.
"""

from __future__ import annotations

from pathlib import Path

from posemill.errors import InputError, MissingError, expected
from posemill.formats.checkpoints.checkpoint import Checkpoint
from posemill.formats.checkpoints.zip_member import opened
from posemill.formats.torch7 import looks_like_torch7

__all__ = ["Checkpoint", "read_checkpoint"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_KINDS = (
    "PyTorch (.bin, .pth, .pt), Torch7 .t7, Chainer .npz, Keras .h5, TensorFlow .index with its .data files or "
    "safetensors"
)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a weights file of any of these kinds.

    Parameters
    ----------
    path
        The file. Of a TensorFlow checkpoint the ``.index`` file, or what TensorFlow calls its prefix
        (``checkpoint-1798202``); the ``.data-...`` files lie beside it.

    Raises
    ------
    MissingError
        There is no such file.
    InputError
        Of no known kind, damaged, or with something in it that is not data.
    """
    path = Path(path)
    prefixed = path.with_name(path.name + ".index")
    if not path.is_file() and prefixed.is_file():
        path = prefixed
    if not path.is_file():
        raise MissingError(f"{path}: expected weights, got no file")
    try:
        return _read(path)
    except RecursionError:
        raise InputError(expected("weights", "a file that is not nested without end", "one", where=path)) from None
    except OSError as error:
        raise InputError(expected("weights", "a readable file", " ".join(str(error).split()), where=path)) from None


def _read(path: Path) -> Checkpoint:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
        file.seek(max(0, size - 8))
        tail = file.read(8)
    if head.startswith(_HDF5):
        from posemill.formats.checkpoints.keras_h5 import read_keras

        return read_keras(path)
    if head.startswith(b"PK"):
        return _read_zip(path)
    if tail == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb":
        from posemill.formats.checkpoints.tf_bundle import read_bundle

        return read_bundle(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        from posemill.formats.weights import read_weights

        tensors, card = read_weights(path)
        return Checkpoint("safetensors", tensors, card, str(path))
    if head.startswith(b"\x80"):
        from posemill.formats.checkpoints.torch_file import read_legacy

        return read_legacy(path)
    if looks_like_torch7(head):
        from posemill.formats.checkpoints.torch7_modules import read_torch7_network

        return read_torch7_network(path)
    if head.startswith((b"4\n1\n3\nV ", b"3\n1\n")):
        raise InputError(expected("weights", "a binary .t7", "one in ASCII; torch.save it as binary", where=path))
    raise InputError(expected("weights", _KINDS, f"a file that begins with {head[:8]!r}", where=path))


def _read_zip(path: Path) -> Checkpoint:
    with opened(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/data.pkl") for name in names):
        from posemill.formats.checkpoints.torch_file import read_zip

        return read_zip(path)
    if names and all(name.endswith(".npy") for name in names):
        from posemill.formats.checkpoints.chainer_npz import read_npz

        return read_npz(path)
    raise InputError(expected("weights", _KINDS, f"a zip archive with {names[:1]}", where=path))
