"""Stacked hourglasses of others, by our names: Torch7's by position, those of PyTorch versions by theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import nn

from posemill.errors import InputError, expected
from posemill.networks.hourglass import DEPTH, empty, layers

__all__ = ["PYTORCH_MEAN", "from_pytorch", "from_torch7"]

PYTORCH_MEAN = (0.4404, 0.4440, 0.4327)
"""Mean colour (RGB) of MPII that the common PyTorch versions subtract; the authors' network subtracts nothing."""

_PARTS = ("weight", "bias", "running_mean", "running_var")
_MOST = 32
_KINDS = {"Conv2d": ("SpatialConvolution", "SpatialConvolutionMM"), "BatchNorm2d": ("SpatialBatchNormalization",)}
Named = tuple[dict[str, np.ndarray], dict[str, Any]]


def from_torch7(tensors: Mapping[str, np.ndarray], said: Mapping[str, Any], where: object) -> Named:
    """Tensors of a Torch7 network by our names, and the sizes of :class:`~posemill.networks.hourglass.Hourglass`.

    Parameters
    ----------
    tensors, said
        As :mod:`posemill.formats.checkpoints.torch7_modules` reads them: tensors and layers by place.

    Raises
    ------
    InputError
        Another network; the message names the first layer that does not fit.
    """
    known = [kind for kinds in _KINDS.values() for kind in kinds]
    found = [(place, layer) for place, layer in said.items() if layer["kind"] in known]
    shapes = [np.shape(tensors.get(f"{place}.weight", ())) for place, layer in found if "Conv" in layer["kind"]]
    if len(shapes) < 2 or any(len(shape) != 4 for shape in shapes):
        raise InputError(expected("Torch7 network", "a stacked hourglass", f"{len(shapes)} convolutions", where=where))
    (stem, *_), (joints, features, *_) = shapes[0], shapes[-1]
    problem: InputError | None = None
    for sizes in _forms(len(shapes), stem, features, joints):
        try:
            return _by_position(tensors, found, sizes, where), sizes
        except InputError as error:
            problem = problem or error
    got = f"{len(shapes)} convolutions, the first {shapes[0]}, the last {shapes[-1]}"
    raise problem or InputError(expected("Torch7 network", "a stacked hourglass", got, where=where))


def _forms(convolutions: int, stem: int, features: int, joints: int) -> Iterator[dict[str, Any]]:
    """Sizes of all networks that have so many convolutions."""
    at_the_stem = 1 + 4 + 3 + (3 if features == 2 * stem else 4)
    for modules in range(1, 9):
        for after in (False, True):
            # Residuals of an hourglass, then those after it, lin, heatmaps and (but for the last stack) the way on.
            each = 3 * modules * (3 * DEPTH + 1 + after) + (1 if after else modules) + 1 + 2
            stacks, rest = divmod(convolutions - at_the_stem + 2, each)
            if rest == 0 and 1 <= stacks <= _MOST:
                sizes = {"stacks": stacks, "features": features, "joints": joints, "modules": modules}
                yield {**sizes, "after": after, "stem": stem}


def _by_position(
    tensors: Mapping[str, np.ndarray], found: list[tuple[str, Any]], sizes: dict[str, Any], where: object
) -> dict[str, np.ndarray]:
    wanted = list(layers(_shapes(sizes, where)))
    if len(wanted) != len(found):
        raise InputError(expected("layers with weights", len(wanted), len(found), where=where))
    named = {}
    for (name, module), (place, layer) in zip(wanted, found, strict=True):
        _compare(module, place, layer, where)
        for part in _PARTS:
            shape = getattr(getattr(module, part, None), "shape", None)
            if shape is None:
                continue
            tensor = tensors.get(f"{place}.{part}")
            if tensor is None or tensor.shape != tuple(shape):
                got = None if tensor is None else tensor.shape
                raise InputError(expected(f"module {place}, {part}", tuple(shape), got, where=where))
            named[f"{name}.{part}"] = tensor
    return named


