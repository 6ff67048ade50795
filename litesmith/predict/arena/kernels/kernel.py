"""What ``Prepare`` of a kernel does: it sizes the outputs of a node and adds temporaries to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from litesmith.runtime.graph import Dims, Memory, RuntimeNode, Scratch

Prepare = Callable[[RuntimeNode], None]
"""Gives the outputs of a node their shapes, and the memory that they lie in."""

Shape = Callable[[RuntimeNode], Dims | None]
"""The shape of a node's output; None while it is unknown."""

Temporaries = list[Scratch]
"""The tensors that a kernel adds to its node, in the order of ``node->temporaries``."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The part of a kernel that the arenas depend on.

    ``temporaries`` are added once the outputs are sized, None for a kernel that has none.  ``reserved`` is
    the number of tensors that the kernel adds as soon as the model is read, or, with
    ``reserves_when_prepared``, when the node is first prepared, whether it needs them or not.
    ``dtype_from`` is the position of the input whose dtype the kernel gives to its output, whatever the
    file says.
    """

    prepare: Prepare
    temporaries: Callable[[RuntimeNode], Temporaries] | None = None
    reserved: int = 0
    reserves_when_prepared: bool = False
    dtype_from: int | None = None


def kept(label: str, dtype: str, dims: Dims) -> Scratch:
    """A temporary that keeps its contents between inferences, in the persistent arena."""
    return Scratch(label=label, dtype=dtype, dims=dims, memory=Memory.PERSISTENT)


def on_heap(label: str, dtype: str, dims: Dims) -> Scratch:
    """A temporary on the heap: ``kTfLiteDynamic``."""
    return Scratch(label=label, dtype=dtype, dims=dims, memory=Memory.HEAP)


def in_arena(label: str, dtype: str, dims: Dims) -> Scratch:
    """A temporary that lies in the arena while the node runs."""
    return Scratch(label=label, dtype=dtype, dims=dims)


def like_input(node: RuntimeNode) -> None:
    """The output has the shape of the first input."""
    node.resize(0, node.dims(0))


def sized(by: Sequence[int], shape: Shape) -> Prepare:
    """The output has a shape that depends on the contents of the inputs ``by``.

    While these have no contents, the kernel sizes the output when it runs.
    """

    def prepare(node: RuntimeNode) -> None:
        if node.fixed(*by):
            node.resize(0, shape(node))
        else:
            node.heap(0, shape(node))

    return prepare


def given_shape(position: int) -> Prepare:
    """The output has the shape that an input contains."""

    def prepare(node: RuntimeNode) -> None:
        dims, known = node.ints(position), node.of(position).known
        if node.fixed(position):
            node.resize(0, dims, known=known)
        else:
            node.heap(0, dims, known=known)

    return prepare


def resize_all(node: RuntimeNode, dims: Sequence[Dims] | None, *, fixed: bool) -> None:
    """Sizes every output now where ``fixed``, else when the node runs; ``dims`` is None while unknown."""
    for position in range(len(node.outputs)):
        one = dims[position] if dims is not None else None
        if fixed:
            node.resize(position, one)
        else:
            node.heap(position, one)


def output_dims(node: RuntimeNode) -> Dims:
    """The shape of the first output; empty where it is not used."""
    output = node.output()
    return output.dims if output is not None else ()


def without_axis(dims: Dims, axis: int) -> Dims:
    """A shape without one of its dimensions; a negative ``axis`` counts from the end."""
    axis += len(dims) if axis < 0 else 0
    return dims[:axis] + dims[axis + 1 :]


def with_axis(dims: Dims, axis: int, size: int) -> Dims:
    """A shape with another size of one of its dimensions; a negative ``axis`` counts from the end."""
    axis += len(dims) if axis < 0 else 0
    return (*dims[:axis], size, *dims[axis + 1 :])
