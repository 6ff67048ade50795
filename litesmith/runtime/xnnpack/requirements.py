"""Delegated nodes → what they require of XNNPACK: files of its subgraph, operators, and micro-kernels.

TensorFlow Lite's delegate and XNNPACK's ``src/subgraph`` and ``src/operators`` decide what a node turns into.
The functions here follow them.  Where the decision depends on the CPU, they include every possibility.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from litesmith.runtime.graph import RuntimeNode, RuntimeTensor
from litesmith.runtime.xnnpack import narrow_gemm


@dataclass(frozen=True, kw_only=True, order=True)
class RequiredMicrokernels:
    """Micro-kernels of one configuration (``xnn_init_…_config``).

    ``kind`` is ``gemm``, ``gemm1``, ``igemm``, ``igemm1`` (1: for a single row) or ``dwconv``; empty stands
    for all micro-kernels of the configuration.  ``taps`` is the filter size of a ``dwconv``, else 0.
    """

    config: str
    kind: str = ""
    taps: int = 0


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What nodes require of XNNPACK.

    ``files`` are files of ``src/subgraph``, ``operators`` are the names after ``xnn_create_``.
    ``references`` are portable functions that take the place of micro-kernels, each as its kind (``unary``
    or ``binary``), the operator and the dtype.
    """

    files: frozenset[str] = field(default_factory=frozenset)
    operators: frozenset[str] = field(default_factory=frozenset)
    microkernels: frozenset[RequiredMicrokernels] = field(default_factory=frozenset)
    references: frozenset[tuple[str, str, str]] = field(default_factory=frozenset)

    def __or__(self, other: Requirements) -> Requirements:
        return Requirements(
            files=self.files | other.files,
            operators=self.operators | other.operators,
            microkernels=self.microkernels | other.microkernels,
            references=self.references | other.references,
        )


def requirements_of(node: RuntimeNode) -> Requirements:
    """What one delegated node requires.

    Raises:
        LookupError: XNNPACK has no operator for the op and its dtype.
    """
    return _BY_OP[node.op](node)


def joined(several: Iterable[Requirements]) -> Requirements:
    """All of these requirements in one."""
    return functools.reduce(Requirements.__or__, several, Requirements())


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
        found = _require("binary", "deprecated", operators=["binary_elementwise_nd"], configs=[config])
        return found | _activated(node) if fused_activation else found

    return require


def _unary(name: str, reference: str) -> Callable[[RuntimeNode], Requirements]:
    def require(node: RuntimeNode) -> Requirements:
        dtype = _only_output(node).dtype
        found = _require("unary", "deprecated", operators=["unary_elementwise_nc"])
        if dtype == "float32":
            return found | _require(configs=[f"f32_{name}"])
        if name == "lrelu":
            return found | _require(configs=[f"{_QUANTIZED[dtype]}_{name}"])
        return found | _looked_up(reference, dtype)

    return require


def _looked_up(reference: str, dtype: str) -> Requirements:
    """8-bit values are looked up in a table, which portable code fills once."""
    return _require(configs=["x8_lut"], references=[("unary", reference, dtype)])


def _relu(node: RuntimeNode) -> Requirements:
    source, target = node.of(0), _only_output(node)
    found = _require("deprecated") | _clamp(target.dtype)
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


def _gemm_config(dtype: str) -> str:
    return {"float32": "f32_gemm", "int8": "qs8_qc8w_gemm", "uint8": "qu8_gemm"}[dtype]


def _matrix_kernels(dtype: str, kind: str, rows: int, *, narrow: bool = False) -> list[RequiredMicrokernels]:
    # Configurations for few output channels (``nr2``) are not asked for: their kernels are left out.
    config = narrow_gemm.NARROW if narrow and dtype == "int8" else _gemm_config(dtype)
    return [RequiredMicrokernels(config=config, kind=f"{kind}1" if rows == 1 else kind)]


def _convolved(
    node: RuntimeNode, *, steps: tuple[int, int], depthwise: bool, multiplier: int, batch: int
) -> list[RequiredMicrokernels]:
    dtype, weights, output = node.of(0).dtype, node.of(1), _only_output(node)
    taps = math.prod(weights.dims[1:3])
    group_outputs = multiplier if depthwise else output.dims[-1]
    group_inputs = 1 if depthwise else weights.dims[3]
    pixels = math.prod(output.dims[1:3])
    if group_inputs == 1 and group_outputs == 1:
        if taps == 1 and steps == (1, 1) and dtype == "float32":
            return [RequiredMicrokernels(config="f32_vmulcaddc")]
        if taps <= _MOST_TAPS:
            config = {"float32": "f32_dwconv", "int8": "qs8_qc8w_dwconv", "uint8": "qu8_dwconv"}[dtype]
            return [RequiredMicrokernels(config=config, kind="dwconv", taps=taps)]
    narrow = group_inputs < narrow_gemm.CHANNELS
    if taps == 1 and steps == (1, 1):
        return _matrix_kernels(dtype, "gemm", batch * pixels, narrow=narrow)
    return _matrix_kernels(dtype, "igemm", pixels, narrow=narrow)


_MOST_TAPS = 25


def _convolution(node: RuntimeNode) -> Requirements:
    kernels = _convolved(
        node,
        steps=strides(node),
        depthwise=False,
        multiplier=1,
        batch=node.dims(0)[0],
    )
    operator = _matrix_operator("convolution2d_nhwc", node)
    return _require("convolution-2d", operators=[operator], microkernels=kernels)


