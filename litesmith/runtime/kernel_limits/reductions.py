"""Limits of reductions, searches and sums over segments."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.runtime.kernel_limits.limit import (
    Limit,
    dtypes,
    equal_scales,
    one_scale,
    ranks,
    same_dtype,
    signatures,
    zero_points,
)
from litesmith.runtime.kernel_limits.node import OUTPUT

_ENDS = (0, OUTPUT)
_SMALL_INTEGERS = "uint8 int8 int16"


def _reduce(function: str, *kinds: str, more: tuple[Limit, ...] = ()) -> tuple[Limit, ...]:
    return (
        signatures(f"reduce.cc: {function}", _ENDS, *(f"{kind} {kind}" for kind in kinds)),
        dtypes("reduce.cc: PrepareSimple", 1, "int32"),
        zero_points("reduce.cc: PrepareSimple", "int16", 0, *_ENDS),
        one_scale(f"reduce.cc: {function}", *_ENDS),
        *more,
    )


_NUMBERS = ("float32", "int32", "int64")
_AVERAGES = (*_NUMBERS, "uint8*", "int8*", "int16*")
_EXTREMA = _reduce(
    "EvalGeneric",
    *(*_NUMBERS, "uint8", "int8", "int16"),
    more=(equal_scales("reduce.cc: EvalType", _SMALL_INTEGERS, *_ENDS),),
)
_TRUTH = _reduce("PrepareAllOrAny", "bool")

_ARG = (
    dtypes("arg_min_max.cc: Prepare", 0, "float32 uint8 int8 int32 bool"),
    dtypes("arg_min_max.cc: Prepare", 1, "int32 int64"),
)

_UNSORTED = (
    signatures("unsorted_segment.cc: Prepare", _ENDS, "int32 int32", "float32 float32"),
    dtypes("unsorted_segment.cc: Prepare", 1, "int32"),
    dtypes("unsorted_segment.cc: Prepare", 2, "int32"),
)

LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "MEAN": _reduce("EvalMean", *_AVERAGES),
    "SUM": _reduce("EvalSum", *_AVERAGES),
    # A product of quantised uint8 has no kernel; without a scale they are plain integers.
    "REDUCE_PROD": _reduce("PrepareProd", *_NUMBERS, "uint8", "int8", "int16"),
    "REDUCE_MAX": _EXTREMA,
    "REDUCE_MIN": _EXTREMA,
    "REDUCE_ANY": _TRUTH,
    "REDUCE_ALL": _TRUTH,
    "ARG_MAX": _ARG,
    "ARG_MIN": _ARG,
    "CUMSUM": (
        signatures("cumsum.cc: Prepare", _ENDS, "int32 int32", "float32 float32", "int64 int64"),
        dtypes("cumsum.cc: Prepare", 1, "int32"),
    ),
    "TOPK_V2": (
        dtypes("topk_v2.cc: TopKImpl", 0, "float32 uint8 int8 int16 int32 int64"),
        dtypes("topk_v2.cc: Eval", 1, "int32 int16"),
        same_dtype("topk_v2.cc: Prepare", 0, OUTPUT),
        dtypes("topk_v2.cc: Eval", OUTPUT - 1, "int32 int16"),
    ),
    "SEGMENT_SUM": (
        signatures("segment_sum.cc: Prepare", _ENDS, "int32 int32", "float32 float32"),
        dtypes("segment_sum.cc: Prepare", 1, "int32"),
    ),
    "UNSORTED_SEGMENT_SUM": _UNSORTED,
    "UNSORTED_SEGMENT_PROD": _UNSORTED,
    "UNSORTED_SEGMENT_MAX": _UNSORTED,
    "UNSORTED_SEGMENT_MIN": _UNSORTED,
    "L2_NORMALIZATION": (
        signatures("l2norm.cc: Prepare", _ENDS, "float32 float32", "uint8 uint8*", "int8 int8*"),
        ranks("l2norm.cc: Prepare", 0, 0, 4),
    ),
    "LOCAL_RESPONSE_NORMALIZATION": (
        signatures("local_response_norm.cc: Prepare", _ENDS, "float32 float32"),
        ranks("local_response_norm.cc: Prepare", 0, 4, 4),
    ),
}
"""The limits by op."""
