"""Model → multiply-accumulates and parameters, from shapes alone.

A multiply-accumulate (MAC) is one multiplication and one addition of a convolution, a matrix product or
a recurrent cell; additions in pooling, activations and scaling are not counted.  ``FORMULAS`` says how each
op is counted.  Two FLOPs are one MAC.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from litesmith.base.errors import UsageError
from litesmith.model.analysis import ModelAnalysis, Node, Subgraph, Tensor
from litesmith.model.entry_points import Choice, parts
from litesmith.runtime.op_registry import Registry

_INTEGER_WEIGHTS = frozenset({"int8", "uint8", "int4", "int16"})
_FLOAT_WEIGHTS = frozenset({"float16", "float32", "float64", "complex64"})
_FIRST_BIAS = 2


Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Sized:
    """A tensor and the shape that it has in the run that is counted."""

    tensor: Tensor
    shape: Shape

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class View:
    """A node with its tensors; None stands for an optional input that is left out."""

    inputs: tuple[Sized | None, ...]
    outputs: tuple[Sized, ...]

    def shape(self, position: int) -> Shape:
        """The shape of an input; empty when it is left out."""
        sized = self.inputs[position] if position < len(self.inputs) else None
        return sized.shape if sized else ()

    @property
    def out(self) -> Shape:
        """The shape of the first output."""
        return self.outputs[0].shape if self.outputs else ()

    def matrices(self) -> int:
        """Elements of all constant matrices among the inputs."""
        return sum(
            sized.elements
            for sized in self.inputs
            if sized is not None and sized.tensor.weight_bytes and len(sized.shape) == _MATRIX
        )


_MATRIX = 2


def _convolution(node: View) -> int:
    _, *kernel = node.shape(1)
    return math.prod(node.out) * math.prod(kernel)


def _depthwise(node: View) -> int:
    _, height, width, _ = node.shape(1)
    return math.prod(node.out) * height * width


def _transposed(node: View) -> int:
    # The shape of the output comes first, then weights, then the input.
    outputs, height, width, _ = node.shape(1)
    return math.prod(node.shape(2)) * outputs * height * width


def _convolution_3d(node: View) -> int:
    *kernel, _ = node.shape(1)
    return math.prod(node.out) * math.prod(kernel)


def _transposed_3d(node: View) -> int:
    depth, height, width, outputs, _ = node.shape(1)
    return math.prod(node.shape(2)) * depth * height * width * outputs


def _fully_connected(node: View) -> int:
    units, depth = node.shape(1)
    return math.prod(node.shape(0)) // depth * units * depth if depth else 0


def _batch_matmul(node: View) -> int:
    # An option decides which of the last two dimensions of the left matrix is summed over.  The output has
    # the rows, so the other dimension is the depth.
    left, out = node.shape(0), node.out
    rows = out[-2]
    return math.prod(out) * (math.prod(left[-2:]) // rows) if rows else 0


def _svdf(node: View) -> int:
    batch = node.shape(0)[0]
    return batch * (math.prod(node.shape(1)) + math.prod(node.shape(2)))


def _cell(node: View) -> int:
    return node.shape(0)[0] * node.matrices()


def _sequence(node: View) -> int:
    # [time, batch, input] or [batch, time, input]: the product is the same.
    return math.prod(node.shape(0)[:2]) * node.matrices()


@dataclass(frozen=True, kw_only=True)
class Formula:
    """How the MACs of one op are counted: in words, and as code.  ``rank`` is the weights', 0 for any."""

    text: str
    count: Callable[[View], int]
    rank: int = 0


_SEQUENCE = Formula(text="steps x batch x elements of all weight matrices", count=_sequence)

FORMULAS: Mapping[str, Formula] = {
    "CONV_2D": Formula(
        text="output elements x kernel height x kernel width x input channels of a group",
        count=_convolution,
        rank=4,
    ),
    "DEPTHWISE_CONV_2D": Formula(
        text="output elements x kernel height x kernel width", count=_depthwise, rank=4
    ),
    "TRANSPOSE_CONV": Formula(
        text="input elements x kernel height x kernel width x output channels", count=_transposed, rank=4
    ),
    "CONV_3D": Formula(
        text="output elements x kernel depth x height x width x input channels",
        count=_convolution_3d,
        rank=5,
    ),
    "CONV_3D_TRANSPOSE": Formula(
        text="input elements x kernel depth x height x width x output channels",
        count=_transposed_3d,
        rank=5,
    ),
    "FULLY_CONNECTED": Formula(text="rows x units x depth", count=_fully_connected, rank=2),
    "BATCH_MATMUL": Formula(text="output elements x depth", count=_batch_matmul),
    "SVDF": Formula(
        text="batch x (elements of the feature weights + elements of the time weights)", count=_svdf
    ),
    "LSTM": Formula(text="batch x elements of all weight matrices", count=_cell),
    "RNN": Formula(text="batch x elements of all weight matrices", count=_cell),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _SEQUENCE,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _SEQUENCE,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _SEQUENCE,
    "BIDIRECTIONAL_SEQUENCE_RNN": _SEQUENCE,
}
"""The ops that multiply and accumulate.  Bodies of loops count once: how often they run is unknown."""


@dataclass(frozen=True, kw_only=True)
class NodeWork:
    """One node: its MACs, and the elements that it writes.

    ``kind`` is the dtype that it multiplies: that of its weights where these are integers, else that of its
    input.  ``name`` is the name of its first output.
    """

    subgraph: int
    node: int
    op: str
    name: str
    kind: str
    macs: int
    elements: int


