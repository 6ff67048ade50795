"""Ops that reduce many elements to few, or choose among them."""

from __future__ import annotations

import numpy as np

from litesmith.study.op_models.tensor_types import TypedOp, types
from litesmith.study.op_models.writer import Graph, OpModels

_REDUCTIONS = (
    TypedOp("SUM", "float32 int8* uint8* int16* int32 int64"),
    TypedOp("MEAN", "float32 int8* uint8* int16* int32 int64"),
    TypedOp("REDUCE_PROD", "float32 int32 int64 int8* int16*"),
    TypedOp("REDUCE_MAX", "float32 int8* uint8* int16* int32 int64"),
    TypedOp("REDUCE_MIN", "float32 int8* uint8* int16* int32 int64"),
    TypedOp("REDUCE_ANY", "bool"),
    TypedOp("REDUCE_ALL", "bool"),
)

_BOXES = np.array(
    [
        [0, 0, 1, 1],
        [0, 0.1, 1, 1.1],
        [0, -0.1, 1, 0.9],
        [0, 10, 1, 11],
        [0, 10.1, 1, 11.1],
        [5, 5, 6, 6],
    ],
    np.float32,
)
"""A group of three boxes that overlap, a group of two, and one that stands alone."""

_SCORES = np.array([0.9, 0.75, 0.6, 0.95, 0.5, 0.3], np.float32)

_INT64 = 4


def reductions() -> OpModels:
    """Over one axis, over two, and over all."""
    for op in _REDUCTIONS:
        for kind in types(op.types):
            for axes, keep in (([1], True), ([0, 2], False), ([0, 1, 2], False)):
                g = Graph()
                x, y = g.input([2, 3, 4], kind), g.output(kind)
                g.op(op.name, [x, g.const(axes, "int32")], [y], "Reducer", keepDims=keep)
                yield op.name, f"{kind.label} over {''.join(map(str, axes))}", g


def means_of_images() -> OpModels:
    """Means over height and width, which have code paths of their own."""
    for kind in types("float32 int8* uint8*"):
        g = Graph()
        x, y = g.input([1, 5, 6, 3], kind), g.output(kind)
        g.op("MEAN", [x, g.const([1, 2], "int32")], [y], "Reducer", keepDims=True)
        yield "MEAN", f"{kind.label} of an image", g


def largest() -> OpModels:
    """The position of the largest or the smallest element, and the three largest elements."""
    for op, options in (("ARG_MAX", "ArgMax"), ("ARG_MIN", "ArgMin")):
        for kind in types("float32 int8* uint8* int32 bool"):
            g = Graph()
            x = g.input([3, 5], kind)
            g.op(op, [x, g.const(1, "int32")], [g.output("int64")], options, outputType=_INT64)
            yield op, kind.label, g
    for kind in types("float32 int8* uint8* int16* int32 int64"):
        g = Graph()
        x = g.input([2, 7], kind)
        g.op("TOPK_V2", [x, g.const(3, "int32")], [g.output(kind), g.output("int32")], "TopKV2")
        yield "TOPK_V2", kind.label, g


def cumulative_sums() -> OpModels:
    """Forward, and reversed without the element itself."""
    for kind in types("float32 int32 int64"):
        for exclusive in (False, True):
            g = Graph()
            x, axis = g.input([2, 5], kind), g.const(1, "int32")
            g.op("CUMSUM", [x, axis], [g.output(kind)], "Cumsum", exclusive=exclusive, reverse=exclusive)
            yield "CUMSUM", f"{kind.label}{' exclusive' if exclusive else ''}", g


def segments() -> OpModels:
    """Rows that are reduced by the number of their segment, in order and in any order."""
    for kind in types("float32 int32"):
        g = Graph()
        x, numbers = g.input([5, 2], kind), g.const([0, 0, 1, 2, 2], "int32")
        g.op("SEGMENT_SUM", [x, numbers], [g.output(kind)], "SegmentSum")
        yield "SEGMENT_SUM", kind.label, g
        for name in ("Max", "Min", "Prod", "Sum"):
            g = Graph()
            x, numbers = g.input([5, 2], kind), g.const([2, 0, 1, 2, 0], "int32")
            count = g.const(3, "int32")
            op = f"UNSORTED_SEGMENT_{name.upper()}"
            g.op(op, [x, numbers, count], [g.output(kind)], f"UnsortedSegment{name}")
            yield op, kind.label, g


def non_max_suppression() -> OpModels:
    """Version 4, and version 5 with decaying scores: another limit, and the scores as another output."""
    for version in (4, 5):
        op = f"NON_MAX_SUPPRESSION_V{version}"
        g = Graph()
        boxes, scores = g.input([6, 4]), g.input([6])
        most, overlap, score = g.const(4, "int32"), g.const(0.5), g.const(0.1)
        sigma = [g.const(0.5)] if version == 5 else []
        selected = g.output("int32")
        selected_scores = [g.output()] if version == 5 else []
        count = g.output("int32")
        g.op(
            op,
            [boxes, scores, most, overlap, score, *sigma],
            [selected, *selected_scores, count],
            f"NonMaxSuppressionV{version}",
        )
        g.sample("boxes", _BOXES, _SCORES)
        # The order of equal scores is that of the reference's priority queue.
        g.sample("equal scores", _BOXES, np.array([0.5, 0.9, 0.5, 0.9, 0.5, 0.5], np.float32))
        yield op, "float32", g


FAMILY = (reductions, means_of_images, largest, cumulative_sums, segments, non_max_suppression)
