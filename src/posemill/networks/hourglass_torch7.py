"""The stacked hourglass as Torch7 has it: an ``nn.gModule`` of nngraph, to be written as .t7 and run by Lua.

The modules come in the order of the released file (see :func:`posemill.networks.hourglass.layers`). The network is for
inference: gradients are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from posemill.formats.torch7_values import Object, Table
from posemill.formats.torch7_writer import LongStorage, array_table
from posemill.networks.hourglass import Hourglass, Level, Residual, Stack

__all__ = ["graph_module"]

_TYPE = "torch.FloatTensor"
_LABEL = "posemill"


def graph_module(network: Hourglass) -> Object:
    """Make the ``nn.gModule`` of a network: (N, 3, R, R) in, a table of heatmaps out (of one stack, a tensor).

    Write it with :func:`posemill.formats.torch7_writer.write_torch7`.
    """
    graph = _Graph()
    x = graph.chain(
        graph.start, _module("Identity"), _conv(network.conv), _norm(network.norm), _relu(), _residual(network.stem1)
    )
    x = graph.chain(x, _pool(), _residual(network.stem2), _residual(network.stem3))
    heatmaps = []
    for stack in network.stacks:
        assert isinstance(stack, Stack)
        y = graph.chain(_level(graph, stack.hourglass, x), *map(_residual, stack.after))
        y = graph.chain(y, *map(_layer, stack.lin))
        maps = graph.chain(y, _conv(stack.heatmaps))
        heatmaps.append(maps)
        if stack.from_lin is not None and stack.from_heatmaps is not None:
            lin, told = graph.chain(y, _conv(stack.from_lin)), graph.chain(maps, _conv(stack.from_heatmaps))
            x = graph.add(_module("CAddTable"), [x, lin, told])
    return graph.finish(heatmaps)


def _level(graph: _Graph, level: Level | nn.Sequential, x: int) -> int:
    if isinstance(level, nn.Sequential):
        return graph.chain(x, *map(_residual, level))
    skip = graph.chain(x, *map(_residual, level.skip))
    low = graph.chain(x, _pool(), *map(_residual, level.down))
    low = graph.chain(_level(graph, level.inner, low), *map(_residual, level.up), _upsampling())
    return graph.add(_module("CAddTable"), [skip, low])


class _Graph:
    """Nodes in the order of computing: a module and the nodes that it reads."""

    def __init__(self) -> None:
        self._modules: list[Object | None] = [None]
        self._inputs: list[list[int]] = [[]]
        self.start = 0

    def add(self, module: Object | None, inputs: list[int]) -> int:
        self._modules.append(module)
        self._inputs.append(inputs)
        return len(self._modules) - 1

    def chain(self, x: int, *modules: Object) -> int:
        for module in modules:
            x = self.add(module, [x])
        return x

    def finish(self, outputs: list[int]) -> Object:
        """The container, with what nngraph keeps beside its modules.

        Everything refers to what was written before: the data of a node to that of the nodes it reads, backward nodes
        to those before them, forward nodes (listed from the last) to those after them.
        """
        self.add(None, outputs)
        data: list[Table] = []
        for number, (module, inputs) in enumerate(zip(self._modules, self._inputs, strict=True), 1):
            parts = {"module": module} if module is not None else {}
            data.append(
                Table(
                    **parts,
                    mapindex=_both_ways([data[i] for i in inputs]),
                    annotations=Table(_debugLabel=_LABEL),
                    reverseMap=Table(),
                    forwardNodeId=float(number),
                    input=Table(),
                )
            )
        backward, forward = [_node(d, i) for i, d in enumerate(data, 1)], [_node(d, i) for i, d in enumerate(data, 1)]
        readers: list[list[int]] = [[] for _ in data]
        for number, inputs in enumerate(self._inputs):
            backward[number].fields["children"] = _both_ways([backward[i] for i in inputs])
            for i in inputs:
                readers[i].append(number)
        for number, after in enumerate(readers):
            forward[number].fields["children"] = _both_ways([forward[i] for i in after])
        fields = Table(
            modules=array_table([module for module in self._modules if module is not None]),
            backwardnodes=_numbered_from_end(backward),
            forwardnodes=Table({float(i): forward[i - 1] for i in range(len(forward), 0, -1)}),
            innode=forward[0],
            outnode=backward[-1],
            nInputs=1.0,
            verbose=False,
        )
        return Object("nn.gModule", 1, Table(**fields, **_common()))


def _numbered_from_end(nodes: list[Object]) -> Table:
    """Backward nodes are computed from the last; written from the first."""
    return Table({float(len(nodes) - i): node for i, node in enumerate(nodes)})


def _both_ways(parts: list[Any]) -> Table:
    """A list that also knows each part's number, as nngraph keeps them."""
    table = array_table(parts)
    table.update({part: float(number) for number, part in enumerate(parts, 1)})
    return table


def _node(data: Table, number: int) -> Object:
    return Object("nngraph.Node", 1, Table(data=data, id=float(number), marked=False, visited=False))


# ---------------------------------------------------------------------------------------------------- modules


def _common() -> dict[str, Any]:
    empty = np.zeros(0, np.float32)
    return {"output": empty, "gradInput": empty.copy(), "_type": _TYPE, "train": False}


def _module(kind: str, version: int = 1, **fields: Any) -> Object:
    return Object(f"nn.{kind}", version, Table(**_common(), **fields))


def _container(kind: str, parts: list[Object]) -> Object:
    return _module(kind, modules=array_table(parts))


def _numbers(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float32)


def _conv(conv: nn.Conv2d) -> Object:
    (height, width), (step_y, step_x) = conv.kernel_size, conv.stride
    pad_y, pad_x = int(conv.padding[0]), int(conv.padding[1])
    sizes = {"kW": width, "kH": height, "dW": step_x, "dH": step_y, "padW": pad_x, "padH": pad_y}
    planes = {"nInputPlane": conv.in_channels, "nOutputPlane": conv.out_channels}
    return _module("SpatialConvolution", **sizes, **planes, weight=_numbers(conv.weight), bias=_numbers(conv.bias))


def _norm(norm: nn.BatchNorm2d) -> Object:
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {name: _numbers(getattr(norm, name)) for name in names}
    return _module("SpatialBatchNormalization", 2, **tensors, eps=norm.eps, momentum=norm.momentum, affine=True)


def _relu() -> Object:
    return _module("ReLU", threshold=0.0, val=0.0, inplace=True)


def _pool() -> Object:
    return _module("SpatialMaxPooling", kW=2, kH=2, dW=2, dH=2, padW=0, padH=0, ceil_mode=False)


def _upsampling() -> Object:
    sizes = [LongStorage((0, 0, 0, 0)) for _ in range(2)]
    return _module("SpatialUpSamplingNearest", scale_factor=2, inputSize=sizes[0], outputSize=sizes[1])


def _layer(layer: nn.Module) -> Object:
    if isinstance(layer, nn.Conv2d):
        return _conv(layer)
    return _norm(layer) if isinstance(layer, nn.BatchNorm2d) else _relu()


def _residual(block: nn.Module) -> Object:
    assert isinstance(block, Residual)
    main = [_norm(block.norm1), _relu(), _conv(block.conv1), _norm(block.norm2), _relu(), _conv(block.conv2)]
    main += [_norm(block.norm3), _relu(), _conv(block.conv3)]
    skip = _module("Identity") if block.skip is None else _container("Sequential", [_conv(block.skip)])
    both = _container("ConcatTable", [_container("Sequential", main), skip])
    both.fields["output"] = Table()
    return _container("Sequential", [both, _module("CAddTable", inplace=True)])