def _compare(module: nn.Module, place: str, layer: Mapping[str, Any], where: object) -> None:
    """Kind, kernel, stride, padding and epsilon of a layer."""
    kinds = _KINDS[type(module).__name__]
    if layer["kind"] not in kinds:
        raise InputError(expected(f"module {place}", kinds[0], layer["kind"], where=where))
    if isinstance(module, nn.BatchNorm2d):
        wanted, got = (module.eps,), (layer.get("eps", module.eps),)
    else:
        assert isinstance(module, nn.Conv2d)
        wanted = (*module.kernel_size, *module.stride, *(int(pad) for pad in module.padding))
        otherwise = {"dH": 1.0, "dW": 1.0, "padH": layer.get("padW", 0.0), "padW": 0.0}
        got = tuple(layer.get(key, otherwise.get(key, 0.0)) for key in ("kH", "kW", "dH", "dW", "padH", "padW"))
    if not np.allclose(wanted, got, rtol=1e-3, atol=0):
        raise InputError(expected(f"module {place}", wanted, got, where=where))


def _shapes(sizes: Mapping[str, Any], where: object) -> Any:
    try:
        return empty(**sizes)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(expected("network", "sizes of a stacked hourglass", error, where=where)) from None


# ------------------------------------------------------------------------------------------- PyTorch versions

_BLOCK = {"bn1": "norm1", "conv1": "conv1", "bn2": "norm2", "conv2": "conv2", "bn3": "norm3", "conv3": "conv3"}
_PLACES = {"0": "skip", "1": "down", "2": "up", "3": "inner"}
_STACK = re.compile(r"(hg|res|fc|score|fc_|score_)\.(\d{1,2})\.(.*)")
_RESIDUAL = re.compile(r"(\d{1,2})\.(?:(bn[123]|conv[123])\.|downsample\.0\.)(.*)")
_LEVEL = re.compile(r"hg\.([0-3])\.([0-3])\.(.*)")


def from_pytorch(tensors: Mapping[str, np.ndarray], where: object) -> Named:
    """Tensors of the common PyTorch versions (``hg.0.hg.0.0.0.conv1.weight``) by our names, and the network's sizes.

    They are of the authors' later form (``after``), most with a wider second residual.

    Raises
    ------
    InputError
        A name that is none of theirs.
    """
    named = {}
    for name, tensor in tensors.items():
        ours = _ours(name)
        if ours is None:
            raise InputError(expected("tensors", "those of a stacked hourglass in PyTorch", name[:120], where=where))
        named[ours] = tensor
    try:
        stacks = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("hg."))
        modules = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("res.0."))
        joints, features = named[f"stacks.{stacks - 1}.heatmaps.weight"].shape[:2]
        stem, middle = len(named["conv.weight"]), len(named["stem2.conv3.weight"])
    except (ValueError, KeyError, TypeError):
        raise InputError(expected("tensors", "a stacked hourglass in PyTorch", "parts of one", where=where)) from None
    sizes = {"stacks": stacks, "features": features, "joints": joints, "modules": modules, "after": True, "stem": stem}
    return named, sizes if middle == 2 * stem else {**sizes, "middle": middle}


def _ours(name: str) -> str | None:
    """Our name of a tensor of theirs; None if there is none."""
    head, _, rest = name.partition(".")
    if head in ("conv1", "bn1"):
        return f"{'conv' if head == 'conv1' else 'norm'}.{rest}"
    if head in ("layer1", "layer2", "layer3"):
        inside = _residual(rest)
        return f"stem{head[-1]}.{inside[1]}" if inside and inside[0] == "0" else None
    match = _STACK.fullmatch(name)
    if not match:
        return None
    part, stack, rest = match.groups()
    ours = None
    if part == "hg":
        ours = _in_hourglass(rest)
    elif part == "res":
        inside = _residual(rest)
        ours = inside and f"after.{inside[0]}.{inside[1]}"
    elif part == "fc":
        ours = f"lin.{rest}"
    else:
        ours = f"{ {'score': 'heatmaps', 'fc_': 'from_lin', 'score_': 'from_heatmaps'}[part] }.{rest}"
    return ours and f"stacks.{stack}.{ours}"


def _in_hourglass(name: str) -> str | None:
    """``hg.3.0...`` is the outermost level; its 3 (only of ``hg.0``) is the residual at the bottom."""
    match = _LEVEL.fullmatch(name)
    inside = _residual(match.group(3)) if match else None
    if not match or not inside or (match.group(2) == "3" and match.group(1) != "0"):
        return None
    level = "inner." * (DEPTH - 1 - int(match.group(1)))
    return f"hourglass.{level}{_PLACES[match.group(2)]}.{inside[0]}.{inside[1]}"


def _residual(name: str) -> tuple[str, str] | None:
    """Number of a residual and our name inside it."""
    match = _RESIDUAL.fullmatch(name)
    return match and (match.group(1), f"{_BLOCK.get(match.group(2), 'skip')}.{match.group(3)}")
