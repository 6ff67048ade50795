"""A model → the nodes that the delegate takes, and why the others stay with TensorFlow Lite.

This is ``Delegate::PrepareOpsToDelegate`` of ``delegates/xnnpack/xnnpack_delegate.cc``, version 2.14.1, as
programs call it: each subgraph has a delegate of its own.  Its nodes are prepared up to the first one with a
dynamic output, whose size is known only when the model runs; the delegate takes no node from there on.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from litesmith.base.errors import ModelError
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.flatbuffer import DamagedError
from litesmith.predict.arena.interpreter import Interpreter
from litesmith.predict.arena.subgraph import is_sized_by_its_run
from litesmith.predict.xnnpack import define_checks, partition
from litesmith.predict.xnnpack.operand_checks import Candidate, Check, NotTakenError
from litesmith.predict.xnnpack.quantization import quantization
from litesmith.predict.xnnpack.visit_convolutions import CONVOLUTIONS
from litesmith.predict.xnnpack.visit_elementwise import ELEMENTWISE
from litesmith.predict.xnnpack.visit_shapes import SHAPES
from litesmith.runtime import graph, op_registry
from litesmith.runtime.graph import Memory, RuntimeGraph, RuntimeNode, Subset
from litesmith.runtime.op_registry import Registry

CHECKS: Mapping[str, Check] = {**CONVOLUTIONS, **ELEMENTWISE, **SHAPES}
"""The checks of all ops that the delegate may take.

Upstream's delegate also supports variables, which programs do not enable, and three custom ops of MediaPipe,
which stay with the kernels that the user supplies.
"""

_PACKED = frozenset({"float16", "int8", "float32"})


@dataclass(frozen=True, kw_only=True)
class DelegatedSubgraph:
    """The nodes that the delegate takes of one subgraph.

    ``nodes`` are all of them, in the file's order.  Of these, ``unpacked`` run once, while the model is
    loaded.  ``also_unpacked`` are nodes that stay because others need their outputs, but whose constants the
    delegate unpacks for itself, too.  ``plan`` is the order of execution that replaces the file's; it is
    empty where no node is taken.  ``stays`` has the reason for every other node.
    """

    subgraph: int
    nodes: tuple[int, ...]
    unpacked: tuple[int, ...]
    also_unpacked: tuple[int, ...]
    plan: tuple[Subset, ...]
    stays: Mapping[int, str]

    @property
    def partitions(self) -> tuple[tuple[int, ...], ...]:
        """The nodes of each kernel of the delegate, in order of execution."""
        return tuple(one.nodes for one in self.plan if one.delegated)


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """The nodes that the delegate takes of a model, and the graphs as they were when it checked them."""

    subgraphs: tuple[DelegatedSubgraph, ...]
    graphs: tuple[RuntimeGraph, ...]

    @property
    def plans(self) -> tuple[tuple[Subset, ...], ...]:
        """The plan of each subgraph, for :func:`litesmith.predict.arena.prediction.predict`."""
        return tuple(one.plan for one in self.subgraphs)


def prepare(model: ModelAnalysis, content: bytes, registry: Registry | None = None) -> Delegation:
    """The nodes that the delegate takes of a model, and the prepared graphs.

    ``content`` is the file that ``model`` is the analysis of.  Inputs have the shapes of the file; in the
    body of a control-flow op they have those that its caller passes.  Outputs of the user's own ops have the
    shapes of the file.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        graphs = graph.read(model, content, registry or op_registry.load())
        interpreter = Interpreter(model.path, graphs)
        refused = {}
        # In reverse: the bodies of control-flow ops come after their callers, which resize them.
        for one in reversed(interpreter.subgraphs):
            try:
                one.allocate(0)
            except ModelError as error:
                refused[one.index] = error.message.removeprefix(f"{model.path}: ")
        found = [
            _nothing(index, held, f"its subgraph cannot be prepared: {refused[index]}")
            if index in refused
            else _Preparation(model, index, held).result()
            for index, held in enumerate(graphs)
        ]
    except DamagedError as error:
        raise ModelError(f"{model.path} is damaged: {error}", "convert or copy the model again") from None
    return Delegation(subgraphs=tuple(found), graphs=tuple(graphs))


def _nothing(index: int, held: RuntimeGraph, why: str) -> DelegatedSubgraph:
    stays = dict.fromkeys(range(len(held.nodes)), why)
    return DelegatedSubgraph(subgraph=index, nodes=(), unpacked=(), also_unpacked=(), plan=(), stays=stays)


