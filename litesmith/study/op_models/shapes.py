"""Ops that move, cut, repeat and describe elements without computing with them."""

from __future__ import annotations

import numpy as np

from litesmith.study.op_models.elementwise import Made, quantized
from litesmith.study.op_models.writer import Graph

COMMON = "float32 int8* uint8* int16* int32 int64"


def plain() -> Made:
    """One tensor, and constants that say what to do with it."""
    for word in (COMMON + " bool").split():
        dtype, more = quantized(word)

        def graph(shape: list[int]) -> tuple[Graph, int, int]:
            g = Graph()
            return g, g.input(shape, dtype, **more), g.output(dtype, **more)  # noqa: B023

        g, x, y = graph([2, 3, 4])
        g.op("RESHAPE", [x, g.const([4, 6], "int32")], [y], "Reshape", newShape=[4, 6])
        yield "RESHAPE", word, g
        g, x, y = graph([2, 3])
        g.op("EXPAND_DIMS", [x, g.const([1], "int32")], [y], "ExpandDims")
        yield "EXPAND_DIMS", word, g
        g, x, y = graph([1, 3, 1, 2])
        g.op("SQUEEZE", [x], [y], "Squeeze", squeezeDims=[0])
        yield "SQUEEZE", word, g
        g, x, y = graph([2, 3, 4])
        g.op("TRANSPOSE", [x, g.const([2, 0, 1], "int32")], [y], "Transpose")
        yield "TRANSPOSE", word, g
        g, x, y = graph([2, 5, 3])
        g.op("SLICE", [x, g.const([0, 1, 1], "int32"), g.const([2, 3, -1], "int32")], [y], "Slice")
        yield "SLICE", word, g
        g, x, y = graph([4, 5, 3])
        ends = [g.const(v, "int32") for v in ([1, 0, 0], [3, 5, 3], [1, 2, 1])]
        g.op("STRIDED_SLICE", [x, *ends], [y], "StridedSlice", beginMask=2, endMask=4)
        yield "STRIDED_SLICE", word, g
        g, x, y = graph([2, 3, 4])
        indices = g.const([1, 0, 2], "int32")
        g.op("GATHER", [x, indices], [y], "Gather", axis=1)
        yield "GATHER", word, g
        g, x, y = graph([1, 4, 4, 2])
        g.op("SPACE_TO_DEPTH", [x], [y], "SpaceToDepth", blockSize=2)
        if word != "int16*" and word != "bool":
            yield "SPACE_TO_DEPTH", word, g
        g, x, y = graph([1, 2, 2, 8])
        g.op("DEPTH_TO_SPACE", [x], [y], "DepthToSpace", blockSize=2)
        if word != "int16*" and word != "bool":
            yield "DEPTH_TO_SPACE", word, g
        g, x, y = graph([2, 3])
        g.op("SHAPE", [x], [g.output("int32")], "Shape", outType=2)
        g.current.outputs.remove(y)
        yield "SHAPE", word, g
        g, x, y = graph([2, 3])
        g.op("RANK", [x], [g.output("int32")], "Rank")
        g.current.outputs.remove(y)
        yield "RANK", word, g
        g, x, y = graph([2, 3])
        g.op("BROADCAST_TO", [x, g.const([4, 2, 3], "int32")], [y], "BroadcastTo")
        yield "BROADCAST_TO", word, g
        if word not in {"int16*", "bool"} or word == "bool":
            g, x, y = graph([2, 3])
            g.op("TILE", [x, g.const([2, 2], "int32")], [y], "Tile")
            if word != "int16*":
                yield "TILE", word, g


def unsigned() -> Made:
    """uint32, which few kernels have."""
    g = Graph()
    x, y = g.input([2, 5, 3], "uint32"), g.output("uint32")
    g.op("SLICE", [x, g.const([0, 1, 1], "int32"), g.const([2, 3, -1], "int32")], [y], "Slice")
    yield "SLICE", "uint32", g
    g = Graph()
    x, y = g.input([4, 5, 3], "uint32"), g.output("uint32")
    ends = [g.const(v, "int32") for v in ([1, 0, 0], [3, 5, 3], [1, 2, 1])]
    g.op("STRIDED_SLICE", [x, *ends], [y], "StridedSlice")
    yield "STRIDED_SLICE", "uint32", g
    g = Graph()
    parts = [g.input([2, 3], "uint32") for _ in range(2)]
    g.op("CONCATENATION", parts, [g.output("uint32")], "Concatenation", axis=1)
    yield "CONCATENATION", "uint32", g
    g = Graph()
    parts = [g.input([2, 3], "uint32") for _ in range(2)]
    g.op("PACK", parts, [g.output("uint32")], "Pack", axis=0, valuesCount=2)
    yield "PACK", "uint32", g


