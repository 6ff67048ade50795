"""What kernels add to their nodes: buffers to work in, and what they keep from one inference to the next.

A function for each op that adds any, by what ``Prepare`` does in ``tensorflow/lite/kernels``, version 2.14.1;
the order is that of ``node->temporaries``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from litesmith.model.tables import Table
from litesmith.predict.arena.shapes import reduced
from litesmith.runtime.graph import Dims, Memory, RuntimeNode, RuntimeTensor, Scratch, is_hybrid

Added = list[Scratch]
"""In the order of the node's temporaries."""


def _kept(label: str, dtype: str, dims: Dims) -> Scratch:
    return Scratch(label=label, dtype=dtype, dims=dims, memory=Memory.PERSISTENT)


def _heap(label: str, dtype: str, dims: Dims) -> Scratch:
    return Scratch(label=label, dtype=dtype, dims=dims, memory=Memory.HEAP)


def _scratch(label: str, dtype: str, dims: Dims) -> Scratch:
    return Scratch(label=label, dtype=dtype, dims=dims)


def _output_dims(node: RuntimeNode) -> Dims:
    output = node.output()
    return output.dims if output is not None else ()


def _add_n(node: RuntimeNode) -> Added:
    # One buffer for each thread, of which there is one.
    return [_scratch("sums", node.of(0).dtype, (node.of(0).elements,))]


def _swapped(dims: Dims) -> Dims:
    return (*dims[:-2], dims[-1], dims[-2])


def _batch_matmul(node: RuntimeNode) -> Added:
    left, right = node.of(0), node.of(1)
    transposed = _kept if right.memory is Memory.CONSTANT else _scratch
    added = [
        _scratch("left, transposed", left.dtype, _swapped(left.dims)),
        transposed("right, transposed", right.dtype, _swapped(right.dims)),
    ]
    if left.dtype != "float32" or right.dtype != "int8":
        return added
    rows = left.dims[-1] if node.options.boolean("adj_x") else left.dims[-2]
    units = right.dims[-2] if node.options.boolean("adj_y") else right.dims[-1]
    vectors = math.prod(left.dims[:-2]) * rows
    return [
        *added,
        _scratch("quantised input", right.dtype, left.dims),
        _scratch("scales", "float32", (vectors,)),
        _scratch("accumulators", "int32", (units, rows)),
        _scratch("offsets", "int32", (vectors,)),
        _kept("row sums", "int32", (math.prod(right.dims[:-2]) * units,)),
    ]


def _conv_2d(node: RuntimeNode) -> Added:
    image, weights = node.of(0), node.of(1)
    channels, height, width, depth = weights.dims
    output = _output_dims(node)
    strides = (node.options.integer("stride_w"), node.options.integer("stride_h"))
    dilations = tuple(node.options.integer(f"dilation_{axis}_factor") for axis in "wh")
    hybrid = is_hybrid(image, weights)
    added = []
    if (*dilations, *strides, height, width) != (1, 1, 1, 1, 1, 1):
        dtype = weights.dtype if hybrid else image.dtype
        added.append(_scratch("im2col", dtype, (*output[:3], depth * height * width)))
    if not hybrid:
        return added
    rows = image.elements // depth
    added += [
        _scratch("quantised input", "int8", image.dims),
        _scratch("scales", "float32", (rows,)),
        _scratch("accumulators", "int32", (channels, math.prod(output[:3]))),
    ]
    if weights.dtype == "int8" and len(set(weights.scales())) > 1:
        added += [
            _scratch("offsets", "int32", (rows,)),
            _kept("row sums", "int32", (channels,)),
        ]
    return added


def _conv_3d(node: RuntimeNode) -> Added:
    image, weights = node.of(0), node.of(1)
    depth, height, width, channels_in, channels_out = weights.dims
    strides = tuple(node.options.integer(f"stride_{axis}") for axis in "dwh")
    dilations = tuple(node.options.integer(f"dilation_{axis}_factor") for axis in "dwh")
    added = []
    if {*strides, *dilations, depth, height, width} != {1}:
        patch = channels_in * depth * height * width
        added.append(_scratch("im2col", image.dtype, (*_output_dims(node)[:4], patch)))
    dims = (channels_out, depth, height, width, channels_in)
    return [*added, _scratch("filter, transposed", weights.dtype, dims)]


def _conv_3d_transpose(node: RuntimeNode) -> Added:
    if any(node.options.integer(f"dilation_{axis}_factor") > 1 for axis in "dwh"):
        return []  # the reference kernel
    weights, image = node.dims(1), node.dims(2)
    return [_heap("col2im", "float32", (math.prod(image[1:4]), math.prod(weights[:4])))]


