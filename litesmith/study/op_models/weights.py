"""Weights in the forms that newer versions of the kernels with weights read.

These are scales for each channel or block, 2 and 4 bits, groups, and accumulators of 32 bits under 16-bit
activations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from litesmith.model.analysis import dtype_numbers
from litesmith.model.tensors import Array
from litesmith.study.op_models.tensor_types import Affine, Blockwise, TensorType
from litesmith.study.op_models.writer import Graph, OpModels, packed

# One stream of random numbers: the values depend on the order of the models and of their tensors.
_RNG = np.random.default_rng(25)

_FLOAT = TensorType("float32")
_ACTIVATIONS = {
    "float32": (_FLOAT, _FLOAT),
    "int8": (TensorType("int8", (0.02, 3)), TensorType("int8", (0.1, -4))),
    "int16": (TensorType("int16", (0.0005, 0)), TensorType("int16", (0.002, 0))),
}
"""Types of input and output."""

_RANGES = {"int16": (-900, 900), "int8": (-127, 127), "int4": (-7, 7), "int2": (-2, 1)}
_BITS = {"int4": 4, "int2": 2}
_UNIT_STEPS = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}


def _weights(g: Graph, dtype: str, shape: tuple[int, ...], quant: Affine | Blockwise) -> int:
    low, high = _RANGES[dtype]
    values = _RNG.integers(low, high, shape, endpoint=True)
    if dtype in _BITS:
        return g.tensor(shape, dtype, quant=quant, data=packed(values, _BITS[dtype]))
    return g.const(values, dtype, quant)


def _scales(count: int, channel: int) -> Affine:
    return [0.01 + 0.002 * number for number in range(count)], [0] * count, channel


def _bias(g: Graph, activations: str, dtype: str, weights: Affine, count: int) -> int:
    """A bias, whose scale is the product of those of input and weights."""
    if activations == "float32":
        return g.const(_RNG.uniform(-1, 1, count))
    quant = _ACTIVATIONS[activations][0].quant
    assert isinstance(quant, tuple), "activations have one scale"  # noqa: S101
    scale: Any = quant[0]
    made: Affine = (
        ([scale * one for one in weights[0]], [0] * count, 0)
        if len(weights) == 3
        else (scale * weights[0], 0)
    )
    return g.const(_RNG.integers(-50, 50, count), TensorType(dtype, made))


def _label(activations: str, weights: str, bias: str = "") -> str:
    return f"{activations}{weights and f' weights {weights}'}{bias and f' bias {bias}'}"


_FULLY_CONNECTED = (
    *(("int8", "int8", "int32"), ("int8", "int4", "int32"), ("int8", "int2", "int32")),
    *(("int16", "int8", "int64"), ("int16", "int4", "int64"), ("int16", "int2", "int64")),
    *(("int16", "int8", "int32"), ("int16", "int16", "int32"), ("int16", "int16", "int64")),
    *(("float32", "int8", ""), ("float32", "int4", ""), ("float32", "int2", "")),
)
"""Dtypes of activations, weights and bias."""


def fully_connected() -> OpModels:
    """With one scale and with one for each channel; the bias is optional."""
    for activations, dtype, bias in _FULLY_CONNECTED:
        for label, quant in (("", (0.02, 0)), (" per channel", _scales(6, 0))):
            g = Graph()
            source, target = _ACTIVATIONS[activations]
            inputs = [g.input([3, 12], source), _weights(g, dtype, (6, 12), quant)]
            inputs.append(_bias(g, activations, bias, quant, 6))
            options = {"quantizedBiasType": dtype_numbers()[bias]} if activations == "int16" else {}
            g.op("FULLY_CONNECTED", inputs, [g.output(target)], "FullyConnected", **options)
            yield "FULLY_CONNECTED", f"{_label(activations, dtype, bias)}{label}", g
    for activations, dtype in (("float32", "int8"), ("float32", "int4"), ("int8", "int8")):
        g = Graph()
        source, target = _ACTIVATIONS[activations]
        inputs = [g.input([2, 3, 12], source), _weights(g, dtype, (6, 12), _scales(6, 0)), -1]
        g.op("FULLY_CONNECTED", inputs, [g.output(target)], "FullyConnected", keepNumDims=True)
        yield "FULLY_CONNECTED", f"{_label(activations, dtype)} per channel without bias", g


def blocks() -> OpModels:
    """Weights of four bits with a scale for each block of a row."""
    for rows, label in ((3, ""), (1, " of one row")):
        g = Graph()
        scales = g.const(_RNG.uniform(0.01, 0.1, (6, 2)), "float16")
        weights = _weights(g, "int4", (6, 64), Blockwise(scales, 32))
        inputs = [g.input([rows, 64]), weights, g.const(_RNG.uniform(-1, 1, 6))]
        g.op("FULLY_CONNECTED", inputs, [g.output()], "FullyConnected")
        yield "FULLY_CONNECTED", f"{_label('float32', 'int4')} blockwise{label}", g


def _convolution(
    op: str, activations: str, dtype: str, bias: str, *, depth: int = 4, groups: int = 1, count: int = 6
) -> Graph:
    """CONV_2D or DEPTHWISE_CONV_2D with 3x3 weights that have a scale for each channel."""
    g = Graph()
    source, target = _ACTIVATIONS[activations]
    deep = op == "DEPTHWISE_CONV_2D"
    shape = (1, 3, 3, count) if deep else (count, 3, 3, depth // groups)
    quant = _scales(count, 3 if deep else 0)
    x = g.input([1, 6, 7, depth], source)
    weights = _weights(g, dtype, shape, quant) if dtype else g.const(_RNG.uniform(-1, 1, shape))
    inputs = [x, weights, _bias(g, activations, bias, quant, count)]
    options: dict[str, int] = dict(_UNIT_STEPS)
    if deep:
        options["depthMultiplier"] = count // depth
    elif activations == "int16":
        options["quantizedBiasType"] = dtype_numbers()[bias]
    g.op(op, inputs, [g.output(target)], "DepthwiseConv2D" if deep else "Conv2D", **options)
    return g


def convolutions() -> OpModels:
    """Groups, hybrid kernels with four bits, and 32-bit accumulators for int16."""
    for activations, dtype, bias in (
        *(("int16", "int8", "int32"), ("int16", "int8", "int64")),
        *(("float32", "int8", ""), ("float32", "int4", ""), ("int8", "int4", "int32")),
    ):
        yield (
            "CONV_2D",
            _label(activations, dtype, bias),
            _convolution("CONV_2D", activations, dtype, bias),
        )
    for activations, dtype, bias in (
        *(("float32", "", ""), ("int8", "int8", "int32"), ("int16", "int8", "int64")),
        *(("float32", "int8", ""), ("float32", "int4", ""), ("int8", "int4", "int32")),
    ):
        g = _convolution("CONV_2D", activations, dtype, bias, depth=8, groups=2)
        yield "CONV_2D", f"{_label(activations, dtype)} in groups", g
    g = _convolution("DEPTHWISE_CONV_2D", "int8", "int4", "int32", depth=8, count=16)
    yield "DEPTHWISE_CONV_2D", f"{_label('int8', 'int4')} multiplied", g


def transposed_convolutions() -> OpModels:
    """With a bias, an activation, and 32-bit or 64-bit accumulators for int16."""
    for activations, dtype, bias in (
        *(("float32", "", ""), ("int8", "int8", "int32")),
        *(("int16", "int8", "int32"), ("int16", "int8", "int64")),
    ):
        g = Graph()
        source, target = _ACTIVATIONS[activations]
        quant, shape = _scales(3, 0), (3, 3, 3, 4)
        weights = _weights(g, dtype, shape, quant) if dtype else g.const(_RNG.uniform(-1, 1, shape))
        x = g.input([1, 5, 5, 4], source)
        inputs = [g.const([1, 10, 10, 3], "int32"), weights, x, _bias(g, activations, bias, quant, 3)]
        options = {"strideW": 2, "strideH": 2, "fusedActivationFunction": 1}
        if activations == "int16":
            options["quantizedBiasType"] = dtype_numbers()[bias]
        g.op("TRANSPOSE_CONV", inputs, [g.output(target)], "TransposeConv", **options)
        yield "TRANSPOSE_CONV", _label(activations, dtype, bias or "float32"), g


def batch_matmul() -> OpModels:
    """Float activations and int8 weights, whose scale is one for all or one for each column."""
    values: Array = _RNG.integers(-127, 127, (2, 4, 5), endpoint=True)
    for asymmetric in (False, True):
        g = Graph()
        weights = g.const(values, "int8", (0.01, 0))
        g.op(
            "BATCH_MATMUL",
            [g.input([2, 3, 4]), weights],
            [g.output()],
            "BatchMatMul",
            asymmetricQuantizeInputs=asymmetric,
        )
        yield "BATCH_MATMUL", f"{_label('float32', 'int8')}{' asymmetric' if asymmetric else ''}", g
    # Weights without a zero point, which XNNPACK takes.
    for transposed in (False, True):
        g = Graph()
        inputs = [g.input([2, 4, 3] if transposed else [2, 3, 4], "int8", quant=(0.05, 3))]
        inputs += [g.const(np.swapaxes(values, 1, 2) if transposed else values, "int8", (0.01, 0))]
        output = g.output("int8", quant=(0.1, -4))
        g.op("BATCH_MATMUL", inputs, [output], "BatchMatMul", adjX=transposed, adjY=transposed)
        yield "BATCH_MATMUL", f"{_label('int8', 'int8')}{' adjoint' if transposed else ''}", g
    g = Graph()
    inputs = [g.input([1, 2, 3, 4], "int8", quant=(0.05, 3)), g.input([2, 4, 5], "int8", quant=(0.01, 0))]
    g.op("BATCH_MATMUL", inputs, [g.output("int8", quant=(0.1, -4))], "BatchMatMul")
    yield "BATCH_MATMUL", "int8 computed", g


FAMILY = (fully_connected, blocks, convolutions, transposed_convolutions, batch_matmul)