def padding() -> Made:
    """Borders."""
    edges = [[0, 0], [1, 2], [2, 1], [0, 0]]
    for word in COMMON.split():
        dtype, more = quantized(word)
        g = Graph()
        x, y = g.input([1, 3, 4, 2], dtype, **more), g.output(dtype, **more)
        g.op("PAD", [x, g.const(edges, "int32")], [y], "Pad")
        yield "PAD", word, g
        g = Graph()
        x, y = g.input([1, 3, 4, 2], dtype, **more), g.output(dtype, **more)
        value = g.const(3, dtype, **more)
        g.op("PADV2", [x, g.const(edges, "int32"), value], [y], "PadV2")
        yield "PADV2", word, g
        g = Graph()
        x, y = g.input([3, 4], dtype, **more), g.output(dtype, **more)
        g.op("MIRROR_PAD", [x, g.const([[1, 2], [2, 1]], "int32")], [y], "MirrorPad", mode=0)
        yield "MIRROR_PAD", word, g
    for word in COMMON.split():
        dtype, more = quantized(word)
        g = Graph()
        x, y = g.input([1, 4, 4, 2], dtype, **more), g.output(dtype, **more)
        crops = g.const([[0, 0], [0, 0]], "int32")
        g.op("SPACE_TO_BATCH_ND", [x, g.const([2, 2], "int32"), crops], [y], "SpaceToBatchND")
        yield "SPACE_TO_BATCH_ND", word, g
        g = Graph()
        x, y = g.input([4, 2, 2, 2], dtype, **more), g.output(dtype, **more)
        crops = g.const([[0, 0], [0, 0]], "int32")
        g.op("BATCH_TO_SPACE_ND", [x, g.const([2, 2], "int32"), crops], [y], "BatchToSpaceND")
        yield "BATCH_TO_SPACE_ND", word, g


def together() -> Made:
    """Several tensors into one, and one into several."""
    for word in (COMMON + " bool").split():
        dtype, more = quantized(word)
        g = Graph()
        parts = [g.input([2, n, 2], dtype, **more) for n in (1, 3, 2)]
        g.op("CONCATENATION", parts, [g.output(dtype, **more)], "Concatenation", axis=1)
        yield "CONCATENATION", word, g
        if word != "bool":
            g = Graph()
            parts = [g.input([2, 3], dtype, **more) for _ in range(3)]
            g.op("PACK", parts, [g.output(dtype, **more)], "Pack", axis=1, valuesCount=3)
            yield "PACK", word, g
        if word != "int64":
            g = Graph()
            x = g.input([2, 3], dtype, **more)
            g.op("UNPACK", [x], [g.output(dtype, **more) for _ in range(3)], "Unpack", axis=1, num=3)
            yield "UNPACK", word, g
        if word not in {"bool", "int64"}:
            g = Graph()
            x = g.input([2, 6], dtype, **more)
            outputs = [g.output(dtype, **more) for _ in range(3)]
            g.op("SPLIT", [g.const(1, "int32"), x], outputs, "Split", numSplits=3)
            yield "SPLIT", word, g
        if word not in {"bool"}:
            g = Graph()
            x = g.input([2, 6], dtype, **more)
            sizes, axis = g.const([1, 3, 2], "int32"), g.const(1, "int32")
            outputs = [g.output(dtype, **more) for _ in range(3)]
            g.op("SPLIT_V", [x, sizes, axis], outputs, "SplitV", numSplits=3)
            yield "SPLIT_V", word, g


