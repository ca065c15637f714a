"""Torch7's networks (.t7) as named tensors: the layers of an ``nn`` container by their place in it.

``5.1.2.3.weight`` is the weight of the third layer of the second part of the first part of the fifth module; counting
is Lua's, from 1. Gradients, buffers and the graph of an ``nngraph`` network are left out; its modules are listed by the
network itself in the order in which they are computed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.checkpoints.checkpoint import Checkpoint
from posemill.formats.torch7 import read_torch7
from posemill.formats.torch7_values import Object, Table, Tensor

__all__ = ["read_torch7_network"]

_TENSORS = ("weight", "bias", "running_mean", "running_var")
_FACTS = ("kW", "kH", "dW", "dH", "padW", "padH", "nInputPlane", "nOutputPlane", "eps", "scale_factor")
_MODULES, _DEPTH = 20_000, 32


def read_torch7_network(path: Path) -> Checkpoint:
    """Read a network that Torch7 saved.

    Returns
    -------
    Checkpoint
        Of kind ``torch7``. ``extras`` has, for each place, ``kind`` (the class without ``nn.`` or ``cudnn.`` before it)
        and the numbers that the layer states of itself (``kW``, ``eps``, ...). Weights of ``SpatialConvolutionMM`` have
        the shape of others; variances stored as inverse deviations have become variances.

    Raises
    ------
    InputError
        Damaged, or something else than a network.
    """
    network = _network(read_torch7(path))
    if network is None:
        raise InputError(expected("Torch7 file", "a network of nn modules", "something else", where=path))
    walk = _Walk(path)
    # The places are those inside the outermost container.
    walk.parts(network, "", _DEPTH)
    if not walk.tensors:
        raise InputError(expected("Torch7 network", "layers with weights", "none", where=path))
    return Checkpoint("torch7", walk.tensors, walk.layers, str(path))


def _is_module(value: Any) -> bool:
    return isinstance(value, Object) and value.kind.startswith(("nn.", "cudnn."))


def _network(value: Any) -> Object | None:
    """The network itself, or the first one in a table that was saved."""
    for found in [value, *(value.values() if isinstance(value, Table) else ())]:
        if _is_module(found):
            return found
    return None


class _Walk:
    def __init__(self, path: Path) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self.layers: dict[str, dict[str, Any]] = {}
        self._path = path
        self._left = 4 * path.stat().st_size + 2**20

    def parts(self, module: Object, place: str, depth: int) -> None:
        """Go through what a container contains."""
        listed = module.get("modules")
        if not isinstance(listed, Table):
            # Early nngraph kept only the nodes.
            nodes = module.get("forwardnodes")
            found = [_of_node(node) for node in nodes.sequence()] if isinstance(nodes, Table) else []
            parts = [part for part in found if part is not None]
        else:
            parts = listed.sequence()
        for number, part in enumerate(parts, 1):
            self._module(part, f"{place}.{number}" if place else str(number), depth - 1)

    def _module(self, module: Any, place: str, depth: int) -> None:
        if not _is_module(module):
            raise InputError(expected(f"module {place}", "one of nn or cudnn", type(module).__name__, where=self._path))
        if depth < 0 or len(self.layers) >= _MODULES:
            raise InputError(expected("Torch7 network", "a finite one", "modules without end", where=self._path))
        kind = module.kind.split(".", 1)[1]
        numbers = {name: module.get(name) for name in _FACTS}
        self.layers[place] = {
            "kind": kind,
            **{n: v for n, v in numbers.items() if isinstance(v, float) and math.isfinite(v)},
        }
        for name in _TENSORS:
            tensor = self._array(module.get(name), f"{place}.{name}")
            if tensor is not None:
                self.tensors[f"{place}.{name}"] = tensor
        if kind in ("SpatialConvolutionMM", "SpatialConvolution"):
            self._unfold(place)
        if kind.endswith("BatchNormalization"):
            self._variance(module, place)
        self.parts(module, place, depth)

    def _array(self, tensor: Any, name: str) -> np.ndarray | None:
        if not isinstance(tensor, Tensor) or not tensor.count:
            return None
        self._left -= 8 * tensor.count
        if self._left < 0:
            raise InputError(expected("tensors", "no more numbers than the file has", "more", where=self._path))
        array = tensor.array()
        if array.dtype.kind != "f":
            raise InputError(expected(f"tensor {name}", "fractional numbers", array.dtype.name, where=self._path))
        with np.errstate(over="ignore"):
            return array.astype(np.float32)

    def _unfold(self, place: str) -> None:
        """Give a weight of two dimensions its four."""
        weight, said = self.tensors.get(f"{place}.weight"), self.layers[place]
        sides = [said.get(name, 0) for name in ("nInputPlane", "kH", "kW")]
        if weight is not None and weight.ndim == 2 and math.prod(sides) == weight.shape[1] and all(sides):
            self.tensors[f"{place}.weight"] = weight.reshape(weight.shape[0], *(int(side) for side in sides))

    def _variance(self, module: Object, place: str) -> None:
        """Batch norm before its second version kept the inverse of the standard deviation."""
        inverse = self._array(module.get("running_std"), f"{place}.running_std")
        if inverse is None or f"{place}.running_var" in self.tensors:
            return
        eps = self.layers[place].get("eps", 1e-5)
        with np.errstate(divide="ignore", over="ignore"):
            variance = (inverse.astype(np.float64) ** -2 - eps).astype(np.float32)
        self.tensors[f"{place}.running_var"] = variance


def _of_node(node: Any) -> Any:
    """The module of a node of nngraph; None of its ends."""
    data = node.get("data") if isinstance(node, Object | Table) else None
    return data.get("module") if isinstance(data, Table) else None
