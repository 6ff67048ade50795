"""Limits of recurrent cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from litesmith.runtime.kernel_limits.limit import (
    Limit,
    dtypes,
    one_scale,
    same_dtype,
    signatures,
    when,
    with_dtype,
)
from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode

_FLOAT, _EIGHT_BITS = "float32 float32", "float32 int8*|uint8*"


def _cell(
    file: str, weights: Sequence[int], biases: Sequence[int], *, integer: bool = False
) -> tuple[Limit, ...]:
    """A cell whose weights have one dtype and one scale each, beside a float32 or an int8 input.

    With integers, the first of the weights must be int8 beside an int8 input, and biases int32.
    """
    rows = [_FLOAT, _EIGHT_BITS, *(["int8* int8*"] if integer else [])]
    return (
        signatures(f"{file}: Prepare", (0, weights[0]), *rows),
        same_dtype(f"{file}: CheckInputTensorDimensions", *weights),
        one_scale(f"{file}: Eval", 0, *weights),
        *(
            when(with_dtype(0, "float32"), dtypes(f"{file}: CheckInputTensorDimensions", bias, "float32"))
            for bias in biases
        ),
        *(
            when(with_dtype(0, "int8"), dtypes(f"{file}: CheckInputTensorDimensions", bias, "int32"))
            for bias in biases
            if integer
        ),
    )


_LSTM_WEIGHTS = (2, 1, 3, 4, 5, 6, 7, 8, 16)
_LSTM_BIASES = (12, 13, 14, 15, 17)
_BASIC = "BASIC"


def _full(node: KernelNode) -> bool:
    return node.options("LSTMOptions").enum("kernel_type") != _BASIC


def _basic(node: KernelNode) -> bool:
    return not _full(node)


def _each(condition: Callable[[KernelNode], bool], limits: Sequence[Limit]) -> tuple[Limit, ...]:
    return tuple(when(condition, limit) for limit in limits)


_BASIC_LSTM = (
    signatures(
        "lstm.cc: basic::Eval",
        (0, 1, 2, 3, 4, OUTPUT, OUTPUT - 1, OUTPUT - 2, OUTPUT - 3),
        " ".join(["float32"] * 9),
        "uint8* uint8* uint8* int32 int16* uint8* int16* uint8* int16*",
    ),
)


def _forward_and_backward(weights: Sequence[int], step: int) -> tuple[int, ...]:
    return (*weights, *(position + step for position in weights))


LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "LSTM": (
        *_each(_full, _cell("lstm.cc", _LSTM_WEIGHTS, _LSTM_BIASES, integer=True)),
        *_each(_basic, _BASIC_LSTM),
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _cell(
        "unidirectional_sequence_lstm.cc", _LSTM_WEIGHTS, _LSTM_BIASES, integer=True
    ),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _cell(
        "bidirectional_sequence_lstm.cc",
        _forward_and_backward(_LSTM_WEIGHTS, 17),
        _forward_and_backward(_LSTM_BIASES, 17),
    ),
    "RNN": _cell("basic_rnn.cc", (1, 2), (3,)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _cell("unidirectional_sequence_rnn.cc", (1, 2), (3,)),
    "BIDIRECTIONAL_SEQUENCE_RNN": _cell("bidirectional_sequence_rnn.cc", (1, 2, 5, 6), (3, 7)),
    "SVDF": (
        signatures(
            "svdf.cc: Prepare, Eval",
            (0, 1, 2, OUTPUT),
            "float32 float32 float32 float32",
            "float32 int8*|uint8* int8*|uint8* float32",
            "int8* int8* int16*|int8* int8*",
        ),
        one_scale("svdf.cc: Eval", 0, 1, 2, OUTPUT),
    ),
}
"""The limits by op."""