def turned() -> Made:
    """Reversals, diagonals, and what picks or places by index."""
    for word in ("float32", "int8*", "uint8*", "int16*", "int32", "int64", "bool"):
        dtype, more = quantized(word)
        g = Graph()
        x, y = g.input([3, 4, 2], dtype, **more), g.output(dtype, **more)
        g.op("REVERSE_V2", [x, g.const([1], "int32")], [y], "ReverseV2")
        yield "REVERSE_V2", word, g
    for word in ("float32", "uint8*", "int16*", "int32", "int64"):
        dtype, more = quantized(word)
        g = Graph()
        x, y = g.input([3, 4, 2], dtype, **more), g.output(dtype, **more)
        lengths = g.const([2, 4, 1], "int32")
        g.op("REVERSE_SEQUENCE", [x, lengths], [y], "ReverseSequence", seqDim=1, batchDim=0)
        yield "REVERSE_SEQUENCE", word, g
    for word in ("float32", "int8*", "uint8*", "int16*", "int32", "int64"):
        dtype, more = quantized(word)
        g = Graph()
        g.op("MATRIX_DIAG", [g.input([2, 3], dtype, **more)], [g.output(dtype, **more)], "MatrixDiag")
        yield "MATRIX_DIAG", word, g
        g = Graph()
        x, d = g.input([2, 3, 4], dtype, **more), g.input([2, 3], dtype, **more)
        g.op("MATRIX_SET_DIAG", [x, d], [g.output(dtype, **more)], "MatrixSetDiag")
        yield "MATRIX_SET_DIAG", word, g
    for word in ("float32", "int8*", "uint8*", "int16*", "int32", "int64"):
        dtype, more = quantized(word)
        g = Graph()
        x, y = g.input([3, 4, 2], dtype, **more), g.output(dtype, **more)
        g.op("GATHER_ND", [x, g.const([[0, 1], [2, 3]], "int32")], [y], "GatherNd")
        yield "GATHER_ND", word, g
    for dtype in ("float32", "int8", "uint8", "int32", "int64", "bool"):
        g = Graph()
        indices, updates = g.const([[1], [3], [1]], "int32"), g.input([3, 2], dtype)
        g.op("SCATTER_ND", [indices, updates, g.const([5, 2], "int32")], [g.output(dtype)], "ScatterNd")
        yield "SCATTER_ND", dtype, g
    for dtype in ("float32", "int32", "int64", "int8", "uint8"):
        g = Graph()
        indices, shape = g.const([[0, 1], [2, 3]], "int32"), g.const([3, 4], "int32")
        values, default = g.input([2], dtype), g.const(1, dtype)
        g.op("SPARSE_TO_DENSE", [indices, shape, values, default], [g.output(dtype)], "SparseToDense")
        yield "SPARSE_TO_DENSE", dtype, g
    for dtype in ("float32", "int8", "int32", "int64", "bool"):
        g = Graph()
        x, update = g.input([4, 5], dtype), g.input([2, 3], dtype)
        start = g.const([1, 2], "int32")
        g.op("DYNAMIC_UPDATE_SLICE", [x, update, start], [g.output(dtype)], "DynamicUpdateSlice")
        yield "DYNAMIC_UPDATE_SLICE", dtype, g
    for dtype in ("float32", "int8", "uint8", "int32", "int64", "bool"):
        g = Graph()
        depth, on, off = g.const(4, "int32"), g.const(1, dtype), g.const(0, dtype)
        g.op("ONE_HOT", [g.const([0, 3, 1], "int32"), depth, on, off], [g.output(dtype)], "OneHot", axis=-1)
        yield "ONE_HOT", dtype, g
    for dtype in ("float32", "int8", "int16", "int32", "int64", "bool"):
        g = Graph()
        value = g.input([], dtype)
        g.op("FILL", [g.const([2, 3], "int32"), value], [g.output(dtype)], "Fill")
        yield "FILL", dtype, g
    for dtype in ("float32", "int32", "int64"):
        g = Graph()
        ends = [g.const(v, dtype) for v in (1, 9, 2)]
        g.op("RANGE", ends, [g.output(dtype)], "Range")
        yield "RANGE", dtype, g
    for dtype in ("int32", "int64"):
        g = Graph()
        shapes = [g.const([3, 1], dtype), g.const([1, 4], dtype)]
        g.op("BROADCAST_ARGS", shapes, [g.output(dtype)])
        yield "BROADCAST_ARGS", dtype, g
    for dtype in ("float32", "int8", "uint8", "int16", "int32", "int64"):
        g = Graph()
        x, values, indices = g.input([9], dtype), g.output(dtype), g.output("int32")
        g.op("UNIQUE", [x], [values, indices], "Unique", idxOutType=2)
        g.sample("repeated", np.array([1, 2, 1, 5, 5, 3, 2, 1, 0], dtype))
        yield "UNIQUE", dtype, g


FAMILY = (plain, unsigned, padding, together, turned)
