"""Which convolutions, pools, FULLY_CONNECTED and RESIZE_BILINEAR nodes the delegate takes.

The functions are the ``Visit…Node`` of ``delegates/xnnpack/xnnpack_delegate.cc`` that decide about a node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from litesmith.predict.arena import padding
from litesmith.predict.xnnpack.operand_checks import Candidate, Check, NotTakenError, Operand
from litesmith.predict.xnnpack.quantization import quantization
from litesmith.runtime.graph import RuntimeTensor
from litesmith.runtime.xnnpack.requirements import filter_size, strides

_SPARSE_VERSION = 8
"""The version of FULLY_CONNECTED that has sparse weights."""


def _same_dtype(*operands: Operand) -> None:
    dtypes = dict.fromkeys(one.tensor.dtype for one in operands)
    if len(dtypes) > 1:
        raise NotTakenError(f"it mixes the dtypes {' and '.join(dtypes)}")


def _image_and_weights(candidate: Candidate, channels: int) -> Operand:
    """Checks the tensors of CONV_2D and DEPTHWISE_CONV_2D, and returns the filter."""
    candidate.counts(3)
    image = candidate.input(0).float32_or_quantised().shaped(4).sized()
    weights = candidate.input(1, "filter").weights(channels).shaped(4).constant_or_unpacked()
    candidate.input(2, "bias").bias_per_channel().shaped(1).constant_or_unpacked()
    output = candidate.output().float32_or_quantised().shaped(4).sized()
    _same_dtype(image, weights, output)
    return weights


def _conv_2d(candidate: Candidate) -> None:
    candidate.padding()
    candidate.positive("stride_w", "stride_h", "dilation_w_factor", "dilation_h_factor")
    _image_and_weights(candidate, 0)
    candidate.activation()


def _depthwise_conv_2d(candidate: Candidate) -> None:
    weights = _image_and_weights(candidate, 3)
    candidate.padding()
    candidate.positive("stride_w", "stride_h", "depth_multiplier")
    multiplier = candidate.node.options.integer("depth_multiplier")
    if weights.tensor.dims[3] % multiplier:
        raise NotTakenError(
            f"its {weights.tensor.dims[3]} channels are not a multiple of its depth multiplier"
        )
    if candidate.node.dims(0)[3] * multiplier != weights.tensor.dims[3]:
        raise NotTakenError("its depth multiplier does not match its channels")
    candidate.positive("dilation_w_factor", "dilation_h_factor")
    candidate.activation()


def _fully_connected(candidate: Candidate) -> None:
    node = candidate.node
    if candidate.version == _SPARSE_VERSION:
        raise NotTakenError("it has version 8, which is for sparse weights")
    if node.options.enum("weights_format") == "SHUFFLED4x16INT8":
        raise NotTakenError("its weights are shuffled")
    candidate.counts((2, 3))
    source = candidate.input(0).float32_or_quantised().sized()
    weights = candidate.input(1, "filter").shaped(2)
    _static_unless_float(weights, Operand.float32_or_quantised)
    if weights.tensor.sparsity is not None:
        raise NotTakenError("its weights are sparse")
    found = quantization(weights.tensor)
    if weights.tensor.dtype == "int8" and found is not None and found.zero_points[0] != 0:
        raise NotTakenError("its weights have a zero point")
    if candidate.has(2):
        _static_unless_float(candidate.input(2, "bias").shaped(1), Operand.bias)
    output = candidate.output().float32_or_quantised().sized()
    _same_dtype(source, weights, output)
    source.shaped(1, len(source.tensor.dims))
    _fully_connected_shapes(source, weights, output, keep=node.options.boolean("keep_num_dims"))
    candidate.activation()


def _static_unless_float(operand: Operand, check: Callable[[Operand], Operand]) -> None:
    if operand.tensor.dtype == "float32":
        operand.sized()
    else:
        check(operand)
        operand.constant_or_unpacked()


def _fully_connected_shapes(source: Operand, weights: Operand, output: Operand, *, keep: bool) -> None:
    before, after = source.tensor.dims, output.tensor.dims
    channels_out, channels_in = weights.tensor.dims
    if keep:
        output.shaped(len(before))
        fits = before[:-1] == after[:-1]
    else:
        output.shaped(2)
        rows, rest = divmod(math.prod(before), channels_in)
        fits = rest == 0 and after[0] == rows
    if not fits or after[-1] != channels_out:
        output.refuse("does not have the shape that its input and its filter give")


def _pool(candidate: Candidate) -> None:
    candidate.padding()
    candidate.positive("stride_w", "stride_h", "filter_width", "filter_height")
    steps, sizes = strides(candidate.node), filter_size(candidate.node)
    if steps[0] > sizes[0] or steps[1] > sizes[1]:
        raise NotTakenError("its strides are larger than its filter")
    candidate.activation()


def _average_pool_2d(candidate: Candidate) -> None:
    candidate.counts(1)
    candidate.input(0).float32().sized()
    candidate.output().float32().sized()
    _pool(candidate)


def _max_pool_2d(candidate: Candidate) -> None:
    candidate.counts(1)
    candidate.input(0).float32_or_quantised().sized()
    candidate.output().float32_or_quantised().sized()
    _pool(candidate)


def _resize_bilinear(candidate: Candidate) -> None:
    candidate.counts(2)
    candidate.input(0).float32_or_quantised().shaped(4).sized()
    size = candidate.input(1, "size").dtype("int32").vector().constant()
    candidate.output().float32_or_quantised().shaped(4).sized()
    # The delegate checks the height only.
    if size.integers()[0] <= 0:
        size.refuse(f"is {list(size.integers())}")


def _transpose_conv(candidate: Candidate) -> None:
    node = candidate.node
    candidate.counts((3, 4))
    shape = candidate.input(0, "output shape").dtype("int32").vector().constant()
    if len(shape.integers()) != 4:
        shape.refuse(f"has {len(shape.integers())} numbers")
    weights = candidate.input(1, "filter").float32_or_quantised().shaped(4).constant_or_unpacked()
    image = candidate.input(2).float32_or_quantised().shaped(4).sized()
    if candidate.has(3):
        candidate.input(3, "bias").bias().shaped(1).constant_or_unpacked()
    candidate.output().float32_or_quantised().shaped(4).sized()
    _, height, width, channels = shape.integers()
    if weights.tensor.dims[0] != channels or weights.tensor.dims[3] != image.tensor.dims[3]:
        weights.refuse("does not have as many channels as its input and its output")
    candidate.padding()
    _transposed_window(
        image.tensor,
        weights.tensor,
        (height, width),
        same=node.options.enum("padding") == "SAME",
        steps=strides(node),
    )
    candidate.activation()


def _transposed_window(
    image: RuntimeTensor,
    weights: RuntimeTensor,
    output: tuple[int, int],
    *,
    same: bool,
    steps: tuple[int, int],
) -> None:
    """``CalculateTransposeConvPaddings``; pairs are height and width."""
    window = weights.dims[1:3]
    if min(steps) <= 0:
        raise NotTakenError(f"its strides are {steps[0]} and {steps[1]}")
    if not same:
        if window[0] > output[0] or window[1] > output[1]:
            raise NotTakenError("its filter is larger than its output")
        return
    # The padding is that of the convolution from the output to the input.
    found = tuple(
        padding.rule("SAME")(size, extent, stride, 1)
        for size, extent, stride in zip(output, window, steps, strict=True)
    )
    if found != image.dims[1:3]:
        raise NotTakenError("its input does not have the shape that its output and its strides give")
    if window[0] < steps[0] or window[1] < steps[1]:
        raise NotTakenError("its strides are larger than its filter")


CONVOLUTIONS: Mapping[str, Check] = {
    "AVERAGE_POOL_2D": _average_pool_2d,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _max_pool_2d,
    "RESIZE_BILINEAR": _resize_bilinear,
    "TRANSPOSE_CONV": _transpose_conv,
}
"""The checks by op."""
