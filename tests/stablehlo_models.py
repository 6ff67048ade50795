"""Models of StableHLO's ops with the code paths that matter to the arena: composites, cases, windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from litesmith.study.op_models.writer import Graph


def _op(g: Graph, op: str, inputs: Sequence[int], outputs: Sequence[int], kind: str, **options: Any) -> None:
    node = g.op(op, inputs, outputs)
    made = getattr(schema, f"{kind}OptionsT")()
    for key, value in options.items():
        assert hasattr(made, key), key
        setattr(made, key, value)
    node.builtinOptions2 = made
    node.builtinOptions2Type = getattr(schema.BuiltinOptions2, f"{kind}Options")


def _flattened(g: Graph, x: int, rows: int, columns: int, result: int) -> None:
    """A reshape to a shape that only a run tells."""
    shape, batch, packed = g.tensor([2], "int32"), g.tensor([], "int32"), g.tensor([2], "int32")
    g.op("SHAPE", [x], [shape], "Shape", outType=2)
    ends = [g.const(value, "int32") for value in ([0], [1], [1])]
    g.op("STRIDED_SLICE", [shape, *ends], [batch], "StridedSlice", shrinkAxisMask=1)
    scaled = g.tensor([], "int32")
    g.op("MUL", [batch, g.const(columns, "int32")], [scaled], "Mul")
    g.op("PACK", [g.const(rows, "int32"), scaled], [packed], "Pack", valuesCount=2)
    g.op("RESHAPE", [x, packed], [result], "Reshape")


def composite(*, computed: bool = False, unused: bool = False) -> Graph:
    """A composite between two nodes; ``computed``: its decomposition has a shape that only a run tells."""
    g = Graph()
    x = g.input([4, 6])
    before, after = g.tensor([4, 6], "float32"), g.tensor([], "float32")
    g.op("TANH", [x], [before])
    _op(
        g,
        "STABLEHLO_COMPOSITE",
        [before, x],
        [after],
        "StableHLOComposite",
        name="litesmith.test",
        decompositionSubgraphIndex=1,
        compositeAttributes=list(flexbuffers.Dumps({})),
    )
    g.op("NEG", [after], [g.output()])
    g.subgraph("decomposition")
    y, z = g.input([4, 6]), g.input([4, 6])
    first, second = g.tensor([4, 6], "float32"), g.tensor([4, 6], "float32")
    g.op("NEG", [y], [first])
    g.op("ADD", [first, first if unused else z], [second], "Add")
    if computed:
        flat = g.tensor([], "float32")
        _flattened(g, second, 2, 3, flat)
        second = flat
    g.op("TANH", [second], [g.output("float32", [] if computed else [4, 6])])
    return g


def case(*, index: int | None, widths: tuple[int, int]) -> Graph:
    """Two branches, chosen by a constant or by an input, with outputs of these widths."""
    g = Graph()
    x = g.input([4, 6])
    chosen = g.input([], "int32") if index is None else g.const(index, "int32")
    before, after = g.tensor([4, 6], "float32"), g.tensor([], "float32")
    g.op("TANH", [x], [before])
    inputs, outputs = [chosen, before], [after]
    _op(g, "STABLEHLO_CASE", inputs, outputs, "StablehloCase", branchSubgraphIndices=[1, 2])
    g.op("NEG", [after], [g.output()])
    for number, width in enumerate(widths):
        g.subgraph(f"branch {number}")
        y = g.input([4, 6])
        for _ in range(number + 1):
            made = g.tensor([4, 6], "float32")
            g.op("NEG", [y], [made])
            y = made
        begin, size = g.const([0, 0], "int32"), g.const([4, width], "int32")
        g.op("SLICE", [y, begin, size], [g.output("float32", [4, width])], "Slice")
    return g


def windows(*, dilated: bool, padded: bool) -> Graph:
    """A sum over windows, with and without temporaries that are used."""
    g = Graph()
    x, y = g.input([8, 9]), g.tensor([], "float32")
    options: dict[str, Any] = {"windowDimensions": [2, 3], "bodySubgraphIndex": 1, "windowStrides": [1, 2]}
    if dilated:
        options |= {"baseDilations": [2, 1], "windowDilations": [1, 2]}
    if padded:
        options |= {"padding": [1, 2, -1, 0]}
    _op(g, "STABLEHLO_REDUCE_WINDOW", [x, g.const(0.0)], [y], "StablehloReduceWindow", **options)
    g.op("NEG", [y], [g.output()])
    g.subgraph("body")
    g.op("ADD", [g.input([]), g.input([])], [g.output("float32", [])], "Add")
    return g


def padded() -> Graph:
    """Padding at the edges, cropping, and padding between elements."""
    g = Graph()
    x, y = g.input([5, 6]), g.tensor([], "float32")
    options = {"edgePaddingLow": [1, -1], "edgePaddingHigh": [2, 3], "interiorPadding": [0, 2]}
    _op(g, "STABLEHLO_PAD", [x, g.const(0.0)], [y], "StablehloPad", **options)
    g.op("NEG", [y], [g.output()])
    return g


def gathered() -> Graph:
    """Slices from a tensor, with dimensions in another order."""
    g = Graph()
    x, y = g.input([3, 4, 5]), g.tensor([2, 1, 5], "float32")
    starts = g.const(np.array([[0, 1], [2, 3]]), "int64")
    _op(
        g,
        "STABLEHLO_GATHER",
        [x, starts],
        [y],
        "StablehloGather",
        offsetDims=[1, 2],
        collapsedSliceDims=[0],
        startIndexMap=[0, 1],
        indexVectorDim=1,
        sliceSizes=[1, 1, 5],
    )
    g.op("NEG", [y], [g.output("float32", [2, 1, 5])])
    return g


def dilated(*, computed: bool) -> Graph:
    """Dilation by constants, or by factors that another node has computed."""
    g = Graph()
    x, y = g.input([4, 5]), g.tensor([], "float32")
    factors = g.const([2, 3], "int32")
    if computed:
        factors = g.tensor([2], "int32")
        g.op("NEG", [g.const([-2, -3], "int32")], [factors])
    g.op("DILATE", [x, factors, g.const(0.0)], [y])
    g.op("NEG", [y], [g.output()])
    return g


def models() -> dict[str, Graph]:
    """All of them by name."""
    return {
        "composite": composite(),
        "composite with an unused input": composite(unused=True),
        "composite with a computed shape": composite(computed=True),
        "case 0": case(index=0, widths=(6, 6)),
        "case 1": case(index=1, widths=(6, 6)),
        "case without such a branch": case(index=7, widths=(6, 6)),
        "case of other widths": case(index=0, widths=(2, 6)),
        "case by an input": case(index=None, widths=(6, 6)),
        "windows": windows(dilated=False, padded=False),
        "dilated windows": windows(dilated=True, padded=False),
        "padded and dilated windows": windows(dilated=True, padded=True),
        "padded": padded(),
        "gathered": gathered(),
        "dilated": dilated(computed=False),
        "dilated by computed factors": dilated(computed=True),
    }
