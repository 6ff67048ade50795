"""A model → which of its nodes the delegate takes, and why the others stay with TensorFlow Lite.

This is ``Delegate::PrepareOpsToDelegate`` of ``delegates/xnnpack/xnnpack_delegate.cc``, version 2.14.1, as
our programs call it: each subgraph has a delegate of its own, its nodes are prepared up to the first one
whose output only its run can size, and no node from there on is looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from litesmith.base.errors import ModelError
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.flatbuffer import DamagedError
from litesmith.predict.arena.interpreter import Interpreter
from litesmith.predict.xnnpack import define_checks, partition
from litesmith.predict.xnnpack.operand_checks import Candidate, Check, NotTakenError, quantization
from litesmith.predict.xnnpack.visit_convolutions import CONVOLUTIONS
from litesmith.predict.xnnpack.visit_elementwise import ELEMENTWISE
from litesmith.predict.xnnpack.visit_shapes import SHAPES
from litesmith.runtime import graph, op_registry
from litesmith.runtime.graph import MISSING, Memory, RuntimeGraph, RuntimeNode, Subset
from litesmith.runtime.op_registry import Registry

CHECKS: Mapping[str, Check] = {**CONVOLUTIONS, **ELEMENTWISE, **SHAPES}
"""The ops that the delegate may take.

It knows variables, too, which our programs leave off, and three custom ops of MediaPipe, which they leave to
whoever brings them.
"""

_PACKED = frozenset({"float16", "int8", "float32"})


@dataclass(frozen=True, kw_only=True)
class DelegatedSubgraph:
    """What the delegate takes of one subgraph.

    ``nodes`` are all that it takes, in the file's order.  Of these, ``unpacked`` are those that are done
    once while the model is loaded; ``also_unpacked`` are nodes that stay because somebody else wants their
    result, while the delegate unpacks the same for itself.  ``plan`` is what runs instead of the file's
    order; it is empty where nothing is taken.  ``stays`` says of every other node why it is not taken.
    """

    subgraph: int
    nodes: tuple[int, ...]
    unpacked: tuple[int, ...]
    also_unpacked: tuple[int, ...]
    plan: tuple[Subset, ...]
    stays: Mapping[int, str]

    @property
    def partitions(self) -> tuple[tuple[int, ...], ...]:
        """Nodes that run together as one kernel of the delegate, in order of execution."""
        return tuple(one.nodes for one in self.plan if one.delegated)


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """What the delegate takes of a model, and the graphs as they were when it looked at them."""

    subgraphs: tuple[DelegatedSubgraph, ...]
    graphs: tuple[RuntimeGraph, ...]

    @property
    def plans(self) -> tuple[tuple[Subset, ...], ...]:
        """For :func:`litesmith.predict.arena.prediction.predict`: the plan of each subgraph."""
        return tuple(one.plan for one in self.subgraphs)


def delegate(
    model: ModelAnalysis, content: bytes, registry: Registry | None = None
) -> tuple[DelegatedSubgraph, ...]:
    """What the delegate takes of each subgraph; see :func:`prepare`."""
    return prepare(model, content, registry).subgraphs


def prepare(model: ModelAnalysis, content: bytes, registry: Registry | None = None) -> Delegation:
    """The same, with the prepared graphs.

    ``content`` is the file that ``model`` is the analysis of.  Inputs have the shapes of the file, and those
    of a body of control flow the shapes that its caller passes.  Nodes behind an op of the user's are judged
    by the shapes that the file gives to its outputs.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        graphs = graph.read(model, content, registry or op_registry.load())
        interpreter = Interpreter(model.path, graphs)
        refused = {}
        # The other way round: bodies of control flow come after their callers, which resize them.
        for one in reversed(interpreter.subgraphs):
            try:
                one.allocate(0)
            except ModelError as error:
                refused[one.index] = error.message
        found = [
            _nothing(index, held, f"its subgraph cannot be prepared: {refused[index]}")
            if index in refused
            else _Looking(model, index, held).result()
            for index, held in enumerate(graphs)
        ]
    except DamagedError as error:
        raise ModelError(f"{model.path} is damaged: {error}", "convert or copy the model again") from None
    return Delegation(subgraphs=tuple(found), graphs=tuple(graphs))


def _nothing(index: int, held: RuntimeGraph, why: str) -> DelegatedSubgraph:
    stays = dict.fromkeys(range(len(held.nodes)), why)
    return DelegatedSubgraph(subgraph=index, nodes=(), unpacked=(), also_unpacked=(), plan=(), stays=stays)


@dataclass
class _Looking:
    """The delegate on its way through one subgraph.

    ``producers`` are the nodes that unpack constants, by the tensor that they make.
    """

    model: ModelAnalysis
    index: int
    held: RuntimeGraph
    producers: dict[int, int] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    stays: dict[int, str] = field(default_factory=dict)

    def result(self) -> DelegatedSubgraph:
        """Looks at each node."""
        nodes = self.held.nodes
        looked_at = list(itertools.takewhile(lambda node: not _is_dynamic(node), nodes))
        for node in looked_at:
            self._look_at(node)
        for node in nodes[len(looked_at) :]:
            self.stays[node.index] = _too_late(node, nodes[len(looked_at)])
        unpacked = self._unpacked()
        return self._defined(sorted([*self.taken, *unpacked]), unpacked)

    def _look_at(self, node: RuntimeNode) -> None:
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
        """Nodes that unpack constants, but for those whose result somebody else wants, too."""
        theirs = {*self.taken}
        for tensor, producer in sorted(self.producers.items(), key=lambda one: -one[1]):
            wanted = [node.index for node in self.held.nodes if tensor in node.inputs]
            if tensor in self.held.outputs or not theirs.issuperset(wanted):
                self.stays[producer] = "a node that is not taken needs its output, or the model's caller"
            else:
                theirs.add(producer)
        return sorted(theirs.difference(self.taken))

    def _also_unpacked(self, unpacked: list[int]) -> list[int]:
        taken = {*self.taken, *unpacked}
        wanted = {index for node in self.held.nodes if node.index in taken for index in node.inputs}
        return [
            producer
            for tensor, producer in self.producers.items()
            if tensor in wanted and producer not in taken
        ]

    def _defined(self, nodes: list[int], unpacked: list[int]) -> DelegatedSubgraph:
        """All or nothing: where XNNPACK refuses a node, the subgraph gets its own plan back."""
        for index in self.taken:
            node = self.held.nodes[index]
            try:
                define_checks.check(self._candidate(node))
            except NotTakenError as error:
                why = f"XNNPACK cannot do node {index}, {node.op}, which the delegate takes: {error}"
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


def _is_dynamic(node: RuntimeNode) -> bool:
    """Whether only the node's run sizes an output."""
    return any(node.tensors[index].memory is Memory.HEAP for index in node.outputs if index != MISSING)


def _too_late(node: RuntimeNode, first: RuntimeNode) -> str:
    what = "has an output that gets its size when the model runs"
    return f"it {what}" if node is first else f"it comes after node {first.index}, {first.op}, which {what}"


def _unpacks(node: RuntimeNode, producers: Mapping[int, int]) -> bool:
    """Whether the delegate can do the node while it loads: a constant that is only written in another way."""
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
