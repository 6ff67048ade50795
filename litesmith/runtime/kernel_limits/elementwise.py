"""Limits of ops on several inputs, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from litesmith.runtime.kernel_limits.broadcasting import (
    broadcast,
    broadcast_groups,
    certainly_broadcasts,
    no_broadcast,
)
from litesmith.runtime.kernel_limits.dtypes import SIZED
from litesmith.runtime.kernel_limits.limit import (
    Limit,
    dtypes,
    one_scale,
    quantised_output,
    same_dtype,
    signatures,
    when,
    with_dtype,
    zero_points,
)
from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode

_PAIR = (0, 1, OUTPUT)
_FIVEFOLD = ("float32", "int8", "uint8")


def _alike(*kinds: str) -> tuple[str, ...]:
    """Rows for two inputs and an output of one kind."""
    return tuple(f"{kind} {kind} {kind}" for kind in kinds)


def _of_two(*kinds: str) -> tuple[str, ...]:
    """Rows for two inputs of one kind; the kernel sets the output's."""
    return tuple(f"{kind} {kind}" for kind in kinds)


_POWER_OF_TWO_TOLERANCE = 1e-3
"""``CheckedLog2`` of ``quantization_util.cc``."""


def _log2(scale: float) -> int | None:
    """``CheckedLog2``: the exponent of a power of two, None for other scales."""
    if scale <= 0:
        return None
    exponent = math.log2(scale)
    return round(exponent) if abs(exponent - round(exponent)) < _POWER_OF_TWO_TOLERANCE else None


def _with_shifts(options: str) -> Callable[[KernelNode], bool]:
    """Nodes that the kernel rescales by shifts: int16, with scales that are powers of two."""

    def holds(node: KernelNode) -> bool:
        found = [node.at(position) for position in _PAIR]
        table = node.options(options)  # without one, the kernel has zeros
        return (
            table.present
            and table.boolean("pot_scale_int16")
            and all(
                one is not None and one.dtype == "int16" and _log2(one.scale) is not None for one in found
            )
        )

    return holds


def _shift_of_one(where: str) -> Limit:
    """With shifts, one input keeps its scale and the other's is not larger than the output's."""

    def check(node: KernelNode) -> str | None:
        first, second, output = (node.at(position) for position in _PAIR)
        if first is None or second is None or output is None:
            return None
        to = _log2(output.scale) or 0
        shifts = [(_log2(one.scale) or 0) - to for one in (first, second)]
        if 0 in shifts and max(shifts) == 0:
            return None
        return (
            f"{first.name} and {second.name} have 2^{shifts[0]} and 2^{shifts[1]} times the output's scale; "
            "with pot_scale_int16 the kernel takes one of the same scale and one of a smaller one"
        )

    return Limit(where=where, check=check, advice="convert the model with a newer TensorFlow")


def _sum(file: str, options: str, *limits: Limit) -> tuple[Limit, ...]:
    shifts = _with_shifts(options)
    return (
        *limits,
        quantised_output(f"{file}: Prepare"),
        zero_points(f"{file}: Prepare", "int16", 0, *_PAIR),
        when(shifts, _shift_of_one(f"{file}: Prepare")),
        one_scale(f"{file}: Prepare", *_PAIR),
    )


_ADD = _sum(
    "add.cc",
    "AddOptions",
    signatures("add.cc: Eval", (0, 1), *_of_two("float32", "int32", "int64", "int8*", "uint8*", "int16")),
    when(
        lambda node: not _with_shifts("AddOptions")(node),
        broadcast_groups("internal/common.h: ReduceDimensionsForBroadcast", 6, fivefold=_FIVEFOLD),
    ),
    when(_with_shifts("AddOptions"), no_broadcast("add.cc: EvalAddQuantized", 0, 1)),
)

_SUB = _sum(
    "sub.cc",
    "SubOptions",
    signatures("sub.cc: Eval", (0, 1), *_of_two("float32", "int32", "int64", "int8*", "uint8*", "int16*")),
    broadcast_groups("internal/common.h: ReduceDimensionsForBroadcast", 6, fivefold=("int16",)),
)

