"""Ops that choose by a condition: SELECT, WHERE, BUCKETIZE."""

from __future__ import annotations

from litesmith.study.op_models.tensor_types import types
from litesmith.study.op_models.writer import Graph, OpModels


def select() -> OpModels:
    """One of two inputs for each element; the first one broadcasts in the second version of the op."""
    for op, options, first in (("SELECT", "Select", [2, 3]), ("SELECT_V2", "SelectV2", [3])):
        for kind in types("float32 bool int8 uint8 int16 int32 uint32 int64"):
            g = Graph()
            inputs = [g.input([2, 3], "bool"), g.input(first, kind), g.input([2, 3], kind)]
            g.op(op, inputs, [g.output(kind)], options)
            yield op, kind.label, g


def where() -> OpModels:
    """The indices of elements that are not zero."""
    for kind in types("float32 int32 uint32 int64 int8 uint8 bool"):
        g = Graph()
        g.op("WHERE", [g.input([3, 4], kind)], [g.output("int64")], "Where")
        yield "WHERE", kind.label, g


def bucketize() -> OpModels:
    """The number of the interval that an element is in."""
    for dtype, boundaries in (
        ("float32", [-0.5, 0.0, 0.25, 0.9]),
        ("int32", [-1.0, 0.0, 1.0]),
        ("int64", [-1.0, 0.0, 1.0]),
        ("float64", [-1.0, 0.0, 1.0]),
    ):
        g = Graph()
        g.op("BUCKETIZE", [g.input([3, 4], dtype)], [g.output("int32")], "Bucketize", boundaries=boundaries)
        yield "BUCKETIZE", dtype, g


FAMILY = (select, where, bucketize)
