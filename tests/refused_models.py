"""Models that their kernels cannot run, and what the reference wheel does with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from litesmith.study.op_models.writer import Graph
from tests.kernel_models import (
    FIVE,
    INT8,
    SEVEN,
    SIX,
    conv,
    dense,
    depthwise,
    joined,
    matmul,
    mixed,
    one_hot,
    pair,
    per_channel,
    reduced,
    rnn,
    selected,
    sliced,
    transposed,
    unary,
)

RAISES, ABORTS, WRONG, NEWER = "raises", "aborts", "answers wrongly", "is newer"
"""It raises an error, it aborts, its numbers are wrong, or it is newer and its numbers are right."""


@dataclass(frozen=True)
class Refused:
    """A model that its kernel cannot run, a part of the message, and what the reference does with it."""

    name: str
    make: Callable[[], Graph]
    says: str
    reference: str


BROADCASTS_4 = "the kernel broadcasts at most 4"

REFUSED = (
    *(
        Refused(
            f"{op} rank 5",
            lambda op=op, dtype=dtype, out=out: pair(op, FIVE, dtype, output=out),
            f"{op}: input 0, 't0', has 5 dimensions and is combined with another shape; {BROADCASTS_4}",
            NEWER,
        )
        for op, dtype, out in (
            ("EQUAL", "float32", "bool"),
            ("NOT_EQUAL", "int32", "bool"),
            ("LESS", "float32", "bool"),
            ("GREATER_EQUAL", "int64", "bool"),
            ("POW", "float32", None),
            ("FLOOR_DIV", "float32", None),
            ("FLOOR_MOD", "int32", None),
            ("LOGICAL_AND", "bool", None),
            ("SQUARED_DIFFERENCE", "float32", None),
            ("BITWISE_XOR", "int32", None),
            ("RIGHT_SHIFT", "int32", None),
        )
    ),
    Refused(
        "PRELU rank 5",
        lambda: pair("PRELU", ([2, 2, 3, 2, 2], [2, 1, 3, 1, 2])),
        f"PRELU: input 0, 't0', has 5 dimensions and is combined with another shape; {BROADCASTS_4}",
        NEWER,
    ),
    Refused("DIV rank 6", lambda: pair("DIV", SIX, table="Div"), "the kernel broadcasts at most 5", NEWER),
    Refused(
        "MAXIMUM rank 6",
        lambda: pair("MAXIMUM", SIX, table="MaximumMinimum"),
        "the kernel broadcasts at most 5",
        NEWER,
    ),
    Refused(
        "MUL rank 7",
        lambda: pair("MUL", SEVEN, table="Mul"),
        "MUL: input 0, 't0', has 7 dimensions and is combined with another shape; the kernel",
        NEWER,
    ),
    Refused("ADD rank 7", lambda: pair("ADD", SEVEN, table="Add"), "alternate 7 times", NEWER),
    Refused("SUB rank 7", lambda: pair("SUB", SEVEN, table="Sub"), "alternate 7 times", NEWER),
    Refused("SELECT_V2 rank 6", lambda: selected(SIX), "the kernel broadcasts at most 5", NEWER),
    Refused(
        "ATAN2 broadcast", lambda: pair("ATAN2", ([2, 3], [1, 3])), "the kernel does not broadcast", NEWER
    ),
    Refused(
        "STABLEHLO_ADD broadcast",
        lambda: pair("STABLEHLO_ADD", ([2, 3], [1, 3])),
        "the kernel does not broadcast",
        RAISES,
    ),
    Refused(
        "ADD of two dtypes",
        lambda: mixed("ADD", "Add"),
        "ADD: input 1, 't1', is int32, beside float32 at input 0, 't0'; the kernel takes float32 there",
        RAISES,
    ),
    Refused(
        "ADD float64",
        lambda: pair("ADD", ([2], [2]), "float64", table="Add"),
        "input 0, 't0', is float64; the kernel takes float32, int32",
        RAISES,
    ),
    Refused(
        "ADD int8 without a scale",
        lambda: pair("ADD", ([2], [2]), "int8", table="Add"),
        "input 0, 't0', is int8 without a scale",
        ABORTS,
    ),
    Refused(
        "SUB int16 without a scale",
        lambda: pair("SUB", ([2], [2]), "int16", table="Sub"),
        "input 0, 't0', is int16 without a scale",
        ABORTS,
    ),
    Refused(
        "MUL into another dtype",
        lambda: pair("MUL", ([2], [2]), table="Mul", output="int32"),
        "output 0, 't2', is int32, beside float32",
        WRONG,
    ),
    Refused(
        "NOT_EQUAL int16 without a scale",
        lambda: pair("NOT_EQUAL", ([2], [2]), "int16", output="bool"),
        "input 0, 't0', is int16 without a scale",
        WRONG,
    ),
    Refused(
        "RSQRT int16 without a scale",
        lambda: unary("RSQRT", "int16"),
        "RSQRT: input 0, 't0', is int16 without a scale; the kernel takes float32, int8 with a scale",
        ABORTS,
    ),
    Refused("ABS uint8", lambda: unary("ABS", "uint8", quant=INT8), "input 0, 't0', is uint8", RAISES),
    Refused(
        "LOGISTIC of another scale",
        lambda: unary("LOGISTIC", "int8", quant=INT8),
        "has the scale 0.05; the kernel takes 1/256 with int8",
        RAISES,
    ),
    Refused(
        "SOFTMAX of another zero point",
        lambda: unary("SOFTMAX", "int8", quant=INT8, out=(1 / 256, 0)),
        "has the zero point 0; the kernel takes -128 with int8",
        RAISES,
    ),
    Refused(
        "PRELU int16 with int16 slopes",
        lambda: pair("PRELU", ([2, 2], [2, 2]), "int16", quant=INT8),
        "input 1, 't1', is int16, beside int16 at input 0, 't0'; the kernel takes int8 with a scale there",
        WRONG,
    ),
    Refused(
        "CONV_2D without a bias",
        lambda: conv(weights="float32", quant=None, bias=None),
        "it has no input 2, the bias; the kernel requires one",
        RAISES,
    ),
    Refused(
        "CONV_2D float16 weights",
        lambda: conv(weights="float16", quant=None),
        "input 1, 't1', is float16, beside float32",
        WRONG,
    ),
    Refused(
        "CONV_2D hybrid, groups, one scale",
        lambda: conv(groups=2),
        "'t1', has one scale for 2 groups; with float32 activations the kernel runs groups only",
        RAISES,
    ),
    Refused(
        "CONV_2D hybrid, groups, equal scales",
        lambda: conv(groups=2, quant=per_channel(4, equal=True)),
        "has one scale for 2 groups",
        NEWER,
    ),
    Refused(
        "CONV_2D hybrid without a scale",
        lambda: conv(quant=None),
        "input 1, 't1', is int8 without a scale",
        WRONG,
    ),
    Refused(
        "CONV_2D int16 with an int32 bias",
        lambda: conv(image="int16", bias="int32"),
        "'t2', is int32; with quantized_bias_type float32 the kernel reads it as int64",
        WRONG,
    ),
    Refused(
        "CONV_2D weights with a zero point",
        lambda: conv(image="int8", bias="int32", quant=(0.01, 3)),
        "has the zero point 3; the kernel takes 0 with int8",
        RAISES,
    ),
    Refused(
        "CONV_2D uint8 with int8 weights",
        lambda: conv(image="uint8", bias="int32"),
        "input 1, 't1', is int8, beside uint8",
        WRONG,
    ),
    Refused(
        "DEPTHWISE_CONV_2D hybrid, one scale",
        depthwise,
        "has 1 scale for 4 channels; with float32 activations the kernel takes one for each channel",
        WRONG,
    ),
    Refused(
        "DEPTHWISE_CONV_2D hybrid int4",
        lambda: depthwise(weights="uint8"),
        "input 1, 't1', is uint8, beside float32",
        RAISES,
    ),
    Refused(
        "TRANSPOSE_CONV hybrid uint8",
        lambda: transposed(weights="uint8"),
        "input 1, 't1', is uint8, beside float32",
        RAISES,
    ),
    Refused(
        "FULLY_CONNECTED hybrid without a scale",
        lambda: dense(quant=None),
        "input 1, 't1', is int8 without a scale",
        WRONG,
    ),
    Refused(
        "FULLY_CONNECTED blocks of int8",
        lambda: dense(block=32),
        "is int8 in blocks; the kernel for blocks takes int4",
        WRONG,
    ),
    Refused(
        "FULLY_CONNECTED blocks, few rows",
        lambda: dense(weights="int4", block=32, rows=2),
        "has 2 rows; the kernel for blocks takes 4 or more",
        WRONG,
    ),
    Refused(
        "FULLY_CONNECTED blocks, few columns",
        lambda: dense(weights="int4", block=16, columns=16),
        "has 16 columns",
        WRONG,
    ),
    Refused(
        "FULLY_CONNECTED part of a block",
        lambda: dense(weights="int4", block=32, columns=48),
        "has 48 columns in blocks of 32; the kernel for blocks takes whole ones",
        WRONG,
    ),
    Refused(
        "FULLY_CONNECTED blocks and RELU",
        lambda: dense(weights="int4", block=32, activation=1),
        "its fused activation is RELU; the kernel applies NONE",
        WRONG,
    ),
    Refused(
        "FULLY_CONNECTED float32 and TANH",
        lambda: dense(weights="float32", quant=None, activation=4),
        "its fused activation is TANH",
        RAISES,
    ),
    Refused(
        "FULLY_CONNECTED int8 to another dtype",
        lambda: dense(source="uint8", weights="int8"),
        "input 1, 't1', is int8, beside uint8",
        WRONG,
    ),
    Refused(
        "FULLY_CONNECTED int8 with an int64 bias",
        lambda: dense(source="int8", bias="int64"),
        "input 2, 't2', is int64, beside int8",
        WRONG,
    ),
    Refused(
        "BATCH_MATMUL int8 x int16",
        lambda: matmul("int8", "int16"),
        "input 1, 't1', is int16, beside int8",
        RAISES,
    ),
    Refused(
        "BATCH_MATMUL int8, scales of channels",
        lambda: matmul("int8", "int8", right_quant=per_channel(5, dimension=2)),
        "has 5 scales; the kernel reads one",
        WRONG,
    ),
    Refused(
        "BATCH_MATMUL rank 6",
        lambda: matmul("float32", "float32", rank=6),
        "has 6 dimensions; the kernel takes 2 to 5",
        RAISES,
    ),
    Refused(
        "CONCATENATION of other scales",
        lambda: joined("int8", [INT8, (0.1, 0), INT8]),
        "'t1', has the scale 0.1 and the zero point 0",
        RAISES,
    ),
    Refused(
        "CONCATENATION and RELU",
        lambda: joined("float32", [None] * 3, activation=1),
        "its fused activation is RELU",
        RAISES,
    ),
    Refused("ONE_HOT int16", lambda: one_hot("int16"), "input 2, 't2', is int16", RAISES),
    Refused(
        "REDUCE_MAX of another scale",
        lambda: reduced("REDUCE_MAX", "int8", INT8, (0.1, 0)),
        "the kernel takes equal ones",
        RAISES,
    ),
    Refused(
        "MEAN int8 without a scale",
        lambda: reduced("MEAN", "int8", None, None),
        "is int8 without a scale",
        WRONG,
    ),
    Refused("SLICE rank 6", lambda: sliced(6), "has 6 dimensions; the kernel takes at most 5", NEWER),
    Refused(
        "RNN with scales of channels",
        lambda: rnn(per_channel(3)),
        "has 3 scales; the kernel reads one",
        WRONG,
    ),
)
