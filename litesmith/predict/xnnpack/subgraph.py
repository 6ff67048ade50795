"""A partition → the subgraph of XNNPACK that the delegate defines for it, after XNNPACK's optimisations.

This is what ``xnnpack_delegate.cc`` of TensorFlow Lite 2.14.1 defines, and what XNNPACK's ``src/subgraph.c``
makes of it.  Programs have no variables, half precision or sparse weights: these are left out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from litesmith.predict.xnnpack import define_checks
from litesmith.predict.xnnpack.delegation import DelegatedSubgraph
from litesmith.predict.xnnpack.operator_workspace import Cpu
from litesmith.runtime.graph import MISSING, Memory, RuntimeGraph, RuntimeNode, Subset
from litesmith.runtime.xnnpack.requirements import filter_size, strides

_BINARY = {"ADD": True, "DIV": True, "MUL": True, "SUB": True}
_BINARY |= dict.fromkeys(("MAXIMUM", "MINIMUM", "PRELU", "SQUARED_DIFFERENCE"), False)
"""Whether a clamp may follow, by op: its fused activation."""

_CLAMPS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1"})
_POOLS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_UNARY = frozenset(
    {
        *("ABS", "CEIL", "DEQUANTIZE", "ELU", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG"),
        *("QUANTIZE", "ROUND", "SQRT", "SQUARE", "TANH"),
    }
)

IN_PLACE = frozenset({*_BINARY, *_CLAMPS, *_UNARY, "RESHAPE", "SOFTMAX"})
"""Ops that run in place: ``optimize_tensor_allocation_for_in_place_operations``."""

_CLAMPING = frozenset({*_CLAMPS, *_CONVOLUTIONS, *_POOLS, "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Ops that take over a clamp that follows: ``has_clamp``."""


@dataclass(slots=True, kw_only=True)
class Value:
    """``xnn_value``.

    ``size`` is in bytes.  ``given`` and ``returned`` values are the runtime's external inputs and outputs;
    ``consumers`` counts its caller, too.  ``dead`` values were cleared.
    """

    size: int
    static: bool = False
    given: bool = False
    returned: bool = False
    dead: bool = False
    producer: int = MISSING
    first_consumer: int = MISSING
    consumers: int = 0

    @property
    def internal(self) -> bool:
        """Whether the value is in the workspace."""
        return not (self.static or self.given or self.returned or self.dead)


@dataclass(slots=True, kw_only=True)
class Node:
    """``xnn_node``; a node that was fused or removed stays in the list, with an empty ``op``.

    ``workspace`` are the bytes of its operator.  ``pads`` is true for a convolution with explicit padding,
    and for a PAD that such a convolution can take over.
    """

    op: str
    inputs: list[int]
    outputs: list[int]
    workspace: int = 0
    pads: bool = False

    def clear(self) -> None:
        """``xnn_node_clear``."""
        self.op, self.inputs, self.outputs, self.workspace = "", [], [], 0


