"""Nodes that the delegate takes but XNNPACK refuses to define.

The delegate finds that out only when it creates its kernel, and then the whole subgraph stays with
TensorFlow Lite.  This follows ``Subgraph::Create`` of ``delegates/xnnpack/xnnpack_delegate.cc``, with the
check of shapes that the patched delegate adds at its end, and what that calls in XNNPACK's ``src/tensor.c``,
``src/subgraph`` and ``src/operators``, as far as nodes that passed the delegate's checks can fail there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from litesmith.predict.xnnpack.operand_checks import (
    MOST_DIMENSIONS,
    Candidate,
    Operand,
)
from litesmith.predict.xnnpack.quantization import (
    blocks,
    datatype,
    is_normal,
    product,
    quantization,
    quotient,
)
from litesmith.runtime.graph import RuntimeNode
from litesmith.runtime.xnnpack.matrices import strides
from litesmith.runtime.xnnpack.requirements import filter_size

_MOST_SCALE = 256

_FIRST_ONLY = frozenset(
    {
        *("MEAN", "PAD", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_BILINEAR", "SLICE"),
        *("STRIDED_SLICE", "SUM", "TRANSPOSE"),
    }
)
_NOT_FIRST = frozenset({"SPLIT", "TRANSPOSE_CONV"})

_BIAS_DATATYPES: Mapping[str, frozenset[str]] = {
    "fp32": frozenset({"fp32"}),
    "qint8": frozenset({"qint32"}),
    "quint8": frozenset({"qint32"}),
    "qcint8": frozenset({"qcint32"}),
    "qint4": frozenset({"qint32", "qcint32"}),
    "qcint4": frozenset({"qint32", "qcint32"}),
}
"""The datatypes of the bias, by that of the filter."""


def check(candidate: Candidate) -> None:
    """Checks whether XNNPACK accepts a node that the delegate takes.

    Raises:
        NotTakenError: it refuses the node.
    """
    for operand in (*_inputs(candidate), *_outputs(candidate)):
        _define(operand)
    define = _BY_OP.get(candidate.node.op)
    if define is not None:
        define(candidate)


def value_inputs(node: RuntimeNode) -> range:
    """The positions of the inputs that are values to XNNPACK; the others are parameters of the operator."""
    positions = range(len(node.inputs))
    if node.op in _FIRST_ONLY:
        return positions[:1]
    return positions[1:] if node.op in _NOT_FIRST else positions


def _inputs(candidate: Candidate) -> list[Operand]:
    positions = value_inputs(candidate.node)
    return [
        candidate.input(position, "input" if position == positions[0] else f"input {position}")
        for position in positions
        if candidate.has(position)
    ]


def _outputs(candidate: Candidate) -> list[Operand]:
    return [candidate.output(position) for position in range(len(candidate.node.outputs))]


def _define(operand: Operand) -> None:
    """``xnn_define_tensor_value`` and its variants for quantised tensors."""
    kind = datatype(operand.tensor)
    if kind is None:
        found = quantization(operand.tensor)
        operand.refuse(
            f"has the dtype {operand.tensor.dtype}{'' if found is None else ' with unsupported scales'}"
        )
    if len(operand.tensor.dims) > MOST_DIMENSIONS:
        operand.refuse(f"has {len(operand.tensor.dims)} dimensions")
    # The delegate does not check the scales of a bias.
    scales = operand.tensor.scales() if kind in {"qint32", "qcint32"} else ()
    if not all(scale > 0 and is_normal(scale) for scale in scales):
        operand.refuse("has a scale that is not positive")


def _same_datatype(candidate: Candidate) -> None:
    """``xnn_subgraph_check_datatype_matches``."""
    operands = [*_inputs(candidate), *_outputs(candidate)]
    for one, other in pairwise(operands):
        if datatype(one.tensor) != datatype(other.tensor):
            other.refuse(f"differs from its {one.role} in dtype or kind of quantisation")


def _same_scale(candidate: Candidate) -> None:
    """``xnn_subgraph_check_quantization_parameter_matches``: the operator does not rescale."""
    _same_datatype(candidate)
    output = candidate.output()
    target = quantization(output.tensor)
    if datatype(output.tensor) not in {"qint8", "quint8"} or target is None:
        return
    for one in _inputs(candidate):
        source = quantization(one.tensor)
        if source is None or (source.scales[0], source.zero_points[0]) != (
            target.scales[0],
            target.zero_points[0],
        ):
            one.refuse("has a different scale or zero point than its output")


def _strided_slice(candidate: Candidate) -> None:
    _same_scale(candidate)
    node = candidate.node
    begins, ends = (
        candidate.input(position, role).integers() for position, role in ((1, "begin"), (2, "end"))
    )
    begin_mask, end_mask = (node.options.integer(name) for name in ("begin_mask", "end_mask"))
    for axis, (begin, end, size) in enumerate(zip(begins, ends, node.dims(0), strict=True)):
        first = 0 if begin_mask >> axis & 1 else begin
        stop = end + first if node.options.boolean("offset") else end
        stop = 0 if end_mask >> axis & 1 else stop
        # An end of 0 is that of the input to XNNPACK.
        offset = max(size + first, 0) if first < 0 else first
        length = max(max(size + stop, 0) - offset, 0) if stop <= 0 else max(stop - offset, 0)
        length = min(length, max(size - min(offset, size), 0))
        made = candidate.output().tensor.dims
        if len(made) <= axis or length != made[axis]:
            candidate.input(0).refuse(
                f"has {size} along axis {axis}, and the slice goes from {first} to {stop}"
            )


def _softmax(candidate: Candidate) -> None:
    source = candidate.input(0)
    if source.tensor.dims and source.tensor.dims[-1] == 0:
        source.refuse("is empty")


def _transpose_conv(candidate: Candidate) -> None:
    _matrix(2)(candidate)
    node = candidate.node
    if node.options.enum("padding") == "SAME":
        return  # the delegate has checked the size
    image, window, output = (one.tensor.dims[1:3] for one in (*_inputs(candidate)[1::-1], candidate.output()))
    for before, extent, after, stride in zip(image, window, output, strides(node), strict=True):
        if stride * (before - 1) + (after - extent) % stride + extent != after:
            candidate.output().refuse(f"has the size {after}, which its input and its filter do not give")


def _max_pool_2d(candidate: Candidate) -> None:
    # With a filter of one pixel the node becomes a clamp.
    if filter_size(candidate.node) != (1, 1):
        _same_scale(candidate)


def _transpose(candidate: Candidate) -> None:
    rank = len(candidate.input(0).tensor.dims)
    permutation = candidate.input(1, "permutation")
    if rank == 0 or sorted(permutation.integers()) != list(range(rank)):
        permutation.refuse(f"is {list(permutation.integers())}")
    _same_scale(candidate)


def _matrix(image: int, *, grouped: bool = False) -> Callable[[Candidate], None]:
    """The check of an op with weights; ``image`` is the position of the input that they multiply."""

    def define(candidate: Candidate) -> None:
        source, weights = candidate.input(image), candidate.input(1, "filter")
        output = candidate.output()
        kind = datatype(weights.tensor)
        found = quantization(weights.tensor)
        last = max(image, 1) + 1
        if candidate.has(last):
            bias = candidate.input(last, "bias")
            allowed = _BIAS_DATATYPES.get(kind or "", frozenset())
            if source.tensor.dtype == "float32":
                allowed = frozenset({"fp32"})
            elif candidate.node.op == "FULLY_CONNECTED" and source.tensor.dtype == "int8":
                # The delegate gives weights with one scale a scale for each channel.
                allowed = frozenset({"qint32", "qcint32"})
            if datatype(bias.tensor) not in allowed:
                bias.refuse("does not have the scales of its filter")
        if grouped:
            _grouped(source, weights)
        if kind == "qbint4":
            _blocks(candidate, weights)
        if found is None or kind == "fp32" or source.tensor.dtype == "float32":
            return
        factors = (product(source.scale(), scale) for scale in found.scales)
        if any(quotient(factor, output.scale()) >= _MOST_SCALE for factor in factors):
            weights.refuse("has a scale that is too large for its output's scale")

    return define


def _blocks(candidate: Candidate, weights: Operand) -> None:
    """``CheckFp16Scale`` with the checks of the patched delegate, and the definition of such weights."""
    found, tensors = blocks(weights.tensor), candidate.node.tensors
    if found is None:
        return
    scales = tensors[found.scales] if 0 <= found.scales < len(tensors) else None
    if scales is None or scales.dtype != "float16" or scales.value is None:
        weights.refuse("has scales that are not a constant of float16")
    if found.size <= 0 or weights.tensor.elements != found.size * scales.elements:
        weights.refuse(f"has {scales.elements} scales for blocks of {found.size}")
    if not all(scale > 0 and is_normal(scale) for scale in map(float, scales.value.ravel())):
        weights.refuse("has a scale that is not positive")
    if candidate.input(0).tensor.dtype != "float32":
        weights.refuse("has scales of blocks, which are for inputs of float32")
    if found.dimension != 0 or weights.tensor.dims[1] % found.size:
        weights.refuse("has blocks that are not parts of its rows")


def _depthwise(candidate: Candidate) -> None:
    # CONV_2D needs no such check: its built-in kernel refuses such a filter before.
    weights = candidate.input(1, "filter")
    found = quantization(weights.tensor)
    if found is not None and datatype(weights.tensor) == "qint8" and found.zero_points[0]:
        weights.refuse("has a zero point")
    _matrix(0)(candidate)


def _grouped(source: Operand, weights: Operand) -> None:
    groups = source.tensor.dims[3] // weights.tensor.dims[3]
    if groups == 0 or weights.tensor.dims[0] % groups:
        weights.refuse(f"cannot be divided into {groups} groups")


_BY_OP: Mapping[str, Callable[[Candidate], None]] = {
    **dict.fromkeys(
        (
            *("ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SQUARED_DIFFERENCE", "SUB"),
            *("ELU", "LEAKY_RELU", "LOGISTIC", "MEAN", "SPLIT", "SUM", "TANH"),
        ),
        _same_datatype,
    ),
    **dict.fromkeys(
        (
            *("CONCATENATION", "DEPTH_TO_SPACE", "PAD", "RESHAPE", "RESIZE_BILINEAR", "SLICE"),
            *("SPACE_TO_DEPTH", "REDUCE_MAX", "REDUCE_MIN"),
        ),
        _same_scale,
    ),
    "SOFTMAX": _softmax,
    "STRIDED_SLICE": _strided_slice,
    "MAX_POOL_2D": _max_pool_2d,
    "TRANSPOSE": _transpose,
    "CONV_2D": _matrix(0, grouped=True),
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _matrix(0),
    "TRANSPOSE_CONV": _transpose_conv,
}