@dataclass
class _Preparation:
    """The delegate's pass through one subgraph.

    ``producers`` are the nodes that unpack constants, by their output.
    """

    model: ModelAnalysis
    index: int
    held: RuntimeGraph
    producers: dict[int, int] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    stays: dict[int, str] = field(default_factory=dict)

    def result(self) -> DelegatedSubgraph:
        """Checks each node."""
        nodes = self.held.nodes
        prepared = list(itertools.takewhile(lambda node: not is_sized_by_its_run(node), nodes))
        for node in prepared:
            self._consider(node)
        for node in nodes[len(prepared) :]:
            self.stays[node.index] = _too_late(node, nodes[len(prepared)])
        unpacked = self._unpacked()
        return self._defined(sorted([*self.taken, *unpacked]), unpacked)

    def _consider(self, node: RuntimeNode) -> None:
        if _unpacks(node, self.producers):
            self.producers[node.outputs[0]] = node.index
            return
        try:
            self._check(node)
        except NotTakenError as error:
            self.stays[node.index] = str(error)
        else:
            self.taken.append(node.index)

    def _candidate(self, node: RuntimeNode) -> Candidate:
        code = self.model.subgraphs[self.index].nodes[node.index].opcode_index
        version = self.model.operator_codes[code].version
        return Candidate(node=node, version=version, unpacked=self.producers)

    def _check(self, node: RuntimeNode) -> None:
        check = CHECKS.get(node.op) if not node.own else None
        if check is None:
            raise NotTakenError("XNNPACK has no such op")
        check(self._candidate(node))

    def _unpacked(self) -> list[int]:
        """The nodes that unpack constants, without those whose output others need, too."""
        delegated = {*self.taken}
        for tensor, producer in sorted(self.producers.items(), key=lambda one: -one[1]):
            wanted = [node.index for node in self.held.nodes if tensor in node.inputs]
            if tensor in self.held.outputs or not delegated.issuperset(wanted):
                self.stays[producer] = (
                    "its output is needed by a node that is not taken, or by the model's caller"
                )
            else:
                delegated.add(producer)
        return sorted(delegated.difference(self.taken))

    def _also_unpacked(self, unpacked: list[int]) -> list[int]:
        taken = {*self.taken, *unpacked}
        wanted = {index for node in self.held.nodes if node.index in taken for index in node.inputs}
        return [
            producer
            for tensor, producer in self.producers.items()
            if tensor in wanted and producer not in taken
        ]

    def _defined(self, nodes: list[int], unpacked: list[int]) -> DelegatedSubgraph:
        """All or none of the nodes: where XNNPACK refuses one, the subgraph keeps its own plan."""
        for index in self.taken:
            node = self.held.nodes[index]
            try:
                define_checks.check(self._candidate(node))
            except NotTakenError as error:
                why = f"XNNPACK refuses node {index}, {node.op}, which the delegate takes: {error}"
                nothing = _nothing(self.index, self.held, why)
                return replace(nothing, stays={**nothing.stays, **self.stays})
        return DelegatedSubgraph(
            subgraph=self.index,
            nodes=tuple(nodes),
            unpacked=tuple(unpacked),
            also_unpacked=tuple(self._also_unpacked(unpacked)),
            plan=partition.plan(self.held, nodes),
            stays=dict(sorted(self.stays.items())),
        )


def _too_late(node: RuntimeNode, first: RuntimeNode) -> str:
    what = "has an output that gets its size only when the model runs"
    return f"it {what}" if node is first else f"it comes after node {first.index}, {first.op}, which {what}"


def _unpacks(node: RuntimeNode, producers: Mapping[int, int]) -> bool:
    """Whether the delegate can run the node while the model is loaded: it only unpacks a constant."""
    if (
        node.op not in {"DEQUANTIZE", "DENSIFY"}
        or node.own
        or (len(node.inputs), len(node.outputs)) != (1, 1)
    ):
        return False
    source, target = node.of(0), node.output()
    if target is None:
        return False
    if node.op == "DENSIFY":
        packed = source.memory is Memory.CONSTANT and source.sparsity is not None
        return packed and source.dtype in _PACKED and source.dtype == target.dtype
    constant = source.memory is Memory.CONSTANT or node.inputs[0] in producers
    quantised = source.dtype == "int8" and quantization(source) is not None
    return (
        source.sparsity is None
        and constant
        and (source.dtype == "float16" or quantised)
        and target.dtype == "float32"
    )
