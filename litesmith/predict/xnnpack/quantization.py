"""What a tensor is to XNNPACK: ``GetXNNPackDatatype`` of ``delegates/xnnpack/xnnpack_delegate.cc``."""

from __future__ import annotations

from litesmith.predict.xnnpack.operand_checks import Quantization, is_normal, quantization
from litesmith.runtime.graph import RuntimeTensor

_FLOATS = {"float32": "fp32", "float16": "fp16"}
_BYTES = {"int8": range(-128, 128), "uint8": range(256)}


def datatype(tensor: RuntimeTensor) -> str | None:
    """``xnn_datatype``: its name after the prefix, None for ``invalid``."""
    if tensor.dtype in _FLOATS:
        return _FLOATS[tensor.dtype]
    found = quantization(tensor)
    if found is None:
        return None
    if tensor.dtype == "int32":
        return _bias(tensor, found)
    if tensor.dtype not in _BYTES or not all(scale > 0 and is_normal(scale) for scale in found.scales):
        return None
    if len(found.scales) == 1:
        within = found.zero_points[0] in _BYTES[tensor.dtype]
        return f"q{'u' if tensor.dtype == 'uint8' else ''}int8" if within else None
    return "qcint8" if tensor.dtype == "int8" and _of_channels(tensor, found) else None


def _bias(tensor: RuntimeTensor, found: Quantization) -> str | None:
    if found.dimension != 0:
        return None
    if len(found.scales) == 1:
        return "qint32" if found.zero_points[0] == 0 else None
    return "qcint32" if _of_channels(tensor, found) else None


def _of_channels(tensor: RuntimeTensor, found: Quantization) -> bool:
    """Whether there is a scale for each channel, and no zero point."""
    return (
        found.dimension < len(tensor.dims)
        and len(found.scales) == tensor.dims[found.dimension]
        and not any(found.zero_points)
    )
