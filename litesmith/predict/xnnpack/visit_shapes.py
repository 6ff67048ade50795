"""Which nodes of ops that move data, and of reductions, the delegate takes.

The functions are the ``Visit…Node`` of ``delegates/xnnpack/xnnpack_delegate.cc`` that decide about a node.
"""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.predict.xnnpack.operand_checks import (
    MOST_DIMENSIONS,
    Candidate,
    Check,
    NotTakenError,
    Operand,
)
from litesmith.predict.xnnpack.quantization import quantization


def _concatenation(candidate: Candidate) -> None:
    count = len(candidate.node.inputs)
    candidate.counts((2, 5))
    output = candidate.output().float32_or_quantised().sized()
    inputs = [candidate.input(position, f"input {position}") for position in range(count)]
    axis = candidate.node.options.integer("axis")
    for one in inputs:
        if axis >= len(one.tensor.dims):
            one.refuse(f"has no dimension {axis}")
    if output.tensor.dtype == "uint8":
        for one in inputs:
            _same_quantization(one, output)
    for one in inputs:
        one.float32_or_quantised().sized()


def _same_quantization(one: Operand, output: Operand) -> None:
    """Compares ``TfLiteTensor::params``, which are 0 and 0 unless the tensor has one scale."""
    parameters = [
        (found.scales[0], found.zero_points[0]) if found is not None and len(found.scales) == 1 else (0, 0)
        for found in (quantization(one.tensor), quantization(output.tensor))
    ]
    if parameters[0] != parameters[1]:
        one.refuse("has a different scale or zero point than its output")


def _depth_to_space(candidate: Candidate) -> None:
    candidate.counts(1)
    candidate.input(0).float32_or_quantised().sized()
    candidate.output().float32_or_quantised().sized()
    block_size = candidate.node.options.integer("block_size")
    if block_size <= 1:
        raise NotTakenError(f"its block size is {block_size}")


def _space_to_depth(candidate: Candidate) -> None:
    _depth_to_space(candidate)
    image = candidate.input(0)
    if any(size % candidate.node.options.integer("block_size") for size in image.tensor.dims[1:3]):
        image.refuse("cannot be divided into blocks")


def _reduction(candidate: Candidate) -> None:
    candidate.counts(2)
    source = candidate.input(0).float32_or_quantised().sized()
    axes = candidate.input(1, "axes").dtype("int32")
    if len(axes.tensor.dims) > 1:
        axes.refuse(f"has {len(axes.tensor.dims)} dimensions")
    along = axes.constant().integers()
    if not along or (along == (0,) and not source.tensor.dims):
        axes.refuse("is empty")
    if len(along) > MOST_DIMENSIONS:
        axes.refuse(f"has {len(along)} numbers")
    output = candidate.output().float32_or_quantised().sized()
    if candidate.node.op in {"REDUCE_MAX", "REDUCE_MIN"}:
        if source.tensor.dtype != output.tensor.dtype:
            raise NotTakenError("its input and its output have different dtypes")
        _same_quantization(source, output)


def _pad(candidate: Candidate) -> None:
    candidate.counts(2)
    source = candidate.input(0).float32_or_quantised().shaped(1, MOST_DIMENSIONS).sized()
    paddings = candidate.input(1, "paddings").dtype("int32")
    if paddings.tensor.dims != (len(source.tensor.dims), 2):
        paddings.refuse("do not match its input")
    paddings.constant()
    candidate.output().float32_or_quantised().shaped(1, MOST_DIMENSIONS).sized()
    if min(paddings.integers()) < 0:
        paddings.refuse("are negative")


def _reshape(candidate: Candidate) -> None:
    candidate.counts((1, 2))
    source = candidate.input(0).float32_or_quantised().shaped(0, MOST_DIMENSIONS).sized()
    output = candidate.output().float32_or_quantised().shaped(0, MOST_DIMENSIONS).sized()
    if output.tensor.dtype != "float32":
        _same_quantization(source, output)
    if len(candidate.node.inputs) == 2:
        shape = candidate.input(1, "shape").dtype("int32")
        if any(size != 1 for size in shape.tensor.dims[:-1]):
            shape.refuse(f"has {len(shape.tensor.dims)} dimensions")
        dims = shape.constant().integers()
    else:
        dims = candidate.node.options.integers("new_shape")
    # Old models have this for a scalar.
    if dims in {(0,), (-1,)}:
        raise NotTakenError(f"its new shape is {list(dims)}")


def _slice(candidate: Candidate) -> None:
    begins = candidate.input(1, "begin").vector().constant().dtype("int32", "int64")
    sizes = candidate.input(2, "size").vector().constant().dtype("int32", "int64")
    rank = len(begins.integers())
    if len(sizes.integers()) != rank:
        sizes.refuse("does not match its begin")
    source = candidate.input(0).float32_or_quantised().sized()
    if len(source.tensor.dims) != rank or rank > MOST_DIMENSIONS:
        source.refuse(f"has {len(source.tensor.dims)} dimensions")
    candidate.output().float32_or_quantised().sized()
    if min(begins.integers(), default=0) < 0:
        begins.refuse(f"is {list(begins.integers())}")
    if min(sizes.integers(), default=1) <= 0:
        sizes.refuse(f"is {list(sizes.integers())}")


def _split(candidate: Candidate) -> None:
    count = len(candidate.node.outputs)
    candidate.counts(2, (2, 4))
    if candidate.node.options.integer("num_splits") != count:
        raise NotTakenError(f"it has {count} outputs")
    candidate.input(0, "dimension").dtype("int32").constant()
    candidate.input(1).float32_or_quantised().sized()
    for position in range(count):
        candidate.output(position).float32_or_quantised().sized()


def _strided_slice(candidate: Candidate) -> None:
    for mask in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask"):
        if candidate.node.options.integer(mask):
            raise NotTakenError(f"it has the {mask} {candidate.node.options.integer(mask)}")
    strides = candidate.input(3, "strides").vector().constant().dtype("int32")
    if any(stride != 1 for stride in strides.integers()):
        strides.refuse(f"are {list(strides.integers())}")
    begins = candidate.input(1, "begin").vector().constant().dtype("int32")
    ends = candidate.input(2, "end").vector().constant().dtype("int32")
    rank = len(strides.integers())
    if {len(begins.integers()), len(ends.integers())} != {rank}:
        begins.refuse("does not match its strides")
    source = candidate.input(0)
    if len(source.tensor.dims) != rank or rank > MOST_DIMENSIONS:
        source.refuse(f"has {len(source.tensor.dims)} dimensions")
    source.float32_or_quantised().sized()
    candidate.output().float32_or_quantised().sized()


def _transpose(candidate: Candidate) -> None:
    candidate.counts(2)
    source = candidate.input(0).float32_or_quantised().shaped(1, MOST_DIMENSIONS).sized()
    permutation = candidate.input(1, "permutation").constant()
    # Checks of the patched delegate.
    candidate.output().float32_or_quantised().sized()
    if len(permutation.dtype("int32").integers()) != len(source.tensor.dims):
        permutation.refuse("does not match its input")


SHAPES: Mapping[str, Check] = {
    "CONCATENATION": _concatenation,
    "DEPTH_TO_SPACE": _depth_to_space,
    "MEAN": _reduction,
    "PAD": _pad,
    "REDUCE_MAX": _reduction,
    "REDUCE_MIN": _reduction,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _reduction,
    "TRANSPOSE": _transpose,
}
"""The checks by op."""
