"""The contents of small tensors that follow from shapes and constants.

Converters compute shapes within the graph: SHAPE, STRIDED_SLICE, PACK, RESHAPE.  The runtime knows such a
shape only when it runs; a prediction has to compute it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from litesmith.model.tensors import Array, numpy_dtype
from litesmith.predict.arena.kernels.slicing import STRIDED_SLICE_MASKS
from litesmith.runtime.graph import MISSING, RuntimeNode

_MOST_ELEMENTS = 4096
_DTYPES = frozenset({"int32", "int64", "float32", "bool"})

Values = list[Array] | None
"""The outputs of an op in order; None where they are unknown."""


def propagate(node: RuntimeNode) -> None:
    """Gives the outputs of a node, whose shapes are final, their contents where these are known."""
    tensors = [node.output(position) for position in range(len(node.outputs))]
    for tensor in tensors:
        if tensor is not None:
            tensor.value = None
    compute = _BY_OP.get(node.op) if not node.own else None
    sizes = [tensor for tensor in tensors if tensor is not None]
    if compute is None or not all(one.elements <= _MOST_ELEMENTS and one.dtype in _DTYPES for one in sizes):
        return
    if node.op not in _OF_SHAPES and any(
        node.tensors[index].value is None for index in node.inputs if index != MISSING
    ):
        return
    try:
        with np.errstate(all="ignore"):
            found = compute(node)
    except (ValueError, TypeError, LookupError):
        return  # no shape depends on what NumPy cannot compute
    for tensor, value in zip(tensors, found or (), strict=False):
        if tensor is not None and value.size == tensor.elements:
            tensor.value = value.astype(numpy_dtype(tensor.dtype)).reshape(tensor.dims)


def _arrays(node: RuntimeNode) -> list[Array]:
    """The contents of all inputs."""
    return [
        tensor.value
        for tensor in (node.input(position) for position in range(len(node.inputs)))
        if tensor is not None and tensor.value is not None
    ]


def _of(function: Callable[..., Array]) -> Callable[[RuntimeNode], Values]:
    """An op that is a function of its inputs alone."""
    return lambda node: [np.asarray(function(*_arrays(node)))]


def _unless_activated(function: Callable[..., Array]) -> Callable[[RuntimeNode], Values]:
    """The same for ops that may have a fused activation."""

    def compute(node: RuntimeNode) -> Values:
        if node.options.enum("fused_activation_function") != "NONE":
            return None
        return [np.asarray(function(*_arrays(node)))]

    return compute


def _shape(node: RuntimeNode) -> Values:
    return [np.array(node.dims(0))]


def _rank(node: RuntimeNode) -> Values:
    return [np.array(len(node.dims(0)))]


def _same(node: RuntimeNode) -> Values:
    return _arrays(node)[:1]


def _divide(left: Array, right: Array) -> Array:
    """Integer division truncates towards zero, as in C++."""
    if left.dtype.kind == "f":
        return np.asarray(left / right)
    return np.asarray(np.trunc(left / np.where(right == 0, 1, right)))


def _pack(node: RuntimeNode) -> Values:
    return [np.stack(_arrays(node), axis=node.options.integer("axis"))]


def _concatenation(node: RuntimeNode) -> Values:
    return [np.concatenate(_arrays(node), axis=node.options.integer("axis"))]


def _gather(node: RuntimeNode) -> Values:
    values, indices = _arrays(node)
    if node.options.integer("batch_dims"):
        return None
    return [np.take(values, indices, axis=node.options.integer("axis"), mode="clip")]


def _strided_slice(node: RuntimeNode) -> Values:
    values, begin, end, strides = _arrays(node)
    begin_mask, end_mask, ellipsis, new_axis, shrink = (
        node.options.integer(mask) for mask in STRIDED_SLICE_MASKS
    )
    if ellipsis or new_axis or node.options.boolean("offset"):
        return None
    where: list[int | slice] = []
    for axis, (first, last, stride) in enumerate(
        zip(begin.tolist(), end.tolist(), strides.tolist(), strict=True)
    ):
        bit = 1 << axis
        if shrink & bit:
            where.append(0 if begin_mask & bit else first)
        else:
            where.append(slice(None if begin_mask & bit else first, None if end_mask & bit else last, stride))
    return [np.asarray(values[tuple(where)])]


def _slice(node: RuntimeNode) -> Values:
    values, begin, size = _arrays(node)
    where = tuple(
        slice(first, None if count < 0 else first + count)
        for first, count in zip(begin.tolist(), size.tolist(), strict=True)
    )
    return [values[where]]


def _reduced(function: Callable[..., Array]) -> Callable[[RuntimeNode], Values]:
    def compute(node: RuntimeNode) -> Values:
        values, axes = _arrays(node)
        if values.dtype.kind not in "iuf" or values.dtype.itemsize == 1:
            return None
        return [np.asarray(function(values, axis=tuple(axes.ravel().tolist())))]

    return compute


def _range(node: RuntimeNode) -> Values:
    start, limit, delta = (value.ravel()[0] for value in _arrays(node))
    return [np.arange(start, limit, delta)]


def _fill(node: RuntimeNode) -> Values:
    output = node.output()
    return [np.full(output.dims, _arrays(node)[1])] if output is not None else None


def _broadcast_args(node: RuntimeNode) -> Values:
    left, right = (tuple(value.tolist()) for value in _arrays(node))
    return [np.array(np.broadcast_shapes(left, right))]


def _broadcast_to(node: RuntimeNode) -> Values:
    output = node.output()
    return [np.broadcast_to(_arrays(node)[0], output.dims)] if output is not None else None


def _unpack(node: RuntimeNode) -> Values:
    return list(np.moveaxis(_arrays(node)[0], node.options.integer("axis"), 0))


def _split(node: RuntimeNode) -> Values:
    axis, values = _arrays(node)
    return list(np.split(values, node.options.integer("num_splits"), axis=int(axis.ravel()[0])))


def _transpose(node: RuntimeNode) -> Values:
    values, order = _arrays(node)
    return [np.transpose(values, order.tolist())]


def _zeros(node: RuntimeNode) -> Values:
    return [np.zeros(node.dims(0))]


_OF_SHAPES = frozenset({"SHAPE", "RANK", "ZEROS_LIKE"})
"""Ops that do not read the contents of their input."""

_BY_OP: Mapping[str, Callable[[RuntimeNode], Values]] = {
    "SHAPE": _shape,
    "RANK": _rank,
    "ZEROS_LIKE": _zeros,
    "RESHAPE": _same,
    "SQUEEZE": _same,
    "EXPAND_DIMS": _same,
    "CAST": _same,
    "PACK": _pack,
    "UNPACK": _unpack,
    "CONCATENATION": _concatenation,
    "GATHER": _gather,
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "SPLIT": _split,
    "TRANSPOSE": _transpose,
    "FILL": _fill,
    "RANGE": _range,
    "TILE": _of(np.tile),
    "BROADCAST_ARGS": _broadcast_args,
    "BROADCAST_TO": _broadcast_to,
    "ADD": _unless_activated(np.add),
    "SUB": _unless_activated(np.subtract),
    "MUL": _unless_activated(np.multiply),
    "DIV": _unless_activated(_divide),
    "FLOOR_DIV": _of(lambda left, right: np.floor_divide(left, np.where(right == 0, 1, right))),
    "FLOOR_MOD": _of(lambda left, right: np.mod(left, np.where(right == 0, 1, right))),
    "MAXIMUM": _of(np.maximum),
    "MINIMUM": _of(np.minimum),
    "NEG": _of(np.negative),
    "ABS": _of(np.abs),
    "FLOOR": _of(np.floor),
    "CEIL": _of(np.ceil),
    "ROUND": _of(np.round),
    "EQUAL": _of(np.equal),
    "NOT_EQUAL": _of(np.not_equal),
    "LESS": _of(np.less),
    "LESS_EQUAL": _of(np.less_equal),
    "GREATER": _of(np.greater),
    "GREATER_EQUAL": _of(np.greater_equal),
    "LOGICAL_AND": _of(np.logical_and),
    "LOGICAL_OR": _of(np.logical_or),
    "LOGICAL_NOT": _of(np.logical_not),
    "SELECT_V2": _of(np.where),
    "SELECT": _of(np.where),
    "REDUCE_PROD": _reduced(np.prod),
    "REDUCE_MAX": _reduced(np.max),
    "REDUCE_MIN": _reduced(np.min),
    "SUM": _reduced(np.sum),
}
