"""Ops that reduce windows of a tensor, and that put elements between those of a tensor."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litesmith.study.op_models.tensor_types import TensorType, types
from litesmith.study.op_models.writer import Graph, OpModels

_NUMBERS = "float32 float64 int8 int16 int32 int64 uint8"

_FUNCTIONS = {
    "add": (schema.ReduceWindowFunction.ADD, ("ADD", "Add"), "STABLEHLO_ADD", 0),
    "multiply": (schema.ReduceWindowFunction.MUL, ("MUL", "Mul"), "STABLEHLO_MULTIPLY", 1),
    "minimum": (schema.ReduceWindowFunction.MINIMUM, ("MINIMUM", "MaximumMinimum"), "STABLEHLO_MINIMUM", 5),
    "maximum": (schema.ReduceWindowFunction.MAXIMUM, ("MAXIMUM", "MaximumMinimum"), "STABLEHLO_MAXIMUM", 0),
    "all": (schema.ReduceWindowFunction.ALL, ("LOGICAL_AND", "LogicalAnd"), "STABLEHLO_AND", 1),
    "any": (schema.ReduceWindowFunction.ANY, ("LOGICAL_OR", "LogicalOr"), "", 0),
}
"""Function → its number, the body of a reduction as an op of TensorFlow Lite (with the table of its options)
and as one of StableHLO, and the value before the first element."""


def _types_of(function: str) -> tuple[TensorType, ...]:
    if function in {"all", "any"}:
        return types("bool")
    return types(_NUMBERS if function == "add" else "float32 int32")


def _sample(g: Graph, dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(23)
    g.sample("small", rng.integers(0, 2 if dtype == "bool" else 4, shape).astype(dtype))


def windows() -> OpModels:
    """The first form of the op, which has the windows as constants."""
    for name, (function, _, _, start) in _FUNCTIONS.items():
        for kind in _types_of(name):
            g = Graph()
            x, first = g.input([4, 5], kind), g.const(start, kind)
            sizes, strides, dilations = (g.const(v, "int64") for v in ([2, 3], [1, 1], [2, 1]))
            inputs = [x, first, sizes, strides, dilations]
            g.op("REDUCE_WINDOW", inputs, [g.output(kind)], "ReduceWindow", reduceFunction=function)
            _sample(g, kind.dtype, (4, 5))
            yield "REDUCE_WINDOW", f"{kind.label} {name}", g


def stablehlo_windows() -> OpModels:
    """The form that also pads and dilates the input, with the function in a subgraph."""
    for name, (_, (op, table), stablehlo_op, start) in _FUNCTIONS.items():
        for kind in _types_of(name):
            # The body's own kernel never runs: MUL and others have no code for these dtypes.
            if stablehlo_op:
                g = _stablehlo_window(kind, start)
                body = [g.input([], kind), g.input([], kind)]
                g.op(stablehlo_op, body, [g.output(kind, [])])
                yield "STABLEHLO_REDUCE_WINDOW", f"{kind.label} {name}", g
            if kind.dtype in {"float32", "bool"}:
                g = _stablehlo_window(kind, start)
                body = [g.input([], kind), g.input([], kind)]
                g.op(op, body, [g.output(kind, [])], table)
                yield "STABLEHLO_REDUCE_WINDOW", f"{kind.label} {op}", g


def _stablehlo_window(kind: TensorType, start: int) -> Graph:
    """A model up to its second subgraph, the body, which is still empty."""
    g = Graph()
    x, first = g.input([4, 5], kind), g.const(start, kind)
    g.op(
        "STABLEHLO_REDUCE_WINDOW",
        [x, first],
        [g.output(kind)],
        "StablehloReduceWindow",
        windowDimensions=[2, 3],
        windowStrides=[2, 1],
        baseDilations=[2, 1],
        windowDilations=[1, 2],
        padding=[1, 1, 0, -1],
        bodySubgraphIndex=1,
    )
    _sample(g, kind.dtype, (4, 5))
    g.subgraph("body")
    return g


def dilations() -> OpModels:
    """Copies of a value between the elements of the input."""
    for kind in types("float32 float16 float64 int8* uint8* int16* int32 int64 bool"):
        g = Graph()
        x, steps, value = g.input([3, 2, 4], kind), g.const([2, 1, 3], "int32"), g.const(1, kind)
        g.op("DILATE", [x, steps, value], [g.output(kind)])
        yield "DILATE", kind.label, g


FAMILY = (windows, stablehlo_windows, dilations)
