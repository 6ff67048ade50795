"""Limits of ops that read and write at indices."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.runtime.kernel_limits.limit import (
    Limit,
    constant,
    dtypes,
    ranks,
    same_dtype,
    signatures,
    when,
    with_dtype,
)
from litesmith.runtime.kernel_limits.node import OUTPUT

_STABLEHLO = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"

_NON_MAX_SUPPRESSION = (
    dtypes("non_max_suppression.cc: Prepare", 0, "float32"),
    dtypes("non_max_suppression.cc: Prepare", 1, "float32"),
)

LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "GATHER": (
        dtypes(
            "gather.cc: Prepare",
            0,
            "float32 float16 bfloat16 uint8 int4 int8 int16 int64 int32 bool string",
        ),
        dtypes("gather.cc: Prepare", 1, "int64 int32 int16"),
        when(with_dtype(0, "string"), ranks("gather.cc: Prepare", 0, 1, 1)),
    ),
    "GATHER_ND": (
        dtypes(
            "gather_nd.cc: Prepare", 0, "bfloat16 float16 float32 uint8 int8 int16 int64 int32 string bool"
        ),
        dtypes("gather_nd.cc: Prepare", 1, "int64 int32 int16"),
    ),
    "SCATTER_ND": (
        dtypes("scatter_nd.cc: Eval", 0, "int32"),
        dtypes("scatter_nd.cc: Prepare", 1, "float32 uint8 bool int8 int64 int32"),
        same_dtype("scatter_nd.cc: Prepare", 0, 2),
    ),
    "DYNAMIC_UPDATE_SLICE": (
        signatures(
            "dynamic_update_slice.cc: Eval",
            (0, 1),
            *(
                f"{kind} {kind}"
                for kind in ("float16", "float32", "bool", "int4", "int8", "int16", "int32", "int64")
            ),
        ),
        dtypes("dynamic_update_slice.cc: Prepare", 2, "int32 int64"),
    ),
    # Prepare also takes int16, for which Eval has no code.
    "ONE_HOT": (
        dtypes("one_hot.cc: Prepare", 0, "int32 int64"),
        signatures(
            "one_hot.cc: Eval",
            (2, 3),
            *(f"{kind} {kind}" for kind in ("float32", "int32", "int64", "int8", "uint8", "bool")),
        ),
    ),
    "SPARSE_TO_DENSE": (
        dtypes("sparse_to_dense.cc: Prepare", 0, "int32 int64"),
        dtypes("sparse_to_dense.cc: Prepare", 1, "int32 int64"),
        signatures(
            "sparse_to_dense.cc: Prepare",
            (2, 3),
            *(f"{kind} {kind}" for kind in ("int32", "int64", "int8", "uint8", "float32")),
        ),
        ranks("sparse_to_dense.cc: Prepare", 0, 0, 2),
    ),
    "WHERE": (dtypes("where.cc: Prepare", 0, "bool float32 int64 int32 int8 uint8 uint32"),),
    "UNIQUE": (
        dtypes("unique.cc: Eval", 0, "int8 int16 int32 int64 float32 uint8"),
        same_dtype("unique.cc: Prepare", 0, OUTPUT),
    ),
    "BUCKETIZE": (dtypes("bucketize.cc: Prepare", 0, "int32 float32 int64 float64"),),
    "NON_MAX_SUPPRESSION_V4": _NON_MAX_SUPPRESSION,
    "NON_MAX_SUPPRESSION_V5": _NON_MAX_SUPPRESSION,
    "DENSIFY": (dtypes("densify.cc: Eval", 0, "float32 float16 int8"), constant("densify.cc: Prepare", 0)),
    "HASHTABLE_LOOKUP": (
        dtypes("hashtable_lookup.cc: Prepare", 0, "int32"),
        dtypes("hashtable_lookup.cc: Prepare", 1, "int32"),
        same_dtype("hashtable_lookup.cc: Prepare", 2, OUTPUT),
    ),
    "HASHTABLE_FIND": (
        signatures(
            "hashtable_find.cc: PrepareHashtableFind",
            (1, 2, OUTPUT),
            "int64 string string",
            "string int64 int64",
        ),
    ),
    "HASHTABLE_IMPORT": (
        signatures("hashtable_import.cc: PrepareHashtableImport", (1, 2), "int64 string", "string int64"),
    ),
    "STABLEHLO_GATHER": (
        dtypes("stablehlo_gather.cc: EvalWithIndexType", 0, _STABLEHLO),
        dtypes("stablehlo_gather.cc: Prepare", 1, "int32 int64"),
        same_dtype("stablehlo_gather.cc: EvalWithTypes", 0, OUTPUT),
    ),
    "STABLEHLO_SCATTER": (
        dtypes("stablehlo_scatter.cc: EvalWithIndexType", 0, f"{_STABLEHLO} bool"),
        dtypes("stablehlo_scatter.cc: Eval", 1, "int32 int64"),
        same_dtype("stablehlo_scatter.cc: EvalWithTypes", 0, 2, OUTPUT),
    ),
}
"""The limits by op."""
