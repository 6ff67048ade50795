"""Which nodes of elementwise ops, and of SOFTMAX, the delegate takes.

The functions are the ``Visit…Node`` of ``delegates/xnnpack/xnnpack_delegate.cc`` that decide about a node.
"""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.predict.xnnpack.operand_checks import (
    MOST_DIMENSIONS,
    Candidate,
    Check,
    NotTakenError,
    Operand,
)
from litesmith.predict.xnnpack.quantization import datatype, is_normal, product, quotient


def _unary_shape(candidate: Candidate) -> None:
    candidate.counts(1)
    candidate.input(0).shaped(0, MOST_DIMENSIONS)


def _unary_float(candidate: Candidate) -> None:
    _unary_shape(candidate)
    candidate.input(0).float32().sized()
    candidate.output().float32().sized()


def _unary(candidate: Candidate) -> None:
    _unary_shape(candidate)
    candidate.input(0).float32_or_quantised().sized()
    candidate.output().float32_or_quantised().sized()


def _elu(candidate: Candidate) -> None:
    _unary_shape(candidate)
    candidate.input(0).float32_or_int8().sized()
    candidate.output().float32_or_int8().sized()


def _leaky_relu(candidate: Candidate) -> None:
    _unary(candidate)
    alpha = candidate.node.options.real("alpha")
    if not is_normal(alpha):
        raise NotTakenError(f"its alpha is {alpha:g}")
    before, after = candidate.input(0).scale_or_nan(), candidate.output().scale_or_nan()
    if not (is_normal(before) and is_normal(after)):
        return
    positive = quotient(before, after)
    if positive < 1 / 256 or positive > 128:
        raise NotTakenError(f"the ratio of its scales is {positive:g}")
    negative = product(positive, alpha)
    if negative < -127.99609375 or negative > 128 or abs(negative) < 1 / 256:
        raise NotTakenError(f"its scales and its alpha give {negative:g}")


def _softmax(candidate: Candidate) -> None:
    beta = candidate.node.options.real("beta")
    if beta != 1:
        raise NotTakenError(f"its beta is {beta:g}")
    candidate.counts(1)
    candidate.input(0).float32().sized()
    candidate.output().float32().sized()


def _dequantize(candidate: Candidate) -> None:
    _unary_shape(candidate)
    candidate.input(0).quantised().sized()
    candidate.output().float32().sized()


def _quantize(candidate: Candidate) -> None:
    _unary_shape(candidate)
    source = candidate.input(0).float32_or_quantised().sized()
    target = candidate.output().float32_or_quantised().sized()
    kind = datatype(source.tensor)
    if kind == "fp32":
        return
    if kind not in {"qint8", "quint8"} or kind != datatype(target.tensor):
        raise NotTakenError(f"it converts {source.tensor.dtype} to {target.tensor.dtype}")
    ratio = quotient(source.scale_or_nan(), target.scale_or_nan())
    if ratio < 1 / 256 or ratio > 128:
        raise NotTakenError(f"the ratio of its scales is {ratio:g}")


def _binary_shapes(candidate: Candidate) -> tuple[Operand, Operand, Operand]:
    candidate.counts(2)
    return (
        candidate.input(0, "first input").shaped(0, MOST_DIMENSIONS).sized(),
        candidate.input(1, "second input").shaped(0, MOST_DIMENSIONS).sized(),
        candidate.output().sized(),
    )


def _binary_float(candidate: Candidate) -> None:
    for one in _binary_shapes(candidate):
        one.float32()


def _div(candidate: Candidate) -> None:
    _binary_float(candidate)
    candidate.activation()


def _binary(candidate: Candidate) -> tuple[Operand, Operand, Operand]:
    operands = _binary_shapes(candidate)
    for one in operands:
        one.float32_or_quantised()
    if len({one.tensor.dtype for one in operands}) > 1:
        raise NotTakenError("its inputs and its output have different dtypes")
    return operands


def _within(ratio: float, least: float, end: float) -> None:
    if ratio < least or ratio >= end:
        raise NotTakenError(f"the ratio of its inputs' and its output's scales is {ratio:g}")


def _add(candidate: Candidate) -> None:
    first, second, output = _binary(candidate)
    for one in (first, second):
        if one.tensor.dtype == output.tensor.dtype != "float32":
            _within(quotient(one.scale(), output.scale()), 1 / 1024, 256)
    candidate.activation()


def _mul(candidate: Candidate) -> None:
    first, second, output = _binary(candidate)
    if first.tensor.dtype == second.tensor.dtype == output.tensor.dtype != "float32":
        _within(quotient(product(first.scale(), second.scale()), output.scale()), 1 / 65536, 256)
    candidate.activation()


def _prelu(candidate: Candidate) -> None:
    _binary_float(candidate)
    candidate.input(1, "slope").constant_or_unpacked()


ELEMENTWISE: Mapping[str, Check] = {
    **dict.fromkeys(
        (
            *("ABS", "CEIL", "COS", "EXP", "FLOOR", "GELU", "HARD_SWISH", "NEG", "RELU", "RELU6"),
            *("RELU_N1_TO_1", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE"),
        ),
        _unary_float,
    ),
    **dict.fromkeys(("LOGISTIC", "TANH"), _unary),
    "ELU": _elu,
    "LEAKY_RELU": _leaky_relu,
    "SOFTMAX": _softmax,
    "DEQUANTIZE": _dequantize,
    "QUANTIZE": _quantize,
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"), _binary_float),
    "DIV": _div,
    **dict.fromkeys(("ADD", "SUB"), _add),
    "MUL": _mul,
    "PRELU": _prelu,
}
"""The checks by op."""
