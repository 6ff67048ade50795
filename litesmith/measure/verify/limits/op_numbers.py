"""The numbers of single ops: what each may differ by, and why.  Tests of whole input ranges use them, too."""

from __future__ import annotations

from collections.abc import Mapping

ULP: Mapping[str, int] = {"LOGISTIC": 6, "TANH": 8, "GELU": 12, "SOFTMAX": 6}
"""Units in the last place by which float32 outputs may differ from the reference's, by op; else ``ULP_ELSE``.

Eigen approximates these functions by polynomials and quotients of them, and vector instructions differ in
which sums they contract: up to 5, 7, 9 and 3 units on Arm, at most 2 on x86.  Without vector instructions,
SOFTMAX takes the C library's exponential function: up to 5 (``tests/integration/test_whole_range.py``).
"""

ULP_ELSE = 2
"""The same for other functions of single elements: one rounding here and one there."""

ABSOLUTE: Mapping[str, float] = {"LOG_SOFTMAX": 6 * 2.0**-24}
"""Differences of float32 outputs that are no more than this are right, by op.

A logarithm of a sum near 1 has the rounding of the sum: at most 4 units of 2^-24 with vector instructions,
and 5 with the C library's exponential function.
"""

TABLES = frozenset({"ELU", "GELU"})
"""Ops whose quantised kernels fill a table with the C library's ``tanh``, ``erf`` or ``expm1``.

The C libraries of programs and of the reference round these functions differently, so that an entry near a
half may be the next integer: GELU in int16 on aarch64 and riscv64 (musl).
"""

MOVES = frozenset(
    {
        *("ARG_MAX", "ARG_MIN", "BATCH_TO_SPACE_ND", "BITCAST", "BROADCAST_ARGS", "BROADCAST_TO", "CAST"),
        *("CEIL", "CONCATENATION", "DENSIFY", "DEPTH_TO_SPACE", "DILATE", "DYNAMIC_UPDATE_SLICE"),
        *("EMBEDDING_LOOKUP", "EQUAL", "EXPAND_DIMS", "FILL", "FLOOR", "GATHER", "GATHER_ND"),
        *("GREATER", "GREATER_EQUAL", "HASHTABLE_LOOKUP", "IMAG", "LESS", "LESS_EQUAL", "MATRIX_DIAG"),
        *("MATRIX_SET_DIAG", "MAXIMUM", "MAX_POOL_2D", "MINIMUM", "MIRROR_PAD", "NEG", "ABS", "NOT_EQUAL"),
        *("ONE_HOT", "PACK", "PAD", "PADV2", "RANK", "READ_VARIABLE", "REAL", "REDUCE_MAX", "REDUCE_MIN"),
        *("RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR"),
        *("REVERSE_SEQUENCE", "REVERSE_V2", "ROUND", "SELECT", "SELECT_V2", "SHAPE", "SIGN", "SLICE"),
        *("SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPARSE_TO_DENSE", "SPLIT", "SPLIT_V", "SQUEEZE"),
        *("STRIDED_SLICE", "TILE", "TOPK_V2", "TRANSPOSE", "UNIQUE", "UNPACK", "WHERE", "ZEROS_LIKE"),
    }
)
"""Ops that copy, compare or choose numbers, or round each of them exactly."""

ELEMENTWISE = frozenset(
    {
        *("ADD", "ATAN2", "COMPLEX_ABS", "COS", "DEQUANTIZE", "DIV", "ELU", "EXP", "FLOOR_DIV", "FLOOR_MOD"),
        *("GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "LOG_SOFTMAX", "MUL", "POW", "PRELU"),
        *("RANGE", "RSQRT", "SIN", "SOFTMAX", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH"),
    }
)
"""Ops each of whose elements is a function of few numbers (SOFTMAX and LOG_SOFTMAX: of a row)."""

REDUCTIONS = frozenset(
    {"ADD_N", "AVERAGE_POOL_2D", "CUMSUM", "MEAN", "SEGMENT_SUM", "SUM", "UNSORTED_SEGMENT_SUM"}
)
"""Ops that add elements, in an order of their own."""

SUMS = frozenset(
    {"BATCH_MATMUL", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
)
"""Ops that add products."""
