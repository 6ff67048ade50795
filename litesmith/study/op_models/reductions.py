"""Ops that fold many elements into few, or choose among them."""

from __future__ import annotations

import numpy as np

from litesmith.study.op_models.elementwise import Made, quantized
from litesmith.study.op_models.writer import Graph


def reduce() -> Made:
    """Over one axis, and over all."""
    for op, words in (
        ("SUM", "float32 int8* uint8* int16* int32 int64"),
        ("MEAN", "float32 int8* uint8* int16* int32 int64"),
        ("REDUCE_PROD", "float32 int32 int64 int8* int16*"),
        ("REDUCE_MAX", "float32 int8* uint8* int16* int32 int64"),
        ("REDUCE_MIN", "float32 int8* uint8* int16* int32 int64"),
        ("REDUCE_ANY", "bool"),
        ("REDUCE_ALL", "bool"),
    ):
        for word in words.split():
            dtype, more = quantized(word)
            for axes, keep in (([1], True), ([0, 2], False), ([0, 1, 2], False)):
                g = Graph()
                x, y = g.input([2, 3, 4], dtype, **more), g.output(dtype, **more)
                g.op(op, [x, g.const(axes, "int32")], [y], "Reducer", keepDims=keep)
                yield op, f"{word} over {''.join(map(str, axes))}", g
    # Means over height and width have kernels of their own.
    for word in ("float32", "int8*", "uint8*"):
        dtype, more = quantized(word)
        g = Graph()
        x, y = g.input([1, 5, 6, 3], dtype, **more), g.output(dtype, **more)
        g.op("MEAN", [x, g.const([1, 2], "int32")], [y], "Reducer", keepDims=True)
        yield "MEAN", f"{word} of an image", g


def choose() -> Made:
    """Largest, smallest, first, sorted, summed up."""
    for op in ("ARG_MAX", "ARG_MIN"):
        kind = "ArgMax" if op == "ARG_MAX" else "ArgMin"
        for word in ["float32", "int8*", "uint8*", "int32", "bool"]:
            dtype, more = quantized(word)
            g = Graph()
            x = g.input([3, 5], dtype, **more)
            g.op(op, [x, g.const(1, "int32")], [g.output("int64")], kind, outputType=4)
            yield op, word, g
    for word in ["float32", "int8*", "uint8*", "int16*", "int32", "int64"]:
        dtype, more = quantized(word)
        g = Graph()
        x = g.input([2, 7], dtype, **more)
        g.op("TOPK_V2", [x, g.const(3, "int32")], [g.output(dtype, **more), g.output("int32")], "TopKV2")
        yield "TOPK_V2", word, g
    for dtype in ("float32", "int32", "int64"):
        for exclusive in (False, True):
            g = Graph()
            x, axis = g.input([2, 5], dtype), g.const(1, "int32")
            g.op("CUMSUM", [x, axis], [g.output(dtype)], "Cumsum", exclusive=exclusive, reverse=exclusive)
            yield "CUMSUM", f"{dtype}{' exclusive' if exclusive else ''}", g
    for dtype in ("float32", "int32"):
        g = Graph()
        x, segments = g.input([5, 2], dtype), g.const([0, 0, 1, 2, 2], "int32")
        g.op("SEGMENT_SUM", [x, segments], [g.output(dtype)], "SegmentSum")
        yield "SEGMENT_SUM", dtype, g
        for name in ("Max", "Min", "Prod", "Sum"):
            g = Graph()
            x, segments, count = (
                g.input([5, 2], dtype),
                g.const([2, 0, 1, 2, 0], "int32"),
                g.const(3, "int32"),
            )
            op, kind = f"UNSORTED_SEGMENT_{name.upper()}", f"UnsortedSegment{name}"
            g.op(op, [x, segments, count], [g.output(dtype)], kind)
            yield op, dtype, g
    for op, outputs in (("NON_MAX_SUPPRESSION_V4", 2), ("NON_MAX_SUPPRESSION_V5", 3)):
        g = Graph()
        boxes, scores = g.input([6, 4]), g.input([6])
        limits = [g.const(4, "int32"), g.const(0.5), g.const(0.1)]
        limits += [g.const(0.5)] if outputs == 3 else []
        made = [g.output("int32")] + ([g.output()] if outputs == 3 else []) + [g.output("int32")]
        kind = f"NonMaxSuppressionV{4 if outputs == 2 else 5}"
        g.op(op, [boxes, scores, *limits], made, kind)
        corners = np.array(
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
        g.sample("boxes", corners, np.array([0.9, 0.75, 0.6, 0.95, 0.5, 0.3], np.float32))
        yield op, "float32", g


FAMILY = (reduce, choose)
