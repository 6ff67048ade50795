"""Models of several ops, and of code paths in kernels that the models of single ops do not reach."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

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
        "constants": constants(),
        "growing loop": growing_loop(),
        "branch in a loop": branch_in_a_loop(),
        "counter": counter(),
    }


class _Growing:
    """A random graph under construction, with the actual shapes of its tensors."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.g = Graph()
        self.shapes: dict[int, list[int]] = {}
        self.pool: list[int] = []
        for _ in range(self.rng.randint(1, 3)):
            shape = [self.rng.choice([1, 2, 3, 8]) for _ in range(self.rng.choice([2, 3, 4, 4]))]
            index = self.g.input([*shape, 8])
            self.shapes[index] = [*shape, 8]
            self.pool.append(index)

    def tensor(self, shape: list[int], dtype: str = "float32") -> int:
        """A tensor whose shape may be missing from the file; kernels determine it in any case."""
        index = self.g.tensor(shape if self.rng.random() < 0.7 else [], dtype)
        self.shapes[index] = list(shape)
        return index

    def grown(self, shape: list[int]) -> int:
        index = self.tensor(shape)
        self.pool.append(index)
        return index

    def pick(self) -> tuple[int, list[int]]:
        index = self.rng.choice(self.pool[-6:] if self.rng.random() < 0.8 else self.pool)
        return index, self.shapes[index]

    def ints(self, values: Any) -> int:
        return self.g.const(values, "int32")