def _depthwise(node: RuntimeNode) -> Requirements:
    kernels = _convolved(
        node,
        steps=strides(node),
        depthwise=True,
        multiplier=_only_output(node).dims[-1] // max(node.dims(0)[-1], 1),
        batch=node.dims(0)[0],
    )
    operator = _matrix_operator("convolution2d_nhwc", node)
    return _require("depthwise-convolution-2d", operators=[operator], microkernels=kernels)


def _transpose_conv(node: RuntimeNode) -> Requirements:
    dtype = node.of(2).dtype
    scales = len(node.of(1).scales())
    base = "deconvolution2d_nhwc"
    operator = f"{base}_{_QUANTIZED[dtype]}"
    if dtype == "int8" and scales > 1:
        operator = f"{base}_qs8_qc8w"
    kernels = {
        one for kind in ("gemm", "igemm") for rows in (1, 2) for one in _matrix_kernels(dtype, kind, rows)
    }
    return _require("deconvolution-2d", operators=[operator], microkernels=kernels)


def _fully_connected(node: RuntimeNode) -> Requirements:
    dtype, weights = node.of(0).dtype, node.of(1)
    rows = node.of(0).elements // max(weights.dims[1], 1)
    kernels = _matrix_kernels(dtype, "gemm", rows)
    operators = [_matrix_operator("fully_connected_nc", node)]
    if dtype == "float32" and not weights.fixed:
        operators.append("dynamic_fully_connected_nc_f32")
    return _require("fully-connected", "reshape-helpers", operators=operators, microkernels=kernels)


# Pools and reductions.


def _pool(name: str, file: str) -> Callable[[RuntimeNode], Requirements]:
    def require(node: RuntimeNode) -> Requirements:
        dtype = _only_output(node).dtype
        if filter_size(node) == (1, 1):
            # The delegate clamps instead, but its code still refers to the function that adds a pool.
            return _require("deprecated", file) | _clamp(dtype)
        return _require(file, operators=[f"{name}_nhwc_{_STORED[dtype]}"])

    return require


_CONVERSION_CONFIGS = {
    "float32": (),
    "int8": ("f32_to_qs8_cvt", "s32_to_f32_cvt"),
    "uint8": ("f32_to_qu8_cvt", "s32_to_f32_cvt"),
}


def _reduction(node: RuntimeNode) -> Requirements:
    dtype = _only_output(node).dtype
    configs = [f"{_QUANTIZED[dtype]}_rsum", f"{_QUANTIZED[dtype]}_rdsum", *_CONVERSION_CONFIGS[dtype]]
    return _require(
        *("static-reduce", "deprecated", "reshape-helpers"),
        operators=["reduce_nd"],
        configs=configs,
    )


# Ops that move data.


def _moved(file: str, operator: str) -> Callable[[RuntimeNode], Requirements]:
    def require(node: RuntimeNode) -> Requirements:
        return _require(file, "reshape-helpers", operators=[f"{operator}_{_WIDTH[_only_output(node).dtype]}"])

    return require


def _resize_bilinear(node: RuntimeNode) -> Requirements:
    operator = f"resize_bilinear2d_nhwc_{_STORED[_only_output(node).dtype]}"
    return _require("static-resize-bilinear-2d", operators=[operator])


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
    "CONCATENATION": _moved("concatenate", "copy_nc"),
    "CONV_2D": _convolution,
    "DENSIFY": _nothing,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _moved("depth-to-space-2d", "depth_to_space_nhwc"),
    "DEQUANTIZE": _convert,
    "DIV": _binary("div", fused_activation=True),
    "ELU": _unary("elu", "elu"),
    "FLOOR": _unary("rndd", "floor"),
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _unary("hswish", "hardswish"),
    "LEAKY_RELU": _unary("lrelu", "leaky_relu"),
    "LOGISTIC": _unary("sigmoid", "sigmoid"),
    "MAXIMUM": _binary("max"),
    "MAX_POOL_2D": _pool("max_pooling2d", "max-pooling-2d"),
    "MEAN": _reduction,
    "MINIMUM": _binary("min"),
    "MUL": _binary("mul", fused_activation=True),
    "NEG": _unary("neg", "negate"),
    "PAD": _moved("static-constant-pad", "constant_pad_nd"),
    "PRELU": _binary("prelu"),
    "QUANTIZE": _convert,
    "RELU": _relu,
    "RELU6": _relu,
    "RELU_N1_TO_1": _relu,
    "RESHAPE": _moved("copy", "copy_nc"),
    "RESIZE_BILINEAR": _resize_bilinear,
    "ROUND": _unary("rndne", "bankers_rounding"),
    "SLICE": _moved("static-slice", "slice_nd"),
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _moved("space-to-depth-2d", "space_to_depth_nhwc"),
    "SPLIT": _moved("even-split", "copy_nc"),
    "SQRT": _unary("sqrt", "square_root"),
    "SQUARE": _unary("sqr", "square"),
    "SQUARED_DIFFERENCE": _binary("sqrdiff"),
    "STRIDED_SLICE": _moved("static-slice", "slice_nd"),
    "SUB": _binary("sub", fused_activation=True),
    "SUM": _reduction,
    "TANH": _unary("tanh", "tanh"),
    "TRANSPOSE": _moved("static-transpose", "transpose_nd"),
    "TRANSPOSE_CONV": _transpose_conv,
}
"""By op: all that the delegate may take."""
