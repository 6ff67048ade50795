"""Ops that reverse, pick and place elements by index, and make tensors from indices and sizes."""

from __future__ import annotations

import numpy as np

from litesmith.study.op_models.tensor_types import types
from litesmith.study.op_models.writer import Graph, OpModels


def reversals() -> OpModels:
    """Along an axis, whole or up to a length."""
    for kind in types("float32 int8* uint8* int16* int32 int64 bool"):
        g = Graph()
        x, y = g.input([3, 4, 2], kind), g.output(kind)
        g.op("REVERSE_V2", [x, g.const([1], "int32")], [y], "ReverseV2")
        yield "REVERSE_V2", kind.label, g
        g = Graph()
        x, y = g.input([3, 4, 2], kind), g.output(kind)
        g.op("REVERSE_V2", [x, g.const([0, 1], "int32")], [y], "ReverseV2")
        yield "REVERSE_V2", f"{kind.label} of two axes", g
    for kind in types("float32 uint8* int16* int32 int64"):
        g = Graph()
        x, y = g.input([3, 4, 2], kind), g.output(kind)
        lengths = g.const([2, 4, 1], "int32")
        g.op("REVERSE_SEQUENCE", [x, lengths], [y], "ReverseSequence", seqDim=1, batchDim=0)
        yield "REVERSE_SEQUENCE", kind.label, g


def diagonals() -> OpModels:
    """A matrix from its diagonal, and a matrix with another diagonal."""
    for kind in types("float32 int8* uint8* int16* int32 int64"):
        g = Graph()
        g.op("MATRIX_DIAG", [g.input([2, 3], kind)], [g.output(kind)], "MatrixDiag")
        yield "MATRIX_DIAG", kind.label, g
        g = Graph()
        x, diagonal = g.input([2, 3, 4], kind), g.input([2, 3], kind)
        g.op("MATRIX_SET_DIAG", [x, diagonal], [g.output(kind)], "MatrixSetDiag")
        yield "MATRIX_SET_DIAG", kind.label, g


def gather_nd() -> OpModels:
    """Picks slices by their indices."""
    for kind in types("float32 int8* uint8* int16* int32 int64 bool"):
        g = Graph()
        x, y = g.input([3, 4, 2], kind), g.output(kind)
        g.op("GATHER_ND", [x, g.const([[0, 1], [2, 3]], "int32")], [y], "GatherNd")
        yield "GATHER_ND", kind.label, g


def indices() -> OpModels:
    """Positions of 16 and of 64 bits; batches of positions; a slice from a begin to a length."""
    (kind,) = types("float32")
    for index in ("int16", "int64"):
        g = Graph()
        g.op("GATHER", [g.input([2, 3, 4]), g.const([1, 0, 2], index)], [g.output()], "Gather", axis=1)
        yield "GATHER", f"{kind.label} by {index}", g
        g = Graph()
        g.op("GATHER_ND", [g.input([3, 4, 2]), g.const([[0, 1], [2, 3]], index)], [g.output()], "GatherNd")
        yield "GATHER_ND", f"{kind.label} by {index}", g
    g = Graph()
    at = g.const([[2, 0], [1, 1]], "int32")
    g.op("GATHER", [g.input([2, 3, 4]), at], [g.output()], "Gather", axis=1, batchDims=1)
    yield "GATHER", f"{kind.label} in batches", g
    g = Graph()
    begin, size = g.const([0, 1, 1], "int64"), g.const([2, 3, -1], "int64")
    g.op("SLICE", [g.input([2, 5, 3]), begin, size], [g.output()], "Slice")
    yield "SLICE", f"{kind.label} by int64", g
    g = Graph()
    begin, size, strides = (g.const(value, "int32") for value in ([1, 0, 0], [2, 5, 3], [1, 2, 1]))
    inputs = [g.input([4, 5, 3]), begin, size, strides]
    g.op("STRIDED_SLICE", inputs, [g.output()], "StridedSlice", offset=True)
    yield "STRIDED_SLICE", f"{kind.label} of a length", g


