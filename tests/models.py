"""Small models for the tests, written with the schema's own classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

FLOAT32, INT32, INT8 = 0, 2, 9
ADD, CONV_2D, RESHAPE, SOFTMAX, CUSTOM, QUANTIZE, GELU = 0, 3, 22, 25, 32, 114, 150


@dataclass
class Op:
    """A node and its operator code."""

    code: int
    version: int = 1
    custom: str | None = None
    dtypes: Sequence[int] = (FLOAT32, FLOAT32)
    options: bytes | None = None
    used: bool = True
    intermediates: Sequence[int] = field(default_factory=list)


def build_model(
    ops: Sequence[Op] = (Op(ADD),),
    *,
    version: int = 3,
    subgraphs: int = 1,
    change: Any = None,
) -> bytes:
    """A model whose nodes each have tensors of the given dtypes: inputs first, one output last.

    Those of int8 have a scale.

    ``change`` may alter the unpacked model before it is packed.
    """
    model = schema.ModelT()
    model.version = version
    model.description = b"test"
    model.buffers = [schema.BufferT()]
    model.operatorCodes = [_code(op) for op in ops]
    model.subgraphs = [_subgraph(ops) for _ in range(subgraphs)]
    if change is not None:
        change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _code(op: Op) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = op.code
    code.deprecatedBuiltinCode = min(op.code, 127)
    code.version = op.version
    if op.custom is not None:
        code.customCode = op.custom.encode()
    return code


def _subgraph(ops: Sequence[Op]) -> Any:
    subgraph = schema.SubGraphT()
    subgraph.name = b"main"
    subgraph.tensors, subgraph.operators = [], []
    subgraph.inputs, subgraph.outputs = [], []
    for position, op in enumerate(ops):
        if not op.used:
            continue
        indices = []
        for dtype in op.dtypes:
            tensor = schema.TensorT()
            tensor.shape = [1, 1, 1, 4] if op.code == CONV_2D else [1, 4]
            tensor.type = dtype
            if dtype == INT8:
                tensor.quantization = schema.QuantizationParametersT()
                tensor.quantization.scale, tensor.quantization.zeroPoint = [0.5], [0]
            tensor.buffer = 0
            tensor.name = f"t{len(subgraph.tensors)}".encode()
            indices.append(len(subgraph.tensors))
            subgraph.tensors.append(tensor)
        node = schema.OperatorT()
        node.opcodeIndex = position
        node.inputs, node.outputs = indices[:-1], indices[-1:]
        if op.code == CONV_2D:
            node.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
            node.builtinOptions = schema.Conv2DOptionsT()
            node.builtinOptions.strideW = node.builtinOptions.strideH = 1
        if op.options is not None:
            node.customOptions = list(op.options)
        subgraph.operators.append(node)
        subgraph.inputs += indices[:-1]
        subgraph.outputs += indices[-1:]
    return subgraph