def _unary(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op(r.rng.choice(["RELU", "TANH", "LOGISTIC", "NEG"]), [x], [r.grown(s)])


def _softmax(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op("SOFTMAX", [x], [r.grown(s)], "Softmax", beta=1.0)


def _binary(r: _Growing, x: int, s: list[int]) -> None:
    alike = [index for index in r.pool if r.shapes[index] == s]
    both = [x, r.rng.choice(alike) if r.rng.random() < 0.7 else r.g.const(1.0)]
    r.rng.shuffle(both)
    op = r.rng.choice(["ADD", "MUL", "SUB", "DIV"])
    r.g.op(op, both, [r.grown(s)], op.capitalize())


def _reshape(r: _Growing, x: int, s: list[int]) -> None:
    wanted = r.rng.choice([[math.prod(s)], [1, math.prod(s)], [*s, 1]])
    r.g.op("RESHAPE", [x, r.ints(wanted)], [r.grown(wanted)], "Reshape", newShape=wanted)


def _computed_reshape(r: _Growing, x: int, s: list[int]) -> None:
    """A reshape that keeps an unknown batch size, as converters write it."""
    shape, batch, packed = r.tensor([len(s)], "int32"), r.tensor([], "int32"), r.tensor([2], "int32")
    rest = math.prod(s[1:])
    r.g.op("SHAPE", [x], [shape], "Shape", outType=2)
    ends = [r.ints([0]), r.ints([1]), r.ints([1])]
    r.g.op("STRIDED_SLICE", [shape, *ends], [batch], "StridedSlice", shrinkAxisMask=1)
    r.g.op("PACK", [batch, r.ints(rest)], [packed], "Pack", valuesCount=2)
    r.g.op("RESHAPE", [x, packed], [r.grown([s[0], rest])], "Reshape")


def _split(r: _Growing, x: int, s: list[int]) -> None:
    if s[-1] % 2 == 0:
        half = [*s[:-1], s[-1] // 2]
        r.g.op("SPLIT", [r.ints(len(s) - 1), x], [r.grown(half), r.grown(half)], "Split", numSplits=2)


def _unpack(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op("UNPACK", [x], [r.grown(s[1:]) for _ in range(s[0])], "Unpack", num=s[0])


def _squeeze(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op("SQUEEZE", [x], [r.grown([size for size in s if size != 1])], "Squeeze", squeezeDims=[])


def _reduce(r: _Growing, x: int, s: list[int]) -> None:
    op = r.rng.choice(["MEAN", "SUM", "REDUCE_MAX"])
    axis = r.ints([0])
    if r.rng.random() < 0.3:
        axis = r.tensor([1], "int32")
        r.g.op("NEG", [r.ints([0])], [axis])
    r.g.op(op, [x, axis], [r.grown(s[1:])], "Reducer")


def _layer(r: _Growing, x: int, s: list[int]) -> None:
    weights = r.g.const(np.ones((12, s[-1])))
    if r.rng.random() < 0.5:
        weights = r.g.const(np.ones((12, s[-1])), "int8", quant=(0.1, 0))
    r.g.op("FULLY_CONNECTED", [x, weights, -1], [r.grown([math.prod(s[:-1]), 12])], "FullyConnected")


def _convolution(r: _Growing, x: int, s: list[int]) -> None:
    if len(s) != 4:
        return
    quant = r.rng.choice([None, (0.1, 0), ([0.1, 0.2, 0.3, 0.4], [0] * 4, 0)])
    filters = r.g.const(np.ones((4, 3, 3, s[3])), "int8" if quant else "float32", quant=quant)
    r.g.op(
        "CONV_2D",
        [x, filters, r.g.const(np.zeros(4))],
        [r.grown([s[0], -(-s[1] // 2), s[2], 4])],
        "Conv2D",
        strideW=1,
        strideH=2,
    )


def _product(r: _Growing, x: int, s: list[int]) -> None:
    if 2 <= len(s) <= 5:
        right = r.g.const(np.ones([*s[:-2], s[-1], 5]))
        r.g.op("BATCH_MATMUL", [x, right], [r.grown([*s[:-1], 5])], "BatchMatMul")


def _unpacked_constant(r: _Growing, x: int, s: list[int]) -> None:
    floats = r.tensor(s)
    r.g.op("DEQUANTIZE", [r.g.const(np.ones(s), "float16")], [floats])
    r.g.op("ADD", [x, floats], [r.grown(s)], "Add")


def _sum(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op("ADD_N", [x, x], [r.grown(s)])


def _loop(r: _Growing, x: int, s: list[int]) -> None:
    main, count = r.g.current, len(r.g.model.subgraphs)
    options = {"condSubgraphIndex": count, "bodySubgraphIndex": count + 1}
    r.g.op("WHILE", [r.ints(0), x], [r.tensor([], "int32"), r.grown(s)], "While", **options)
    r.g.subgraph("condition")
    i, _ = r.g.input([], "int32"), r.g.input(s)
    r.g.op("LESS", [i, r.ints(r.rng.choice([0, 2]))], [r.g.output("bool", [])], "Less")
    r.g.subgraph("body")
    i, y = r.g.input([], "int32"), r.g.input(s)
    r.g.op("ADD", [i, r.ints(1)], [r.g.output("int32", [])], "Add")
    middle = r.g.tensor(s, "float32")
    r.g.op("TANH", [y], [middle])
    r.g.op("NEG", [middle], [r.g.output("float32", s)])
    r.g.current = main


_STEPS_OF_GROWTH: tuple[Callable[[_Growing, int, list[int]], None], ...] = (
    _unary, _softmax, _binary, _binary, _reshape, _computed_reshape, _split, _unpack, _squeeze, _reduce,
    _layer, _convolution, _product, _unpacked_constant, _sum, _loop,
)  # fmt: skip


def random_graph(seed: int, steps: int) -> Graph:
    """A random graph of ops whose tensors are allocated, freed and reuse each other's memory."""
    r = _Growing(seed)
    for _ in range(steps):
        x, shape = r.pick()
        if shape and math.prod(shape) < 20_000:
            r.rng.choice(_STEPS_OF_GROWTH)(r, x, shape)
    used = {index for node in r.g.current.operators for index in node.inputs}
    made = [index for index in r.pool if index not in r.g.current.inputs]
    loose = [index for index in made if index not in used or r.rng.random() < 0.1]
    r.g.current.outputs = loose or [r.g.current.inputs[0]]
    return r.g


def random_graphs() -> Iterator[tuple[str, Graph]]:
    """Small and large random graphs."""
    for seed in range(40):
        yield f"random {seed}", random_graph(seed, 150 if seed % 8 == 0 else 15)