def scatter_nd() -> OpModels:
    """Places slices by their indices; slices with the same index are added."""
    for kind in types("float32 int8 uint8 int32 int64 bool"):
        g = Graph()
        indices, updates = g.const([[1], [3], [1]], "int32"), g.input([3, 2], kind)
        g.op("SCATTER_ND", [indices, updates, g.const([5, 2], "int32")], [g.output(kind)], "ScatterNd")
        yield "SCATTER_ND", kind.label, g


def sparse_to_dense() -> OpModels:
    """Places single elements by their indices, among copies of a default."""
    for kind in types("float32 int32 int64 int8 uint8"):
        g = Graph()
        indices, shape = g.const([[0, 1], [2, 3]], "int32"), g.const([3, 4], "int32")
        values, default = g.input([2], kind), g.const(1, kind)
        g.op("SPARSE_TO_DENSE", [indices, shape, values, default], [g.output(kind)], "SparseToDense")
        yield "SPARSE_TO_DENSE", kind.label, g


def dynamic_update_slice() -> OpModels:
    """Overwrites part of a tensor."""
    for kind in types("float32 int8 int16 int32 int64 bool"):
        for label, index in (("", "int32"), (" by int64", "int64")):
            g = Graph()
            x, update = g.input([4, 5], kind), g.input([2, 3], kind)
            start = g.const([1, 2], index)
            g.op("DYNAMIC_UPDATE_SLICE", [x, update, start], [g.output(kind)], "DynamicUpdateSlice")
            yield "DYNAMIC_UPDATE_SLICE", kind.label + label, g


def one_hot() -> OpModels:
    """A vector with one element set, for each index."""
    for kind in types("float32 int8 uint8 int32 int64 bool"):
        g = Graph()
        depth, on, off = g.const(4, "int32"), g.const(1, kind), g.const(0, kind)
        g.op("ONE_HOT", [g.const([0, 3, 1], "int32"), depth, on, off], [g.output(kind)], "OneHot", axis=-1)
        yield "ONE_HOT", kind.label, g


def fill() -> OpModels:
    """Copies of a value."""
    for kind in types("float32 int8 int16 int32 int64 bool"):
        g = Graph()
        value = g.input([], kind)
        g.op("FILL", [g.const([2, 3], "int32"), value], [g.output(kind)], "Fill")
        yield "FILL", kind.label, g


def ranges() -> OpModels:
    """Numbers from a start to a limit, with a step."""
    for kind in types("float32 int32 int64"):
        g = Graph()
        g.op("RANGE", [g.const(value, kind) for value in (1, 9, 2)], [g.output(kind)], "Range")
        yield "RANGE", kind.label, g


def broadcast_args() -> OpModels:
    """The shape that two shapes broadcast to."""
    for kind in types("int32 int64"):
        g = Graph()
        shapes = [g.const([3, 1], kind), g.const([1, 4], kind)]
        g.op("BROADCAST_ARGS", shapes, [g.output(kind)])
        yield "BROADCAST_ARGS", kind.label, g


def unique() -> OpModels:
    """The different values of a vector, and which of them each element is."""
    for kind in types("float32 int8 uint8 int16 int32 int64"):
        g = Graph()
        x, values, indices = g.input([9], kind), g.output(kind), g.output("int32")
        g.op("UNIQUE", [x], [values, indices], "Unique", idxOutType=2)
        g.sample("repeated", np.array([1, 2, 1, 5, 5, 3, 2, 1, 0], kind.dtype))
        yield "UNIQUE", kind.label, g


FAMILY = (
    *(reversals, diagonals, gather_nd, indices, scatter_nd, sparse_to_dense, dynamic_update_slice),
    *(one_hot, fill, ranges, broadcast_args, unique),
)
