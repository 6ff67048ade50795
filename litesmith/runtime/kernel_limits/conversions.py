"""Limits of ops that convert, quantise and dequantise."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.runtime.kernel_limits.limit import (
    Limit,
    dtypes,
    one_scale,
    signatures,
    when,
    with_dtype,
    zero_points,
)
from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode
from litesmith.runtime.kernel_limits.weights import not_blockwise

_ENDS = (0, OUTPUT)
_CAST = (
    *("int64", "int32", "uint32", "int16", "uint16", "uint8", "int8"),
    *("float16", "bfloat16", "float32", "float64", "bool", "complex64"),
)
_PACKED = ("int4", "int2", "uint4")
_ALL = "|".join(_CAST)


def _parts(where: str) -> tuple[Limit, ...]:
    return (signatures(where, _ENDS, "complex64 float32", "complex128 float64"),)


def _narrow_range(where: str) -> Limit:
    def check(node: KernelNode) -> str | None:
        narrow = node.options("FakeQuantOptions").boolean("narrow_range")
        return "its narrow_range is set; the kernel has no narrow range" if narrow else None

    return Limit(where=where, check=check, advice="convert the model without narrow ranges")


LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "CAST": (
        signatures(
            "cast.cc: EvalImpl, copyToTensor",
            _ENDS,
            *(f"{kind} {_ALL}" for kind in _CAST if kind != "float32"),
            f"float32 {_ALL}|{'|'.join(_PACKED)}",
            *(f"{kind} float32" for kind in _PACKED),
        ),
    ),
    "QUANTIZE": (
        signatures(
            "quantize.cc: Prepare",
            _ENDS,
            "float32 uint8*|int8*|int16*|int4*|uint4*",
            "int16* int8*|int16*|int32*",
            "int32* int8*|int16*",
            "int8*|uint8* uint8*|int8*|int16*",
        ),
        when(
            lambda node: with_dtype(0, "int16")(node) and with_dtype(OUTPUT, "int16")(node),
            zero_points("quantize.cc: Prepare", "int16", 0, *_ENDS),
        ),
        when(with_dtype(OUTPUT, "int4", "uint4"), one_scale("quantize.cc: Eval", OUTPUT)),
        when(
            with_dtype(0, "int8", "uint8", "int16", "int32"),
            one_scale("quantize.cc: Prepare", *_ENDS),
        ),
        not_blockwise("quantize.cc: Prepare", *_ENDS),
    ),
    "DEQUANTIZE": (
        dtypes("dequantize.cc: Prepare", 0, "int2* int4* uint4* uint8* int8* int16* float16"),
        zero_points("dequantize.cc: Prepare", "int16", 0, 0),
        when(with_dtype(0, "int16"), one_scale("dequantize.h: PerChannelDequantizeImpl", 0)),
        not_blockwise("dequantize.h: DequantizeImpl", 0),
    ),
    "FAKE_QUANT": (
        dtypes("fake_quant.cc: Eval", 0, "float32"),
        _narrow_range("fake_quant.cc: Prepare"),
    ),
    "REAL": _parts("complex_support.cc: Prepare"),
    "IMAG": _parts("complex_support.cc: Prepare"),
    "COMPLEX_ABS": _parts("complex_support.cc: Prepare"),
    "RFFT2D": (dtypes("rfft2d.cc: Prepare", 0, "float32"), dtypes("rfft2d.cc: Prepare", 1, "int32")),
}
"""The limits by op."""
