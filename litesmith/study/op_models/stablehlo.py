"""Ops of StableHLO that the runtime has kernels for, except for those that reduce windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from litesmith.study.op_models.tensor_types import TensorType, types
from litesmith.study.op_models.writer import Graph, OpModels

_NUMBERS = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
_INTEGERS = "int8 int16 int32 int64 uint8 uint16 uint32 uint64"

_ELEMENTWISE = {
    "STABLEHLO_ADD": _NUMBERS,
    "STABLEHLO_MULTIPLY": _NUMBERS,
    "STABLEHLO_MAXIMUM": f"{_NUMBERS} bool",
    "STABLEHLO_MINIMUM": f"{_NUMBERS} bool",
    "STABLEHLO_AND": f"{_INTEGERS} bool",
    "STABLEHLO_SHIFT_LEFT": "int8 int16 int32",
}


def pairs() -> OpModels:
    """Two inputs of the same shape, element by element, which these ops do not broadcast."""
    rng = np.random.default_rng(21)
    for op, labels in _ELEMENTWISE.items():
        for kind in types(labels):
            g = Graph()
            g.op(op, [g.input([2, 3, 4], kind), g.input([2, 3, 4], kind)], [g.output(kind)])
            numbers = (rng.integers(0, 2 if kind.dtype == "bool" else 6, (2, 3, 4)) for _ in range(2))
            g.sample("small", *(value.astype(kind.dtype) for value in numbers))
            yield op, kind.label, g


def pads() -> OpModels:
    """Elements around and between those of the input; a negative count removes elements."""
    for kind in types(f"{_NUMBERS} bool"):
        for label, low, between in (("", [1, 0], [0, 2]), (" cropped", [-1, 2], [1, 0])):
            g = Graph()
            x, value = g.input([4, 3], kind), g.const(1, kind)
            options = {"edgePaddingLow": low, "edgePaddingHigh": [1, -1], "interiorPadding": between}
            g.op("STABLEHLO_PAD", [x, value], [g.output(kind)], "StablehloPad", **options)
            yield "STABLEHLO_PAD", kind.label + label, g


def gathers() -> OpModels:
    """Slices at given positions, with indices of 32 and of 64 bits."""
    options: dict[str, Any] = {
        "offsetDims": [2, 3],
        "collapsedSliceDims": [0],
        "startIndexMap": [1, 0],
        "indexVectorDim": 2,
        "sliceSizes": [1, 2, 2],
    }
    for kind in types(_NUMBERS):
        for index in ("int32", "int64"):
            g = Graph()
            positions = [[[0, 0], [1, 0], [2, 1]], [[0, 1], [1, 1], [9, 2]]]
            x, at = g.input([3, 4, 2], kind), g.const(positions, index)
            g.op("STABLEHLO_GATHER", [x, at], [g.output(kind, [2, 3, 2, 2])], "StablehloGather", **options)
            yield "STABLEHLO_GATHER", f"{kind.label} {index}", g


_UPDATES = {
    "": "",
    " add": "STABLEHLO_ADD",
    " multiply": "STABLEHLO_MULTIPLY",
    " maximum": "STABLEHLO_MAXIMUM",
    " minimum": "STABLEHLO_MINIMUM",
}
"""Ops of the subgraph that says what becomes of an element and its update; without one it is replaced."""


def scatters() -> OpModels:
    """Slices that are written to given positions, or combined with what is there."""
    for kind in types(_NUMBERS):
        for label, body in _UPDATES.items():
            if kind.dtype in {"float32", "int32"} or not body:
                yield "STABLEHLO_SCATTER", kind.label + label, _scatter(kind, body, "int32")
    (kind,) = types("float32")
    yield "STABLEHLO_SCATTER", "float32 add int64", _scatter(kind, "STABLEHLO_ADD", "int64")


def _scatter(kind: TensorType, body: str, index: str) -> Graph:
    g = Graph()
    # The last position is outside, so that its update is left out.
    positions = g.const([[[0, 2], [1, 0], [2, 1]], [[0, 1], [1, 0], [0, 9]]], index)
    x, updates = g.input([3, 4, 2], kind), g.input([2, 3, 2, 2], kind)
    g.op(
        "STABLEHLO_SCATTER",
        [x, positions, updates],
        [g.output(kind, [3, 4, 2])],
        "StablehloScatter",
        updateWindowDims=[2, 3],
        insertedWindowDims=[0],
        scatterDimsToOperandDims=[1, 0],
        indexVectorDim=2,
        updateComputationSubgraphIndex=1,
    )
    rng = np.random.default_rng(22)
    values = (rng.integers(0, 4, shape).astype(kind.dtype) for shape in ((3, 4, 2), (2, 3, 2, 2)))
    g.sample("small", *values)
    g.subgraph("update")
    inputs = [g.input([], kind), g.input([], kind)]
    if body:
        g.op(body, inputs, [g.output(kind, [])])
    else:
        g.current.outputs.append(inputs[1])
    return g


_STATES = {
    "threefry": (schema.RngAlgorithm.THREEFRY, [1, 2]),
    "philox": (schema.RngAlgorithm.PHILOX, [1, 2, 3]),
    "default": (schema.RngAlgorithm.DEFAULT, [5, 9]),
}


def random_bits() -> OpModels:
    """Random numbers that follow from a state, which is an input and, changed, an output."""
    for label, (algorithm, state) in _STATES.items():
        for dtype in ("int32", "uint32", "int64", "uint64"):
            g = Graph()
            x = g.input([len(state)], "uint64")
            outputs = [g.output("uint64", [len(state)]), g.output(dtype, [3, 5])]
            name = "STABLEHLO_RNG_BIT_GENERATOR"
            g.op(name, [x], outputs, "StablehloRngBitGenerator", algorithm=algorithm)
            g.sample("state", np.array(state, np.uint64))
            yield name, f"{dtype} {label}", g


def cases() -> OpModels:
    """One of three subgraphs, by a number; the last one for numbers out of range."""
    for dtype in ("float32", "int32"):
        g = Graph()
        inputs = [g.input([], "int32"), g.input([2, 3], dtype)]
        g.op("STABLEHLO_CASE", inputs, [g.output(dtype)], "StablehloCase", branchSubgraphIndices=[1, 2, 3])
        for op, table in (("ADD", "Add"), ("MUL", "Mul"), ("SUB", "Sub")):
            g.subgraph(op.lower())
            x = g.input([2, 3], dtype)
            g.op(op, [x, x], [g.output(dtype, [2, 3])], table)
        values = np.arange(6).reshape(2, 3).astype(dtype)
        for number in (0, 1, 2, 7):
            g.sample(f"branch {number}", np.array(number, np.int32), values)
        yield "STABLEHLO_CASE", dtype, g


def composites() -> OpModels:
    """An op that a delegate may know; the runtime runs the subgraph of simpler ops that stands for it."""
    for kind in types("float32 int8*"):
        g = Graph()
        x, y = g.input([2, 3], kind), g.input([2, 3], kind)
        _composite(g, [x, y], [g.output(kind, [2, 3])], 1)
        g.subgraph("decomposition")
        a, b = g.input([2, 3], kind), g.input([2, 3], kind)
        product = g.tensor([2, 3], kind)
        g.op("MUL", [a, b], [product], "Mul")
        g.op("ADD", [product, a], [g.output(kind, [2, 3])], "Add")
        yield "STABLEHLO_COMPOSITE", kind.label, g
    yield "STABLEHLO_COMPOSITE", "float32 nested", _nested_composites()
    yield "STABLEHLO_COMPOSITE", "float32 with an input as output", _composite_that_returns_an_input()


def _composite(g: Graph, inputs: list[int], outputs: list[int], decomposition: int) -> None:
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Float("epsilon", 1e-5)
    g.op(
        "STABLEHLO_COMPOSITE",
        inputs,
        outputs,
        "StableHLOComposite",
        name=b"odml.example",
        decompositionSubgraphIndex=decomposition,
        compositeAttributes=list(builder.Finish()),
        compositeAttributesFormat=schema.CustomOptionsFormat.FLEXBUFFERS,
        version=1,
    )


def _nested_composites() -> Graph:
    g = Graph()
    x, between = g.input([2, 3]), g.tensor([2, 3], "float32")
    _composite(g, [x], [between], 1)
    _composite(g, [between], [g.output("float32", [2, 3])], 2)
    g.subgraph("outer")
    inner = g.tensor([2, 3], "float32")
    y = g.input([2, 3])
    _composite(g, [y], [inner], 3)
    g.op("ADD", [inner, y], [g.output("float32", [2, 3])], "Add")
    g.subgraph("second")
    g.op("NEG", [g.input([2, 3])], [g.output("float32", [2, 3])], "Neg")
    g.subgraph("inner")
    z = g.input([2, 3])
    g.op("MUL", [z, z], [g.output("float32", [2, 3])], "Mul")
    return g


def _composite_that_returns_an_input() -> Graph:
    g = Graph()
    x = g.input([2, 3])
    _composite(g, [x], [g.output("float32", [2, 3]), g.output("float32", [2, 3])], 1)
    g.subgraph("decomposition")
    y = g.input([2, 3])
    g.op("ABS", [y], [g.output("float32", [2, 3])], "Abs")
    g.current.outputs.append(y)
    return g


FAMILY = (pairs, pads, gathers, scatters, random_bits, cases, composites)
