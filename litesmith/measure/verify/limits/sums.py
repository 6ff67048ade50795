"""Limits of ops that add products: the number of terms × the rounding × the magnitude of the terms."""

from __future__ import annotations

import numpy as np

from litesmith.measure.verify.limits.limit import (
    NORMAL,
    SMALLEST,
    Limit,
    NodeView,
    growth,
    magnitude,
    roundoff,
    subnormal,
)
from litesmith.model.tensors import Array

_NEAR_HALF = 1e-4
"""Quotients this near to a half may be rounded to either side: 127 times a few roundings of float32."""

_REASON = (
    "sums of {terms} products in another order: roundings of float32 × the magnitude of the products, "
    "for each channel"
)
_HYBRID_REASON = (
    "inputs are quantised while the model runs: one step of those at an exact half × their weights"
    ", and the rounding of the sum"
)


def sum_limit(view: NodeView, expected: Array) -> Limit | None:
    """The limit of a float output; None where a value that is needed is not known."""
    data, weights = _operands(view)
    if data is None or weights is None or data.dtype.kind != "f" or expected.dtype.kind != "f":
        return None
    # Where an input is not finite, neither is the output, and those are equal or wrong.
    data = np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0)
    if weights.dtype.kind == "f":
        return _float_limit(view, data, weights, expected)
    return _hybrid_limit(view, data, weights, expected)


def _operands(view: NodeView) -> tuple[Array | None, Array | None]:
    if view.op == "TRANSPOSE_CONV":
        return view.input(2), view.input(1)
    return view.input(0), view.input(1)


def _bias(view: NodeView) -> Array:
    bias = view.input(3 if view.op == "TRANSPOSE_CONV" else 2)
    if bias is None or bias.dtype.kind != "f":
        return np.zeros(())
    return np.abs(bias.astype(np.float64))


def _float_limit(view: NodeView, data: Array, weights: Array, expected: Array) -> Limit:
    norms, terms = _norms(view, data.astype(np.float64), weights.astype(np.float64))
    factor = 2 * growth(terms + 2) * roundoff(expected.dtype)
    lost = sum(
        NORMAL * terms * magnitude(other)
        for one, other in ((data, weights), (weights, data))
        if subnormal(one).any()
    )
    value = factor * (norms + _bias(view)) + SMALLEST + lost
    return Limit(value=value, reason=_REASON.format(terms=terms))


def _norms(view: NodeView, data: Array, weights: Array) -> tuple[Array, int]:
    """The norm of a sum's inputs × that of its weights, which bounds the terms' magnitudes; their number."""
    if view.op == "BATCH_MATMUL":
        options = view.node.options
        rows = np.linalg.norm(data, axis=-2 if options.boolean("adj_x") else -1).max(initial=0.0)
        columns = np.linalg.norm(weights, axis=-1 if options.boolean("adj_y") else -2).max(initial=0.0)
        return np.asarray(rows * columns), data.shape[-2 if options.boolean("adj_x") else -1]
    if view.op == "FULLY_CONNECTED":
        terms = weights.shape[-1]
        rows = np.linalg.norm(data.reshape(-1, terms), axis=-1).max(initial=0.0)
        return rows * np.linalg.norm(weights, axis=-1), terms
    squares, terms = _windows(view, data**2, weights)
    return np.sqrt(squares) * _weight_norms(view, weights), terms


def _weight_norms(view: NodeView, weights: Array) -> Array:
    """The norm of the weights of each output channel."""
    channel = weights.ndim - 1 if view.op in ("DEPTHWISE_CONV_2D", "CONV_3D") else 0
    norms: Array = np.linalg.norm(
        np.moveaxis(weights, channel, 0).reshape(weights.shape[channel], -1), axis=1
    )
    return norms


