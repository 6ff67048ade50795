"""Models of several ops, and of code paths in kernels that the models of single ops do not reach."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litesmith.study.op_models.writer import Graph

_UNITS, _INPUT, _BATCH, _STEPS = 6, 4, 2, 5


def _weights(g: Graph, *shape: int, dtype: str = "int8") -> int:
    values = np.ones(shape)
    return g.const(values, dtype, quant=(0.01, 0)) if dtype == "int8" else g.const(values, dtype)


def _states(g: Graph, *widths: int) -> list[int]:
    return [g.tensor([_BATCH, width], "float32", variable=True) for width in widths]


def four_bit_layer(units: int, depth: int, batch: int) -> Graph:
    """A layer with 4-bit weights, which has a separate kernel when it is large enough."""
    g = Graph()
    data = bytes(math.ceil(units * depth / 2))
    weights = g.tensor([units, depth], "int4", quant=(0.1, 0), data=data)
    inputs = [g.input([batch, depth]), weights, g.const(np.zeros(units))]
    g.op("FULLY_CONNECTED", inputs, [g.output()], "FullyConnected")
    return g


def _make_sparse(g: Graph, index: int, rows: int, blocks: int) -> None:
    """Gives each row of the tensor one block of 16 numbers, in the format that the kernels support."""
    tensor = g.current.tensors[index]
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder, sparsity.blockMap = [0, 1, 2], [1]
    dense, sparse, block = (schema.DimensionMetadataT() for _ in range(3))
    dense.format, dense.denseSize = schema.DimensionType.DENSE, rows
    sparse.format = schema.DimensionType.SPARSE_CSR
    for name, numbers in (
        ("Segments", list(range(rows + 1))),
        ("Indices", [i % blocks for i in range(rows)]),
    ):
        vector = schema.Int32VectorT()
        vector.values = numbers
        setattr(sparse, f"array{name}", vector)
        setattr(sparse, f"array{name}Type", schema.SparseIndexVector.Int32Vector)
    block.format, block.denseSize = schema.DimensionType.DENSE, 16
    sparsity.dimMetadata = [dense, sparse, block]
    tensor.sparsity = sparsity


def sparse_layer() -> Graph:
    """A layer with sparse 8-bit weights and float activations: it keeps a ledger."""
    g = Graph()
    weights = g.tensor([8, 64], "int8", quant=(0.1, 0), data=bytes(8 * 16))
    _make_sparse(g, weights, 8, 4)
    g.op("FULLY_CONNECTED", [g.input([3, 64]), weights, g.const(np.zeros(8))], [g.output()], "FullyConnected")
    return g


def _cell(g: Graph, dtype: str, projected: int = 0) -> list[int]:
    outputs = projected or _UNITS
    gates = [_weights(g, _UNITS, _INPUT, dtype=dtype) for _ in range(4)]
    recurrent = [_weights(g, _UNITS, outputs, dtype=dtype) for _ in range(4)]
    biases = [g.const(np.zeros(_UNITS)) for _ in range(4)]
    projection = [_weights(g, projected, _UNITS, dtype=dtype), g.const(np.zeros(projected))]
    return [*gates, *recurrent, -1, -1, -1, *biases, *(projection if projected else (-1, -1))]


def projected_lstm(op: str, kind: str, dtype: str) -> Graph:
    """An LSTM whose output is wider than its cell."""
    g = Graph()
    width = 2 * _UNITS + 1
    x = g.input([_BATCH, _INPUT] if op == "LSTM" else [_BATCH, _STEPS, _INPUT])
    inputs = [x, *_cell(g, dtype, width), *_states(g, width, _UNITS), -1, -1, -1, -1]
    g.op(op, inputs, [g.output()], kind, fusedActivationFunction=4)
    return g


def basic_lstm() -> Graph:
    """The kernel with five inputs and four outputs, which include the states."""
    g = Graph()
    x, activation = g.input([_BATCH, _INPUT]), g.input([_BATCH, _UNITS])
    weights, bias = g.const(np.ones((4 * _UNITS, _INPUT + _UNITS))), g.const(np.zeros(4 * _UNITS))
    inputs = [x, activation, weights, bias, g.input([_BATCH, _UNITS])]
    g.op("LSTM", inputs, [g.output() for _ in range(4)], "LSTM", fusedActivationFunction=4, kernelType=1)
    return g


def bidirectional_lstm(*, auxiliary: bool, merged: bool, dtype: str) -> Graph:
    """Both directions, each with or without an auxiliary input."""
    g = Graph()
    x = g.input([_STEPS, _BATCH, _INPUT])
    more = [-1] * 9
    cells = [*_cell(g, dtype), *_cell(g, dtype)]
    if auxiliary:
        more = [g.input([_STEPS, _BATCH, 3]), *(_weights(g, _UNITS, 3, dtype=dtype) for _ in range(8))]
    outputs = [g.output() for _ in range(1 if merged else 2)]
    g.op(
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        [x, *cells, *_states(g, *[_UNITS] * 4), *more],
        outputs,
        "BidirectionalSequenceLSTM",
        timeMajor=True,
        mergeOutputs=merged,
        fusedActivationFunction=4,
    )
    return g


def bidirectional_rnn() -> Graph:
    """Both directions with an auxiliary input, 8-bit weights and one output."""
    g = Graph()
    inputs = [g.input([_BATCH, _STEPS, _INPUT])]
    for _ in range(2):
        inputs += [_weights(g, _UNITS, _INPUT), _weights(g, _UNITS, _UNITS), g.const(np.zeros(_UNITS))]
        inputs += _states(g, _UNITS)
    inputs += [g.input([_BATCH, _STEPS, 3]), _weights(g, _UNITS, 3), _weights(g, _UNITS, 3)]
    kind = "BidirectionalSequenceRNN"
    g.op("BIDIRECTIONAL_SEQUENCE_RNN", inputs, [g.output()], kind, mergeOutputs=True)
    return g


def constants() -> Graph:
    """Kernels that compute before the first inference, and results outside the arena."""
    g = Graph()
    x = g.input([2, 6])
    shape = g.tensor([2], "int32")
    g.op("SHAPE", [x], [shape], "Shape", outType=2)
    product, doubled = g.tensor([], "int32"), g.tensor([4], "int32")
    g.op("REDUCE_PROD", [shape, g.const([0], "int32")], [product], "Reducer")
    g.op("TILE", [shape, g.const([2], "int32")], [doubled], "Tile")
    first, pair = g.tensor([1], "int32"), g.tensor([2], "int32")
    g.op("GATHER", [doubled, g.const([3], "int32")], [first], "Gather")
    g.op("CONCATENATION", [first, g.const([2], "int32")], [pair], "Concatenation")
    joined, filled = g.tensor([2], "int32"), g.tensor([], "float32")
    g.op("BROADCAST_ARGS", [pair, g.const([1, 2], "int32")], [joined])
    g.op("FILL", [joined, g.const(3.0)], [filled], "Fill")
    steps, flat = g.tensor([], "int32"), g.tensor([], "float32")
    g.op("RANGE", [g.const(0, "int32"), product, g.const(1, "int32")], [steps], "Range")
    vector = g.tensor([1], "int32")
    g.op("RESHAPE", [product, g.const([1], "int32")], [vector], "Reshape")
    g.op("RESHAPE", [x, vector], [flat], "Reshape")
    floats, ones = g.tensor([], "float32"), g.const(np.ones(12))
    g.op("CAST", [steps], [floats], "Cast", inDataType=2, outDataType=0)
    squares, sums = g.tensor([], "float32"), g.tensor([], "float32")
    g.op("MUL", [ones, ones], [squares], "Mul")
    g.op("ADD", [flat, floats], [sums], "Add")
    g.op("ADD", [sums, squares], [g.output()], "Add")
    g.op("NEG", [filled], [g.output()])
    return g


def transposed(*, scales: int) -> Graph:
    """A transposed convolution with 8-bit weights and float activations."""
    g = Graph()
    quant = ([0.1] * scales, [0] * scales, 0)
    weights = g.const(np.ones((4, 3, 3, 2)), "int8", quant=quant)
    inputs = [g.const([1, 10, 10, 4], "int32"), weights, g.input([1, 5, 5, 2])]
    y = g.tensor([1, 10, 10, 4], "float32")
    g.op("TRANSPOSE_CONV", inputs, [y], "TransposeConv", strideW=2, strideH=2, padding=0)
    g.op("NEG", [y], [g.output()])
    return g


def four_bit_convolution(*, alike: bool) -> Graph:
    """4-bit weights and float activations; scales that are alike count as one."""
    g = Graph()
    scales = [0.1] * 4 if alike else [0.1, 0.2, 0.3, 0.4]
    weights = g.tensor([4, 3, 3, 2], "int4", quant=(scales, [0] * 4, 0), data=bytes(36))
    y = g.tensor([1, 5, 5, 4], "float32")
    g.op(
        "CONV_2D", [g.input([1, 5, 5, 2]), weights, g.const(np.zeros(4))], [y], "Conv2D", strideW=1, strideH=1
    )
    g.op("NEG", [y], [g.output()])
    return g


def reshaped(*, from_input: bool, to_output: bool) -> Graph:
    """A reshape to a shape that only a run tells: an input or output of the graph cannot share its place."""
    g = Graph()
    x = g.input([3, 4])
    source = x if from_input else g.tensor([3, 4], "float32")
    if not from_input:
        g.op("TANH", [x], [source])
    shape, packed = g.tensor([2], "int32"), g.tensor([2], "int32")
    g.op("SHAPE", [x], [shape], "Shape", outType=2)
    ends = [g.const(value, "int32") for value in ([0], [1], [1])]
    rows = g.tensor([], "int32")
    g.op("STRIDED_SLICE", [shape, *ends], [rows], "StridedSlice", shrinkAxisMask=1)
    g.op("PACK", [g.const(4, "int32"), rows], [packed], "Pack", valuesCount=2)
    flat = g.output() if to_output else g.tensor([], "float32")
    g.op("RESHAPE", [source, packed], [flat], "Reshape")
    for _ in range(2):
        made = g.tensor([], "float32")
        g.op("LOGISTIC", [flat], [made])
        flat = made
    g.op("NEG", [flat], [g.output()])
    return g


def growing_loop() -> Graph:
    """A loop that makes its tensor longer; its final length is unknown."""
    g = Graph()
    g.op(
        "WHILE",
        [g.const(0, "int32"), g.input([3])],
        [g.tensor([], "int32"), y := g.tensor([3], "float32")],
        "While",
        condSubgraphIndex=1,
        bodySubgraphIndex=2,
    )
    g.op("NEG", [y], [g.output("float32", [3])])
    _condition(g)
    g.subgraph("body")
    i, x = g.input([], "int32"), g.input([3])
    g.op("ADD", [i, g.const(1, "int32")], [g.output("int32", [])], "Add")
    g.op("CONCATENATION", [x, x], [g.output("float32", [6])], "Concatenation", axis=0)
    return g


def _condition(g: Graph) -> None:
    g.subgraph("condition")
    i, _ = g.input([], "int32"), g.input([3])
    g.op("LESS", [i, g.const(3, "int32")], [g.output("bool", [])], "Less")


def branch_in_a_loop() -> Graph:
    """A loop whose body has a branch; whether it is ever taken is unknown."""
    g = Graph()
    outputs = [g.output("int32", []), g.output("float32", [3])]
    inputs = [g.const(0, "int32"), g.input([3])]
    g.op("WHILE", inputs, outputs, "While", condSubgraphIndex=1, bodySubgraphIndex=2)
    _condition(g)
    g.subgraph("body")
    i, x = g.input([], "int32"), g.input([3])
    g.op("ADD", [i, g.const(1, "int32")], [g.output("int32", [])], "Add")
    first = g.tensor([], "bool")
    g.op("EQUAL", [i, g.const(0, "int32")], [first], "Equal")
    y = g.output("float32", [3])
    g.op("IF", [first, x], [y], "If", thenSubgraphIndex=3, elseSubgraphIndex=4)
    for name, op in (("then", "NEG"), ("else", "ABS")):
        g.subgraph(name)
        g.op(op, [g.input([3])], [g.output("float32", [3])])
    return g


def counter() -> Graph:
    """A scalar variable; for its kernel it could be a tensor of any shape."""
    g = Graph()
    x = g.input([2, 3])
    g.op("CALL_ONCE", [], [], "CallOnce", initSubgraphIndex=1)
    handle, value = g.tensor([], "resource"), g.tensor([], "float32")
    g.op("VAR_HANDLE", [], [handle], "VarHandle", container="", sharedName="n")
    g.op("READ_VARIABLE", [handle], [value], "ReadVariable")
    g.op("ADD", [x, value], [g.output()], "Add")
    g.subgraph("initialise")
    inner = g.tensor([], "resource")
    g.op("VAR_HANDLE", [], [inner], "VarHandle", container="", sharedName="n")
    g.op("ASSIGN_VARIABLE", [inner, g.const(np.zeros(3))], [], "AssignVariable")
    return g


def rare() -> dict[str, Graph]:
    """All of the above by name."""
    return {
        "four bits": four_bit_layer(80, 64, 3),
        "four bits, an odd number of them": four_bit_layer(6, 34, 1),
        "four bits, few": four_bit_layer(3, 8, 2),
        "sparse": sparse_layer(),
        "basic LSTM": basic_lstm(),
        **{
            f"{op}, {dtype}, projected": projected_lstm(op, kind, dtype)
            for op, kind in (("LSTM", "LSTM"), ("UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTM"))
            for dtype in ("float32", "int8")
        },
        **{
            f"bidirectional LSTM, {dtype}, {merged=}, {auxiliary=}": bidirectional_lstm(
                auxiliary=auxiliary, merged=merged, dtype=dtype
            )
            for dtype in ("float32", "int8")
            for merged in (False, True)
            for auxiliary in (False, True)
        },
        "bidirectional RNN": bidirectional_rnn(),
        "transposed, one scale": transposed(scales=1),
        "transposed, scales of channels": transposed(scales=4),
        "four-bit convolution": four_bit_convolution(alike=False),
        "four-bit convolution, scales alike": four_bit_convolution(alike=True),
        **{
            f"reshaped, {from_input=}, {to_output=}": reshaped(from_input=from_input, to_output=to_output)
            for from_input in (False, True)
            for to_output in (False, True)
        },
        "constants": constants(),
        "growing loop": growing_loop(),
        "branch in a loop": branch_in_a_loop(),
        "counter": counter(),
    }
