"""Sets of dtypes that many kernels share."""

from __future__ import annotations

EIGHT_BITS = ("int8", "uint8", "bool")
SIXTEEN_BITS = ("int16", "uint16", "float16", "bfloat16")
THIRTY_TWO_BITS = ("float32", "int32", "uint32")
SIXTY_FOUR_BITS = ("int64", "uint64", "float64", "complex64")

SIZED = (*EIGHT_BITS, *SIXTEEN_BITS, *THIRTY_TWO_BITS, *SIXTY_FOUR_BITS)
"""The dtypes of 8, 16, 32 or 64 bits: ``TfLiteTypeGetSizeBits`` of ``kernel_util.cc``."""
