"""A partition → the subgraph of XNNPACK that the delegate defines for it, after XNNPACK's optimisations.

This is what ``xnnpack_delegate.cc`` defines, and what XNNPACK's ``src/subgraph.c`` makes of it, with the
optimiser that programs have (``litesmith/runtime/edits/xnnpack.py``).  Programs have no variables, half
precision or sparse weights: these are left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from litesmith.predict.xnnpack import define_checks
from litesmith.predict.xnnpack.delegation import DelegatedSubgraph
from litesmith.predict.xnnpack.operator_workspace import Cpu
from litesmith.predict.xnnpack.quantization import quantization
from litesmith.runtime.graph import MISSING, Memory, RuntimeGraph, RuntimeNode, Subset
from litesmith.runtime.xnnpack.matrices import is_hybrid, is_matrix_product, strides
from litesmith.runtime.xnnpack.requirements import filter_size

_BINARY = {"ADD": True, "DIV": True, "MUL": True, "SUB": True}
_BINARY |= dict.fromkeys(("MAXIMUM", "MINIMUM", "PRELU", "SQUARED_DIFFERENCE"), False)
"""Whether a clamp may follow, by op: its fused activation."""

_CLAMPS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1"})
_POOLS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_HYBRID = frozenset({"BATCH_MATMUL", "CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_UNARY = frozenset(
    {
        *("ABS", "CEIL", "COS", "DEQUANTIZE", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU"),
        *("LOGISTIC", "NEG", "QUANTIZE", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE", "TANH"),
    }
)

IN_PLACE = frozenset({*_BINARY, *_CLAMPS, *_UNARY, "RESHAPE", "SOFTMAX"})
"""Ops that run in place: ``optimize_tensor_allocation_for_in_place_operations``."""

_CLAMPING = frozenset({*_CLAMPS, *_CONVOLUTIONS, *_POOLS, "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Ops that take over a clamp that follows: ``has_clamp``."""

_CONVERT = "(quantise)"
"""The node that the delegate puts before one with float inputs and integer weights."""


@dataclass(slots=True, kw_only=True)
class Value:
    """``xnn_value``.

    ``size`` is in bytes, and ``parameters`` are those of the scales of a value that is quantised at run time.
    ``given`` and ``returned`` values are the runtime's external inputs and outputs;
    ``consumers`` counts its caller, too.  ``dead`` values were cleared.
    """

    size: int
    parameters: int = 0
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
        self._clean_up()
        self._fuse_paddings()
        self._merge_clamps()
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
        image = 2 if node.op == "TRANSPOSE_CONV" else 0
        if node.op == "FULLY_CONNECTED" and not node.options.boolean("keep_num_dims"):
            # The delegate makes the input a matrix.
            self._put_before(made, "RESHAPE", Value(size=node.of(0).bytes))
        if node.op == "BATCH_MATMUL" and node.options.boolean("adj_x"):
            self._put_before(made, "TRANSPOSE", Value(size=node.of(0).bytes))
        product = node.op == "FULLY_CONNECTED" or (node.op == "CONV_2D" and is_matrix_product(node))
        if node.op in _HYBRID and is_hybrid(node, image):
            if node.op == "BATCH_MATMUL":
                row = node.dims(0)[-2 if node.options.boolean("adj_x") else -1]
            else:
                row = node.dims(1)[-1] if product else math.prod(node.dims(image)[1:])
            batch = node.of(image).elements // max(row, 1)
            self._put_before(made, _CONVERT, Value(size=node.of(image).elements, parameters=batch))
        self.nodes.append(made)
        if node.op in _POOLS and filter_size(node) == (1, 1):
            made.op = "RELU"
        elif product:
            made.op = "FULLY_CONNECTED"
        elif node.op in _CONVOLUTIONS:
            made.pads = node.options.enum("padding") != "SAME" or strides(node) == (1, 1)
        elif node.op == "PAD":
            made.pads = _is_around_pixels(node)
        elif _BINARY.get(node.op) and node.options.enum("fused_activation_function") != "NONE":
            # ``xnn_insert_clamp_node``
            between = self._add(Value(size=self.values[made.outputs[0]].size))
            self.nodes.append(Node(op="RELU", inputs=[between], outputs=made.outputs))
            made.outputs = [between]

    def _add(self, value: Value) -> int:
        """Adds a value that is no tensor of the model, and returns its number."""
        number = max(len(self.graph.tensors), *self.values) + 1
        self.values[number] = value
        return number

    def _put_before(self, node: Node, op: str, value: Value) -> None:
        between = self._add(value)
        self.nodes.append(Node(op=op, inputs=[node.inputs[0]], outputs=[between]))
        node.inputs = [between, *node.inputs[1:]]

    def _analyze(self) -> None:
        """``xnn_subgraph_analyze_consumers_and_producers``."""
        for value in self.values.values():
            value.producer = value.first_consumer = MISSING
            value.consumers = int(value.returned and not value.dead)
        for number, node in enumerate(self.nodes):
            for index in dict.fromkeys(node.inputs):
                value = self.values[index]
                value.consumers += 1
                if value.first_consumer == MISSING:
                    value.first_consumer = number
            for index in node.outputs:
                self.values[index].producer = number

    def _clean_up(self) -> None:
        """``xnn_subgraph_clean_up``: values that are never read, and what only those were computed from."""
        changed = True
        while changed:
            changed = False
            self._analyze()
            for value in self.values.values():
                if value.given or value.consumers or value.dead:
                    continue
                if value.producer != MISSING and len(self.nodes[value.producer].outputs) == 1:
                    self.nodes[value.producer].clear()
                    changed = True
                value.dead = True
        self.nodes = [node for node in self.nodes if node.op]
        self._analyze()

    def _fuse_paddings(self) -> None:
        """``xnn_subgraph_fusion``."""
        for value in self.values.values():
            if value.consumers != 1 or MISSING in (value.producer, value.first_consumer):
                continue
            producer, consumer = self.nodes[value.producer], self.nodes[value.first_consumer]
            if producer.op == "PAD" and producer.pads and consumer.op in _CONVOLUTIONS and consumer.pads:
                consumer.inputs[0] = producer.inputs[0]
                source = self.values[producer.inputs[0]]
                if source.first_consumer == value.producer:
                    source.first_consumer = value.first_consumer
                producer.clear()
                value.dead = True

    def _merge_clamps(self) -> None:
        """``optimize_common_subgraphs_merge_clamps``, as often as it changes something."""
        changed = True
        while changed:
            changed = False
            for node in self.nodes:
                if node.op not in _CLAMPS:
                    continue
                source = self.values[node.inputs[0]]
                if source.consumers > 1 or source.producer == MISSING:
                    continue
                producer = self.nodes[source.producer]
                if producer.op not in _CLAMPING or (producer.op == "MAX_POOL_2D" and self._scales(node)):
                    continue
                producer.outputs[0] = node.outputs[0]
                node.clear()
                changed = True
            if changed:
                self._clean_up()

    def _scales(self, node: Node) -> bool:
        """Whether a clamp's output has another scale or zero point than its input."""
        source, target = (self.graph.tensors[index] for index in (node.inputs[0], node.outputs[0]))
        return source.dtype != "float32" and quantization(source) != quantization(target)


def _value_inputs(node: RuntimeNode) -> list[int]:
    return [node.inputs[position] for position in define_checks.value_inputs(node)]


def _is_around_pixels(node: RuntimeNode) -> bool:
    """Whether a convolution may take over the padding."""
    pads = node.value(1)
    return pads is not None and len(pads) == 4 and not pads[0].any() and not pads[3].any()
