"""Delegated nodes → what they require of XNNPACK: files of its subgraph, operators, and micro-kernels.

TensorFlow Lite's delegate and XNNPACK's ``src/subgraph`` and ``src/operators`` decide what a node turns into.
The functions here follow them.  Where the decision depends on the CPU, they include every possibility.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from litesmith.runtime.graph import RuntimeNode, RuntimeTensor
from litesmith.runtime.xnnpack import matrices
from litesmith.runtime.xnnpack.required import (
    QUANTIZED,
    STORED,
    Requirements,
    moved,
    only_output,
    require,
)


def requirements_of(node: RuntimeNode) -> Requirements:
    """What one delegated node requires.

    Raises:
        LookupError: XNNPACK has no operator for the op and its dtype.
    """
    return _BY_OP[node.op](node)


def filter_size(node: RuntimeNode) -> tuple[int, int]:
    """The filter size of a pool: height and width."""
    return node.options.integer("filter_height"), node.options.integer("filter_width")


def _clamp(dtype: str) -> Requirements:
    config = f"{STORED[dtype]}_clamp"
    return require("unary", operators=["unary_elementwise_nc"], configs=[config])


def _activated(node: RuntimeNode) -> Requirements:
    """The clamp that follows where the node has a fused activation."""
    if node.options.enum("fused_activation_function") == "NONE":
        return Requirements()
    return _clamp(only_output(node).dtype)


# Binary and unary arithmetic.


def _binary(name: str, *, fused_activation: bool = False) -> Callable[[RuntimeNode], Requirements]:
    def of_node(node: RuntimeNode) -> Requirements:
        config = f"{QUANTIZED[only_output(node).dtype]}_v{name}"
        # Quantised subtraction is addition with a negative scale.
        config = config.replace("qs8_vsub", "qs8_vadd").replace("qu8_vsub", "qu8_vadd")
        found = require("binary", operators=["binary_elementwise_nd"], configs=[config])
        return found | _activated(node) if fused_activation else found

    return of_node


def _unary(name: str, reference: str) -> Callable[[RuntimeNode], Requirements]:
    def of_node(node: RuntimeNode) -> Requirements:
        dtype = only_output(node).dtype
        found = require("unary", operators=["unary_elementwise_nc"])
        if dtype == "float32":
            return found | require(configs=[f"f32_{name}"])
        if name == "lrelu":
            return found | require(configs=[f"{QUANTIZED[dtype]}_{name}"])
        return found | _looked_up(reference, dtype)

    return of_node


def _looked_up(reference: str, dtype: str) -> Requirements:
    """8-bit values are looked up in a table, which portable code fills once."""
    return require(configs=["x8_lut"], references=[("unary", reference, dtype)])


def _gelu(node: RuntimeNode) -> Requirements:
    config = "f32_approxgelu" if node.options.boolean("approximate") else "f32_gelu"
    return require("unary", operators=["unary_elementwise_nc"], configs=[config])


def _relu(node: RuntimeNode) -> Requirements:
    source, target = node.of(0), only_output(node)
    found = _clamp(target.dtype)
    same = target.dtype == "float32" or _quantisation(source) == _quantisation(target)
    return found if same else found | _looked_up("clamp", target.dtype)


def _quantisation(tensor: RuntimeTensor) -> tuple[tuple[float, ...], tuple[int, ...]]:
    points = tensor.quantization.integers("zero_point") if tensor.quantization is not None else ()
    return tensor.scales(), tuple(int(point) for point in points)


def _convert(node: RuntimeNode) -> Requirements:
    source, target = node.of(0).dtype, only_output(node).dtype
    if source == "float16":
        return Requirements()
    config = (
        f"{QUANTIZED[source]}_cvt" if source == target else f"{QUANTIZED[source]}_to_{QUANTIZED[target]}_cvt"
    )
    return require("unary", operators=["unary_elementwise_nc"], configs=[config])


# Pools and reductions.


def _pool(name: str, file: str) -> Callable[[RuntimeNode], Requirements]:
    def of_node(node: RuntimeNode) -> Requirements:
        dtype = only_output(node).dtype
        if filter_size(node) == (1, 1):
            # The delegate clamps instead, but its code still refers to the function that adds a pool.
            return require(file) | _clamp(dtype)
        return require(file, operators=[f"{name}_nhwc_{STORED[dtype]}"])

    return of_node


def _reduction(kind: str) -> Callable[[RuntimeNode], Requirements]:
    """``kind`` is ``sum`` for MEAN, too, else ``min`` or ``max``."""

    def of_node(node: RuntimeNode) -> Requirements:
        dtype = only_output(node).dtype
        summed = kind == "sum"
        prefix = (QUANTIZED if summed else STORED)[dtype]
        return require(
            *("static-reduce", "reshape-helpers"),
            operators=["reduce_nd"],
            configs=[f"{prefix}_r{kind}", "xx_fill"],
            references=[("unary", "convert", dtype)] if summed and dtype != "float32" else [],
        )

    return of_node


# Ops that move data.


def _moving(file: str, operator: str) -> Callable[[RuntimeNode], Requirements]:
    return lambda node: moved(file, operator, only_output(node).dtype)


def _resize_bilinear(node: RuntimeNode) -> Requirements:
    return require(
        "static-resize-bilinear-2d",
        operators=["resize_bilinear2d_nhwc"],
        configs=[f"{STORED[only_output(node).dtype]}_ibilinear"],
    )


def _softmax(_node: RuntimeNode) -> Requirements:
    return require("softmax", operators=["softmax_nc_f32"])


def _nothing(_node: RuntimeNode) -> Requirements:
    """The delegate itself runs the node once, while the model is loaded."""
    return Requirements()


_BY_OP: Mapping[str, Callable[[RuntimeNode], Requirements]] = {
    "ABS": _unary("abs", "abs"),
    "ADD": _binary("add", fused_activation=True),
    "AVERAGE_POOL_2D": _pool("average_pooling2d", "average-pooling-2d"),
    "BATCH_MATMUL": matrices.batch_matmul,
    "CEIL": _unary("rndu", "ceiling"),
    "CONCATENATION": _moving("concatenate", "copy_nc"),
    "CONV_2D": matrices.convolution,
    "COS": _unary("cosine", "cosine"),
    "DENSIFY": _nothing,
    "DEPTHWISE_CONV_2D": matrices.depthwise,
    "DEPTH_TO_SPACE": _moving("depth-to-space-2d", "depth_to_space_nhwc"),
    "DEQUANTIZE": _convert,
    "DIV": _binary("div", fused_activation=True),
    "ELU": _unary("elu", "elu"),
    "EXP": _unary("exp", "exp"),
    "FLOOR": _unary("rndd", "floor"),
    "FULLY_CONNECTED": matrices.fully_connected,
    "GELU": _gelu,
    "HARD_SWISH": _unary("hswish", "hardswish"),
    "LEAKY_RELU": _unary("lrelu", "leaky_relu"),
    "LOGISTIC": _unary("sigmoid", "sigmoid"),
    "MAXIMUM": _binary("max"),
    "MAX_POOL_2D": _pool("max_pooling2d", "max-pooling-2d"),
    "MEAN": _reduction("sum"),
    "MINIMUM": _binary("min"),
    "MUL": _binary("mul", fused_activation=True),
    "NEG": _unary("neg", "negate"),
    "PAD": _moving("static-constant-pad", "constant_pad_nd"),
    "PRELU": _binary("prelu"),
    "QUANTIZE": _convert,
    "REDUCE_MAX": _reduction("max"),
    "REDUCE_MIN": _reduction("min"),
    "RELU": _relu,
    "RELU6": _relu,
    "RELU_N1_TO_1": _relu,
    "RESHAPE": _moving("copy", "copy_nc"),
    "RESIZE_BILINEAR": _resize_bilinear,
    "ROUND": _unary("rndne", "bankers_rounding"),
    "RSQRT": _unary("rsqrt", "reciprocal_square_root"),
    "SIN": _unary("sine", "sine"),
    "SLICE": _moving("static-slice", "slice_nd"),
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _moving("space-to-depth-2d", "space_to_depth_nhwc"),
    "SPLIT": _moving("even-split", "copy_nc"),
    "SQRT": _unary("sqrt", "square_root"),
    "SQUARE": _unary("sqr", "square"),
    "SQUARED_DIFFERENCE": _binary("sqrdiff"),
    "STRIDED_SLICE": _moving("static-slice", "slice_nd"),
    "SUB": _binary("sub", fused_activation=True),
    "SUM": _reduction("sum"),
    "TANH": _unary("tanh", "tanh"),
    "TRANSPOSE": _moving("static-transpose", "transpose_nd"),
    "TRANSPOSE_CONV": matrices.transpose_conv,
}
"""By op: all that the delegate may take."""
