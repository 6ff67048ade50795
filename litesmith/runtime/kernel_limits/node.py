"""A node as the checks of kernels see it: its tensors and options as the file has them."""

from __future__ import annotations

from dataclasses import dataclass

from litesmith.model.analysis import ModelAnalysis, Node, Subgraph, Tensor
from litesmith.model.tables import Table

OUTPUT = -1
"""The position of the first output of a node; -2 is that of the second."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """An input or an output of a node.

    ``position`` counts inputs from 0; outputs are -1, -2 …
    """

    position: int
    tensor: Tensor

    @property
    def dtype(self) -> str:
        """Its dtype in the file."""
        return self.tensor.dtype

    @property
    def name(self) -> str:
        """How a message calls it: ``input 1, 'weights',``."""
        place = f"input {self.position}" if self.position >= 0 else f"output {-1 - self.position}"
        return f"{place}, {self.tensor.name!r},"

    @property
    def constant(self) -> bool:
        """Whether the file has its data: ``IsConstantTensor``."""
        return self.tensor.weight_bytes > 0 or (self.tensor.buffer > 0 and 0 in self.tensor.shape)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Its shape, -1 for unknown dimensions; None where even the rank may be unknown.

        Files have an empty shape for scalars and for tensors whose rank is not known before they run.
        """
        return self.tensor.shape if self.tensor.shape or self.constant else None

    @property
    def rank(self) -> int | None:
        """Its number of dimensions, None where it may be unknown."""
        return None if self.shape is None else len(self.shape)

    def dimension(self, index: int) -> int | None:
        """A dimension, None where it is unknown."""
        if self.shape is None or not -len(self.shape) <= index < len(self.shape):
            return None
        return self.shape[index] if self.shape[index] >= 0 else None

    @property
    def block_size(self) -> int:
        """The weights that share one scale, 0 for a tensor that is not quantised in blocks."""
        return self.tensor.quantization.block_size

    @property
    def blockwise(self) -> bool:
        """Whether its scales belong to blocks of weights: ``kTfLiteBlockwiseQuantization``."""
        return self.tensor.quantization.blockwise

    @property
    def scale_count(self) -> int:
        """How many scales it has: 0, 1, or one for each channel (``kTfLiteAffineQuantization``)."""
        return len(self.scales)

    @property
    def per_channel(self) -> bool:
        """Whether each channel has a scale."""
        return self.scale_count > 1

    @property
    def scales(self) -> tuple[float, ...]:
        """Its scales."""
        return () if self.blockwise else self.tensor.quantization.scales

    @property
    def scale(self) -> float:
        """``TfLiteTensor::params.scale``: that of the whole tensor, 0 without one or with several."""
        return self.scales[0] if self.scale_count == 1 else 0.0

    @property
    def zero_points(self) -> tuple[int, ...]:
        """Its zero points."""
        return () if self.blockwise else self.tensor.quantization.zero_points

    @property
    def zero_point(self) -> int:
        """``TfLiteTensor::params.zero_point``: that of the whole tensor, 0 without one or with several."""
        return self.zero_points[0] if self.scale_count == 1 and self.zero_points else 0

    @property
    def channel_dimension(self) -> int:
        """The dimension whose channels have scales."""
        return self.tensor.quantization.dimension


@dataclass(frozen=True, kw_only=True)
class KernelNode:
    """A node of a builtin or a custom op, with the version that its model gives the op."""

    op: str
    version: int
    index: int
    node: Node
    subgraph: Subgraph
    subgraph_index: int

    @classmethod
    def of(cls, model: ModelAnalysis, op: str, subgraph: int, index: int) -> KernelNode:
        """Node ``index`` of a subgraph."""
        held = model.subgraphs[subgraph]
        node = held.nodes[index]
        return cls(
            op=op,
            version=model.operator_codes[node.opcode_index].version,
            index=index,
            node=node,
            subgraph=held,
            subgraph_index=subgraph,
        )

    def at(self, position: int) -> Operand | None:
        """An input, or with a negative position an output; None where the node has none."""
        ends, place = (self.node.inputs, position) if position >= 0 else (self.node.outputs, -1 - position)
        if place >= len(ends) or ends[place] < 0:
            return None
        return Operand(position=position, tensor=self.subgraph.tensors[ends[place]])

    @property
    def inputs(self) -> int:
        """How many inputs it lists, with those that are left out."""
        return len(self.node.inputs)

    def options(self, kind: str) -> Table:
        """Its options table, with all defaults where the file has none of that kind."""
        return self.node.options if self.node.options.kind == kind else Table.absent(kind)