@dataclass
class XnnpackSubgraph:
    """The subgraph that the delegate defines for one partition.

    ``values`` have the numbers of the model's tensors; values that XNNPACK adds come after these.
    """

    graph: RuntimeGraph
    part: DelegatedSubgraph
    subset: Subset
    cpu: Cpu
    values: dict[int, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        unpacked = {*self.part.unpacked, *self.part.also_unpacked}
        taken = [self.graph.nodes[index] for index in self.subset.nodes if index not in unpacked]
        static = {out for index in unpacked for out in self.graph.nodes[index].outputs}
        used = {index for node in taken for index in (*_value_inputs(node), *node.outputs)}
        # Sorted, because XNNPACK goes through the values in the order of their numbers.
        for index in sorted(used - {MISSING}):
            self.values[index] = self._value(index, static)
        for node in taken:
            self._define(node)
        self._analyze()
        self._remove_unused()
        self._fuse()
        self._analyze()

    def _value(self, index: int, unpacked: Collection[int]) -> Value:
        tensor = self.graph.tensors[index]
        return Value(
            size=tensor.bytes,
            static=tensor.memory is Memory.CONSTANT or index in unpacked,
            given=index in self.subset.inputs,
            returned=index in self.subset.outputs and index not in unpacked,
        )

    def _define(self, node: RuntimeNode) -> None:
        inputs = [index for index in _value_inputs(node) if index != MISSING]
        static = all(self.values[index].static for index in inputs[1:])
        workspace = self.cpu.operator_workspace(node, static_weights=static)
        made = Node(op=node.op, inputs=inputs, outputs=[*node.outputs], workspace=workspace)
        self.nodes.append(made)
        if node.op in _POOLS and filter_size(node) == (1, 1):
            made.op = "RELU"
        elif node.op in _CONVOLUTIONS:
            made.pads = node.options.enum("padding") != "SAME" or strides(node) == (1, 1)
        elif node.op == "PAD":
            made.pads = _is_zero_around_pixels(node)
        elif _BINARY.get(node.op) and node.options.enum("fused_activation_function") != "NONE":
            # ``xnn_insert_clamp_node``
            between = len(self.graph.tensors) + len(self.nodes)
            self.values[between] = Value(size=self.values[made.outputs[0]].size)
            self.nodes.append(Node(op="RELU", inputs=[between], outputs=made.outputs))
            made.outputs = [between]

    def _analyze(self) -> None:
        """``xnn_subgraph_analyze_consumers_and_producers``."""
        for value in self.values.values():
            value.producer = value.first_consumer = MISSING
            value.consumers = int(value.returned and not value.dead)
        for number, node in enumerate(self.nodes):
            for index in node.inputs:
                value = self.values[index]
                value.consumers += 1
                if value.first_consumer == MISSING:
                    value.first_consumer = number
            for index in node.outputs:
                self.values[index].producer = number

    def _remove_unused(self) -> None:
        """Follows ``xnn_subgraph_optimize``.

        It removes values that are never read, but not the values that only those were computed from.
        """
        for value in self.values.values():
            if value.given or value.consumers:
                continue
            if value.producer != MISSING and len(self.nodes[value.producer].outputs) == 1:
                self.nodes[value.producer].clear()
            value.dead = True

    def _fuse(self) -> None:
        """``xnn_subgraph_fusion``."""
        for value in self.values.values():
            if value.consumers != 1 or MISSING in (value.producer, value.first_consumer):
                continue
            producer, consumer = self.nodes[value.producer], self.nodes[value.first_consumer]
            if not consumer.op:
                # The node was removed: XNNPACK stops fusing here, and keeps what is fused so far.
                return
            if consumer.op in _CLAMPS and producer.op in _CLAMPING:
                producer.outputs[0] = consumer.outputs[0]
                self.values[consumer.outputs[0]].producer = value.producer
                consumer.clear()
                value.dead = True
            elif producer.op == "PAD" and producer.pads and consumer.op in _CONVOLUTIONS and consumer.pads:
                consumer.inputs[0] = producer.inputs[0]
                source = self.values[producer.inputs[0]]
                if source.first_consumer == value.producer:
                    source.first_consumer = value.first_consumer
                producer.clear()
                value.dead = True


def _value_inputs(node: RuntimeNode) -> list[int]:
    return [node.inputs[position] for position in define_checks.value_inputs(node)]


def _is_zero_around_pixels(node: RuntimeNode) -> bool:
    """Whether a convolution may take over the padding."""
    pads, target = node.value(1), node.tensors[node.outputs[0]]
    if pads is None or len(pads) != 4 or pads[0].any() or pads[3].any():
        return False
    # XNNPACK compares the zero point's eight bits with a sign-extended number.
    points = target.quantization.integers("zero_point") if target.quantization is not None else ()
    return target.dtype != "int8" or points[0] >= 0
