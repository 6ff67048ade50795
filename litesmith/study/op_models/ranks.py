"""Tensors with as many dimensions as a kernel has code for, where that is more than four."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from litesmith.study.op_models.tensor_types import types
from litesmith.study.op_models.writer import Graph, OpModels

_BROADCAST = {
    "ADD": ("Add", "float32 int32 int8* uint8* int16*", 6),
    "SUB": ("Sub", "float32 int32 int8* uint8* int16*", 6),
    "MUL": ("Mul", "float32 int32 int8* uint8* int16*", 6),
    "DIV": ("Div", "float32 uint8* int8*", 5),
    "MAXIMUM": ("MaximumMinimum", "float32 int8* int32", 5),
    "MINIMUM": ("MaximumMinimum", "float32 int8* int32", 5),
}
"""Op → the table of its options, types, and the number of dimensions that its kernels broadcast."""

_SHAPES = {
    5: ([2, 1, 3, 1, 2], [1, 2, 1, 2, 2]),
    6: ([2, 1, 3, 1, 2, 1], [1, 2, 1, 2, 2, 3]),
}


def broadcasts() -> OpModels:
    """Two inputs, each of which is repeated along some dimensions."""
    for op, (table, labels, most) in _BROADCAST.items():
        for kind in types(labels):
            for rank in range(5, most + 1):
                g = Graph()
                inputs = [g.input(shape, kind) for shape in _SHAPES[rank]]
                g.op(op, inputs, [g.output(kind)], table)
                yield op, f"{kind.label} {rank}D", g


def choices() -> OpModels:
    """Elements of one of two inputs, with a condition that is repeated."""
    for kind in types("float32 int8 int32"):
        g = Graph()
        inputs = [g.input([2, 1, 3, 1, 2], "bool"), *(g.input([2, 2, 3, 2, 2], kind) for _ in range(2))]
        g.op("SELECT_V2", inputs, [g.output(kind)], "SelectV2")
        yield "SELECT_V2", f"{kind.label} 5D", g


_SIX = [2, 1, 3, 2, 1, 2]
_FIVE = [2, 3, 2, 3, 2]


def _with_constants(
    op: str, table: str, shape: Sequence[int], *constants: Sequence[object]
) -> Callable[[str], Graph]:
    """What makes a model of an op with one input and int32 constants, for a type."""

    def make(label: str) -> Graph:
        (kind,) = types(label)
        g = Graph()
        inputs = [g.input(shape, kind), *(g.const(value, "int32") for value in constants)]
        g.op(op, inputs, [g.output(kind)], table)
        return g

    return make


_MOVES: tuple[tuple[str, str, Callable[[str], Graph]], ...] = (
    ("TRANSPOSE", "5D", _with_constants("TRANSPOSE", "Transpose", _FIVE, [4, 2, 0, 3, 1])),
    ("TRANSPOSE", "6D", _with_constants("TRANSPOSE", "Transpose", _SIX, [5, 3, 0, 4, 2, 1])),
    ("SLICE", "5D", _with_constants("SLICE", "Slice", _FIVE, [0, 1, 0, 2, 1], [2, 2, 1, 1, -1])),
    (
        "STRIDED_SLICE",
        "5D",
        _with_constants(
            "STRIDED_SLICE", "StridedSlice", _FIVE, [0, 0, 1, 0, 0], [2, 3, 2, 3, 2], [1, 2, 1, 2, 1]
        ),
    ),
    ("PAD", "5D", _with_constants("PAD", "Pad", _FIVE, [[0, 1], [1, 0], [0, 0], [2, 1], [0, 1]])),
    ("TILE", "5D", _with_constants("TILE", "Tile", _FIVE, [1, 2, 1, 1, 2])),
    ("BROADCAST_TO", "6D", _with_constants("BROADCAST_TO", "BroadcastTo", [2, 1, 3], [2, 1, 2, 2, 4, 3])),
    ("REVERSE_V2", "5D", _with_constants("REVERSE_V2", "ReverseV2", _FIVE, [1, 2, 3])),
    ("SUM", "5D", _with_constants("SUM", "Reducer", _FIVE, [1, 3])),
    ("MEAN", "5D", _with_constants("MEAN", "Reducer", _FIVE, [0, 2, 4])),
    ("REDUCE_MAX", "6D", _with_constants("REDUCE_MAX", "Reducer", _SIX, [2, 5])),
)
"""Op, label, and what makes its model."""


def moves() -> OpModels:
    """One tensor, and constants that say what to do with it."""
    for op, label, make in _MOVES:
        for kind in types("float32 int8* int32"):
            yield op, f"{kind.label} {label}", make(kind.label)


def products() -> OpModels:
    """Batches of matrices in five dimensions, of which the second input has fewer."""
    for kind in types("float32 int8*"):
        g = Graph()
        g.op(
            "BATCH_MATMUL",
            [g.input([2, 1, 3, 4, 2], kind), g.input([3, 2, 5], kind)],
            [g.output(kind)],
            "BatchMatMul",
        )
        yield "BATCH_MATMUL", f"{kind.label} 5D", g


FAMILY = (broadcasts, choices, moves, products)
