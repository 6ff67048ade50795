"""Delegated convolutions and matrix products → what they require of XNNPACK."""

from __future__ import annotations

import math

from litesmith.runtime.graph import RuntimeNode
from litesmith.runtime.xnnpack import narrow_gemm
from litesmith.runtime.xnnpack.required import (
    QUANTIZED,
    RequiredMicrokernels,
    Requirements,
    moved,
    only_output,
    require,
)


def strides(node: RuntimeNode) -> tuple[int, int]:
    """The strides of a convolution or a pool: height and width."""
    return node.options.integer("stride_h"), node.options.integer("stride_w")


def _matrix_operator(base: str, node: RuntimeNode) -> str:
    dtype, weights = node.of(0).dtype, node.of(1)
    if dtype == "int8":
        return f"{base}_qs8_qc8w" if len(weights.scales()) > 1 else f"{base}_qs8"
    return f"{base}_{QUANTIZED[dtype]}"


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
    return _matrix_kernels(config, "igemm", math.prod(only_output(node).dims[1:3]))


def is_matrix_product(node: RuntimeNode) -> bool:
    """Whether XNNPACK makes a fully connected operator of a CONV_2D: it has a filter of one pixel.

    Not where the input is quantised when the node runs (``litesmith/runtime/edits/xnnpack.py``).
    """
    outputs, height, width, inputs = node.of(1).dims
    one_pixel = (height, width) == strides(node) == (1, 1)
    return one_pixel and node.dims(0)[-1] == inputs and inputs + outputs > 2 and not is_hybrid(node)


def convolution(node: RuntimeNode) -> Requirements:
    """What a CONV_2D requires."""
    weights, output = node.of(1), only_output(node)
    if is_matrix_product(node):
        name, config = _FULLY_CONNECTED[node.of(0).dtype, weights.dtype]
        if name == "qs8_qc8w" and len(weights.scales()) == 1:
            name = "qs8"
        return require(
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
    return found | require("convolution-2d", operators=[operator], microkernels=kernels)


def is_hybrid(node: RuntimeNode, image: int = 0) -> bool:
    """Whether the input is quantised when the node runs."""
    return node.of(image).dtype == "float32" and node.of(1).dtype in {"int4", "int8"}


def _quantised_at_run_time() -> Requirements:
    return require("unary", operators=["convert_nc_f32_qd8"])


def depthwise(node: RuntimeNode) -> Requirements:
    """What a DEPTHWISE_CONV_2D requires."""
    multiplier = only_output(node).dims[-1] // max(node.dims(0)[-1], 1)
    kernels = _convolved(node, group_outputs=multiplier, group_inputs=1)
    operator = _matrix_operator("convolution2d_nhwc", node)
    return require("depthwise-convolution-2d", operators=[operator], microkernels=kernels)


def transpose_conv(node: RuntimeNode) -> Requirements:
    """What a TRANSPOSE_CONV requires."""
    dtype = node.of(2).dtype
    base, config = "deconvolution2d_nhwc", _CONVOLUTION_CONFIGS[dtype]
    operator, found = f"{base}_{QUANTIZED[dtype]}", Requirements()
    if is_hybrid(node, 2):
        operator, config = f"{base}_qd8_f32_qc8w", "qd8_f32_qc8w_gemm"
        found = _quantised_at_run_time()
    elif dtype == "int8" and len(node.of(1).scales()) > 1:
        operator = f"{base}_qs8_qc8w"
    kernels = {
        one for kind in ("gemm", "igemm") for rows in (1, 2) for one in _matrix_kernels(config, kind, rows)
    }
    return found | require("deconvolution-2d", operators=[operator], microkernels=kernels)


_FULLY_CONNECTED = {
    ("float32", "float32"): ("f32", "f32_gemm"),
    ("uint8", "uint8"): ("qu8", "qu8_gemm"),
    ("int8", "int8"): ("qs8_qc8w", "qs8_qc8w_gemm"),
    ("int8", "int4"): ("qs8_qc4w", "qs8_qc4w_gemm"),
    ("float32", "int8"): ("qd8_f32_qc8w", "qd8_f32_qc8w_gemm"),
    ("float32", "int4"): ("qd8_f32_qc4w", "qd8_f32_qc4w_gemm"),
}
"""Operator and configuration of FULLY_CONNECTED, by the dtypes of its input and its weights."""


def fully_connected(node: RuntimeNode) -> Requirements:
    """What a FULLY_CONNECTED requires."""
    source, weights = node.of(0), node.of(1)
    name, config = _FULLY_CONNECTED[source.dtype, weights.dtype]
    found = _quantised_at_run_time() if is_hybrid(node) else Requirements()
    rows = source.elements // max(weights.dims[1], 1)
    operators = [f"fully_connected_nc_{name}"]
    if is_hybrid(node) and weights.quantization is not None and weights.quantization.union("details"):
        # Weights in blocks: the scales are converted when the operator is made.
        config = "qd8_f32_qb4w_gemm"
        operators = ["fully_connected_nc_qd8_f32_qb4w", "fully_connected_nc_qd8_f32_qb4w_f16_scales"]
    bias = node.input(2)
    if source.dtype == "float32" and not (weights.fixed and (bias is None or bias.fixed)):
        operators.append("dynamic_fully_connected_nc_f32")
    if not node.options.boolean("keep_num_dims"):
        found |= moved("copy", "copy_nc", source.dtype)
    return found | require(
        # The delegate's code for this op can reshape the output, whether the node does or not.
        *("fully-connected", "copy", "reshape-helpers"),
        operators=operators,
        microkernels=_matrix_kernels(config, "gemm", rows),
    )


_PRODUCTS = {
    ("float32", "float32"): ("f32", "f32_gemm"),
    ("int8", "int8"): ("qs8", "qs8_qc8w_gemm"),
    ("float32", "int8"): ("qd8_f32_qc8w", "qd8_f32_qc8w_gemm"),
}
"""Operator and configuration of BATCH_MATMUL, by the dtypes of its inputs."""


def batch_matmul(node: RuntimeNode) -> Requirements:
    """What a BATCH_MATMUL requires."""
    first, second = node.of(0), node.of(1)
    name, config = _PRODUCTS[first.dtype, second.dtype]
    operator = f"batch_matrix_multiply_nc_{name}"
    found = _quantised_at_run_time() if is_hybrid(node) else Requirements()
    transposed = node.options.boolean("adj_x")
    if transposed:
        found |= moved("static-transpose", "transpose_nd", first.dtype)
    return found | require(
        # The delegate's code for this op can transpose, whether the node does or not.
        *("batch-matrix-multiply", "static-transpose", "reshape-helpers"),
        # Constants may be unpacked by the delegate itself; reshaping and setup are the same for both.
        operators=[operator, f"{operator}_const_weights"],
        microkernels=_matrix_kernels(config, "gemm", first.dims[-1 if transposed else -2]),
    )