_MUL = (
    signatures(
        "mul.cc: EvalImpl",
        _PAIR,
        *_alike("float32", "int32", "int64", "uint32", "complex64", "int8*", "uint8*", "int16"),
        "int16* int16* int8*|uint8*",
    ),
    broadcast("internal/reference/mul.h: BroadcastMul6DSlow", 6, fivefold=_FIVEFOLD, ones_lead=True),
    when(
        lambda node: with_dtype(0, "int16")(node) and with_dtype(OUTPUT, "int8", "uint8")(node),
        no_broadcast("mul.cc: EvalQuantized", 0, 1),
    ),
    zero_points("mul.cc: EvalQuantized", "int16", 0, *_PAIR),
    one_scale("mul.cc: Prepare", *_PAIR),
)

_DIV = (
    signatures("div.cc: Eval", (0, 1), *_of_two("float32", "int32", "int8*", "uint8*", "int16*")),
    quantised_output("div.cc: Prepare"),
    when(
        with_dtype(0, "float32", "int32"),
        broadcast("internal/reference/div.h: BroadcastDivSlow", 5),
    ),
    when(
        with_dtype(0, "int8", "uint8", "int16"),
        broadcast("internal/reference/div.h: BroadcastDivSlow", 5, ones_lead=True),
    ),
    one_scale("div.cc: Prepare", *_PAIR),
)

_EXTREMUM = (
    signatures(
        "maximum_minimum.cc: Eval",
        (0, 1),
        *_of_two("float32", "uint8", "int8", "int32", "int64", "int16", "float16", "bfloat16"),
    ),
    broadcast("internal/reference/maximum_minimum.h: MaximumMinimumBroadcastSlow", 5, fivefold=("int8",)),
)


def _four_dimensions(where: str) -> Limit:
    return broadcast(f"{where}, internal/reference/binary_function.h: BroadcastBinaryFunction4DSlow", 4)


def _comparison(function: str, *kinds: str) -> tuple[Limit, ...]:
    return (
        signatures(f"comparisons.cc: {function}", (0, 1), *_of_two(*kinds)),
        broadcast("internal/reference/comparisons.cc: BroadcastComparison4DSlowPreprocess", 4),
        one_scale("comparisons.cc: ComparisonQuantized", 0, 1),
    )


_ORDERED = ("float32", "float16", "int16", "int32", "int64", "uint8*", "int8*")


def _power_broadcast(node: KernelNode) -> bool:
    """Nodes whose exponent is not one number: a whole one has a loop without broadcasting."""
    exponent = node.at(1)
    return exponent is not None and exponent.shape is not None and math.prod(exponent.shape) not in (1, -1)


_SELECT = (signatures("select.cc: SelectPrepare", (0, 1, 2), *(f"bool {kind} {kind}" for kind in SIZED)),)


def _low_rank_condition(where: str) -> Limit:
    """SELECT broadcasts a condition that is a scalar, or has one value for each row."""

    def check(node: KernelNode) -> str | None:
        condition = node.at(0)
        if condition is None or (condition.rank or 0) < 2 or not certainly_broadcasts(node):
            return None
        return (
            f"{condition.name} has {condition.rank} dimensions and another shape than the values; "
            "the kernel broadcasts a scalar or a vector"
        )

    return Limit(where=where, check=check, advice="convert with a newer TensorFlow, which writes SELECT_V2")


def _stablehlo(*kinds: str) -> tuple[Limit, ...]:
    return (
        signatures("stablehlo_elementwise.h: ElementwiseEval", _PAIR, *_alike(*kinds)),
        no_broadcast("stablehlo_elementwise.cc: ElementwisePrepare", 0, 1),
    )


_STABLEHLO_NUMBERS = (
    *("float16", "float32", "float64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool"),
)

LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "ADD": _ADD,
    "SUB": _SUB,
    "MUL": _MUL,
    "DIV": _DIV,
    "MAXIMUM": _EXTREMUM,
    "MINIMUM": _EXTREMUM,
    "POW": (
        signatures("pow.cc: Prepare", (0, 1), *_of_two("float32", "int32")),
        when(_power_broadcast, broadcast("internal/optimized/optimized_ops.h: BroadcastPow4D", 4)),
    ),
    "SQUARED_DIFFERENCE": (
        signatures("squared_difference.cc: Eval", (0, 1), *_of_two("float32", "int32", "int8*")),
        quantised_output("squared_difference.cc: Prepare"),
        _four_dimensions("squared_difference.cc: Eval"),
        one_scale("squared_difference.cc: Prepare", *_PAIR),
    ),
    "FLOOR_DIV": (
        signatures("floor_div.cc: Prepare", (0, 1), *_of_two("float32", "int32", "int16", "int8")),
        _four_dimensions("floor_div.cc: EvalImpl"),
    ),
    "FLOOR_MOD": (
        signatures("floor_mod.cc: Prepare", (0, 1), *_of_two("float32", "int32", "int64", "int16", "int8")),
        _four_dimensions("floor_mod.cc: EvalImpl"),
    ),
    "ATAN2": (
        signatures("atan2.cc: Atan2Prepare", _PAIR, *_alike("float32", "float64", "float16", "bfloat16")),
        no_broadcast("atan2.cc: Atan2", 0, 1),
    ),
    "LOGICAL_AND": (
        signatures("logical.cc: Prepare", (0, 1), "bool bool"),
        _four_dimensions("logical.cc: LogicalImpl"),
    ),
    "LOGICAL_OR": (
        signatures("logical.cc: Prepare", (0, 1), "bool bool"),
        _four_dimensions("logical.cc: LogicalImpl"),
    ),
    "BITWISE_XOR": (
        signatures(
            "bitwise_xor.cc: Eval", (0, 1), *_of_two("int8", "uint8", "int16", "uint16", "int32", "uint32")
        ),
        _four_dimensions("bitwise_xor.cc: Eval"),
    ),
    "RIGHT_SHIFT": (
        signatures(
            "right_shift.cc: Eval", (0, 1), *_of_two("int8", "uint8", "int16", "uint16", "int32", "uint32")
        ),
        _four_dimensions("right_shift.cc: Eval"),
    ),
    # EQUAL compares int16 without a scale, NOT_EQUAL leaves its output unset then.
    "EQUAL": _comparison("EqualEval", *_ORDERED, "bool", "string"),
    "NOT_EQUAL": _comparison(
        "NotEqualEval", *(kind for kind in _ORDERED if kind != "int16"), "int16*", "bool", "string"
    ),
    "LESS": _comparison("LessEval", *_ORDERED, "bfloat16"),
    "GREATER": _comparison("GreaterEval", *_ORDERED, "bfloat16"),
    "LESS_EQUAL": _comparison("LessEqualEval", *_ORDERED),
    "GREATER_EQUAL": _comparison("GreaterEqualEval", *_ORDERED),
    "SELECT": (*_SELECT, _low_rank_condition("select.cc: SelectPrepare")),
    "SELECT_V2": (
        *_SELECT,
        broadcast("internal/reference/select.h: BroadcastSelect5DSlow", 5, positions=(0, 1, 2)),
    ),
    "ADD_N": (
        dtypes("add_n.cc: Eval", 0, "float32 int32"),
        same_dtype("add_n.cc: Prepare", 0, 1),
        no_broadcast("add_n.cc: Prepare", 0, 1),
    ),
    "STABLEHLO_ADD": _stablehlo(*_STABLEHLO_NUMBERS),
    "STABLEHLO_AND": _stablehlo(*(kind for kind in _STABLEHLO_NUMBERS if not kind.startswith("float"))),
    "STABLEHLO_MULTIPLY": _stablehlo(*_STABLEHLO_NUMBERS),
    "STABLEHLO_MAXIMUM": _stablehlo(*_STABLEHLO_NUMBERS),
    "STABLEHLO_MINIMUM": _stablehlo(*_STABLEHLO_NUMBERS),
    "STABLEHLO_SHIFT_LEFT": (
        signatures("stablehlo_shift_left.cc: Eval", (0, 1), *_of_two("int8", "int16", "int32")),
    ),
}
"""The limits by op."""
