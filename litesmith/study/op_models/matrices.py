"""Convolutions and matrix products: ops with weights.

Their kernels differ in the arithmetic, which the labels of the models name: ``float32``; ``int8*``,
``uint8*`` and ``int16*`` for quantised activations; ``hybrid`` for float activations with int8 weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from litesmith.model.tensors import Array
from litesmith.study.op_models.tensor_types import Affine, TensorType
from litesmith.study.op_models.writer import Graph, OpModels

# One stream of random numbers: the values depend on the order of the models and of their tensors.
_RNG = np.random.default_rng(7)

_FLOAT = TensorType("float32")
_INPUTS = {
    "int8*": TensorType("int8", (0.02, 3)),
    "uint8*": TensorType("uint8", (0.02, 127)),
    "int16*": TensorType("int16", (0.0005, 0)),
}
_OUTPUTS = {
    "int8*": TensorType("int8", (0.1, -4)),
    "uint8*": TensorType("uint8", (0.1, 130)),
    "int16*": TensorType("int16", (0.002, 0)),
}
_ARITHMETICS = ("float32", "int8*", "uint8*", "int16*", "hybrid")

_VALID = 1
_RELU, _RELU6 = 1, 3
_UNIT_STEPS = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}


@dataclass(frozen=True)
class _Weights:
    """Values of a weights tensor, its type, and the type of the bias that fits it."""

    values: Array
    type: TensorType
    bias: TensorType


def _weights(arithmetic: str, shape: tuple[int, ...], channel: int | None) -> _Weights:
    """Random weights.  Those of int8 have a scale per index of the dimension ``channel``, or a single one.

    The scale of a bias is the product of those of input and weights; a bias of int16 kernels has 64 bits.
    """
    if arithmetic == "float32":
        return _Weights(_RNG.uniform(-1, 1, shape).astype("float32"), _FLOAT, _FLOAT)
    if arithmetic == "uint8*":
        values = _RNG.integers(0, 256, shape)
        return _Weights(values, TensorType("uint8", (0.01, 128)), TensorType("int32", (0.0002, 0)))
    values = _RNG.integers(-127, 128, shape)
    quant = (
        _scales([0.01 + 0.001 * i for i in range(shape[channel])], channel)
        if channel is not None
        else (0.01, 0)
    )
    weights = TensorType("int8", quant)
    if arithmetic == "hybrid":
        return _Weights(values, weights, _FLOAT)
    dtype, input_scale = {"int8*": ("int32", 0.02), "int16*": ("int64", 0.0005)}[arithmetic]
    return _Weights(values, weights, TensorType(dtype, _bias_quant(quant, input_scale)))


def _scales(scales: list[float], channel: int) -> Affine:
    return scales, [0] * len(scales), channel


def _bias_quant(weights: Affine, input_scale: float) -> Affine:
    if len(weights) == 3:
        return _scales([input_scale * scale for scale in weights[0]], 0)
    return input_scale * weights[0], 0


def _activations(arithmetic: str) -> tuple[TensorType, TensorType]:
    """The types of input and output."""
    return _INPUTS.get(arithmetic, _FLOAT), _OUTPUTS.get(arithmetic, _FLOAT)


def _convolution(
    op: str, arithmetic: str, shape: list[int], kernel: tuple[int, ...], options: dict[str, int]
) -> Graph:
    """CONV_2D or DEPTHWISE_CONV_2D; ``options`` are those that differ from steps of one."""
    table, channel = {"CONV_2D": ("Conv2D", 0), "DEPTHWISE_CONV_2D": ("DepthwiseConv2D", 3)}[op]
    made = _weights(arithmetic, kernel, channel)
    g = Graph()
    source, target = _activations(arithmetic)
    x, weights = g.input(shape, source), g.const(made.values, made.type)
    count = kernel[channel]
    values = _RNG.uniform(-1, 1, count) if made.bias == _FLOAT else _RNG.integers(-50, 50, count)
    bias = g.const(values, made.bias)
    g.op(op, [x, weights, bias], [g.output(target)], table, **{**_UNIT_STEPS, **options})
    return g


_CONVOLUTIONS: tuple[tuple[str, tuple[int, ...], dict[str, int]], ...] = (
    ("", (5, 3, 3, 4), {}),
    (" pointwise", (6, 1, 1, 4), {"padding": _VALID}),
    (" strided relu6", (5, 3, 3, 4), {"strideW": 2, "strideH": 2, "fusedActivationFunction": _RELU6}),
    (" dilated", (3, 3, 3, 4), {"dilationWFactor": 2, "dilationHFactor": 2, "padding": _VALID}),
)
_DEPTHWISE: tuple[tuple[str, tuple[int, ...], dict[str, int]], ...] = (
    ("", (1, 3, 3, 8), {"depthMultiplier": 1}),
    (" 5x5 strided", (1, 5, 5, 8), {"depthMultiplier": 1, "strideW": 2, "strideH": 2}),
    (" multiplied", (1, 3, 3, 16), {"depthMultiplier": 2, "padding": _VALID}),
    (" dilated", (1, 3, 3, 8), {"depthMultiplier": 1, "dilationWFactor": 2, "dilationHFactor": 2}),
)
"""Labels, shapes of the weights, and options."""


def convolutions() -> OpModels:
    """Dense, pointwise, strided, dilated, with and without padding and activation."""
    for arithmetic in _ARITHMETICS:
        for label, kernel, options in _CONVOLUTIONS:
            yield (
                "CONV_2D",
                arithmetic + label,
                _convolution("CONV_2D", arithmetic, [1, 9, 8, 4], kernel, options),
            )
        for label, kernel, options in _DEPTHWISE:
            g = _convolution("DEPTHWISE_CONV_2D", arithmetic, [1, 11, 12, 8], kernel, options)
            yield "DEPTHWISE_CONV_2D", arithmetic + label, g


def transposed_convolutions() -> OpModels:
    """Without a bias."""
    for arithmetic in ("float32", "int8*", "uint8*", "int16*"):
        g = Graph()
        source, target = _activations(arithmetic)
        made = _weights(arithmetic, (3, 3, 3, 4), 0)
        shape, weights = g.const([1, 10, 10, 3], "int32"), g.const(made.values, made.type)
        x, y = g.input([1, 5, 5, 4], source), g.output(target)
        g.op("TRANSPOSE_CONV", [shape, weights, x], [y], "TransposeConv", strideW=2, strideH=2, padding=0)
        yield "TRANSPOSE_CONV", arithmetic, g


def volumes() -> OpModels:
    """Convolutions in three dimensions, which have float kernels only."""
    steps = {"strideD": 1, "strideW": 1, "strideH": 1}
    steps |= {"dilationDFactor": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    g = Graph()
    x = g.input([1, 4, 5, 6, 2])
    weights, bias = g.const(_RNG.uniform(-1, 1, (2, 2, 2, 2, 3))), g.const([0.1, 0.2, 0.3])
    g.op("CONV_3D", [x, weights, bias], [g.output()], "Conv3D", **steps)
    yield "CONV_3D", "float32", g
    g = Graph()
    shape, weights = g.const([1, 5, 6, 7, 2], "int32"), g.const(_RNG.uniform(-1, 1, (2, 2, 2, 2, 3)))
    x = g.input([1, 4, 5, 6, 3])
    g.op("CONV_3D_TRANSPOSE", [shape, weights, x], [g.output()], "Conv3D", padding=_VALID, **steps)
    yield "CONV_3D_TRANSPOSE", "float32", g


def four_bits() -> OpModels:
    """Weights of four bits, two in a byte."""
    options: dict[str, int]
    for op, table, shape, kernel, channel, options in (
        ("CONV_2D", "Conv2D", [1, 6, 6, 4], (6, 3, 3, 4), 0, _UNIT_STEPS),
        (
            "DEPTHWISE_CONV_2D",
            "DepthwiseConv2D",
            [1, 6, 6, 8],
            (1, 3, 3, 8),
            3,
            {**_UNIT_STEPS, "depthMultiplier": 1},
        ),
        ("FULLY_CONNECTED", "FullyConnected", [2, 10], (6, 10), None, {}),
    ):
        g = Graph()
        count = kernel[channel or 0]
        quant: Affine = (0.05, 0) if channel is None else _scales([0.05] * count, channel)
        weights = g.tensor(kernel, "int4", quant=quant, data=_packed(int(np.prod(kernel))))
        x = g.input(shape, _INPUTS["int8*"])
        bias = g.const(np.arange(count), TensorType("int32", _bias_quant(quant, 0.02)))
        g.op(op, [x, weights, bias], [g.output(_OUTPUTS["int8*"])], table, **options)
        yield op, "int8 with int4 weights", g


def _packed(count: int) -> Array:
    """Random numbers from -7 to 7, two in a byte: converters do not write -8, which has no counterpart."""
    packed = _RNG.integers(0, 256, count // 2).astype(np.uint8)
    packed = np.where((packed & 15) == 8, packed + 1, packed)
    return np.where((packed >> 4) == 8, packed + 16, packed).astype(np.uint8)


def fully_connected() -> OpModels:
    """With and without activation; weights have one scale for all channels."""
    fused: dict[str, Any]
    for arithmetic in _ARITHMETICS:
        for label, fused in (("", {}), (" relu", {"fusedActivationFunction": _RELU})):
            g = Graph()
            source, target = _activations(arithmetic)
            made = _weights(arithmetic, (6, 10), None)
            x, weights = g.input([3, 10], source), g.const(made.values, made.type)
            bias = g.const(np.arange(6), made.bias)
            g.op("FULLY_CONNECTED", [x, weights, bias], [g.output(target)], "FullyConnected", **fused)
            yield "FULLY_CONNECTED", arithmetic + label, g


def batch_matmul() -> OpModels:
    """Products of two inputs, the second one also transposed; and with constant int8 weights."""
    for arithmetic in ("float32", "int8*", "int16*"):
        source, target = _activations(arithmetic)
        for adjoint in (False, True):
            g = Graph()
            x, y = g.input([2, 3, 4], source), g.input([2, 5, 4] if adjoint else [2, 4, 5], source)
            g.op("BATCH_MATMUL", [x, y], [g.output(target)], "BatchMatMul", adjY=adjoint)
            yield "BATCH_MATMUL", arithmetic + (" adjoint" if adjoint else ""), g
    g = Graph()
    x, y = g.input([2, 3, 4]), g.const(_RNG.integers(-127, 128, (2, 4, 5)), "int8", quant=(0.01, 0))
    g.op("BATCH_MATMUL", [x, y], [g.output()], "BatchMatMul", asymmetricQuantizeInputs=False)
    yield "BATCH_MATMUL", "hybrid", g


FAMILY = (convolutions, transposed_convolutions, volumes, four_bits, fully_connected, batch_matmul)
