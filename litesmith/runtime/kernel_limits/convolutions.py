"""Limits of convolutions and pools."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.runtime.kernel_limits.limit import (
    MAY_BE_DAMAGED,
    Limit,
    dtypes,
    one_scale,
    ranks,
    signatures,
    when,
    with_dtype,
    zero_points,
)
from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode, Operand
from litesmith.runtime.kernel_limits.weights import (
    bias_dtype_as_declared,
    bias_scale,
    channels_of,
    is_hybrid,
    not_blockwise,
    scale_of_each_channel,
)

_INPUT, _FILTER, _BIAS = 0, 1, 2
_ENDS = (_INPUT, OUTPUT)


def _present(where: str, position: int, count: int) -> Limit:
    """An input that the kernel requires although others leave it out."""

    def check(node: KernelNode) -> str | None:
        if node.inputs < count - 1 or node.at(position) is not None:
            return None
        return f"it has no input {position}, the bias; the kernel requires one"

    return Limit(where=where, check=check, advice="add a bias of zeros before converting")


def _groups(node: KernelNode) -> int:
    """How many groups a CONV_2D has; 1 where the shapes are unknown."""
    image, weights = node.at(_INPUT), node.at(_FILTER)
    channels = image.dimension(3) if image is not None else None
    of_group = weights.dimension(3) if weights is not None else None
    return channels // of_group if channels and of_group else 1


def _whole_groups(where: str) -> Limit:
    """Input channels in whole groups, and output channels in as many."""

    def check(node: KernelNode) -> str | None:
        image, weights = node.at(_INPUT), node.at(_FILTER)
        if image is None or weights is None:
            return None
        channels, of_group, filters = image.dimension(3), weights.dimension(3), weights.dimension(0)
        if not channels or of_group is None or filters is None:
            return None
        if of_group > 0 and channels % of_group == 0 and filters % (channels // of_group) == 0:
            return None
        return f"{image.name} has {channels} channels, {weights.name} {filters} filters of {of_group}"

    return Limit(where=where, check=check, advice=MAY_BE_DAMAGED)


def _fitting_window(where: str, options: str) -> Limit:
    """A window that, with its dilation, is smaller than what kernels can count."""

    def check(node: KernelNode) -> str | None:
        weights, found = node.at(_FILTER), node.options(options)
        for index, field in ((1, "dilation_h_factor"), (2, "dilation_w_factor")):
            size = weights.dimension(index) if weights is not None else None
            if size is not None and (size - 1) * found.integer(field) >= _LARGEST_WINDOW:
                return (
                    f"its {field} is {found.integer(field)}; the kernel takes windows below {_LARGEST_WINDOW}"
                )
        return None

    return Limit(where=where, check=check, advice=MAY_BE_DAMAGED)


_LARGEST_WINDOW = 1 << 16
"""Half of it, the padding, has 16 bits: ``PaddingValues``."""


def _hybrid_per_channel(weights: Operand) -> bool:
    """``is_hybrid_per_channel``: signed weights whose channels have different scales."""
    return weights.dtype in {"int8", "int4"} and len(set(weights.scales)) > 1


def _grouped_with_one_scale(where: str) -> Limit:
    """Groups run the kernel for scales of each channel, which then reads memory that it has not set."""

    def check(node: KernelNode) -> str | None:
        weights = node.at(_FILTER)
        if weights is None or _groups(node) == 1 or _hybrid_per_channel(weights):
            return None
        return (
            f"{weights.name} has one scale for {_groups(node)} groups; with float32 activations the kernel "
            "runs groups only where channels have different scales"
        )

    return Limit(
        where=where,
        check=check,
        advice="convert without dynamic-range quantisation, or quantise the weights of each channel",
    )


_CONV_2D = (
    ranks("conv.cc: Prepare", _INPUT, 4, 4),
    ranks("conv.cc: Prepare", _FILTER, 4, 4),
    _present("conv.cc: Prepare", _BIAS, 3),
    _whole_groups("conv.cc: Prepare"),
    _fitting_window("conv.cc: Prepare", "Conv2DOptions"),
    signatures(
        "conv.cc: Prepare, EvalImpl",
        (_INPUT, OUTPUT, _FILTER, _BIAS),
        "float32 float32 float32 float32",
        "float32 float32 int8*|uint8*|int4* float32",
        "uint8* uint8* uint8* int32",
        "int8* int8* int8*|int4* int32",
        "int16* int16* int8*|int4* int32|int64",
    ),
    when(with_dtype(_INPUT, "int8", "int16"), zero_points("conv.cc: Prepare", "int8", 0, _FILTER)),
    when(with_dtype(_INPUT, "int8", "int16"), zero_points("conv.cc: Prepare", "int4", 0, _FILTER)),
    zero_points("conv.cc: Prepare", "int16", 0, *_ENDS),
    bias_dtype_as_declared("conv.cc: EvalQuantizedPerChannel16x8", "Conv2DOptions", _INPUT, _BIAS),
    not_blockwise("conv.cc: Prepare", _FILTER),
    channels_of("conv.cc: Prepare", _FILTER, 0),
    when(
        with_dtype(_INPUT, "uint8"),
        one_scale("kernel_util.cc: PopulateConvolutionQuantizationParams", _FILTER),
    ),
    when(
        with_dtype(_INPUT, "uint8"),
        bias_scale("kernel_util.cc: GetQuantizedConvolutionMultipler", _INPUT, _FILTER, _BIAS),
    ),
    one_scale("kernel_util.cc: PopulateConvolutionQuantizationParams", *_ENDS),
    when(is_hybrid(_INPUT, _FILTER), _grouped_with_one_scale("conv.cc: EvalImpl")),
)

_DEPTHWISE_CONV_2D = (
    ranks("depthwise_conv.cc: Prepare", _INPUT, 4, 4),
    ranks("depthwise_conv.cc: Prepare", _FILTER, 4, 4),
    _fitting_window("depthwise_conv.cc: Prepare", "DepthwiseConv2DOptions"),
    signatures(
        "depthwise_conv.cc: Prepare, EvalImpl",
        (_INPUT, OUTPUT, _FILTER, _BIAS),
        "float32 float32 float32 float32|-",
        "float32 float32 int8* float32|-",
        "uint8* uint8* uint8* int32|-",
        "int8* int8* int8*|int4* int32|-",
        "int16* int16* int8* int64|-",
    ),
    zero_points("depthwise_conv.cc: Prepare", "int16", 0, *_ENDS),
    not_blockwise("depthwise_conv.cc: Prepare", _FILTER),
    channels_of("kernel_util.cc: PopulateConvolutionQuantizationParams", _FILTER, 3),
    when(
        with_dtype(_INPUT, "uint8"),
        one_scale("kernel_util.cc: PopulateConvolutionQuantizationParams", _FILTER),
    ),
    when(
        with_dtype(_INPUT, "uint8"),
        bias_scale("kernel_util.cc: GetQuantizedConvolutionMultipler", _INPUT, _FILTER, _BIAS),
    ),
    one_scale("kernel_util.cc: PopulateConvolutionQuantizationParams", *_ENDS),
    when(
        is_hybrid(_INPUT, _FILTER),
        scale_of_each_channel("depthwise_conv.cc: EvalHybridPerChannel", _FILTER, 3),
    ),
)

_SHAPE, _WEIGHTS, _IMAGE, _OFFSETS = 0, 1, 2, 3

_TRANSPOSE_CONV = (
    ranks("transpose_conv.cc: Prepare", _IMAGE, 4, 4),
    ranks("transpose_conv.cc: Prepare", _WEIGHTS, 4, 4),
    dtypes("transpose_conv.cc: ResizeTensor", _SHAPE, "int32"),
    signatures(
        "transpose_conv.cc: Prepare, Eval",
        (_IMAGE, OUTPUT, _WEIGHTS, _OFFSETS),
        "float32 float32 float32 float32|-",
        "float32 float32 int8* float32|-",
        "uint8* uint8* uint8* int32|-",
        "int8* int8* int8* int32|-",
        "int16* int16* int8* int32|int64|-",
    ),
    zero_points("transpose_conv.cc: Prepare", "int16", 0, _IMAGE, OUTPUT),
    bias_dtype_as_declared(
        "transpose_conv.cc: EvalQuantizedPerChannel16x8", "TransposeConvOptions", _IMAGE, _OFFSETS
    ),
    not_blockwise("transpose_conv.cc: Prepare", _WEIGHTS),
    channels_of("transpose_conv.cc: Prepare", _WEIGHTS, 0),
    when(
        with_dtype(_IMAGE, "uint8"),
        one_scale("kernel_util.cc: PopulateConvolutionQuantizationParams", _WEIGHTS),
    ),
    when(
        with_dtype(_IMAGE, "uint8"),
        bias_scale("kernel_util.cc: GetQuantizedConvolutionMultipler", _IMAGE, _WEIGHTS, _OFFSETS),
    ),
    one_scale("kernel_util.cc: PopulateConvolutionQuantizationParams", _IMAGE, OUTPUT),
)


def _float_3d(file: str, image: int, weights: int, bias: int) -> tuple[Limit, ...]:
    return (
        ranks(f"{file}: Prepare", image, 5, 5),
        ranks(f"{file}: Prepare", weights, 5, 5),
        signatures(
            f"{file}: Prepare",
            (image, OUTPUT, weights, bias),
            "float32 float32 float32 float32|-",
        ),
    )


def _pool(function: str, *kinds: str) -> tuple[Limit, ...]:
    return (
        ranks("pooling.cc: GenericPrepare", 0, 4, 4),
        signatures(f"pooling.cc: {function}", _ENDS, *(f"{kind} {kind}" for kind in kinds)),
    )


LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "CONV_2D": _CONV_2D,
    "DEPTHWISE_CONV_2D": _DEPTHWISE_CONV_2D,
    "TRANSPOSE_CONV": _TRANSPOSE_CONV,
    "CONV_3D": _float_3d("conv3d.cc", 0, 1, 2),
    "CONV_3D_TRANSPOSE": (
        *_float_3d("conv3d_transpose.cc", 2, 1, 3),
        dtypes("conv3d_transpose.cc: Prepare", 0, "int32"),
    ),
    "AVERAGE_POOL_2D": _pool("AverageEval", "float32", "uint8", "int8", "int16"),
    "MAX_POOL_2D": _pool("MaxEval", "float32", "uint8", "int8", "int16"),
    "L2_POOL_2D": _pool("L2Eval", "float32"),
}
"""The limits by op."""
