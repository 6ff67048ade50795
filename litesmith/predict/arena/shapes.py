"""The shapes that kernels give to their outputs, and where these lie: what ``Prepare`` of each kernel does.

A function for each op; the names of files are those of ``tensorflow/lite/kernels``, version 2.14.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from litesmith.predict.arena import padding
from litesmith.runtime.graph import Dims, Memory, RuntimeNode

Prepare = Callable[[RuntimeNode], None]

_SMALL_CONSTANT_RESULT = 8
_TYPE_BYTES = {"float32": 4, "int32": 4, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "uint32": 4}


def _like(position: int = 0) -> Prepare:
    """The shape of an input."""
    return lambda node: node.resize(0, node.dims(position))


def broadcast(*shapes: Dims) -> Dims:
    """``CalculateShapeForBroadcast`` of ``kernel_util.cc``.

    Raises:
        ValueError: the shapes do not fit together.
    """
    rank = max(len(shape) for shape in shapes)
    columns = zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True)
    found = []
    for column in columns:
        size = 0 if 0 in column else max(column)
        if any(dimension not in (1, size) for dimension in column):
            raise ValueError(f"{shapes} cannot be broadcast")
        found.append(size)
    return tuple(found)


def _broadcast(node: RuntimeNode) -> None:
    node.resize(0, broadcast(node.dims(0), node.dims(1)))


def _mul(node: RuntimeNode) -> None:
    dims = broadcast(node.dims(0), node.dims(1))
    if node.fixed(0, 1):
        node.computed(0, dims)
    else:
        node.resize(0, dims)


def _sized(by: Sequence[int], shape: Callable[[RuntimeNode], Dims | None]) -> Prepare:
    """An op whose inputs ``by`` decide the shape: while they are empty, that is left to its run."""

    def prepare(node: RuntimeNode) -> None:
        if node.fixed(*by):
            node.resize(0, shape(node))
        else:
            node.heap(0, shape(node))

    return prepare


def _without(dims: Dims, axis: int) -> Dims:
    axis += len(dims) if axis < 0 else 0
    return dims[:axis] + dims[axis + 1 :]


def _replaced(dims: Dims, axis: int, size: int) -> Dims:
    axis += len(dims) if axis < 0 else 0
    return (*dims[:axis], size, *dims[axis + 1 :])


def _arg_shape(node: RuntimeNode) -> Dims | None:
    axis = node.ints(1)
    return None if axis is None else _without(node.dims(0), axis[0])


def _audio_spectrogram(node: RuntimeNode) -> None:
    window, stride = int(node.custom["window_size"]), int(node.custom["stride"])
    samples, channels = node.dims(0)
    frames = 0 if samples < window else 1 + (samples - window) // stride
    node.resize(0, (channels, frames, 1 + (1 << (window - 1).bit_length()) // 2))


def _batch_matmul(node: RuntimeNode) -> None:
    left, right = node.dims(0), node.dims(1)
    rank = max(len(left), len(right))
    left, right = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    batches = [b if a == 1 else a for a, b in zip(left[:-2], right[:-2], strict=True)]
    rows = left[-1] if node.options.boolean("adj_x") else left[-2]
    columns = right[-2] if node.options.boolean("adj_y") else right[-1]
    node.resize(0, (*batches, rows, columns))


def _batch_to_space_shape(node: RuntimeNode) -> Dims | None:
    block, crops = node.ints(1), node.ints(2)
    if block is None or crops is None:
        return None
    dims = list(node.dims(0))
    for axis, size in enumerate(block):
        dims[0] //= size
        dims[axis + 1] = dims[axis + 1] * size - crops[2 * axis] - crops[2 * axis + 1]
    return tuple(dims)


def _space_to_batch_shape(node: RuntimeNode) -> Dims | None:
    block, pads = node.ints(1), node.ints(2)
    if block is None or pads is None:
        return None
    dims = list(node.dims(0))
    for axis, size in enumerate(block):
        dims[0] *= size
        dims[axis + 1] = (dims[axis + 1] + pads[2 * axis] + pads[2 * axis + 1]) // size
    return tuple(dims)


def _bidirectional_lstm(node: RuntimeNode) -> None:
    steps = node.dims(0)[:2]
    forward, backward = node.dims(8)[1], node.dims(25)[1]
    merged = node.options.boolean("merge_outputs")
    node.resize(0, (*steps, forward + backward if merged else forward))
    if not merged:
        node.resize(1, (*steps, backward))


def _bidirectional_rnn(node: RuntimeNode) -> None:
    steps = node.dims(0)[:2]
    forward, backward = node.dims(1)[0], node.dims(5)[0]
    merged = node.options.boolean("merge_outputs")
    node.resize(0, (*steps, forward + backward if merged else forward))
    if not merged:
        node.resize(1, (*steps, backward))


def _bitcast(node: RuntimeNode) -> None:
    dims, output = node.dims(0), node.output()
    if output is None:
        return
    before, after = (_TYPE_BYTES.get(dtype, 8) for dtype in (node.of(0).dtype, output.dtype))
    if before > after:
        dims = (*dims, before // after)
    elif before < after:
        dims = dims[:-1]
    node.resize(0, dims)


def _broadcast_args(node: RuntimeNode) -> None:
    dims = (max(node.dims(0)[0], node.dims(1)[0]),)
    if node.fixed(0, 1):
        node.computed(0, dims)
    else:
        node.resize(0, dims)


def _values_of(position: int) -> Callable[[RuntimeNode], Dims | None]:
    """The shape is what an input holds."""
    return lambda node: node.ints(position)


def _given_shape(position: int) -> Prepare:
    def prepare(node: RuntimeNode) -> None:
        dims, known = node.ints(position), node.of(position).known
        if node.fixed(position):
            node.resize(0, dims, known=known)
        else:
            node.heap(0, dims, known=known)

    return prepare


def _concatenation(node: RuntimeNode) -> None:
    axis = node.options.integer("axis")
    first = node.dims(0)
    dims = _replaced(first, axis, sum(node.dims(i)[axis] for i in range(len(node.inputs))))
    if node.fixed(*range(len(node.inputs))):
        node.computed(0, dims)
    else:
        node.resize(0, dims)


def _conv_2d(node: RuntimeNode) -> None:
    batch, height, width, _ = node.dims(0)
    channels, filter_height, filter_width, _ = node.dims(1)
    options = node.options
    rule = padding.rule(options.enum("padding"))
    node.resize(
        0,
        (
            batch,
            rule(height, filter_height, options.integer("stride_h"), options.integer("dilation_h_factor")),
            rule(width, filter_width, options.integer("stride_w"), options.integer("dilation_w_factor")),
            channels,
        ),
    )


def _depthwise_conv_2d(node: RuntimeNode) -> None:
    batch, height, width, _ = node.dims(0)
    _, filter_height, filter_width, channels = node.dims(1)
    options = node.options
    rule = padding.rule(options.enum("padding"))
    node.resize(
        0,
        (
            batch,
            rule(height, filter_height, options.integer("stride_h"), options.integer("dilation_h_factor")),
            rule(width, filter_width, options.integer("stride_w"), options.integer("dilation_w_factor")),
            channels,
        ),
    )


def _conv_3d(node: RuntimeNode) -> None:
    batch, depth, height, width, _ = node.dims(0)
    filter_depth, filter_height, filter_width, _, channels = node.dims(1)
    options = node.options
    rule = padding.rule(options.enum("padding"))
    node.resize(
        0,
        (
            batch,
            rule(depth, filter_depth, options.integer("stride_d"), options.integer("dilation_d_factor")),
            rule(height, filter_height, options.integer("stride_h"), options.integer("dilation_h_factor")),
            rule(width, filter_width, options.integer("stride_w"), options.integer("dilation_w_factor")),
            channels,
        ),
    )


def _pool_2d(node: RuntimeNode) -> None:
    batch, height, width, channels = node.dims(0)
    options = node.options
    rule = padding.rule(options.enum("padding"))
    node.resize(
        0,
        (
            batch,
            rule(height, options.integer("filter_height"), options.integer("stride_h"), 1),
            rule(width, options.integer("filter_width"), options.integer("stride_w"), 1),
            channels,
        ),
    )


def _transpose_conv(node: RuntimeNode) -> None:
    # Unlike others, it takes no contents that another kernel has computed.
    if node.of(0).memory is Memory.CONSTANT:
        node.resize(0, node.ints(0), known=True)
    else:
        node.heap(0, node.ints(0), known=node.of(0).known)


def _persistent_like_input(node: RuntimeNode) -> None:
    """DENSIFY and NumericVerify: the output is kept from one inference to the next."""
    output = node.output()
    if output is not None:
        output.memory = Memory.PERSISTENT
    node.resize(0, node.dims(0))


def _dequantize(node: RuntimeNode) -> None:
    """Constants are converted once, and kept."""
    output = node.output()
    if output is not None and node.of(0).memory is Memory.CONSTANT:
        output.memory = Memory.PERSISTENT
    node.resize(0, node.dims(0))


def _depth_to_space(node: RuntimeNode) -> None:
    batch, height, width, channels = node.dims(0)
    block = node.options.integer("block_size")
    node.resize(0, (batch, height * block, width * block, channels // block // block))


def _space_to_depth(node: RuntimeNode) -> None:
    batch, height, width, channels = node.dims(0)
    block = node.options.integer("block_size")
    node.resize(0, (batch, height // block, width // block, channels * block * block))


def _detection_postprocess(node: RuntimeNode) -> None:
    boxes = int(node.custom["max_detections"]) * int(node.custom["max_classes_per_detection"])
    for position, dims in enumerate(((1, boxes, 4), (1, boxes), (1, boxes), (1,))):
        node.resize(position, dims)


def _embedding_lookup(node: RuntimeNode) -> None:
    node.resize(0, (node.dims(0)[0], *node.dims(1)[1:]))


def _embedding_lookup_sparse(node: RuntimeNode) -> None:
    shape = node.ints(2)
    rank = node.dims(1)[1]
    node.heap(0, None if shape is None else (*shape[: rank - 1], *node.dims(4)[1:]))


def _expanded_shape(node: RuntimeNode) -> Dims | None:
    axes = node.ints(1)
    if axes is None:
        return None
    dims = node.dims(0)
    axis = axes[0] + len(dims) + 1 if axes[0] < 0 else axes[0]
    return (*dims[:axis], 1, *dims[axis:])


def _fully_connected(node: RuntimeNode) -> None:
    dims, (units, depth) = node.dims(0), node.dims(1)
    if depth and math.prod(dims) % depth:
        raise ValueError(f"{dims} does not make rows of {depth}")
    if node.options.boolean("keep_num_dims"):
        node.resize(0, (*dims[:-1], units))
    else:
        batch = math.prod(dims) // depth if depth else math.prod(dims[:-1])
        node.resize(0, (batch, units))


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


def _hashtable(node: RuntimeNode) -> None:
    output = node.output()
    if output is not None:
        output.dims = (1,)


def _hashtable_find(node: RuntimeNode) -> None:
    node.resize(0, node.dims(1))


def _hashtable_lookup(node: RuntimeNode) -> None:
    count, output = node.dims(0)[0], node.output()
    if output is not None and output.dtype != "string":
        node.resize(0, (count, *node.dims(2)[1:]))
    node.resize(1, (count,))


def _lsh_projection(node: RuntimeNode) -> None:
    functions, bits = node.dims(0)
    dense = node.options.enum("type") == "DENSE"
    node.resize(0, (functions * bits if dense else functions,))


def _lstm(node: RuntimeNode) -> None:
    if node.options.enum("kernel_type") == "BASIC":  # the basic kernel, of five inputs
        batch, depth = node.dims(0)
        units = node.dims(1)[1]
        node.resize(0, node.dims(1))
        node.resize(1, node.dims(4))
        node.resize(2, (batch, depth + units))
        node.resize(3, (batch, 4 * units))
        for position in (1, 4):
            node.of(position).memory = Memory.PERSISTENT
        return
    node.resize(0, (node.dims(0)[0], node.dims(8)[1]))


def _unidirectional_lstm(node: RuntimeNode) -> None:
    node.resize(0, (*node.dims(0)[:-1], node.dims(8)[-1]))


def _matrix_diag(node: RuntimeNode) -> None:
    node.resize(0, (*node.dims(0), node.dims(0)[-1]))


def _mfcc(node: RuntimeNode) -> None:
    node.resize(0, (*node.dims(0)[:2], int(node.custom["dct_coefficient_count"])))


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


def _multinomial_shape(node: RuntimeNode) -> Dims | None:
    samples = node.ints(1)
    return None if samples is None else (node.dims(0)[0], samples[0])


def _non_max_suppression(node: RuntimeNode) -> None:
    """The last output is a count, the others hold one number for each box that may be chosen."""
    most = node.ints(2)
    last = len(node.outputs) - 1
    for position in range(last):
        if node.fixed(2):
            node.resize(position, most, known=node.of(2).known)
        else:
            node.heap(position, most, known=node.of(2).known)
    node.resize(last, (), known=True)


def _one_hot_shape(node: RuntimeNode) -> Dims | None:
    depth = node.ints(1)
    if depth is None:
        return None
    dims, axis = node.dims(0), node.options.integer("axis")
    axis = len(dims) if axis == -1 else axis
    return (*dims[:axis], depth[0], *dims[axis:])


def _pack(node: RuntimeNode) -> None:
    dims, axis = node.dims(0), node.options.integer("axis")
    axis += len(dims) + 1 if axis < 0 else 0
    node.resize(0, (*dims[:axis], node.options.integer("values_count"), *dims[axis:]))


def _unpack(node: RuntimeNode) -> None:
    for position in range(len(node.outputs)):
        node.resize(position, _without(node.dims(0), node.options.integer("axis")))


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


def _rank(node: RuntimeNode) -> None:
    node.computed(0, ())


def _shape(node: RuntimeNode) -> None:
    node.computed(0, (len(node.dims(0)),))


def _read_variable(node: RuntimeNode) -> None:
    """The file's shape holds, but a scalar may as well be a tensor of which nobody knows the shape."""
    output = node.output()
    if output is not None and not output.dims:
        node.heap(0, None)


