"""Limits of activation functions and of other ops on one input, element by element."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.runtime.kernel_limits.broadcasting import broadcast
from litesmith.runtime.kernel_limits.limit import (
    Limit,
    dtypes,
    one_scale,
    output_scale,
    quantised_output,
    ranks,
    signatures,
    when,
    with_dtype,
    zero_points,
)
from litesmith.runtime.kernel_limits.node import OUTPUT

_ENDS = (0, OUTPUT)


def _alike(*kinds: str) -> tuple[str, ...]:
    """Rows for an input and an output of one kind."""
    return tuple(f"{kind} {kind}" for kind in kinds)


def _elementwise(function: str, *kinds: str) -> tuple[Limit, ...]:
    where = "elementwise.cc: GenericPrepare"
    return (
        signatures(f"elementwise.cc: {function}", _ENDS, *_alike(*kinds)),
        zero_points(where, "int16", 0, *_ENDS),
        one_scale(where, *_ENDS, first=True),
    )


def _activation(function: str, *kinds: str) -> tuple[Limit, ...]:
    return (
        signatures(f"activations.cc: {function}", _ENDS, *_alike(*kinds)),
        one_scale(f"activations.cc: {function}", *_ENDS),
    )


_BYTES = ("float32", "uint8*", "int8*")
_HALVES = ("float32", "float16", "bfloat16")

_SIGMOID = "activations.cc: SigmoidPrepare"
_TANH = "activations.cc: TanhPrepare"
_SOFTMAX = "activations.cc: SoftmaxPrepare"
_LOG_SOFTMAX = "activations.cc: LogSoftmaxPrepare"

LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "ABS": _elementwise("IsAbsSupportedType", "float32", "int8*", "int16", "int32"),
    "SIN": _elementwise("IsNumericSupportedType", "float32"),
    "COS": _elementwise("IsNumericSupportedType", "float32"),
    # LOG, SQRT and RSQRT read the scale of int16 without looking whether there is one.
    "LOG": _elementwise("IsLogSupportedType", "float32", "int8*", "int16*"),
    "SQRT": _elementwise("IsSqrtSupportedType", "float32", "int8*", "int16*"),
    "RSQRT": _elementwise("IsRsqrtSupportedType", "float32", "int8*", "int16*"),
    "SQUARE": _elementwise("IsNumericSupportedType", "float32"),
    "LOGICAL_NOT": _elementwise("IsLogicalSupportedType", "bool"),
    "EXP": (
        dtypes("exp.cc: Eval", 0, "float32 int8* int16*"),
        quantised_output("exp.cc: Prepare"),
        zero_points("exp.cc: Prepare", "int16", 0, *_ENDS),
        one_scale("exp.cc: Prepare", *_ENDS),
    ),
    "NEG": (dtypes("neg.cc: Eval", 0, "int64 int32 float32 int8 int16 float16 bfloat16"),),
    "SIGN": (signatures("sign.cc: PointwiseUnaryOpEval", _ENDS, *_alike("float32", "float64", "int32")),),
    "CEIL": (dtypes("ceil.cc: Prepare", 0, "float32"),),
    "FLOOR": (dtypes("floor.cc: Prepare", 0, "float32 float16 bfloat16"),),
    "ROUND": (dtypes("round.cc: Prepare", 0, "float32 float16 bfloat16"),),
    "RELU": (
        *_activation("ReluEval", *_BYTES, "int16*"),
        zero_points("activations.cc: ReluPrepare", "int16", 0, *_ENDS),
    ),
    "RELU6": (
        *_activation("Relu6Eval", *_BYTES, "int16*"),
        zero_points("activations.cc: ReluPrepare", "int16", 0, *_ENDS),
    ),
    "RELU_N1_TO_1": _activation("Relu1Eval", *_BYTES),
    "RELU_0_TO_1": _activation("Relu0to1Eval", *_BYTES),
    "HARD_SWISH": _activation("HardSwishEval", *_BYTES),
    "LEAKY_RELU": (
        *_activation("LeakyReluEval", *_BYTES, "int16*"),
        zero_points("activations.cc: LeakyReluPrepare", "int16", 0, *_ENDS),
    ),
    "ELU": _activation("EluEval", "float32", "int8*"),
    "GELU": _activation("GeluEval", *_BYTES, "int16*"),
    "TANH": (
        *_activation("TanhEval", *_HALVES, "int16*", "uint8*", "int8*"),
        zero_points(_TANH, "int16", 0, *_ENDS),
        output_scale(_TANH, 1 / 32768, 2e-3, "int16"),
    ),
    "LOGISTIC": (
        *_activation("SigmoidEval", *_HALVES, "int16*", "uint8*", "int8*"),
        zero_points(_SIGMOID, "int16", 0, *_ENDS),
        output_scale(_SIGMOID, 1 / 256, 0, "int8", "uint8"),
        output_scale(_SIGMOID, 1 / 32768, 0, "int16"),
    ),
    "SOFTMAX": (
        signatures(
            "activations.cc: SoftmaxEval",
            _ENDS,
            *("float32 float32", "uint8* uint8*|int16*", "int8* int8*|int16*", "int16* int16*"),
        ),
        zero_points(_SOFTMAX, "int16", 0, *_ENDS),
        when(with_dtype(0, "int8"), zero_points(_SOFTMAX, "int8", -128, OUTPUT)),
        when(with_dtype(0, "int8"), output_scale(_SOFTMAX, 1 / 256, 1e-3, "int8")),
        when(with_dtype(0, "int16"), output_scale(_SOFTMAX, 1 / 32768, 1e-3, "int16")),
        when(with_dtype(0, "int16"), ranks("activations.cc: SoftmaxQuantized", 0, 1, 4)),
        one_scale(_SOFTMAX, *_ENDS),
    ),
    "LOG_SOFTMAX": (
        *_activation("LogSoftmaxEval", *_BYTES),
        output_scale(_LOG_SOFTMAX, 16 / 256, 0, "int8", "uint8"),
        zero_points(_LOG_SOFTMAX, "int8", 127, OUTPUT),
        zero_points(_LOG_SOFTMAX, "uint8", 255, OUTPUT),
    ),
    "PRELU": (
        signatures(
            "activations.cc: PreluEval",
            (0, 1),
            *("float32 float32", "uint8* uint8*", "int8* int8*", "int16* int8*"),
        ),
        quantised_output("activations.cc: PreluPrepare"),
        when(
            with_dtype(0, "float32"),
            broadcast(
                "internal/reference/binary_function.h: BroadcastBinaryFunction4DSlow",
                4,
                fivefold=("float32",),
                ones_lead=True,
            ),
        ),
        when(
            with_dtype(0, "uint8", "int8", "int16"),
            broadcast("internal/reference/prelu.h: BroadcastPrelu4DSlow", 4),
        ),
        one_scale("activations.cc: PreluPrepare", 0, 1, OUTPUT),
    ),
}
"""The limits by op."""
