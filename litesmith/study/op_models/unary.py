"""Ops with one input and an output of the same shape: functions, activations, normalisations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from litesmith.study.op_models.tensor_types import Quant, TensorType, TypedOp, types
from litesmith.study.op_models.writer import Graph, OpModels

_SAME_TYPE = (
    TypedOp("ABS", "float32 int8* int16* int32", "Abs"),
    TypedOp("NEG", "float32 int32 int64 int8 int16", "Neg"),
    TypedOp("SQUARE", "float32", "Square"),
    TypedOp("SIN", "float32"),
    TypedOp("COS", "float32", "Cos"),
    TypedOp("EXP", "float32 int8* int16*", "Exp"),
    TypedOp("FLOOR", "float32"),
    TypedOp("CEIL", "float32"),
    TypedOp("ROUND", "float32"),
    TypedOp("SIGN", "float32 float64 int32", "Sign"),
    TypedOp("ELU", "float32 int8*"),
    TypedOp("RELU", "float32 int8* uint8* int16*"),
    TypedOp("RELU6", "float32 int8* uint8* int16*"),
    TypedOp("RELU_0_TO_1", "float32 int8* uint8*"),
    TypedOp("RELU_N1_TO_1", "float32 int8* uint8*"),
    TypedOp("HARD_SWISH", "float32 int8* uint8*", "HardSwish"),
    TypedOp("LOGICAL_NOT", "bool", "LogicalNot"),
    TypedOp("ZEROS_LIKE", "float32 int32 int64", "ZerosLike"),
)

_ABOVE_ZERO = (
    TypedOp("LOG", "float32 int8* int16*"),
    TypedOp("SQRT", "float32 int8* int16*"),
    TypedOp("RSQRT", "float32 int8* int16*"),
)

# Scales and zero points of outputs: kernels require those that follow from the range of the function.
_FROM_0_TO_1 = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}
_FROM_MINUS_1_TO_1 = {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0)}
_FROM_MINUS_16_TO_0 = {"int8": (16 / 256, 127), "uint8": (16 / 256, 255)}
# Those of inputs: values spread over the part where the functions are not flat.
_AROUND_0 = {"int8": (0.1, 4), "uint8": (0.1, 130), "int16": (1 / 4096, 0)}

_FIXED_OUTPUT_RANGE: tuple[tuple[TypedOp, Mapping[str, Quant], Mapping[str, float]], ...] = (
    (TypedOp("LOGISTIC", "float32 int8* uint8* int16*"), _FROM_0_TO_1, {}),
    (TypedOp("TANH", "float32 int8* uint8* int16*"), _FROM_MINUS_1_TO_1, {}),
    (TypedOp("SOFTMAX", "float32 int8* uint8* int16*", "Softmax"), _FROM_0_TO_1, {"beta": 1.0}),
    (TypedOp("LOG_SOFTMAX", "float32 int8* uint8*", "LogSoftmax"), _FROM_MINUS_16_TO_0, {}),
    (TypedOp("L2_NORMALIZATION", "float32 int8* uint8*", "L2Norm"), _FROM_MINUS_1_TO_1, {}),
)


_OF_POSITIVE_NUMBERS: Mapping[str, tuple[Quant, Quant, float, int]] = {
    "int8": ((0.05, -128), (0.04, 5), 1, -120),
    "int16": ((0.0004, 0), (0.001, 0), 1300, 0),
}
"""Input, output, and a step and an offset of values for the functions of positive numbers."""


def same_type() -> OpModels:
    """Input and output have the same dtype, scale and zero point."""
    for op in _SAME_TYPE:
        for kind in types(op.types):
            g = Graph()
            g.op(op.name, [g.input([2, 3, 5], kind)], [g.output(kind)], op.options)
            yield op.name, kind.label, g


def above_zero() -> OpModels:
    """Functions that are undefined at zero and below; a sample has positive values only."""
    for op in _ABOVE_ZERO:
        for kind in types(op.types):
            g = Graph()
            source, target, step, offset = _OF_POSITIVE_NUMBERS.get(kind.dtype, ((1.0, 0), (1.0, 0), 0.3, 0))
            x = g.input([2, 3, 4], kind.with_quant(source))
            g.op(op.name, [x], [g.output(kind.with_quant(target))])
            values = np.arange(1, 25).reshape(2, 3, 4) * step + offset
            g.sample("positive", values.astype(kind.dtype))
            yield op.name, kind.label, g


def fixed_output_range() -> OpModels:
    """Activations and normalisations whose kernels fix the scale of the output."""
    for op, output, options in _FIXED_OUTPUT_RANGE:
        for kind in types(op.types):
            g = Graph()
            x = g.input([2, 10], kind.with_quant(_AROUND_0[kind.dtype]) if kind.quantised else kind)
            y = g.output(kind.with_quant(output[kind.dtype]) if kind.quantised else kind)
            g.op(op.name, [x], [y], op.options, **options)
            yield op.name, kind.label, g


def gelu() -> OpModels:
    """With the error function, and approximated by a hyperbolic tangent."""
    for kind in types("float32 int8* uint8* int16*"):
        for approximate in (False, True):
            g = Graph()
            g.op("GELU", [g.input([2, 7], kind)], [g.output(kind)], "Gelu", approximate=approximate)
            yield "GELU", kind.label + (" approximate" if approximate else ""), g


def leaky_relu() -> OpModels:
    """One slope for all negative values."""
    for kind in types("float32 int8* uint8* int16*"):
        g = Graph()
        g.op("LEAKY_RELU", [g.input([2, 7], kind)], [g.output(kind)], "LeakyRelu", alpha=0.2)
        yield "LEAKY_RELU", kind.label, g


def prelu() -> OpModels:
    """A slope for each channel, as a constant; int16 kernels read slopes of int8."""
    for kind in types("float32 int8* uint8* int16*"):
        g = Graph()
        x = g.input([1, 3, 4, 5], kind)
        slope = TensorType("int8", (0.01, 0)) if kind.dtype == "int16" else kind.with_quant((0.01, 2))
        slopes = g.const(np.linspace(1, 20, 5).reshape(1, 1, 5), slope)
        g.op("PRELU", [x, slopes], [g.output(kind)])
        yield "PRELU", kind.label, g


FAMILY = (same_type, above_zero, fixed_output_range, gelu, leaky_relu, prelu)