def reduced(dims: Dims, axes: Dims, keep: bool) -> Dims:
    """``GetOutputShape`` of ``reduce.cc``."""
    gone = {axis + len(dims) if axis < 0 else axis for axis in axes}
    if keep:
        return tuple(1 if i in gone else size for i, size in enumerate(dims))
    return tuple(size for i, size in enumerate(dims) if i not in gone)


def _reduced_shape(node: RuntimeNode) -> Dims | None:
    axes = node.ints(1)
    return None if axes is None else reduced(node.dims(0), axes, node.options.boolean("keep_dims"))


def _reduce_prod(node: RuntimeNode) -> None:
    dims = _reduced_shape(node)
    if node.fixed(0, 1) and dims is not None and math.prod(dims) <= _SMALL_CONSTANT_RESULT:
        node.computed(0, dims)
    else:
        _sized((1,), _reduced_shape)(node)


def stretched(wanted: Dims, dims: Dims) -> Dims:
    """``ResizeOutput`` of ``reshape.cc``: -1 takes what the other dimensions leave over."""
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
        raise ValueError(f"{node.dims(0)} does not make {dims}")
    known = (not vector or node.of(1).known) and (-1 not in (wanted or ()) or node.of(0).known)
    if two and not node.fixed(1):
        node.heap(0, dims, known=known)
    elif node.fixed(0):
        node.computed(0, dims)
    else:
        node.resize(0, dims, known=known)