def _depthwise_conv_2d(node: RuntimeNode) -> Added:
    image, weights = node.of(0), node.of(1)
    if image.dtype != "float32" or weights.dtype != "int8":
        return []
    return [
        _scratch("quantised input", "int8", image.dims),
        _scratch("scales", "float32", image.dims[:1]),
        _scratch("offsets", "int32", image.dims[:1]),
    ]


def _detection_postprocess(node: RuntimeNode) -> Added:
    return [
        _scratch("decoded boxes", "float32", (node.dims(0)[1], 4)),
        _scratch("scores", "float32", node.dims(1)[1:]),
    ]


_FILTER_WIDTH_4_BIT = 4
_FILTER_DEPTH_4_BIT = 32


def _fully_connected(node: RuntimeNode) -> Added:
    values, weights = node.of(0), node.of(1)
    units, depth = weights.dims
    if values.dtype != "float32" or weights.dtype not in {"uint8", "int8", "int4"} or not depth:
        return []
    batch = values.elements // depth
    small = batch and depth % 2 == 0 and units >= _FILTER_WIDTH_4_BIT and depth >= _FILTER_DEPTH_4_BIT
    if weights.dtype == "int4" and weights.memory is Memory.CONSTANT and small:
        padded_depth = -(-depth // _FILTER_DEPTH_4_BIT) * _FILTER_DEPTH_4_BIT
        padded_units = -(-units // _FILTER_WIDTH_4_BIT) * _FILTER_WIDTH_4_BIT
        return [
            _scratch("quantised input", "int8", (batch, padded_depth)),
            _scratch("scales", "float32", (batch,)),
            _scratch("accumulators", "int32", (batch, padded_units)),
            _scratch("offsets", "int32", (batch,)),
        ]
    added = [
        _scratch("quantised input", "int8", values.dims),
        _scratch("scales", "float32", (batch,)),
        _scratch("accumulators", "int32", (units, batch)),
        _scratch("offsets", "int32", (batch,)),
        _kept("row sums", "int32", (units,)),
    ]
    if weights.sparsity is not None:
        added.append(_ledger(weights))
    return added


def _ledger(weights: RuntimeTensor) -> Scratch:
    """Which blocks of sparse weights hold anything: one byte for each, and one for each row."""
    size = 0
    if weights.sparsity is not None:
        for position, dimension in enumerate(weights.sparsity.tables("dim_metadata")):
            if position == 1:
                rows = _sparse_length(dimension.union("array_segments"))
                blocks = _sparse_length(dimension.union("array_indices"))
                size = blocks + rows - 1
    return _kept("ledger", "uint8", (size,))


def _sparse_length(vector: Table | None) -> int:
    return vector.length("values") if vector is not None else 0


def _lstm(node: RuntimeNode) -> Added:
    if node.options.enum("kernel_type") == "BASIC":
        return []  # the basic kernel works in its outputs
    values, weights = node.of(0), node.of(4)
    batch, cells = values.dims[0], weights.dims[0]
    if values.dtype == "int8":
        dtypes = (
            ["int16"] * 4 + ["int8", "int32"] if node.intermediates == 5 else ["int8"] * 2 + ["int16"] * 6
        )
        return [_scratch(f"gate {i}", dtype, (batch, cells)) for i, dtype in enumerate(dtypes)]
    gates = 4 if node.input(1) is None else 5
    added = [_scratch("gates", values.dtype, (batch, cells * gates))]
    if not is_hybrid(values, weights):
        return added
    added += _hybrid_lstm(node, batch, cells)
    if weights.sparsity is not None:
        for position in (1, 2, 3, 4, 5, 6, 7, 8, 16):
            other = node.input(position)
            # A weight that is not there has a ledger all the same, of no size.
            added.append(_ledger(other) if other is not None else _kept("ledger", "uint8", (0,)))
    return added


def _hybrid_lstm(node: RuntimeNode, batch: int, cells: int) -> Added:
    values, weights = node.of(0), node.of(4)
    rows = 6 if node.input(1) is None else 8
    if node.input(16) is not None:  # a projection
        rows += math.ceil(node.dims(8)[-1] / cells)
    return [
        _scratch("quantised input", weights.dtype, values.dims),
        _scratch("quantised output state", weights.dtype, node.dims(18)),
        _scratch("quantised cell state", weights.dtype, node.dims(19)),
        _scratch("input scales", "float32", (batch,)),
        _scratch("output state scales", "float32", (batch,)),
        _scratch("product scales", "float32", (batch,)),
        _scratch("recovered cell weights", "float32", (cells,)),
        _scratch("accumulators", "int32", (cells, batch)),
        _scratch("input zero points", "float32", (batch,)),
        _scratch("output state zero points", "float32", (batch,)),
        _kept("row sums", "int32", (rows, cells)),
    ]


def _unidirectional_lstm(node: RuntimeNode) -> Added:
    values, weights = node.of(0), node.of(4)
    batch, cells = values.dims[1 if node.options.boolean("time_major") else 0], weights.dims[0]
    if values.dtype == "int8":
        dtypes = ["int16"] * 4 + ["int8", "int32"]
        return [_scratch(f"gate {i}", dtype, (batch, cells)) for i, dtype in enumerate(dtypes)]
    gates = 4 if node.input(1) is None else 5
    added = [_scratch("gates", values.dtype, (batch, cells * gates + 16))]
    return added + _hybrid_lstm(node, batch, cells) if is_hybrid(values, weights) else added


def _bidirectional_lstm(node: RuntimeNode) -> Added:
    values, weights = node.of(0), node.of(4)
    batch = values.dims[1 if node.options.boolean("time_major") else 0]
    forward, backward = weights.dims[0], node.dims(21)[0]
    forward_gates, backward_gates = (4 if node.input(position) is None else 5 for position in (1, 18))
    added = [
        _scratch("forward gates", values.dtype, (batch, forward * forward_gates + 16)),
        _scratch("backward gates", values.dtype, (batch, backward * backward_gates)),
    ]
    if not is_hybrid(values, weights):
        return added
    auxiliary = node.input(39) if node.input(41) is not None else None
    cells = max(forward, backward)
    if auxiliary is not None:
        cells = max(cells, node.dims(43)[0], node.dims(47)[0])
    added += [_scratch("quantised input", weights.dtype, values.dims)]
    for position, label in (
        (35, "forward output"),
        (37, "backward output"),
        (36, "forward cell"),
        (38, "backward cell"),
    ):
        added.append(_scratch(f"quantised {label} state", weights.dtype, node.dims(position)))
    for label in ("input", "auxiliary input", "output state", "product"):
        added.append(_scratch(f"{label} scales", "float32", (batch,)))
    added += [
        _scratch("recovered cell weights", "float32", (forward,)),
        _scratch("accumulators", "int32", (cells, batch)),
    ]
    for label in ("input", "auxiliary input", "output state"):
        added.append(_scratch(f"{label} zero points", "float32", (batch,)))
    for label, first, own in (("forward", 0, forward), ("backward", 17, backward)):
        no_input_gate = node.input(1 + first) is None
        rows = 6 if no_input_gate else 8
        if auxiliary is not None:
            rows += 3 if no_input_gate else 4
        if node.input(16 + first) is not None:  # a projection
            rows += math.ceil(node.dims(8 + first)[1] / own)
        added.append(_kept(f"{label} row sums", "int32", (rows, own)))
    if auxiliary is not None:
        added.append(_scratch("quantised auxiliary input", weights.dtype, auxiliary.dims))
    return added


def _rnn_of(node: RuntimeNode, batch: int) -> Added:
    values, weights = node.of(0), node.of(1)
    if not is_hybrid(values, weights):
        return []
    units = weights.dims[0]
    return [
        _scratch("quantised input", weights.dtype, values.dims),
        _scratch("quantised hidden state", weights.dtype, node.dims(4)),
        _scratch("scales", "float32", (batch,)),
        _scratch("accumulators", "int32", (units, batch)),
        _scratch("zero points", "int32", (batch,)),
        _kept("row sums", "int32", (2, units)),
    ]


def _rnn(node: RuntimeNode) -> Added:
    return _rnn_of(node, node.dims(0)[0])


def _unidirectional_rnn(node: RuntimeNode) -> Added:
    return _rnn_of(node, node.dims(0)[1 if node.options.boolean("time_major") else 0])


def _bidirectional_rnn(node: RuntimeNode) -> Added:
    values, weights = node.of(0), node.of(1)
    if not is_hybrid(values, weights):
        return []
    batch = values.dims[1 if node.options.boolean("time_major") else 0]
    forward, backward = weights.dims[0], node.dims(5)[0]
    auxiliary = node.input(9) if node.input(10) is not None else None
    sums = 2 if auxiliary is None else 3
    added = [
        _scratch("quantised input", weights.dtype, values.dims),
        _scratch("quantised forward state", weights.dtype, node.dims(4)),
        _scratch("quantised backward state", weights.dtype, node.dims(8)),
        _scratch("scales", "float32", (batch,)),
        _scratch("accumulators", "int32", (max(forward, backward), batch)),
        _scratch("zero points", "int32", (batch,)),
        _kept("forward row sums", "int32", (sums, forward)),
        _kept("backward row sums", "int32", (sums, backward)),
    ]
    if auxiliary is not None:
        added.append(_scratch("quantised auxiliary input", weights.dtype, auxiliary.dims))
    return added


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


def _reduce(node: RuntimeNode) -> Added:
    """Without accumulators: the maximum, the minimum, any and all."""
    values, axes = node.of(0), node.of(1)
    dims = _arena_if(values.fixed and not _computed(node))
    axis = _arena_if(axes.fixed and not _computed(node))
    return [
        _scratch("index", "int32", (len(values.dims),)),
        Scratch(label="axes", dtype="int32", dims=(axes.elements,), memory=axis),
        Scratch(label="accumulators", dtype="float32", dims=(), memory=Memory.NONE),
        Scratch(label="dimensions", dtype="int32", dims=(len(values.dims),), memory=dims),
    ]


def _computed(node: RuntimeNode) -> bool:
    output = node.output()
    return output is not None and output.memory is Memory.COMPUTED


def _reduce_with_accumulators(node: RuntimeNode) -> Added:
    added = _reduce(node)
    values, axes = node.of(0), node.of(1)
    memory = _arena_if(axes.fixed and not _computed(node))
    chosen = node.ints(1)
    dims = (
        _output_dims(node)
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


def _rfft_2d(node: RuntimeNode) -> Added:
    length = node.ints(1)
    if length is None or not node.fixed(1):
        return [_heap("integers", "int32", ()), _heap("doubles", "int64", ())]
    height, width = length
    longest = max(height, width // 2)
    return [
        _scratch("integers", "int32", (2 + math.isqrt(longest),)),
        _scratch("doubles", "int64", (longest // 2 + width // 4,)),
    ]


def _svdf(node: RuntimeNode) -> Added:
    values, weights = node.of(0), node.of(1)
    batch, filters = values.dims[0], weights.dims[0]
    integer = values.dtype == "int8"
    added = [_scratch("filters", "int32" if integer else "float32", (batch, filters))]
    if integer:
        added.append(_scratch("output", "int32", (filters // node.options.integer("rank"), batch)))
    elif is_hybrid(values, weights):
        added += [
            _scratch("quantised input", weights.dtype, values.dims),
            _scratch("scales", "float32", (batch,)),
            _kept("weights in time", "float32", node.dims(2)),
            _scratch("zero points", "float32", (batch,)),
            _kept("row sums", "float32", (filters,)),
        ]
    return added


def _transpose_conv(node: RuntimeNode) -> Added:
    weights, image = node.of(1), node.of(2)
    channels, height, width, depth = weights.dims
    floats = image.dtype == "float32"
    columns = math.prod(image.dims[1:3]), channels * height * width
    added = [
        _heap("col2im", "float32" if floats else "int32", columns),
        _heap("weights, transposed", weights.dtype, (height, width, channels, depth)),
    ]
    if not floats:
        bias = node.input(3)
        wide = image.dtype == "int16" and bias is not None and bias.dtype == "int64"
        added.append(_heap("accumulators", "int64" if wide else "int32", _output_dims(node)))
    return added


def _numeric_verify(node: RuntimeNode) -> Added:
    return [_heap("dequantised", node.of(1).dtype, node.dims(0))]


SCRATCH: Mapping[str, Callable[[RuntimeNode], Added]] = {
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL", "REDUCE_ANY"), _reduce),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_PROD"), _reduce_with_accumulators),
    "ADD_N": _add_n,
    "BATCH_MATMUL": _batch_matmul,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _bidirectional_lstm,
    "BIDIRECTIONAL_SEQUENCE_RNN": _bidirectional_rnn,
    "CONV_2D": _conv_2d,
    "CONV_3D": _conv_3d,
    "CONV_3D_TRANSPOSE": _conv_3d_transpose,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "LSTM": _lstm,
    "NumericVerify": _numeric_verify,
    "RFFT2D": _rfft_2d,
    "RNN": _rnn,
    "SVDF": _svdf,
    "TFLite_Detection_PostProcess": _detection_postprocess,
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _unidirectional_lstm,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _unidirectional_rnn,
}
"""What each op adds; an op that is not here adds nothing."""

_RESERVED: Mapping[str, int] = {
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL", "REDUCE_ANY"), 4
    ),
    **dict.fromkeys(("FULLY_CONNECTED", "RNN", "SVDF", "UNIDIRECTIONAL_SEQUENCE_RNN"), 6),
    "ADD_N": 1,
    "BATCH_MATMUL": 7,
    "BIDIRECTIONAL_SEQUENCE_LSTM": 19,
    "BIDIRECTIONAL_SEQUENCE_RNN": 9,
    "LSTM": 21,
    "TFLite_Detection_PostProcess": 2,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 12,
}


def reserved(node: RuntimeNode) -> int:
    """How many tensors a kernel adds as soon as the model is read, whether it will need them or not.

    They count because the order of equal tensors depends on their numbers.
    """
    basic = node.op == "LSTM" and node.options.enum("kernel_type") == "BASIC"
    return 0 if basic or node.own else _RESERVED.get(node.op, 0)
