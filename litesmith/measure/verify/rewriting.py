"""A model with one node alone, or with small numbers added to the outputs of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litesmith.model.tensors import Array

MOST_BYTES = 1 << 30
"""The largest model that is written; flatbuffers end at 2 GiB."""

_ADD_VERSION = 2


def single_node(content: bytes, subgraph: int, node: int, inputs: Sequence[int]) -> bytes:
    """The model of one node: ``inputs`` are its tensors that are given, its outputs are those of the model.

    Subgraphs that the node may call stay.
    """
    model = _unpacked(content)
    graph = model.subgraphs[subgraph]
    operator = graph.operators[node]
    alone = schema.SubGraphT()
    alone.name, alone.tensors, alone.operators = graph.name, graph.tensors, [operator]
    alone.inputs = list(inputs)
    alone.outputs = _integers(operator.outputs)
    # Nothing calls the main subgraph.
    model.subgraphs = [alone, *(model.subgraphs[1:] if len(model.subgraphs) > 1 else [])]
    model.signatureDefs, model.metadata, model.metadataBuffer = None, None, None
    used = {i for i in (*alone.inputs, *alone.outputs, *_integers(operator.inputs)) if i >= 0}
    used |= set(_integers(operator.intermediates))
    others = {tensor.buffer for graph in model.subgraphs[1:] for tensor in graph.tensors}
    kept = others | {alone.tensors[index].buffer for index in used}
    # Unused tensors would keep their weights: they become empty.
    for index, tensor in enumerate(alone.tensors):
        if index not in used:
            alone.tensors[index] = _placeholder(tensor)
    for index, buffer in enumerate(model.buffers):
        if index not in kept:
            buffer.data = None
    return _packed(model)


def _placeholder(tensor: Any) -> Any:
    made = schema.TensorT()
    made.shape, made.type, made.buffer, made.name = [1], schema.TensorType.FLOAT32, 0, tensor.name
    return made


def perturbed_constants(content: bytes, change: Callable[[Array], Array]) -> bytes:
    """The model with ``change`` applied to each constant of float32."""
    model = _unpacked(content)
    seen: set[int] = set()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if tensor.type == schema.TensorType.FLOAT32 and data is not None and tensor.buffer not in seen:
                seen.add(tensor.buffer)
                values = np.frombuffer(bytes(data), np.float32)
                model.buffers[tensor.buffer].data = np.frombuffer(change(values).tobytes(), np.uint8)
    return _packed(model)


def with_additions(content: bytes, subgraph: int, additions: Mapping[int, Array]) -> bytes:
    """The model with an ADD behind each of these outputs of nodes, whose other operand is the given array.

    Arrays are of float32, or of a quantised tensor's integers.

    Raises:
        ValueError: the model would be larger than ``MOST_BYTES``.
    """
    if len(content) + sum(value.nbytes for value in additions.values()) > MOST_BYTES:
        raise ValueError(f"the model with its roundings would have more than {MOST_BYTES} bytes")
    model = _unpacked(content)
    graph = model.subgraphs[subgraph]
    renamed: dict[int, int] = {}
    operators: list[Any] = []
    for operator in graph.operators:
        operator.inputs = [renamed.get(index, index) for index in _integers(operator.inputs)]
        operators.append(operator)
        for index in _integers(operator.outputs):
            if index in additions:
                operators.append(_addition(model, graph, index, additions[index]))
                renamed[index] = len(graph.tensors) - 1
    graph.operators = operators
    graph.outputs = [renamed.get(index, index) for index in _integers(graph.outputs)]
    for signature in model.signatureDefs or ():
        if signature.subgraphIndex == subgraph:
            for entry in signature.outputs or ():
                entry.tensorIndex = renamed.get(entry.tensorIndex, entry.tensorIndex)
    return _packed(model)


def _addition(model: Any, graph: Any, index: int, value: Array) -> Any:
    """The node that adds a constant to a tensor; its output is the graph's last tensor."""
    original = graph.tensors[index]
    constant, made = schema.TensorT(), schema.TensorT()
    # The ADD of integers takes differences of numbers with a zero point.
    zero = 0
    quantization = original.quantization
    if value.dtype.kind in "iu":
        scale = schema.QuantizationParametersT()
        zero = 128 if value.dtype == np.uint8 else 0
        scale.scale, scale.zeroPoint = list(map(float, quantization.scale)), [zero]
        constant.quantization = scale
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    model.buffers.append(buffer)
    constant.shape, constant.type, constant.buffer = list(value.shape), original.type, len(model.buffers) - 1
    constant.name = b"rounding"
    made.shape, made.type, made.buffer, made.name = original.shape, original.type, 0, original.name
    made.shapeSignature, made.quantization = original.shapeSignature, quantization
    graph.tensors += [constant, made]
    node = schema.OperatorT()
    node.opcodeIndex = _add_code(model)
    node.inputs, node.outputs = [index, len(graph.tensors) - 2], [len(graph.tensors) - 1]
    node.builtinOptionsType = schema.BuiltinOptions.AddOptions
    node.builtinOptions = schema.AddOptionsT()
    node.builtinOptions.potScaleInt16 = False
    return node


def _add_code(model: Any) -> int:
    """The index of ADD in a version with integers."""
    for index, code in enumerate(model.operatorCodes):
        if (code.builtinCode, code.deprecatedBuiltinCode) == (schema.BuiltinOperator.ADD, 0) and (
            code.version >= _ADD_VERSION
        ):
            return index
    made = schema.OperatorCodeT()
    made.builtinCode, made.deprecatedBuiltinCode, made.version = schema.BuiltinOperator.ADD, 0, _ADD_VERSION
    model.operatorCodes.append(made)
    return len(model.operatorCodes) - 1


def _integers(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]


def _unpacked(content: bytes) -> Any:
    """The model's objects.

    Raises:
        ValueError: data behind the flatbuffer would be lost.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    if any(buffer.offset > 1 for buffer in model.buffers):
        raise ValueError("weights are behind the model's flatbuffer")
    return model


def _packed(model: Any) -> bytes:
    weights = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    # The builder would double its size again and again.
    builder = flatbuffers.Builder(weights + (1 << 20))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
