"""Convolutions and pools."""

from __future__ import annotations

import math
from collections.abc import Mapping

from litesmith.predict.arena import padding
from litesmith.predict.arena.kernels.kernel import (
    Kernel,
    Temporaries,
    given_shape,
    in_arena,
    kept,
    on_heap,
    output_dims,
)
from litesmith.runtime.graph import Dims, Memory, RuntimeNode, is_hybrid


def _window_2d(node: RuntimeNode, filter_height: int, filter_width: int) -> Dims:
    """The height and width of a convolution's output."""
    _, height, width, _ = node.dims(0)
    options = node.options
    rule = padding.rule(options.enum("padding"))
    return (
        rule(height, filter_height, options.integer("stride_h"), options.integer("dilation_h_factor")),
        rule(width, filter_width, options.integer("stride_w"), options.integer("dilation_w_factor")),
    )


def _conv_2d(node: RuntimeNode) -> None:
    channels, height, width, _ = node.dims(1)
    node.resize(0, (node.dims(0)[0], *_window_2d(node, height, width), channels))


def _depthwise_conv_2d(node: RuntimeNode) -> None:
    _, height, width, channels = node.dims(1)
    node.resize(0, (node.dims(0)[0], *_window_2d(node, height, width), channels))


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
    # Unlike other kernels, it does not use a shape that another kernel has computed.
    if node.of(0).memory is Memory.CONSTANT:
        node.resize(0, node.ints(0), known=True)
    else:
        node.heap(0, node.ints(0), known=node.of(0).known)


def _conv_2d_temporaries(node: RuntimeNode) -> Temporaries:
    image, weights = node.of(0), node.of(1)
    channels, height, width, depth = weights.dims
    output = output_dims(node)
    strides = (node.options.integer("stride_w"), node.options.integer("stride_h"))
    dilations = tuple(node.options.integer(f"dilation_{axis}_factor") for axis in "wh")
    four_bit = image.dtype == "float32" and weights.dtype == "int4"
    hybrid = four_bit or is_hybrid(image, weights)
    added = []
    if (*dilations, *strides, height, width) != (1, 1, 1, 1, 1, 1):
        dtype = "int8" if four_bit else weights.dtype if hybrid else image.dtype
        added.append(in_arena("im2col", dtype, (*output[:3], depth * height * width)))
    if not hybrid:
        return added
    rows = image.elements // depth
    added += [
        in_arena("quantised input", "int8", image.dims),
        in_arena("scales", "float32", (rows,)),
        in_arena("accumulators", "int32", (channels, math.prod(output[:3]))),
    ]
    if weights.dtype in {"int8", "int4"} and len(set(weights.scales())) > 1:
        added += [
            in_arena("offsets", "int32", (rows,)),
            kept("row sums", "int32", (channels,)),
        ]
    return added


def _conv_3d_temporaries(node: RuntimeNode) -> Temporaries:
    image, weights = node.of(0), node.of(1)
    depth, height, width, channels_in, _ = weights.dims
    strides = tuple(node.options.integer(f"stride_{axis}") for axis in "dwh")
    dilations = tuple(node.options.integer(f"dilation_{axis}_factor") for axis in "dwh")
    if {*strides, *dilations, depth, height, width} == {1}:
        return []
    patch = channels_in * depth * height * width
    return [in_arena("im2col", image.dtype, (*output_dims(node)[:4], patch))]


def _conv_3d_transpose_temporaries(node: RuntimeNode) -> Temporaries:
    if any(node.options.integer(f"dilation_{axis}_factor") > 1 for axis in "dwh"):
        return []  # the reference kernel
    weights, image = node.dims(1), node.dims(2)
    return [on_heap("col2im", "float32", (math.prod(image[1:4]), math.prod(weights[:4])))]


def _depthwise_conv_2d_temporaries(node: RuntimeNode) -> Temporaries:
    image, weights = node.of(0), node.of(1)
    if image.dtype != "float32" or weights.dtype != "int8":
        return []
    return [
        in_arena("quantised input", "int8", image.dims),
        in_arena("scales", "float32", image.dims[:1]),
        in_arena("offsets", "int32", image.dims[:1]),
    ]


def _transpose_conv_temporaries(node: RuntimeNode) -> Temporaries:
    weights, image = node.of(1), node.of(2)
    channels, height, width, depth = weights.dims
    floats = image.dtype == "float32"
    columns = math.prod(image.dims[1:3]), channels * height * width
    added = [
        on_heap("col2im", "float32" if floats else "int32", columns),
        on_heap("weights, transposed", weights.dtype, (height, width, channels, depth)),
    ]
    if not floats:
        wide = image.dtype == "int16" and node.options.enum("quantized_bias_type") != "INT32"
        added.append(on_heap("accumulators", "int64" if wide else "int32", output_dims(node)))
    elif weights.dtype == "int8":
        rows = image.elements // depth
        added += [
            in_arena("quantised input", "int8", image.dims),
            in_arena("scales", "float32", (rows,)),
            in_arena("offsets", "int32", (rows,)),
        ]
    return added


KERNELS: Mapping[str, Kernel] = {
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), Kernel(prepare=_pool_2d)),
    "CONV_2D": Kernel(prepare=_conv_2d, temporaries=_conv_2d_temporaries),
    "CONV_3D": Kernel(prepare=_conv_3d, temporaries=_conv_3d_temporaries),
    "CONV_3D_TRANSPOSE": Kernel(prepare=given_shape(0), temporaries=_conv_3d_transpose_temporaries),
    "DEPTHWISE_CONV_2D": Kernel(prepare=_depthwise_conv_2d, temporaries=_depthwise_conv_2d_temporaries),
    "TRANSPOSE_CONV": Kernel(prepare=_transpose_conv, temporaries=_transpose_conv_temporaries),
}