@dataclass(frozen=True, kw_only=True)
class Work:
    """All nodes of a model, its parameters, and the bytes of its constants by dtype.

    Parameters are the elements of float and narrow integer constants, which count once where several tensors
    share them, and the biases of every layer; shapes, axes and indices are not parameters.
    """

    nodes: tuple[NodeWork, ...]
    parameters: int
    weight_bytes: Mapping[str, int]

    @property
    def macs(self) -> int:
        """The MACs of one inference."""
        return sum(node.macs for node in self.nodes)

    def by_op(self) -> dict[str, int]:
        """The MACs of each op that has any, the largest first."""
        found: Counter[str] = Counter()
        for node in self.nodes:
            found[node.op] += node.macs
        return {op: macs for op, macs in found.most_common() if macs}


def count(
    analysis: ModelAnalysis, registry: Registry, shapes: Sequence[Sequence[Shape]] | None = None
) -> Work:
    """Counts a model's work.

    ``shapes`` are those of all tensors by subgraph, where they differ from the file's.

    Raises:
        UsageError: a shape that matters is unknown.
    """
    every = shapes or [[t.allocated_shape for t in graph.tensors] for graph in analysis.subgraphs]
    nodes = tuple(
        _node_work(view, number, position, _op_name(analysis, node, registry))
        for number, (subgraph, sizes) in enumerate(zip(analysis.subgraphs, every, strict=True))
        for position, (node, view) in enumerate(_views(subgraph, sizes))
    )
    parameters, weight_bytes = _weights(analysis, registry)
    return Work(nodes=nodes, parameters=parameters, weight_bytes=weight_bytes)


def require_shapes(analysis: ModelAnalysis, choice: Choice) -> None:
    """Requires the dimensions of inputs, except the first, the batch: the runtime takes unknown ones as 1.

    Raises:
        UsageError: a dimension is unknown; the message names the input.
    """
    part = parts(analysis, choice)[-1 if choice.signature is not None else 0]
    for index in part.subgraph.inputs:
        tensor = part.subgraph.tensors[index]
        if index not in part.shapes and (-1 in tensor.shape[1:] or 0 in tensor.allocated_shape):
            shown = "x".join("?" if dimension < 1 else str(dimension) for dimension in tensor.shape)
            example = "x".join(str(dimension) if dimension > 0 else "224" for dimension in tensor.shape)
            raise UsageError(
                f"{analysis.path}: the input {tensor.name!r} has the shape {shown}",
                f"give a shape: --input-shape {tensor.name}={example}",
            )


def _views(subgraph: Subgraph, shapes: Sequence[Shape]) -> Iterator[tuple[Node, View]]:
    sized = [Sized(tensor=t, shape=shape) for t, shape in zip(subgraph.tensors, shapes, strict=False)]
    for node in subgraph.nodes:
        yield (
            node,
            View(
                inputs=tuple(sized[index] if index >= 0 else None for index in node.inputs),
                outputs=tuple(sized[index] for index in node.outputs if index >= 0),
            ),
        )


def _op_name(analysis: ModelAnalysis, node: Node, registry: Registry) -> str:
    return registry.name_of(analysis.operator_codes[node.opcode_index])


def _node_work(view: View, subgraph: int, position: int, op: str) -> NodeWork:
    formula = FORMULAS.get(op)
    name = view.outputs[0].tensor.name if view.outputs else ""
    macs = 0
    if formula is not None:
        unknown = formula.rank and len(view.shape(1)) != formula.rank
        if unknown or not view.out or 0 in view.out:
            raise UsageError(
                f"node {position} ({op}, {name!r}) has shapes that are known only at run time",
                "give the shapes of its inputs with --input-shape, or convert it with fixed ones",
            )
        macs = formula.count(view)
    kinds = [sized.tensor.dtype for sized in view.inputs[:2] if sized is not None]
    weights = kinds[1] if len(kinds) > 1 and kinds[1] in _INTEGER_WEIGHTS else None
    return NodeWork(
        subgraph=subgraph,
        node=position,
        op=op,
        name=name,
        kind=(weights if formula else None) or (kinds[0] if kinds else ""),
        macs=macs,
        elements=sum(sized.elements for sized in view.outputs),
    )


def _weights(analysis: ModelAnalysis, registry: Registry) -> tuple[int, dict[str, int]]:
    seen: set[int] = set()
    parameters = 0
    by_dtype: Counter[str] = Counter()
    for subgraph in analysis.subgraphs:
        biases = [
            index
            for node in subgraph.nodes
            if _op_name(analysis, node, registry) in FORMULAS
            for index in node.inputs[_FIRST_BIAS:]
            if index >= 0 and _is_bias(subgraph.tensors[index])
        ]
        # Converters store equal constants once, such as biases of zeros; each layer has a bias of its own.
        parameters += sum(math.prod(subgraph.tensors[index].allocated_shape) for index in biases)
        for index, tensor in enumerate(subgraph.tensors):
            if not tensor.weight_bytes or tensor.buffer in seen:
                continue
            seen.add(tensor.buffer)
            by_dtype[tensor.dtype] += tensor.weight_bytes
            if tensor.dtype in _FLOAT_WEIGHTS | _INTEGER_WEIGHTS and index not in biases:
                parameters += math.prod(tensor.allocated_shape)
    return parameters, dict(sorted(by_dtype.items()))


def _is_bias(tensor: Tensor) -> bool:
    return bool(tensor.weight_bytes) and len(tensor.allocated_shape) == 1
