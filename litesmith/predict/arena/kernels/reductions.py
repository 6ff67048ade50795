"""Ops that reduce an axis, or choose or sum along it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from litesmith.predict.arena.kernels.kernel import (
    Kernel,
    Temporaries,
    in_arena,
    output_dims,
    resize_all,
    sized,
    without_axis,
)
from litesmith.runtime.graph import Dims, Memory, RuntimeNode, Scratch


def reduced(dims: Dims, axes: Dims, keep: bool) -> Dims:
    """``GetOutputShape`` of ``reduce.cc``."""
    gone = {axis + len(dims) if axis < 0 else axis for axis in axes}
    if keep:
        return tuple(1 if i in gone else size for i, size in enumerate(dims))
    return tuple(size for i, size in enumerate(dims) if i not in gone)


def _reduced_shape(node: RuntimeNode) -> Dims | None:
    axes = node.ints(1)
    return None if axes is None else reduced(node.dims(0), axes, node.options.boolean("keep_dims"))


_SMALL_CONSTANT_RESULT = 8
"""Elements of a constant product that ``PrepareProd`` computes itself."""


def _reduce_prod(node: RuntimeNode) -> None:
    dims = _reduced_shape(node)
    if node.fixed(0, 1) and dims is not None and math.prod(dims) <= _SMALL_CONSTANT_RESULT:
        node.computed(0, dims)
    else:
        sized((1,), _reduced_shape)(node)


def _arg_shape(node: RuntimeNode) -> Dims | None:
    axis = node.ints(1)
    return None if axis is None else without_axis(node.dims(0), axis[0])


def _segment_sum_shape(node: RuntimeNode) -> Dims | None:
    ids = node.ints(1)
    return None if ids is None else (ids[-1] + 1 if ids else 0, *node.dims(0)[1:])


def _unsorted_segment_shape(node: RuntimeNode) -> Dims | None:
    segments = node.ints(2)
    return None if segments is None else (segments[0], *node.dims(0)[len(node.dims(1)) :])


def _unsorted_segment(node: RuntimeNode) -> None:
    dims = _unsorted_segment_shape(node)
    if node.of(0).memory is not Memory.HEAP and node.fixed(1, 2):
        node.resize(0, dims)
    else:
        node.heap(0, dims)


def _top_k(node: RuntimeNode) -> None:
    count = node.ints(1)
    dims = None if count is None else [(*node.dims(0)[:-1], max(0, count[0]))] * 2
    resize_all(node, dims, fixed=node.fixed(1) and not node.of(0).resizable)


def _unique(node: RuntimeNode) -> None:
    """There are at most as many distinct elements as elements."""
    node.at_most = True
    node.heap(0, node.dims(0), known=False)
    node.resize(1, node.dims(0))


_ACCUMULATORS = {
    "float32": "float32",
    "int32": "int64",
    "int64": "int64",
    "uint8": "int32",
    "int8": "int32",
    "int16": "int32",
    "bool": "bool",
}


def _arena_if(condition: bool) -> Memory:
    return Memory.ARENA if condition else Memory.HEAP


def _reduce_temporaries(node: RuntimeNode) -> Temporaries:
    """Temporaries of REDUCE_MAX, REDUCE_MIN, REDUCE_ANY and REDUCE_ALL, which need no accumulator."""
    values, axes = node.of(0), node.of(1)
    dims = _arena_if(values.fixed and not _computed(node))
    axis = _arena_if(axes.fixed and not _computed(node))
    return [
        in_arena("index", "int32", (len(values.dims),)),
        Scratch(label="axes", dtype="int32", dims=(axes.elements,), memory=axis),
        Scratch(label="accumulators", dtype="float32", dims=(), memory=Memory.NONE),
        Scratch(label="dimensions", dtype="int32", dims=(len(values.dims),), memory=dims),
    ]


def _computed(node: RuntimeNode) -> bool:
    output = node.output()
    return output is not None and output.memory is Memory.COMPUTED


def _reduce_with_accumulators_temporaries(node: RuntimeNode) -> Temporaries:
    added = _reduce_temporaries(node)
    values, axes = node.of(0), node.of(1)
    memory = _arena_if(axes.fixed and not _computed(node))
    chosen = node.ints(1)
    dims = (
        output_dims(node)
        if chosen is None
        else reduced(values.dims, chosen, node.options.boolean("keep_dims"))
    )
    added[2] = Scratch(
        label="accumulators",
        dtype=_ACCUMULATORS.get(values.dtype, "int64"),
        dims=(math.prod(dims),),
        memory=memory,
    )
    return added


_REDUCE = Kernel(
    prepare=sized((1,), _reduced_shape),
    temporaries=_reduce_temporaries,
    reserved=4,
    reserves_when_prepared=True,
)
_ACCUMULATE = replace(_REDUCE, temporaries=_reduce_with_accumulators_temporaries)

KERNELS: Mapping[str, Kernel] = {
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), Kernel(prepare=sized((1,), _arg_shape))),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL", "REDUCE_ANY"), _REDUCE),
    **dict.fromkeys(("MEAN", "SUM"), _ACCUMULATE),
    **dict.fromkeys(
        (f"UNSORTED_SEGMENT_{name}" for name in ("MAX", "MIN", "PROD", "SUM")),
        Kernel(prepare=_unsorted_segment),
    ),
    "REDUCE_PROD": replace(_ACCUMULATE, prepare=_reduce_prod),
    "SEGMENT_SUM": Kernel(prepare=sized((0, 1), _segment_sum_shape)),
    "TOPK_V2": Kernel(prepare=_top_k),
    "UNIQUE": Kernel(prepare=_unique),
}