def _resized_shape(node: RuntimeNode) -> Dims | None:
    size = node.ints(1)
    if size is None:
        return None
    batch, _, _, channels = node.dims(0)
    return (batch, *size, channels)


def _rfft_2d_shape(node: RuntimeNode) -> Dims | None:
    length = node.ints(1)
    return None if length is None else (*node.dims(0)[:-2], length[0], length[1] // 2 + 1)


def _rnn(node: RuntimeNode) -> None:
    node.resize(0, (node.dims(0)[0], node.dims(1)[0]))


def _unidirectional_rnn(node: RuntimeNode) -> None:
    node.resize(0, (*node.dims(0)[:2], node.dims(1)[0]))


def _segment_sum_shape(node: RuntimeNode) -> Dims | None:
    ids = node.ints(1)
    if ids is not None:
        return (ids[-1] + 1 if ids else 0, *node.dims(0)[1:])
    return None


def _select(node: RuntimeNode) -> None:
    output = node.output()
    parts = [node.of(position) for position in range(3)]
    if output is None or (all(one.elements == 1 for one in parts) and output.elements == 1):
        return  # the output stays what the file says
    node.resize(0, broadcast(*(one.dims for one in parts)) if node.op == "SELECT_V2" else node.dims(1))


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
        return  # a shape in the file counts for more than the shape of the input
    if node.fixed(1, 2) and not node.of(0).resizable:
        node.resize(0, _slice_shape(node))
    else:
        node.heap(0, _slice_shape(node))


def _every_output(node: RuntimeNode, fixed: bool, dims: Sequence[Dims] | None) -> None:
    for position in range(len(node.outputs)):
        one = dims[position] if dims is not None else None
        if fixed:
            node.resize(position, one)
        else:
            node.heap(position, one)


def _split(node: RuntimeNode) -> None:
    axis, count = node.ints(0), len(node.outputs)
    dims = None
    if axis is not None:
        whole = node.dims(1)
        dims = [_replaced(whole, axis[0], whole[axis[0]] // node.options.integer("num_splits"))] * count
    _every_output(node, node.fixed(0), dims)


def _split_v(node: RuntimeNode) -> None:
    sizes, axis = node.ints(1), node.ints(2)
    dims = None
    if sizes is not None and axis is not None:
        whole = node.dims(0)
        rest = whole[axis[0]] - sum(size for size in sizes if size != -1)
        dims = [_replaced(whole, axis[0], rest if size == -1 else size) for size in sizes]
    _every_output(node, node.fixed(1, 2), dims)


def _squeeze(node: RuntimeNode) -> None:
    dims, chosen = node.dims(0), node.options.integers("squeeze_dims")
    gone = {axis + len(dims) if axis < 0 else axis for axis in chosen}
    node.resize(0, tuple(s for i, s in enumerate(dims) if (i not in gone if chosen else s != 1)))


def _clamp(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))


STRIDED_SLICE_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


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
    # The kernel divides in single precision.
    return max(0, math.ceil(np.float32(length) / np.float32(stride)))


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


def _svdf(node: RuntimeNode) -> None:
    node.resize(0, (node.dims(0)[0], node.dims(1)[0] // node.options.integer("rank")))


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


def _top_k(node: RuntimeNode) -> None:
    count = node.ints(1)
    dims = None if count is None else [(*node.dims(0)[:-1], count[0])] * 2
    _every_output(node, node.fixed(1) and not node.of(0).resizable, dims)


def _transposed_shape(node: RuntimeNode) -> Dims | None:
    order = node.ints(1)
    return None if order is None else tuple(node.dims(0)[axis] for axis in order)


def _unique(node: RuntimeNode) -> None:
    """There cannot be more different numbers than numbers."""
    node.at_most = True
    node.heap(0, node.dims(0), known=False)
    node.resize(1, node.dims(0))


def _unsorted_segment_shape(node: RuntimeNode) -> Dims | None:
    segments = node.ints(2)
    return None if segments is None else (segments[0], *node.dims(0)[len(node.dims(1)) :])


def _unsorted_segment(node: RuntimeNode) -> None:
    dims = _unsorted_segment_shape(node)
    if node.of(0).memory is not Memory.HEAP and node.fixed(1, 2):
        node.resize(0, dims)
    else:
        node.heap(0, dims)


def _var_handle(node: RuntimeNode) -> None:
    output = node.output()
    if output is not None:
        output.memory = Memory.PERSISTENT
        output.bytes = 4
        output.handle = f"{node.options.text('container')}/{node.options.text('shared_name')}"


def _where(node: RuntimeNode) -> None:
    """A line for each number that is not zero; there cannot be more of these than numbers."""
    value, condition = node.value(0), node.of(0)
    count = condition.elements if value is None else int(np.count_nonzero(value))
    dims, known = (count, len(condition.dims)), value is not None and condition.known
    node.at_most = value is None
    if condition.fixed:
        node.resize(0, dims, known=known)
    else:
        node.heap(0, dims, known=known)


def _nothing(node: RuntimeNode) -> None:
    """The kernel sizes nothing: it has no outputs, or they hold text, which is sized when it is there."""


_LIKE_INPUT = (
    "ABS",
    "ADD_N",
    "ATAN2",
    "BUCKETIZE",
    "CAST",
    "CEIL",
    "COMPLEX_ABS",
    "COS",
    "CUMSUM",
    "DYNAMIC_UPDATE_SLICE",
    "ELU",
    "EXP",
    "FAKE_QUANT",
    "FLOOR",
    "GELU",
    "HARD_SWISH",
    "IMAG",
    "L2_NORMALIZATION",
    "LEAKY_RELU",
    "LOCAL_RESPONSE_NORMALIZATION",
    "LOG",
    "LOGICAL_NOT",
    "LOGISTIC",
    "LOG_SOFTMAX",
    "MATRIX_SET_DIAG",
    "NEG",
    "QUANTIZE",
    "REAL",
    "RELU",
    "RELU6",
    "RELU_0_TO_1",
    "RELU_N1_TO_1",
    "REVERSE_SEQUENCE",
    "REVERSE_V2",
    "ROUND",
    "RSQRT",
    "SIGN",
    "SIN",
    "SOFTMAX",
    "SQRT",
    "SQUARE",
    "TANH",
    "ZEROS_LIKE",
)

_BROADCASTING = (
    "ADD",
    "BITWISE_XOR",
    "DIV",
    "EQUAL",
    "FLOOR_DIV",
    "FLOOR_MOD",
    "GREATER",
    "GREATER_EQUAL",
    "LESS",
    "LESS_EQUAL",
    "LOGICAL_AND",
    "LOGICAL_OR",
    "MAXIMUM",
    "MINIMUM",
    "NOT_EQUAL",
    "POW",
    "PRELU",
    "RIGHT_SHIFT",
    "SQUARED_DIFFERENCE",
    "SUB",
)

PREPARE: Mapping[str, Prepare] = {
    **dict.fromkeys(_LIKE_INPUT, _like()),
    **dict.fromkeys(_BROADCASTING, _broadcast),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _sized((1,), _arg_shape)),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _pool_2d),
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL", "REDUCE_ANY"), _sized((1,), _reduced_shape)
    ),
    **dict.fromkeys(("SELECT", "SELECT_V2"), _select),
    **dict.fromkeys(("PAD", "PADV2"), _pad),
    **dict.fromkeys(("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"), _non_max_suppression),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _sized((1,), _resized_shape)),
    **dict.fromkeys(("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"), _given_shape(0)),
    **dict.fromkeys(
        (
            "UNSORTED_SEGMENT_MAX",
            "UNSORTED_SEGMENT_MIN",
            "UNSORTED_SEGMENT_PROD",
            "UNSORTED_SEGMENT_SUM",
        ),
        _unsorted_segment,
    ),
    **dict.fromkeys(("ASSIGN_VARIABLE", "CALL_ONCE", "HASHTABLE_IMPORT", "SKIP_GRAM"), _nothing),
    "AudioSpectrogram": _audio_spectrogram,
    "BATCH_MATMUL": _batch_matmul,
    "BATCH_TO_SPACE_ND": _sized((1, 2), _batch_to_space_shape),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _bidirectional_lstm,
    "BIDIRECTIONAL_SEQUENCE_RNN": _bidirectional_rnn,
    "BITCAST": _bitcast,
    "BROADCAST_ARGS": _broadcast_args,
    "BROADCAST_TO": _given_shape(1),
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv_2d,
    "CONV_3D": _conv_3d,
    "CONV_3D_TRANSPOSE": _given_shape(0),
    "DENSIFY": _persistent_like_input,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "DEPTH_TO_SPACE": _depth_to_space,
    "DEQUANTIZE": _dequantize,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "EMBEDDING_LOOKUP_SPARSE": _embedding_lookup_sparse,
    "EXPAND_DIMS": _sized((1,), _expanded_shape),
    "FILL": _given_shape(0),
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "HASHTABLE": _hashtable,
    "HASHTABLE_FIND": _hashtable_find,
    "HASHTABLE_LOOKUP": _hashtable_lookup,
    "HASHTABLE_SIZE": lambda node: node.resize(0, (1,)),
    "LSH_PROJECTION": _lsh_projection,
    "LSTM": _lstm,
    "MATRIX_DIAG": _matrix_diag,
    "MIRROR_PAD": _sized((1,), _padded_shape),
    "MUL": _mul,
    "MULTINOMIAL": _sized((0, 1), _multinomial_shape),
    "Mfcc": _mfcc,
    "NumericVerify": _persistent_like_input,
    "ONE_HOT": _sized((1,), _one_hot_shape),
    "PACK": _pack,
    "RANGE": _range,
    "RANK": _rank,
    "READ_VARIABLE": _read_variable,
    "REDUCE_PROD": _reduce_prod,
    "RESHAPE": _reshape,
    "RFFT2D": _sized((1,), _rfft_2d_shape),
    "RNN": _rnn,
    "SCATTER_ND": _given_shape(2),
    "SEGMENT_SUM": _sized((0, 1), _segment_sum_shape),
    "SHAPE": _shape,
    "SLICE": _slice,
    "SPACE_TO_BATCH_ND": _sized((1, 2), _space_to_batch_shape),
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPARSE_TO_DENSE": _given_shape(1),
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SVDF": _svdf,
    "TFLite_Detection_PostProcess": _detection_postprocess,
    "TILE": _tile,
    "TOPK_V2": _top_k,
    "TRANSPOSE": _sized((1,), _transposed_shape),
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _unidirectional_lstm,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _unidirectional_rnn,
    "UNIQUE": _unique,
    "UNPACK": _unpack,
    "VAR_HANDLE": _var_handle,
    "WHERE": _where,
}
"""What each op but IF and WHILE does to its outputs before it runs."""
