"""Mutations of tensors and of nodes.  Each says in one line what it changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.hostile.damage import FLOATS, UINT64, Damage


def _shape(d: Damage) -> str:
    index, tensor = d.tensor()
    shape = [int(dim) for dim in tensor.shape] if tensor.shape is not None else []
    kind = d.rng.randrange(6)
    if kind <= 2 and shape:
        at = d.rng.randrange(len(shape))
        shape[at] = d.int32(shape[at])
    elif kind == 3:
        shape.insert(d.rng.randrange(len(shape) + 1), d.rng.choice((1, 1, 2, 0, -1)))
    elif kind == 4 and shape:
        del shape[d.rng.randrange(len(shape))]
    else:
        shape = d.rng.choice(([], [1] * 7, [1] * 40, shape[::-1], [65536] * 4, [1 << 30, 4, 4]))
    tensor.shape = shape
    return f"{d.place('tensor', index)} shape {shape}"


def _dtype(d: Damage) -> str:
    index, tensor = d.tensor()
    tensor.type = d.rng.choice((*range(22), 63, 127, -1, -128))
    return f"{d.place('tensor', index)} type {tensor.type}"


def _buffer_of_tensor(d: Damage) -> str:
    index, tensor = d.tensor()
    tensor.buffer = d.index(len(d.model.buffers)) & 0xFFFFFFFF
    return f"{d.place('tensor', index)} buffer {tensor.buffer}"


def _tensor_flags(d: Damage) -> str:
    index, tensor = d.tensor()
    field = d.rng.choice(("isVariable", "hasRank", "externalBuffer", "shapeSignature", "name", "sparsity"))
    value: Any
    if field == "isVariable" or field == "hasRank":
        value = not getattr(tensor, field)
    elif field == "externalBuffer":
        value = d.rng.choice((1, 2, 1 << 31))
    elif field == "shapeSignature":
        value = d.rng.choice(([-1], [-1] * 4, [5, 5], []))
    elif field == "name":
        value = d.rng.choice((None, b"", b"\x1b]0;x\x07", b"n" * 5000, b"%s%n"))
    else:
        value = schema.SparsityParametersT()
        value.traversalOrder = d.rng.choice(([0, 1], [0, 9], []))
        value.blockMap = d.rng.choice((None, [0], [7]))
        one = schema.DimensionMetadataT()
        one.format, one.denseSize = d.rng.choice((0, 1)), d.int32()
        value.dimMetadata = [one] * d.rng.choice((0, 1, 2, 5))
    setattr(tensor, field, value)
    return f"{d.place('tensor', index)} {field} {'made up' if field == 'sparsity' else repr(value)[:40]}"


def _quantisation(d: Damage) -> str:
    index, tensor = d.tensor()
    where = f"{d.place('tensor', index)} quantisation"
    if tensor.quantization is None or d.rng.random() < 0.1:
        made = schema.QuantizationParametersT()
        made.scale, made.zeroPoint = [d.rng.choice(FLOATS)], [d.int32()]
        tensor.quantization = made
        return f"{where} scale {made.scale} zero point {made.zeroPoint}"
    old = tensor.quantization
    kind = d.rng.randrange(8)
    count = len(old.scale) if old.scale is not None else 0
    if kind == 0:
        tensor.quantization = None
        return f"{where} removed"
    if kind == 1:
        old.zeroPoint = None
        return f"{where} zero points removed"
    if kind == 2:
        old.scale = None
        return f"{where} scales removed"
    if kind == 3:
        old.quantizedDimension = d.int32(old.quantizedDimension)
        return f"{where} dimension {old.quantizedDimension}"
    if kind == 4:
        old.scale = [0.1] * d.rng.choice((0, 1, 2, 3, max(0, count - 1), count + 1))
        return f"{where} {len(old.scale)} scales"
    if kind == 5:
        old.zeroPoint = [d.rng.choice((d.int32(), 1 << 40))] * d.rng.choice((0, 1, 2, count, count + 1))
        return f"{where} zero points {old.zeroPoint[:3]}"
    if kind == 6:
        old.detailsType = schema.QuantizationDetails.BlockwiseQuantization
        old.details = schema.BlockwiseQuantizationT()
        old.details.scales, old.details.zeroPoints = d.index(len(d.graph.tensors)), -1
        old.details.blockSize = d.int32()
        return f"{where} blockwise scales {old.details.scales} size {old.details.blockSize}"
    scales = np.array(old.scale if count else [1.0], np.float32)
    scales[d.rng.randrange(len(scales))] = d.rng.choice(FLOATS)
    old.scale = scales
    return f"{where} one scale changed"


def _node_tensors(d: Damage) -> str:
    number, node = d.node()
    field = d.rng.choice(("inputs", "inputs", "outputs", "outputs", "intermediates"))
    old = getattr(node, field)
    indices = [int(index) for index in old] if old is not None else []
    kind = d.rng.randrange(6)
    if kind <= 2 and indices:
        indices[d.rng.randrange(len(indices))] = d.index(len(d.graph.tensors))
    elif kind == 3 and indices:
        del indices[d.rng.randrange(len(indices)) :]
    elif kind == 4:
        indices.append(d.index(len(d.graph.tensors)))
    else:
        indices = d.rng.choice(([], [-1], [0] * 3, indices[::-1], indices * 2))
    setattr(node, field, indices)
    return f"{d.place('node', number)} {field} {indices}"


def _opcode_index(d: Damage) -> str:
    number, node = d.node()
    node.opcodeIndex = d.index(len(d.model.operatorCodes)) & 0xFFFFFFFF
    return f"{d.place('node', number)} operator code {node.opcodeIndex}"


def _options(d: Damage) -> str:
    number, node = d.node()
    where = d.place("node", number)
    held = "builtinOptions" if node.builtinOptions is not None else "builtinOptions2"
    options = getattr(node, held)
    if options is None or d.rng.random() < 0.1:
        if d.rng.random() < 0.5 and options is not None:
            setattr(node, held, None)
            setattr(node, f"{held}Type", 0)
            return f"{where} options removed"
        name = d.rng.choice([n for n in vars(schema.BuiltinOptions) if n.endswith("Options")])
        node.builtinOptions = getattr(schema, f"{name}T")()
        node.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        return f"{where} options of {name}"
    fields = sorted(vars(options))
    if not fields:
        return _opcode_index(d)
    field = d.rng.choice(fields)
    old = getattr(options, field)
    value: Any
    if field.lower().endswith("subgraphindex"):
        value = d.index(len(d.model.subgraphs))
    elif isinstance(old, bool):
        value = not old
    elif isinstance(old, int):
        value = d.rng.choice((d.int32(old), d.rng.randrange(-3, 12)))
    elif isinstance(old, float):
        value = d.rng.choice(FLOATS)
    else:
        value = d.rng.choice((None, [], [d.int32()], [d.int32()] * 9))
    setattr(options, field, value)
    return f"{where} {type(options).__name__[:-1]}.{field} {value}"


def _custom_options(d: Damage) -> str:
    chosen = [n for n in d.graph.operators if n.customOptions is not None and len(n.customOptions)]
    if not chosen or d.rng.random() < 0.1:
        number, node = d.node()
        node.largeCustomOptionsOffset = d.rng.choice(UINT64)
        node.largeCustomOptionsSize = d.rng.choice(UINT64)
        return f"{d.place('node', number)} large custom options at {node.largeCustomOptionsOffset}"
    node = d.rng.choice(chosen)
    where = d.place("node", d.graph.operators.index(node))
    data = bytearray(bytes(bytearray(node.customOptions)))
    kind = d.rng.randrange(5)
    if kind == 0:
        del data[d.rng.randrange(len(data)) :]
    elif kind == 1:
        data += d.rng.randbytes(d.rng.randrange(1, 30))
    elif kind == 2:
        # The root, its type and its width are at the end.
        data[-1 - d.rng.randrange(min(12, len(data)))] = d.rng.choice((0, 1, 4, 8, 0x24, 0xFF, 128))
    else:
        for _ in range(d.rng.randrange(1, 5)):
            data[d.rng.randrange(len(data))] = d.rng.randrange(256)
    node.customOptions = list(data)
    return f"{where} custom options changed, {len(data)} bytes"


def _nodes(d: Damage) -> str:
    nodes = list(d.graph.operators)
    kind = d.rng.randrange(5)
    if kind == 0:
        d.graph.operators = d.rng.choice((None, []))
        return f"subgraph {d.subgraph_index} without nodes"
    first, second = d.rng.randrange(len(nodes)), d.rng.randrange(len(nodes))
    if kind == 1:
        del nodes[first]
        d.graph.operators = nodes
        return f"{d.place('node', first)} removed"
    if kind == 2:
        nodes.insert(second, nodes[first])
        d.graph.operators = nodes
        return f"{d.place('node', first)} again at {second}"
    nodes[first], nodes[second] = nodes[second], nodes[first]
    d.graph.operators = nodes
    return f"{d.place('node', first)} and {second} swapped"


MUTATIONS: Mapping[Callable[[Damage], str], int] = {
    _shape: 10,
    _dtype: 5,
    _buffer_of_tensor: 5,
    _tensor_flags: 3,
    _quantisation: 8,
    _node_tensors: 12,
    _opcode_index: 3,
    _options: 12,
    _custom_options: 6,
    _nodes: 4,
}
"""Mutations, and how often each is made."""
