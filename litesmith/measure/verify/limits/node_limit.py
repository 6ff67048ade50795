"""Node + the reference's values → the limit of each output: every choice between limits is made here."""

from __future__ import annotations

import numpy as np

from litesmith.measure.verify.limits import op_numbers
from litesmith.measure.verify.limits.limit import (
    SMALLEST,
    Limit,
    NodeView,
    equal,
    growth,
    magnitude,
    roundoff,
    subnormal,
)
from litesmith.measure.verify.limits.sums import sum_limit
from litesmith.model.tensors import Array

QUANTISED = frozenset({"int8", "uint8"})
"""Dtypes of quantised tensors that XNNPACK computes with."""

_INTEGERS = "integers, strings and Booleans must be equal"
_XNNPACK = "one step: XNNPACK rounds a scaled sum once, the built-in kernels twice"
_TABLE = "one step: another C library fills the table of the function"
_HALF = "one step of numbers whose quotient is within a few roundings of a half"
_NEAR_HALF = 2.0**-20
_COORDINATES = 8


def limit_of(view: NodeView, slot: int, expected: Array) -> Limit | None:
    """The limit of the output ``slot``; None for an op whose arithmetic is not listed.

    ``expected`` is the reference's output.
    """
    if expected.dtype.kind not in "fc":
        return _of_integers(view, slot)
    op = view.op
    if op in op_numbers.MOVES:
        return equal(f"{op} computes nothing")
    if op in op_numbers.SUMS:
        return sum_limit(view, expected)
    if op in op_numbers.REDUCTIONS:
        return _of_reductions(view, expected)
    if op in op_numbers.ELEMENTWISE:
        return _of_elements(view, expected)
    if op == "RESIZE_BILINEAR":
        return _of_resizing(view, expected)
    if op == "TFLite_Detection_PostProcess":
        return _of_boxes(expected)
    return None


def _of_integers(view: NodeView, slot: int) -> Limit:
    tensor = view.tensors[view.node.outputs[slot]] if slot < len(view.node.outputs) else None
    if view.delegated and tensor is not None and tensor.quantized and tensor.dtype in QUANTISED:
        return Limit(value=np.ones(()), reason=_XNNPACK)
    if view.op in op_numbers.TABLES and tensor is not None and tensor.quantized:
        return Limit(value=np.ones(()), reason=_TABLE)
    data = view.input(0)
    if view.op == "QUANTIZE" and data is not None and data.dtype.kind == "f" and tensor is not None:
        scales = np.array(tensor.quantization.scales, np.float64)
        shape = [1] * data.ndim
        if scales.size > 1:
            shape[tensor.quantization.dimension] = scales.size
        quotients = data.astype(np.float64) / scales.reshape(shape)
        distance = np.abs(quotients - np.floor(quotients) - 0.5)
        near = distance <= _NEAR_HALF * np.maximum(np.abs(quotients), 1)
        return Limit(value=near.astype(np.float64), reason=_HALF)
    return equal(_INTEGERS)


def _of_elements(view: NodeView, expected: Array) -> Limit:
    op = view.op
    ulp = op_numbers.ULP.get(op, op_numbers.ULP_ELSE)
    size = np.abs(expected).astype(np.float64)
    if op == "DEQUANTIZE":
        size = np.maximum(size, _products(view, expected))
    value = ulp * 2 * roundoff(expected.dtype) * size + max(op_numbers.ABSOLUTE.get(op, 0.0), SMALLEST)
    for slot in range(len(view.node.inputs)):
        data = view.input(slot)
        if data is not None and data.dtype == np.float32 and _fits(data, expected):
            # A logarithm of a number that counts as zero is not finite, nor is a quotient.
            value = np.where(subnormal(data), np.inf, value)
    return Limit(value=value, reason=f"{ulp} units in the last place: {op} of single numbers")


def _fits(data: Array, expected: Array) -> bool:
    try:
        return np.broadcast_shapes(data.shape, expected.shape) == expected.shape
    except ValueError:
        return False


def _products(view: NodeView, expected: Array) -> Array:
    """The larger of ``integer * scale`` and ``zero point * scale``.

    Vector kernels of TensorFlow Lite subtract products (``ScaleWithNewZeroPoint``), others integers.
    """
    data, quantization = view.input(0), view.tensors[view.input_index(0)].quantization
    if data is None or data.dtype.kind not in "iu" or not quantization.scales:
        return np.zeros(())
    shape = [1] * expected.ndim
    if len(quantization.scales) > 1:
        shape[quantization.dimension] = len(quantization.scales)
    scales, zeros = (
        np.reshape(np.array(one, np.float64), shape)
        for one in (quantization.scales, quantization.zero_points or (0,) * len(quantization.scales))
    )
    found: Array = np.maximum(np.abs(data.astype(np.float64)), np.abs(zeros)) * scales
    return found


def _of_reductions(view: NodeView, expected: Array) -> Limit:
    """The terms may all be equal, and their roundings too: their number itself counts, not its root."""
    data = view.input(0)
    if view.op == "ADD_N":
        terms, largest = (
            len(view.node.inputs),
            max((magnitude(view.input(slot)) for slot in range(len(view.node.inputs))), default=0.0),
        )
    else:
        largest = magnitude(data)
        size = data.size if data is not None else 0
        terms = max(size // max(expected.size, 1), 1) if view.op in ("MEAN", "SUM") else 0
        if view.op == "AVERAGE_POOL_2D":
            options = view.node.options
            terms = options.integer("filter_height") * options.integer("filter_width")
        elif not terms and data is not None:
            terms = max(data.shape, default=1)
    sums = 1 if view.op in ("MEAN", "AVERAGE_POOL_2D") else terms
    value = 2 * (terms + 2) * roundoff(expected.dtype) * largest * sums + SMALLEST
    return Limit(value=np.asarray(value), reason=f"sums of {terms} numbers in another order")


def _of_resizing(view: NodeView, expected: Array) -> Limit:
    data = view.input(0)
    extent = max(expected.shape[1:3], default=1)
    steps = 2 * growth(4) + _COORDINATES * extent
    value = steps * roundoff(expected.dtype) * magnitude(data) + SMALLEST
    return Limit(value=np.asarray(value), reason="sums of 4 numbers, with weights from rounded coordinates")


def _of_boxes(expected: Array) -> Limit:
    largest = max(magnitude(expected), 1.0)
    return Limit(
        value=np.asarray(16 * roundoff(expected.dtype) * largest),
        reason="corners of boxes: a few roundings of their coordinates",
    )
