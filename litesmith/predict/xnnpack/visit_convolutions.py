"""Which convolutions, pools, matrix products and RESIZE_BILINEAR nodes the delegate takes.

The functions are the ``Visit…Node`` of ``delegates/xnnpack/xnnpack_delegate.cc`` that decide about a node.
"""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.predict.arena import padding
from litesmith.predict.xnnpack.operand_checks import Candidate, Check, NotTakenError, Operand
from litesmith.predict.xnnpack.quantization import datatype, product, quantization, quotient
from litesmith.runtime.graph import RuntimeTensor
from litesmith.runtime.xnnpack.matrices import strides
from litesmith.runtime.xnnpack.requirements import filter_size

_SPARSE_VERSION = 8
"""The version of FULLY_CONNECTED that has sparse weights."""


def _same_dtype(*operands: Operand) -> None:
    dtypes = dict.fromkeys(one.tensor.dtype for one in operands)
    if len(dtypes) > 1:
        raise NotTakenError(f"it mixes the dtypes {' and '.join(dtypes)}")


def _float_bias(weights: Operand, bias: Operand) -> None:
    """``CheckFilterAndBiasTypes``."""
    if weights.tensor.dtype == "float32":
        _same_dtype(weights, bias)


def _image_and_weights(candidate: Candidate, channels: int, *, hybrid: bool) -> Operand:
    """Checks the tensors of CONV_2D and DEPTHWISE_CONV_2D, and returns the filter.

    ``hybrid`` says whether int8 weights with a float input are supported.
    """
    candidate.counts(3)
    image = candidate.input(0).float32_or_quantised().shaped(4).sized()
    weights = candidate.input(1, "filter").weights(channels).shaped(4).constant_or_unpacked()
    bias = candidate.input(2, "bias").bias().shaped(1).constant_or_unpacked()
    _float_bias(weights, bias)
    output = candidate.output().float32_or_quantised().shaped(4).sized()
    if hybrid and (image.tensor.dtype, weights.tensor.dtype) == ("float32", "int8"):
        _same_dtype(image, output)
    else:
        _same_dtype(image, weights, output)
    return weights


def _conv_2d(candidate: Candidate) -> None:
    candidate.positive("stride_w", "stride_h", "dilation_w_factor", "dilation_h_factor")
    weights = _image_and_weights(candidate, 0, hybrid=True)
    if candidate.node.dims(0)[3] < weights.tensor.dims[3]:
        raise NotTakenError("its filter has more channels than its input")
    candidate.padding()
    candidate.activation()


def _depthwise_conv_2d(candidate: Candidate) -> None:
    weights = _image_and_weights(candidate, 3, hybrid=False)
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
    if weights.tensor.dtype == "float32":
        weights.sized()
    else:
        weights.filter(0).constant_or_unpacked()
    if weights.tensor.sparsity is not None:
        raise NotTakenError("its weights are sparse")
    if candidate.has(2):
        _fully_connected_bias(weights, candidate.input(2, "bias"))
    output = candidate.output().float32_or_quantised().sized()
    hybrid = source.tensor.dtype == "float32" and weights.tensor.dtype in {"int4", "int8"}
    narrow = (source.tensor.dtype, weights.tensor.dtype) == ("int8", "int4")
    _same_dtype(source, output) if hybrid or narrow else _same_dtype(source, weights, output)
    found = quantization(weights.tensor)
    # ``TfLiteTensor::params`` is empty for weights with several scales.
    one_point = found.zero_points[0] if found is not None and len(found.scales) == 1 else 0
    if not hybrid and weights.tensor.dtype == "int8" and one_point:
        raise NotTakenError("its weights have a zero point")
    if weights.tensor.dtype == "int4" and weights.tensor.dims[1] % 2:
        raise NotTakenError("its weights of 4 bits have an odd number of input channels")
    candidate.activation()


def _fully_connected_bias(weights: Operand, bias: Operand) -> None:
    if bias.tensor.dtype == "float32":
        bias.sized()
    else:
        if bias.tensor.elements != weights.tensor.dims[0]:
            bias.refuse("does not have as many values as its output has channels")
        bias.bias().constant_or_unpacked()
    _float_bias(weights, bias)


_MOST_SCALE_OF_PRODUCTS = 255


def _batch_matmul(candidate: Candidate) -> None:
    first = candidate.input(0, "first input").float32_or_quantised()
    second = candidate.input(1, "second input")
    channels = -2 if candidate.node.options.boolean("adj_y") else -1
    second.weights(len(second.tensor.dims) + channels)
    hybrid = (first.tensor.dtype, second.tensor.dtype) == ("float32", "int8")
    found = quantization(second.tensor)
    if second.tensor.dtype == "int8" and not hybrid and found is not None and found.zero_points[0]:
        second.refuse("has a zero point")
    output = candidate.output().float32_or_quantised()
    if not hybrid and datatype(first.tensor) != datatype(second.tensor):
        second.refuse("differs from its first input in dtype or kind of quantisation")
    for one in (first, second):
        if len(one.tensor.dims) < 2:
            one.refuse(f"has {len(one.tensor.dims)} dimensions")
    # Checks of the patched delegate.
    if first.tensor.dtype != output.tensor.dtype or first.tensor.dtype == "uint8":
        output.refuse(f"has the dtype {output.tensor.dtype}")
    if hybrid:
        second.constant()
    if first.tensor.dtype == "int8":
        scale = quotient(product(first.scale(), second.scale()), output.scale())
        if not 0 < scale <= _MOST_SCALE_OF_PRODUCTS:
            output.refuse("has a scale that is too small for its inputs' scales")


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
    weights = candidate.input(1, "filter").shaped(4).constant_or_unpacked()
    image = candidate.input(2).float32_or_quantised().shaped(4).sized()
    weights.weights(0)
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
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _max_pool_2d,
    "RESIZE_BILINEAR": _resize_bilinear,
    "TRANSPOSE_CONV": _transpose_conv,
}
"""The checks by op."""