def _windows(view: NodeView, data: Array, weights: Array) -> tuple[Array, int]:
    """The largest sum of ``data`` over a window of a convolution, for each output channel; the terms.

    The windows have stride 1, so that they are all windows and some more.
    """
    if view.op == "CONV_3D":
        terms = int(np.prod(weights.shape[:-1]))
        return np.full(weights.shape[-1], terms * data.max(initial=0.0)), terms
    if view.op == "DEPTHWISE_CONV_2D":
        height, width, outputs = weights.shape[1:]
        sums = data
    else:
        outputs, height, width, depth = weights.shape
        groups = data.shape[-1] // depth
        sums = data.reshape(*data.shape[:-1], groups, depth).sum(axis=-1)
    down, right = _dilation(view)
    sums = _box(_box(sums, 1, height, down), 2, width, right)
    terms = height * width * (1 if view.op == "DEPTHWISE_CONV_2D" else weights.shape[-1])
    most = sums.max(axis=(0, 1, 2), initial=0.0)
    return np.repeat(most, outputs // most.size), terms


def _dilation(view: NodeView) -> tuple[int, int]:
    if view.op == "TRANSPOSE_CONV":
        return 1, 1
    options = view.node.options
    return options.integer("dilation_h_factor"), options.integer("dilation_w_factor")


def _box(data: Array, axis: int, size: int, dilation: int) -> Array:
    """Sums over ``size`` elements along an axis, ``dilation`` apart; outside are zeros."""
    if size == 1:
        return data
    reach = (size - 1) * dilation
    padding = [(0, 0)] * data.ndim
    padding[axis] = (reach, reach)
    padded = np.pad(data, padding)
    length = data.shape[axis] + reach
    found = np.zeros_like(np.take(padded, range(length), axis))
    for tap in range(size):
        found += np.take(padded, range(tap * dilation, tap * dilation + length), axis)
    return found


def _hybrid_limit(view: NodeView, data: Array, weights: Array, expected: Array) -> Limit:
    """Of float inputs and integer weights.  The sums themselves are of integers, and exact."""
    weights = np.abs(weights.astype(np.float64))
    values = data.astype(np.float64)
    rows = values.reshape(-1, weights.shape[-1]) if view.op == "FULLY_CONNECTED" else values
    across = tuple(range(1, rows.ndim))
    largest = np.maximum(np.abs(rows).max(axis=across, keepdims=True, initial=0.0), SMALLEST)
    low = np.minimum(rows.min(axis=across, keepdims=True, initial=0.0), 0)
    high = np.maximum(rows.max(axis=across, keepdims=True, initial=0.0), 0)
    symmetric, asymmetric = largest / 127, np.maximum((high - low) / 255, SMALLEST)
    if view.delegated:
        # XNNPACK quantises rows asymmetrically, whatever the option says: each number by half of either step.
        step, doubtful = (symmetric + asymmetric) / 2, np.ones_like(rows)
    else:
        # Convolutions have both ways of quantising.
        steps = {True: [asymmetric], False: [symmetric], None: [symmetric, asymmetric]}[_asymmetric(view)]
        doubtful = np.zeros_like(rows)
        for one in steps:
            quotients = rows / one
            doubtful[np.abs(quotients - np.floor(quotients) - 0.5) < _NEAR_HALF] = 1
        step = np.maximum.reduce(steps)
    scale = view.scales(1)
    scale = scale if scale.size else np.ones(1)
    if view.op == "FULLY_CONNECTED":
        moved = (doubtful * step) @ weights.reshape(-1, weights.shape[-1]).T * scale
        total = largest * weights.sum(axis=-1) * scale
        rounding = 16 * roundoff(expected.dtype) * (total + _bias(view))
        return Limit(value=(moved + rounding + SMALLEST).reshape(expected.shape), reason=_HYBRID_REASON)
    if view.op == "BATCH_MATMUL":
        most = weights.max(initial=0.0) * float(scale.max())
        value = float(step.max()) * most * float(doubtful.sum(axis=-1).max(initial=0.0))
        total = float(largest.max()) * most * values.shape[-1]
        return Limit(
            value=np.asarray(value + 16 * roundoff(expected.dtype) * total + SMALLEST), reason=_HYBRID_REASON
        )
    counts, _ = _windows(view, doubtful, weights)
    count = int(counts.max(initial=0.0))
    channel = weights.ndim - 1 if view.op == "DEPTHWISE_CONV_2D" else 0
    listed = -np.sort(-np.moveaxis(weights, channel, 0).reshape(weights.shape[channel], -1), axis=1)
    moved = float(step.max()) * listed[:, :count].sum(axis=1) * scale
    total = float(largest.max()) * listed.sum(axis=1) * scale
    rounding = 16 * roundoff(expected.dtype) * (total + _bias(view))
    return Limit(value=moved + rounding + SMALLEST, reason=_HYBRID_REASON)


def _asymmetric(view: NodeView) -> bool | None:
    """Whether inputs are quantised with a zero point; None where that depends on the weights."""
    if view.op in ("FULLY_CONNECTED", "BATCH_MATMUL"):
        return view.node.options.boolean("asymmetric_quantize_inputs")
    return None
