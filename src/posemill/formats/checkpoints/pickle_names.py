"""The names in pickles that mean data, beside tensors: containers, numpy arrays, and what is kept only as a name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from posemill.formats.checkpoints.pickle_data import Built, Name

__all__ = ["CONTAINERS", "Opaque", "settled"]


class Opaque(Built):
    """An object that is no tensor (a random state, parsed arguments): its class's name, and nothing is done with it."""

    def __init__(self, name: Name) -> None:
        self.name = name


class _Dtype(Built):
    def __init__(self, text: Any, *_: Any) -> None:
        if not isinstance(text, str) or text[:1] not in "fiub" or not text[1:].isdigit():
            raise ValueError("an array of other things than numbers")
        self.dtype = np.dtype(text)

    def build(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(Built):
    """A numpy array: made empty, then given its contents."""

    def __init__(self, *_: Any) -> None:
        self.array = np.zeros(0)

    def build(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    data = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray):
        raise ValueError("an array of objects")
    # Nothing unknown is put into a message: the text of nested lists may be exponentially longer than the file.
    if len(shape) > 16 or any(not isinstance(n, int) or not 0 <= n < 2**48 for n in shape):
        raise ValueError("an array of impossible shape")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes for an array of shape {shape}")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    out = _Array()
    out.array = _array(data, dtype, shape, order)
    return out


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, (), "C").item()


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise ValueError("a text in an unusual encoding")
    return text.encode(encoding)


def _dictionary(*arguments: Any) -> dict[Any, Any]:
    """OrderedDict, defaultdict and the like: filled by later instructions, or in old files by a list of pairs."""
    pairs = arguments[-1] if arguments and isinstance(arguments[-1], list) else []
    if any(not isinstance(key, str | int) for key, _ in pairs):
        raise ValueError("a key that is neither text nor number")
    return dict(pairs)


def _sequence(items: Any = ()) -> Any:
    if not isinstance(items, list | tuple):
        raise ValueError("a sequence of something else")
    return items


def _opaque(module: str, name: str) -> tuple[Name, Any]:
    known = Name(module, name)
    return known, lambda *_: Opaque(known)


CONTAINERS: dict[Name, Any] = {
    **{Name(m, n): _dictionary for m, n in (
        ("collections", "OrderedDict"), ("collections", "defaultdict"), ("collections", "Counter"),
        ("easydict", "EasyDict"), ("yacs.config", "CfgNode"),
    )},
    **{Name(m, n): _sequence for m in ("builtins", "__builtin__") for n in ("list", "tuple", "set", "frozenset")},
    **{Name(m, n): None for m in ("builtins", "__builtin__") for n in ("dict", "int", "float", "bool", "object")},
    Name("torch", "Size"): _sequence,
    Name("_codecs", "encode"): _encode,
    Name("numpy", "dtype"): _Dtype,
    Name("numpy", "ndarray"): None,
    **{Name(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{Name(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{Name(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    **dict(_opaque(m, n) for m, n in (
        ("numpy.random", "__RandomState_ctor"), ("numpy.random.mtrand", "RandomState"),
        ("numpy.random._pickle", "__randomstate_ctor"), ("numpy.random._pickle", "__bit_generator_ctor"),
        ("numpy.random._pickle", "__generator_ctor"), ("numpy.random._mt19937", "MT19937"),
        ("numpy.random._pcg64", "PCG64"), ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
        ("argparse", "Namespace"), ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"),
        ("torch", "device"), ("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"),
    )),
}  # fmt: skip
"""Name to function of the pickled arguments, or None where the name is only mentioned."""


def settled(value: Any) -> Any:
    """Return what a stand-in stands for: an array, or the name of an opaque object's class."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Dtype):
        return str(value.dtype)
    if isinstance(value, Opaque | Name):
        return str(value.name if isinstance(value, Opaque) else value)
    return value
