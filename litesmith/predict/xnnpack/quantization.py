"""A tensor's quantisation, and what it is to XNNPACK: ``GetXNNPackDatatype`` of ``xnnpack_delegate.cc``.

Arithmetic is in single precision, as it is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from litesmith.runtime.graph import RuntimeTensor


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """``TfLiteAffineQuantization``: one scale and zero point, or one of each per channel.

    ``dimension`` is the dimension of the channels.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    dimension: int


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """``TfLiteBlockwiseQuantization``: a scale for each ``size`` numbers of a row.

    ``scales`` is the tensor of the scales, and ``dimension`` that of the rows.
    """

    scales: int
    size: int
    dimension: int


def blocks(tensor: RuntimeTensor) -> Blocks | None:
    """A tensor's scales of blocks, None where it has none: ``InterpreterBuilder::ParseQuantization``."""
    details = tensor.quantization.union("details") if tensor.quantization is not None else None
    if tensor.quantization is None or details is None or details.kind != "BlockwiseQuantization":
        return None
    return Blocks(
        scales=details.integer("scales"),
        size=details.integer("block_size"),
        dimension=tensor.quantization.integer("quantized_dimension"),
    )


def quantization(tensor: RuntimeTensor) -> Quantization | None:
    """A tensor's quantisation, None where it has none: ``InterpreterBuilder::ParseQuantization``."""
    scales = tensor.scales()
    if tensor.quantization is None or not scales or blocks(tensor) is not None:
        return None
    return Quantization(
        scales=scales,
        zero_points=tensor.quantization.integers("zero_point"),
        dimension=tensor.quantization.integer("quantized_dimension"),
    )


def is_normal(number: float) -> bool:
    """``std::isnormal`` of a float."""
    return math.isfinite(number) and abs(number) >= 2**-126


def quotient(left: float, right: float) -> float:
    """The quotient in single precision; infinite or NaN where C++ has that."""
    with np.errstate(all="ignore"):
        return float(np.float32(left) / np.float32(right))


def product(left: float, right: float) -> float:
    """The product in single precision."""
    with np.errstate(all="ignore"):
        return float(np.float32(left) * np.float32(right))


_FLOATS = {"float32": "fp32", "float16": "fp16"}
_RANGES = {"int4": range(-8, 8), "int8": range(-128, 128), "uint8": range(256)}


def datatype(tensor: RuntimeTensor) -> str | None:
    """The tensor's ``xnn_datatype`` without its prefix, None for ``xnn_datatype_invalid``."""
    if tensor.dtype in _FLOATS:
        return _FLOATS[tensor.dtype]
    if blocks(tensor) is not None:
        return "qbint4" if tensor.dtype == "int4" else None
    found = quantization(tensor)
    # ``CheckAffineQuantization``
    if found is None or not all(scale > 0 and is_normal(scale) for scale in found.scales):
        return None
    if len(found.zero_points) not in {1, len(found.scales)}:
        return None
    if tensor.dtype == "int32":
        return _bias_datatype(tensor, found)
    if tensor.dtype not in _RANGES:
        return None
    if len(found.scales) == 1:
        name = {"int4": "qint4", "int8": "qint8", "uint8": "quint8"}[tensor.dtype]
        return name if found.zero_points[0] in _RANGES[tensor.dtype] else None
    if tensor.dtype == "uint8" or not _is_per_channel(
        tensor, found, {0, 8} if tensor.dtype == "int4" else {0}
    ):
        return None
    return f"qc{tensor.dtype}"


def _bias_datatype(tensor: RuntimeTensor, found: Quantization) -> str | None:
    if found.dimension != 0 or any(found.zero_points):
        return None
    if len(found.scales) == 1:
        return "qint32"
    return "qcint32" if _is_per_channel(tensor, found, {0}) else None


def _is_per_channel(tensor: RuntimeTensor, found: Quantization, points: set[int]) -> bool:
    """Whether there is one scale per channel, and all zero points are among ``points``."""
    return (
        found.dimension < len(tensor.dims)
        and len(found.scales) == tensor.dims[found.dimension]
        and points.issuperset(found.zero_points)
    )
