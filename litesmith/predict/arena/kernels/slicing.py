"""Ops that take parts of a tensor, look elements up, or fill one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from litesmith.predict.arena.kernels.kernel import Kernel, given_shape, sized
from litesmith.runtime.graph import Dims, RuntimeNode


def _clamp(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))


STRIDED_SLICE_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
"""The names of the options that :func:`strided_shape` takes as ``masks``."""


def strided_shape(dims: Dims, ends: Sequence[Dims], masks: Sequence[int], offset: bool) -> Dims:
    """``ResizeOutputTensor`` of ``strided_slice.cc``.

    ``ends`` are begin, end and strides; ``masks`` those of begin, end, ellipsis, new and shrunk axes.
    """
    begins, stops, strides = ends
    begin_mask, end_mask, ellipsis, new_axes, shrunk = masks
    given = len(begins)
    added = sum(1 for i in range(given) if new_axes >> i & 1 and not ellipsis >> i & 1)
    effective = len(dims) + added
    found: list[int] = []
    source, spec, axis = 0, 0, 0
    while axis < effective:
        if spec < given and ellipsis >> spec & 1:
            width = max(1, min(1 + added + len(dims) - given, effective - axis))
            found += dims[source : source + width]
            source, axis, spec = source + width, axis + width, spec + 1
        elif spec < given and new_axes >> spec & 1:
            found.append(1)
            axis, spec = axis + 1, spec + 1
        elif spec >= given:
            found.append(dims[source])
            source, axis = source + 1, axis + 1
        else:
            bit = 1 << spec
            if not shrunk & bit:
                found.append(
                    _strided_size(
                        dims[source],
                        (0 if offset else begins[spec], stops[spec], strides[spec]),
                        (bool(begin_mask & bit), bool(end_mask & bit)),
                        offset,
                    )
                )
            source, axis, spec = source + 1, axis + 1, spec + 1
    return tuple(found)


def _strided_size(size: int, spec: tuple[int, int, int], masked: tuple[bool, bool], offset: bool) -> int:
    begin, end, stride = spec
    if stride == 0:
        raise ValueError("a stride of 0")
    if offset:
        length = end
    else:
        least, most = (0, size) if stride > 0 else (-1, size - 1)
        begin = _clamp(begin + size if begin < 0 else begin, least, most)
        end = _clamp(end + size if end < 0 else end, least, most)
        if masked[0]:
            begin = 0 if stride > 0 else size - 1
        if masked[1]:
            end = size if stride > 0 else -1
        length = end - begin
    return max(0, -(-length // stride))


def _strided_slice_shape(node: RuntimeNode) -> Dims | None:
    offset = node.options.boolean("offset")
    begin, end, strides = node.ints(1), node.ints(2), node.ints(3)
    if offset and begin is None:
        begin = (0,) * node.dims(1)[0]
    if begin is None or end is None or strides is None:
        return None
    masks = [node.options.integer(mask) for mask in STRIDED_SLICE_MASKS]
    return strided_shape(node.dims(0), (begin, end, strides), masks, offset)


def _strided_slice(node: RuntimeNode) -> None:
    if not node.fixed(3) or not (node.options.boolean("offset") or node.fixed(1, 2)):
        node.heap(0, _strided_slice_shape(node))
    elif node.fixed(0, 1, 2):
        node.computed(0, _strided_slice_shape(node))
    else:
        node.resize(0, _strided_slice_shape(node))


def _slice_shape(node: RuntimeNode) -> Dims | None:
    begin, size = node.ints(1), node.ints(2)
    if begin is None or size is None:
        return None
    return tuple(
        total - first if count < 0 else count
        for total, first, count in zip(node.dims(0), begin, size, strict=True)
    )


def _slice(node: RuntimeNode) -> None:
    output = node.output()
    if output is None or (output.dims and not output.resizable):
        return  # a shape in the file takes precedence over that of the input
    if node.fixed(1, 2) and not node.of(0).resizable:
        node.resize(0, _slice_shape(node))
    else:
        node.heap(0, _slice_shape(node))


def _gather(node: RuntimeNode) -> None:
    values, positions = node.dims(0), node.dims(1)
    axis, batch = node.options.integer("axis"), node.options.integer("batch_dims")
    axis += len(values) if axis < 0 else 0
    batch += len(positions) if batch < 0 else 0
    dims = (*values[:axis], *positions[batch:], *values[axis + 1 :])
    if node.fixed(0, 1):
        node.computed(0, dims)
    else:
        node.resize(0, dims)


def _gather_nd(node: RuntimeNode) -> None:
    values, indices = node.dims(0), node.dims(1)
    node.resize(0, (*indices[:-1], *values[indices[-1] :]))


def _where(node: RuntimeNode) -> None:
    """A row for each element that is not zero, so at most as many rows as elements."""
    value, condition = node.value(0), node.of(0)
    count = condition.elements if value is None else int(np.count_nonzero(value))
    dims, known = (count, len(condition.dims)), value is not None and condition.known
    node.at_most = value is None
    if condition.fixed:
        node.resize(0, dims, known=known)
    else:
        node.heap(0, dims, known=known)


def _embedding_lookup(node: RuntimeNode) -> None:
    node.resize(0, (node.dims(0)[0], *node.dims(1)[1:]))


def _embedding_lookup_sparse(node: RuntimeNode) -> None:
    shape = node.ints(2)
    rank = node.dims(1)[1]
    node.heap(0, None if shape is None else (*shape[: rank - 1], *node.dims(4)[1:]))


def _one_hot_shape(node: RuntimeNode) -> Dims | None:
    depth = node.ints(1)
    if depth is None:
        return None
    dims, axis = node.dims(0), node.options.integer("axis")
    axis = len(dims) if axis == -1 else axis
    return (*dims[:axis], depth[0], *dims[axis:])


def _range(node: RuntimeNode) -> None:
    ends = [node.value(position) for position in range(3)]
    dims: Dims | None = None
    if all(end is not None for end in ends):
        start, limit, delta = (end.ravel()[0].item() for end in ends if end is not None)
        dims = (math.ceil(abs((limit - start) / delta)),)
    if node.fixed(0, 1, 2):
        node.computed(0, dims)
    else:
        node.heap(0, dims)


KERNELS: Mapping[str, Kernel] = {
    "EMBEDDING_LOOKUP": Kernel(prepare=_embedding_lookup),
    "EMBEDDING_LOOKUP_SPARSE": Kernel(prepare=_embedding_lookup_sparse),
    "FILL": Kernel(prepare=given_shape(0), dtype_from=1),
    "GATHER": Kernel(prepare=_gather, dtype_from=0),
    "GATHER_ND": Kernel(prepare=_gather_nd, dtype_from=0),
    "ONE_HOT": Kernel(prepare=sized((1,), _one_hot_shape)),
    "RANGE": Kernel(prepare=_range),
    "SCATTER_ND": Kernel(prepare=given_shape(2), dtype_from=1),
    "SLICE": Kernel(prepare=_slice),
    "SPARSE_TO_DENSE": Kernel(prepare=given_shape(1), dtype_from=2),
    "STRIDED_SLICE": Kernel(prepare=_strided_slice),
    "WHERE": Kernel(prepare=_where),
}
