"""Ops that change the shape of a tensor, join tensors, or split them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from litesmith.predict.arena.kernels.kernel import (
    Kernel,
    given_shape,
    resize_all,
    sized,
    with_axis,
    without_axis,
)
from litesmith.runtime.graph import Dims, RuntimeNode


def stretched(wanted: Dims, dims: Dims) -> Dims:
    """``ResizeOutput`` of ``reshape.cc``: -1 stands for what the other dimensions leave."""
    if -1 not in wanted:
        return wanted
    there, others = (math.prod(size for size in sizes if size > 0) for sizes in (dims, wanted))
    stretch = 0 if 0 in dims and 0 not in wanted else there // others
    return tuple(stretch if size == -1 else size for size in wanted)


def _reshape(node: RuntimeNode) -> None:
    output = node.output()
    if output is None or output.dtype == "string":
        return
    two = len(node.inputs) == 2
    vector = two and node.of(1).dtype == "int32" and len(node.dims(1)) == 1
    wanted = node.ints(1) if vector else node.options.integers("new_shape")
    if not vector and wanted == (0,):
        wanted = ()
    dims = None if wanted is None else stretched(wanted, node.dims(0))
    if dims is not None and math.prod(dims) != node.of(0).elements:
        raise ValueError(f"{node.dims(0)} cannot be reshaped to {dims}")
    known = (not vector or node.of(1).known) and (-1 not in (wanted or ()) or node.of(0).known)
    if two and not node.fixed(1):
        node.later(0, dims, known=known)
    elif node.fixed(0):
        node.computed(0, dims)
    else:
        node.resize(0, dims, known=known)


def _squeeze(node: RuntimeNode) -> None:
    dims, chosen = node.dims(0), node.options.integers("squeeze_dims")
    gone = {axis + len(dims) if axis < 0 else axis for axis in chosen}
    node.resize(0, tuple(s for i, s in enumerate(dims) if (i not in gone if chosen else s != 1)))


def _expanded_shape(node: RuntimeNode) -> Dims | None:
    axes = node.ints(1)
    if axes is None:
        return None
    dims = node.dims(0)
    axis = axes[0] + len(dims) + 1 if axes[0] < 0 else axes[0]
    return (*dims[:axis], 1, *dims[axis:])


def _pack(node: RuntimeNode) -> None:
    dims, axis = node.dims(0), node.options.integer("axis")
    axis += len(dims) + 1 if axis < 0 else 0
    node.resize(0, (*dims[:axis], node.options.integer("values_count"), *dims[axis:]))


def _unpack(node: RuntimeNode) -> None:
    for position in range(len(node.outputs)):
        node.resize(position, without_axis(node.dims(0), node.options.integer("axis")))


def _concatenation(node: RuntimeNode) -> None:
    axis = node.options.integer("axis")
    first = node.dims(0)
    if not first and node.fixed(*range(len(node.inputs))) and node.of(0).dtype != "int4":
        # Constant scalars make a vector.
        node.computed(0, (len(node.inputs),))
        return
    dims = with_axis(first, axis, sum(node.dims(i)[axis] for i in range(len(node.inputs))))
    if node.fixed(*range(len(node.inputs))):
        node.computed(0, dims)
    else:
        node.resize(0, dims)


def _split(node: RuntimeNode) -> None:
    axis, count = node.ints(0), len(node.outputs)
    dims = None
    if axis is not None:
        whole = node.dims(1)
        dims = [with_axis(whole, axis[0], whole[axis[0]] // node.options.integer("num_splits"))] * count
    resize_all(node, dims, fixed=node.fixed(0))


def _split_v(node: RuntimeNode) -> None:
    sizes, axis = node.ints(1), node.ints(2)
    dims = None
    if sizes is not None and axis is not None:
        whole = node.dims(0)
        rest = whole[axis[0]] - sum(size for size in sizes if size != -1)
        dims = [with_axis(whole, axis[0], rest if size == -1 else size) for size in sizes]
    resize_all(node, dims, fixed=node.fixed(1, 2))


def _transposed_shape(node: RuntimeNode) -> Dims | None:
    order = node.ints(1)
    return None if order is None else tuple(node.dims(0)[axis] for axis in order)


def _tiled_shape(node: RuntimeNode) -> Dims | None:
    times = node.ints(1)
    if times is None:
        return None
    return tuple(size * count for size, count in zip(node.dims(0), times, strict=True))


def _tile(node: RuntimeNode) -> None:
    if not node.fixed(1):
        node.heap(0, _tiled_shape(node))
    elif node.fixed(0):
        node.computed(0, _tiled_shape(node))
    else:
        node.resize(0, _tiled_shape(node))


def _padded_shape(node: RuntimeNode) -> Dims | None:
    pads = node.ints(1)
    if pads is None:
        return None
    return tuple(size + pads[2 * i] + pads[2 * i + 1] for i, size in enumerate(node.dims(0)))


def _pad(node: RuntimeNode) -> None:
    if node.dims(0) and node.fixed(1):
        node.resize(0, _padded_shape(node))
    else:
        node.heap(0, _padded_shape(node))


def _rank(node: RuntimeNode) -> None:
    node.computed(0, ())


def _shape(node: RuntimeNode) -> None:
    node.computed(0, (len(node.dims(0)),))


KERNELS: Mapping[str, Kernel] = {
    "BROADCAST_TO": Kernel(prepare=given_shape(1)),
    "CONCATENATION": Kernel(prepare=_concatenation),
    "EXPAND_DIMS": Kernel(prepare=sized((1,), _expanded_shape), dtype_from=0),
    "MIRROR_PAD": Kernel(prepare=sized((1,), _padded_shape)),
    "PACK": Kernel(prepare=_pack),
    "PAD": Kernel(prepare=_pad),
    "PADV2": Kernel(prepare=_pad),
    "RANK": Kernel(prepare=_rank),
    "RESHAPE": Kernel(prepare=_reshape),
    "SHAPE": Kernel(prepare=_shape),
    "SPLIT": Kernel(prepare=_split),
    "SPLIT_V": Kernel(prepare=_split_v),
    "SQUEEZE": Kernel(prepare=_squeeze),
    "TILE": Kernel(prepare=_tile),
    "TRANSPOSE": Kernel(prepare=sized((1,), _transposed_shape)),
    "UNPACK": Kernel(prepare=_unpack),
}
