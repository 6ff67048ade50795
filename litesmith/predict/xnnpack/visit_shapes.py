"""Which nodes of ops that move data, and of MEAN and SUM, the delegate takes.

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
    candidate.counts((2, 4))
    output = candidate.output().float32_or_quantised().sized()
    inputs = [candidate.input(position, f"input {position}") for position in range(count)]
    if output.tensor.dtype == "uint8":
        for one in inputs:
            _same_quantization(one, output)
    dims = output.tensor.dims
    axis = candidate.node.options.integer("axis")
    axis += len(dims) if axis < 0 else 0
    for one in inputs:
        one.float32_or_quantised().sized()
        if len(one.tensor.dims) != len(dims) or _without(one, axis) != _without(output, axis):
            one.refuse("does not match its output")
    if not 0 <= axis < len(dims) or sum(one.tensor.dims[axis] for one in inputs) != dims[axis]:
        output.refuse("is not as long as its inputs combined")


def _same_quantization(one: Operand, output: Operand) -> None:
    """Compares ``TfLiteTensor::params``, which are 0 and 0 unless the tensor has one scale."""
    parameters = [
        (found.scales[0], found.zero_points[0]) if found is not None and len(found.scales) == 1 else (0, 0)
        for found in (quantization(one.tensor), quantization(output.tensor))
    ]
    if parameters[0] != parameters[1]:
        one.refuse("has a different scale or zero point than its output")


def _without(operand: Operand, axis: int) -> list[int]:
    return [size for position, size in enumerate(operand.tensor.dims) if position != axis]


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
    candidate.input(0).float32_or_quantised().shaped(4).sized()
    axes = candidate.input(1, "axes").dtype("int32")
    if len(axes.tensor.dims) > 1:
        axes.refuse(f"has {len(axes.tensor.dims)} dimensions")
    # The delegate recognises neither negative axes nor height alone.
    along = tuple(sorted(axes.constant().integers()))
    if along not in {(2,), (1, 2)}:
        raise NotTakenError(f"it reduces the axes {list(along)}")
    keeps = candidate.node.options.boolean("keep_dims")
    candidate.output().float32_or_quantised().shaped(4 if keeps else 4 - len(along)).sized()


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
    candidate.input(0).float32_or_quantised().shaped(0, MOST_DIMENSIONS).sized()
    if len(candidate.node.inputs) == 2:
        shape = candidate.input(1, "shape").dtype("int32")
        if any(size != 1 for size in shape.tensor.dims[:-1]):
            shape.refuse(f"has {len(shape.tensor.dims)} dimensions")
        if not shape.tensor.fixed:
            shape.refuse("is not constant")
    candidate.output().float32_or_quantised().shaped(0, MOST_DIMENSIONS).sized()


def _slice(candidate: Candidate) -> None:
    begins = candidate.input(1, "begin").vector().constant().dtype("int32", "int64")
    sizes = candidate.input(2, "size").vector().constant().dtype("int32", "int64")
    rank = len(begins.integers())
    if len(sizes.integers()) != rank:
        sizes.refuse("does not match its begin")
    source = candidate.input(0).float32_or_quantised().shaped(rank).sized()
    output = candidate.output().float32_or_quantised().shaped(rank).sized()
    edges = zip(begins.integers(), sizes.integers(), source.tensor.dims, output.tensor.dims, strict=True)
    for begin, size, whole, made in edges:
        if size <= 0 and size != -1:
            sizes.refuse(f"is {list(sizes.integers())}")
        wanted = whole - begin if size == -1 else size
        if wanted > whole or wanted != made or begin + wanted > whole:
            sizes.refuse("does not match its input or its output")


def _split(candidate: Candidate) -> None:
    count = len(candidate.node.outputs)
    candidate.counts(2, (2, 4))
    if candidate.node.options.integer("num_splits") != count:
        raise NotTakenError(f"it has {count} outputs")
    dimension = candidate.input(0, "dimension").dtype("int32").constant()
    source = candidate.input(1).float32_or_quantised().sized()
    dims = source.tensor.dims
    axis = dimension.integers()[0]
    axis += len(dims) if axis < 0 else 0
    if not 0 <= axis < len(dims) or dims[axis] % count:
        source.refuse(f"cannot be split into {count}")
    part = (*dims[:axis], dims[axis] // count, *dims[axis + 1 :])
    for position in range(count):
        output = candidate.output(position).float32_or_quantised().sized()
        if output.tensor.dims != part:
            output.refuse("does not have the shape of a part of its input")


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
    # The delegate does not check begin and end against the shape.
    candidate.input(0).float32_or_quantised().shaped(rank).sized()
    candidate.output().float32_or_quantised().shaped(rank).sized()


def _transpose(candidate: Candidate) -> None:
    candidate.counts(2)
    source = candidate.input(0).sized()
    candidate.input(1, "permutation").constant()
    output = candidate.output().sized()
    # Checks of the patched delegate: upstream's has none, and XNNPACK refuses all other dtypes.
    source.float32_or_quantised()
    output.float32_or_quantised()
    if len(source.tensor.dims) > MOST_DIMENSIONS:
        source.refuse(f"has {len(source.tensor.dims)} dimensions")


SHAPES: Mapping[str, Check] = {
    "CONCATENATION": _concatenation,
    "DEPTH_TO_SPACE": _depth_to_space,
    "MEAN": _reduction,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SUM": _reduction,
    "TRANSPOSE": _transpose,
}
"""The checks by op."""
