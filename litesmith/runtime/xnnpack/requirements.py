"""Delegated nodes → what they require of XNNPACK: files of its subgraph, operators, and micro-kernels.

TensorFlow Lite's delegate and XNNPACK's ``src/subgraph`` and ``src/operators`` decide what a node turns into.
The functions here follow them.  Where the decision depends on the CPU, they include every possibility.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from litesmith.runtime.graph import RuntimeNode, RuntimeTensor
from litesmith.runtime.xnnpack import narrow_gemm
from litesmith.runtime.xnnpack.required import RequiredMicrokernels, Requirements


def requirements_of(node: RuntimeNode) -> Requirements:
    """What one delegated node requires.

    Raises:
        LookupError: XNNPACK has no operator for the op and its dtype.
    """
    return _BY_OP[node.op](node)


def _require(
    *files: str,
    operators: Iterable[str] = (),
    configs: Iterable[str] = (),
    microkernels: Iterable[RequiredMicrokernels] = (),
    references: Iterable[tuple[str, str, str]] = (),
) -> Requirements:
    """Requirements with file names without folder and suffix, and all micro-kernels of ``configs``."""
    return Requirements(
        files=frozenset(f"src/subgraph/{name}.c" for name in files),
        operators=frozenset(operators),
        microkernels=frozenset((*microkernels, *(RequiredMicrokernels(config=name) for name in configs))),
        references=frozenset(references),
    )


def strides(node: RuntimeNode) -> tuple[int, int]:
    """The strides of a convolution or a pool: height and width."""
    return node.options.integer("stride_h"), node.options.integer("stride_w")


def filter_size(node: RuntimeNode) -> tuple[int, int]:
    """The filter size of a pool: height and width."""
    return node.options.integer("filter_height"), node.options.integer("filter_width")


# Dtypes in the names of XNNPACK's operators and configurations: with the quantisation, without it, and
# the width alone.
_QUANTIZED = {"float32": "f32", "int8": "qs8", "uint8": "qu8"}
_STORED = {"float32": "f32", "int8": "s8", "uint8": "u8"}
_WIDTH = {"float32": "x32", "int32": "x32", "int8": "x8", "uint8": "x8"}


def _only_output(node: RuntimeNode) -> RuntimeTensor:
    tensor = node.output()
    if tensor is None:
        raise LookupError("the node has no output")
    return tensor


def _clamp(dtype: str) -> Requirements:
    config = f"{_STORED[dtype]}_clamp"
    return _require("unary", operators=["unary_elementwise_nc"], configs=[config])


def _activated(node: RuntimeNode) -> Requirements:
    """The clamp that follows where the node has a fused activation."""
    if node.options.enum("fused_activation_function") == "NONE":
        return Requirements()
    return _clamp(_only_output(node).dtype)


# Binary and unary arithmetic.


def _binary(name: str, *, fused_activation: bool = False) -> Callable[[RuntimeNode], Requirements]:
    def require(node: RuntimeNode) -> Requirements:
        config = f"{_QUANTIZED[_only_output(node).dtype]}_v{name}"
        # Quantised subtraction is addition with a negative scale.
        config = config.replace("qs8_vsub", "qs8_vadd").replace("qu8_vsub", "qu8_vadd")
        found = _require("binary", operators=["binary_elementwise_nd"], configs=[config])
        return found | _activated(node) if fused_activation else found

    return require


def _unary(name: str, reference: str) -> Callable[[RuntimeNode], Requirements]:
    def require(node: RuntimeNode) -> Requirements:
        dtype = _only_output(node).dtype
        found = _require("unary", operators=["unary_elementwise_nc"])
        if dtype == "float32":
            return found | _require(configs=[f"f32_{name}"])
        if name == "lrelu":
            return found | _require(configs=[f"{_QUANTIZED[dtype]}_{name}"])
        return found | _looked_up(reference, dtype)

    return require


def _looked_up(reference: str, dtype: str) -> Requirements:
    """8-bit values are looked up in a table, which portable code fills once."""
    return _require(configs=["x8_lut"], references=[("unary", reference, dtype)])


def _gelu(node: RuntimeNode) -> Requirements:
    config = "f32_approxgelu" if node.options.boolean("approximate") else "f32_gelu"
    return _require("unary", operators=["unary_elementwise_nc"], configs=[config])


def _relu(node: RuntimeNode) -> Requirements:
    source, target = node.of(0), _only_output(node)
    found = _clamp(target.dtype)
    same = target.dtype == "float32" or _quantisation(source) == _quantisation(target)
    return found if same else found | _looked_up("clamp", target.dtype)


def _quantisation(tensor: RuntimeTensor) -> tuple[tuple[float, ...], tuple[int, ...]]:
    points = tensor.quantization.integers("zero_point") if tensor.quantization is not None else ()
    return tensor.scales(), tuple(int(point) for point in points)


def _convert(node: RuntimeNode) -> Requirements:
    source, target = node.of(0).dtype, _only_output(node).dtype
    if source == "float16":
        return Requirements()
    config = (
        f"{_QUANTIZED[source]}_cvt"
        if source == target
        else f"{_QUANTIZED[source]}_to_{_QUANTIZED[target]}_cvt"
    )
    return _require("unary", operators=["unary_elementwise_nc"], configs=[config])


# Convolutions and matrices.


def _matrix_operator(base: str, node: RuntimeNode) -> str:
    dtype, weights = node.of(0).dtype, node.of(1)
    if dtype == "int8":
        return f"{base}_qs8_qc8w" if len(weights.scales()) > 1 else f"{base}_qs8"
    return f"{base}_{_QUANTIZED[dtype]}"


def _matrix_kernels(config: str, kind: str, rows: int) -> list[RequiredMicrokernels]:
    # Configurations for few output channels (``nr2``) are not asked for: their kernels are left out.
    return [RequiredMicrokernels(config=config, kind=f"{kind}1" if rows == 1 else kind)]


_CONVOLUTION_CONFIGS = {"float32": "f32_igemm", "int8": "qs8_qc8w_gemm", "uint8": "qu8_gemm"}
_DEPTHWISE_CONFIGS = {"float32": "f32_dwconv", "int8": "qs8_qc8w_dwconv", "uint8": "qu8_dwconv"}
_MOST_TAPS = 25


def _convolved(node: RuntimeNode, *, group_outputs: int, group_inputs: int) -> list[RequiredMicrokernels]:
    """``select_microkernel_type`` of ``convolution-nhwc.c``."""
    dtype, taps = node.of(0).dtype, math.prod(node.of(1).dims[1:3])
    if group_inputs == 1 and group_outputs == 1:
        if taps == 1 and strides(node) == (1, 1) and dtype == "float32":
            return [RequiredMicrokernels(config="f32_vmulcaddc")]
        if taps <= _MOST_TAPS:
            return [RequiredMicrokernels(config=_DEPTHWISE_CONFIGS[dtype], kind="dwconv", taps=taps)]
    config = _CONVOLUTION_CONFIGS[dtype]
    if group_inputs < narrow_gemm.CHANNELS and dtype == "int8":
        config = narrow_gemm.NARROW
    return _matrix_kernels(config, "igemm", math.prod(_only_output(node).dims[1:3]))


def is_matrix_product(node: RuntimeNode) -> bool:
    """Whether XNNPACK makes a fully connected operator of a CONV_2D: it has a filter of one pixel.

    Not where the input is quantised when the node runs (``litesmith/runtime/edits/xnnpack.py``).
    """
    outputs, height, width, inputs = node.of(1).dims
    one_pixel = (height, width) == strides(node) == (1, 1)
    return one_pixel and node.dims(0)[-1] == inputs and inputs + outputs > 2 and not is_hybrid(node)


def _convolution(node: RuntimeNode) -> Requirements:
    weights, output = node.of(1), _only_output(node)
    if is_matrix_product(node):
        name, config = _FULLY_CONNECTED[node.of(0).dtype, weights.dtype]
        if name == "qs8_qc8w" and len(weights.scales()) == 1:
            name = "qs8"
        return _require(
            *("convolution-2d", "fully-connected", "reshape-helpers"),
            operators=[f"fully_connected_nc_{name}"],
            microkernels=_matrix_kernels(config, "gemm", math.prod(output.dims[:3])),
        )
    found = Requirements()
    if is_hybrid(node):
        kernels = _matrix_kernels("qd8_f32_qc8w_gemm", "igemm", math.prod(output.dims[1:3]))
        operator, found = "convolution2d_nhwc_qd8_f32_qc8w", _quantised_at_run_time()
    else:
        groups = max(node.dims(0)[-1] // max(weights.dims[3], 1), 1)
        kernels = _convolved(node, group_outputs=weights.dims[0] // groups, group_inputs=weights.dims[3])
        operator = _matrix_operator("convolution2d_nhwc", node)
    return found | _require("convolution-2d", operators=[operator], microkernels=kernels)


def is_hybrid(node: RuntimeNode, image: int = 0) -> bool:
    """Whether the input is quantised when the node runs."""
    return node.of(image).dtype == "float32" and node.of(1).dtype in {"int4", "int8"}


def _quantised_at_run_time() -> Requirements:
    return _require("unary", operators=["convert_nc_f32_qd8"])


def _depthwise(node: RuntimeNode) -> Requirements:
    multiplier = _only_output(node).dims[-1] // max(node.dims(0)[-1], 1)
    kernels = _convolved(node, group_outputs=multiplier, group_inputs=1)
    operator = _matrix_operator("convolution2d_nhwc", node)
    return _require("depthwise-convolution-2d", operators=[operator], microkernels=kernels)


def _transpose_conv(node: RuntimeNode) -> Requirements:
    dtype = node.of(2).dtype
    base, config = "deconvolution2d_nhwc", _CONVOLUTION_CONFIGS[dtype]
    operator, found = f"{base}_{_QUANTIZED[dtype]}", Requirements()
    if is_hybrid(node, 2):
        operator, config = f"{base}_qd8_f32_qc8w", "qd8_f32_qc8w_gemm"
        found = _quantised_at_run_time()
    elif dtype == "int8" and len(node.of(1).scales()) > 1:
        operator = f"{base}_qs8_qc8w"
    kernels = {
        one for kind in ("gemm", "igemm") for rows in (1, 2) for one in _matrix_kernels(config, kind, rows)
    }
    return found | _require("deconvolution-2d", operators=[operator], microkernels=kernels)


_FULLY_CONNECTED = {
    ("float32", "float32"): ("f32", "f32_gemm"),
    ("uint8", "uint8"): ("qu8", "qu8_gemm"),
    ("int8", "int8"): ("qs8_qc8w", "qs8_qc8w_gemm"),
    ("int8", "int4"): ("qs8_qc4w", "qs8_qc4w_gemm"),
    ("float32", "int8"): ("qd8_f32_qc8w", "qd8_f32_qc8w_gemm"),
    ("float32", "int4"): ("qd8_f32_qc4w", "qd8_f32_qc4w_gemm"),
}
"""Operator and configuration of FULLY_CONNECTED, by the dtypes of its input and its weights."""


def _fully_connected(node: RuntimeNode) -> Requirements:
    source, weights = node.of(0), node.of(1)
    name, config = _FULLY_CONNECTED[source.dtype, weights.dtype]
    found = _quantised_at_run_time() if is_hybrid(node) else Requirements()
    rows = source.elements // max(weights.dims[1], 1)
    operators = [f"fully_connected_nc_{name}"]
    bias = node.input(2)
    if source.dtype == "float32" and not (weights.fixed and (bias is None or bias.fixed)):
        operators.append("dynamic_fully_connected_nc_f32")
    if not node.options.boolean("keep_num_dims"):
        found |= _moved("copy", "copy_nc", source.dtype)
    return found | _require(
        *("fully-connected", "reshape-helpers"),
        operators=operators,
        microkernels=_matrix_kernels(config, "gemm", rows),
    )


# Pools and reductions.


def _pool(name: str, file: str) -> Callable[[RuntimeNode], Requirements]:
    def require(node: RuntimeNode) -> Requirements:
        dtype = _only_output(node).dtype
        if filter_size(node) == (1, 1):
            # The delegate clamps instead, but its code still refers to the function that adds a pool.
            return _require(file) | _clamp(dtype)
        return _require(file, operators=[f"{name}_nhwc_{_STORED[dtype]}"])

    return require


def _reduction(kind: str) -> Callable[[RuntimeNode], Requirements]:
    """``kind`` is ``sum`` for MEAN, too, else ``min`` or ``max``."""

    def require(node: RuntimeNode) -> Requirements:
        dtype = _only_output(node).dtype
        summed = kind == "sum"
        prefix = (_QUANTIZED if summed else _STORED)[dtype]
        return _require(
            *("static-reduce", "reshape-helpers"),
            operators=["reduce_nd"],
            configs=[f"{prefix}_r{kind}", "xx_fill"],
            references=[("unary", "convert", dtype)] if summed and dtype != "float32" else [],
        )

    return require


# Ops that move data.


def _moved(file: str, operator: str, dtype: str) -> Requirements:
    return _require(file, "reshape-helpers", operators=[f"{operator}_{_WIDTH[dtype]}"])


def _moving(file: str, operator: str) -> Callable[[RuntimeNode], Requirements]:
    return lambda node: _moved(file, operator, _only_output(node).dtype)


def _resize_bilinear(node: RuntimeNode) -> Requirements:
    return _require(
        "static-resize-bilinear-2d",
        operators=["resize_bilinear2d_nhwc"],
        configs=[f"{_STORED[_only_output(node).dtype]}_ibilinear"],
    )


def _softmax(_node: RuntimeNode) -> Requirements:
    return _require("softmax", operators=["softmax_nc_f32"])


def _nothing(_node: RuntimeNode) -> Requirements:
    """The delegate itself runs the node once, while the model is loaded."""
    return Requirements()


_BY_OP: Mapping[str, Callable[[RuntimeNode], Requirements]] = {
    "ABS": _unary("abs", "abs"),
    "ADD": _binary("add", fused_activation=True),
    "AVERAGE_POOL_2D": _pool("average_pooling2d", "average-pooling-2d"),
    "CEIL": _unary("rndu", "ceiling"),
    "CONCATENATION": _moving("concatenate", "copy_nc"),
    "CONV_2D": _convolution,
    "COS": _unary("cosine", "cosine"),
    "DENSIFY": _nothing,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _moving("depth-to-space-2d", "depth_to_space_nhwc"),
    "DEQUANTIZE": _convert,
    "DIV": _binary("div", fused_activation=True),
    "ELU": _unary("elu", "elu"),
    "EXP": _unary("exp", "exp"),
    "FLOOR": _unary("rndd", "floor"),
    "FULLY_CONNECTED": _fully_connected,
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
    "TRANSPOSE_CONV": _transpose_conv,
}
"""By op: all that the delegate may take."""
