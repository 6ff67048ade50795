"""A subgraph that is prepared and run without its data: ``core/subgraph.cc``.

Nodes are prepared until one has an output that only its run can size.  What they need is placed, they run,
and the next ones are prepared.  Only shapes are computed, and the small tensors that shapes depend on.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from litesmith.base.errors import ModelError
from litesmith.predict.arena import values
from litesmith.predict.arena.kernels import KERNELS, reserved
from litesmith.predict.arena.layout import Planner
from litesmith.predict.arena.unknown import Unknown, reason
from litesmith.runtime.graph import (
    DELEGATE,
    MISSING,
    UNSIZED,
    Memory,
    RuntimeGraph,
    RuntimeNode,
    RuntimeTensor,
    Subset,
)

_DEEPEST = 32
"""Subgraphs within subgraphs; a model that goes deeper calls itself."""

_MOST_CALLS = 10_000
"""Calls of subgraphs by all nodes; a damaged file could ask for any number."""

_IN_ARENAS = (Memory.ARENA, Memory.PERSISTENT)
_RESOURCES = frozenset({"resource", "variant"})


@dataclass(frozen=True, kw_only=True)
class ControlOp:
    """An op that runs other subgraphs or changes more than its outputs.

    ``prepare`` takes the subgraph of the node, the node, and how deep the subgraph is called; None for an op
    whose kernel is prepared like others.  ``run`` also takes whether the node certainly runs.
    """

    prepare: Callable[[Subgraph, RuntimeNode, int], None] | None = None
    run: Callable[[Subgraph, RuntimeNode, int, bool], None]


@dataclass(kw_only=True)
class State:
    """What the subgraphs of an interpreter share.

    ``share`` is the part of its largest size that a tensor of unknown size has.  ``initialised`` are the
    subgraphs that CALL_ONCE has run, ``variables`` what was assigned to each resource.
    """

    path: str
    control: Mapping[str, ControlOp]
    share: float = 1
    subgraphs: list[Subgraph] = field(default_factory=list)
    unknown: dict[tuple[int, int], Unknown] = field(default_factory=dict)
    initialised: set[int] = field(default_factory=set)
    variables: dict[str, RuntimeTensor] = field(default_factory=dict)
    calls: int = 0

    def called(self, node: RuntimeNode, option: str, depth: int) -> Subgraph:
        """The subgraph whose index is an option of a node.

        Raises:
            ModelError: there is none, or it is nested deeper or called more often than a valid model needs.
        """
        return self.called_by_number(node, node.options.integer(option), depth)

    def called_by_number(self, node: RuntimeNode, number: int, depth: int) -> Subgraph:
        """A subgraph that a node calls.

        Raises:
            ModelError: there is none, or it is nested deeper or called more often than a valid model needs.
        """
        self.calls += 1
        if not 0 <= number < len(self.subgraphs) or depth > _DEEPEST or self.calls > _MOST_CALLS:
            raise ModelError(
                f"{self.path}: node {node.file_index}, {node.op}, calls subgraph {number} "
                f"of {len(self.subgraphs)}, {depth} deep",
                "convert the model again",
            )
        return self.subgraphs[number]


class Subgraph:
    """A subgraph that is prepared and run: ``Subgraph`` of ``core/subgraph.cc``."""

    def __init__(self, state: State, index: int, held: RuntimeGraph) -> None:
        self.state = state
        self.index = index
        self.graph = held
        self.planner: Planner | None = None
        self._next = 0
        self.dynamic = False
        self.released = False
        self._undelegated = held.nodes
        self._plan: Sequence[Subset] = ()
        self._stands = False
        self._undone = False
        for node in held.nodes:
            node.reserved = [node.add_tensor() for _ in range(reserved(node))]

    @property
    def arena_bytes(self) -> int:
        """The arena that is released after control flow, not the persistent one."""
        return self.planner.arena.buffer_bytes if self.planner else 0

    def release(self) -> None:
        """``ReleaseNonPersistentMemory``."""
        self.released = True
        self._stands = False

    def drop_unused_inputs(self) -> None:
        """``RemoveUnusedInputs``."""
        uses = self.uses()
        inputs = self.graph.inputs
        for position, index in enumerate(inputs):
            if index != MISSING and not uses.get(index):
                self.graph.tensors[index].bytes = 0
                inputs[position] = MISSING

    def uses(self) -> dict[int, int]:
        """How often each tensor is used: ``GetInputTensorsCount``."""
        counted: dict[int, int] = {}
        for index in [*(i for node in self.graph.nodes for i in node.inputs), *self.graph.outputs]:
            if index != MISSING:
                counted[index] = counted.get(index, 0) + 1
        return counted

    def take(self, sources: Sequence[RuntimeTensor], *, borrow: bool) -> None:
        """Gives the inputs the shapes of a caller's tensors; ``borrow`` takes their memory, too."""
        for index, source in zip(self.graph.inputs, sources, strict=True):
            if index == MISSING:
                continue
            target = self.graph.tensors[index]
            # A tensor without memory is resized even to its own shape.
            resized = target.dims != source.dims or target.dtype in UNSIZED or target.bytes == 0
            if self._stands and resized:
                # A graph with dynamic tensors keeps its delegates.
                self._stands, self._undone = False, not self.dynamic
            target.dtype, target.known, target.handle = source.dtype, source.known, source.handle
            target.resize(source.dims)
            if borrow and target.dtype not in _RESOURCES:
                target.memory = Memory.BORROWED

    def results(self) -> list[RuntimeTensor]:
        """The output tensors."""
        return [self.graph.tensors[index] for index in self.graph.outputs]

    def allocate(self, depth: int) -> None:
        """Prepares what can be prepared before anything runs, and places it: ``AllocateTensors``."""
        if self._undone:
            self._delegate(depth)
            return
        inputs = (self.graph.tensors[index] for index in self.graph.inputs if index != MISSING)
        if self._stands and all(tensor.memory is not Memory.HEAP for tensor in inputs):
            return
        self._next = 0
        if self.planner is not None:
            self.planner.reset()
        self._prepare(depth)

    def invoke(self, depth: int, *, certain: bool) -> None:
        """Runs all nodes; ``certain`` is false where it depends on data whether they run: ``Invoke``."""
        for position, node in enumerate(self.graph.nodes):
            if position == self._next:
                self._prepare(depth)
            self._run(node, depth, certain=certain)

    def _prepare(self, depth: int) -> None:
        first = self._next
        last = self._prepare_nodes(first, depth)
        self._next = last + 1
        if self.planner is None:
            self.planner = Planner(self.graph)
        self.planner.execute(first, last)
        self.released = False

    def _prepare_nodes(self, first: int, depth: int) -> int:
        """Prepares nodes up to the first whose output is sized by its run: ``PrepareOpsStartingAt``.

        Returns the index of the last one that was prepared.
        """
        last = 0
        if first == 0:
            self.dynamic = any(one.memory is Memory.HEAP for one in self.results())
        for node in self.graph.nodes[first:]:
            self._prepare_node(node, depth)
            last = node.index
            if is_sized_by_its_run(node):
                self.dynamic = True
                break
        return last

    def delegate(self, plan: Sequence[Subset]) -> None:
        """Gives nodes to a delegate, and allocates what is left: ``ModifyGraphWithDelegate``.

        Where that fails, all nodes stay.
        """
        self._plan = plan
        # A subgraph that does not fit the shapes in the file may fit those of its caller.
        with contextlib.suppress(ModelError):
            self._delegate(0)

    def _delegate(self, depth: int) -> None:
        self.graph.nodes = self._undelegated
        for index, node in enumerate(self.graph.nodes):
            node.index, node.in_file = index, None
        self._prepare_nodes(0, depth)
        if self._plan:
            self.graph.nodes = self._planned()
        if self.planner is not None:
            # The runtime plans again before it prepares anything; it keeps the buffers, which never shrink.
            planner = Planner(self.graph)
            planner.arena.buffer_bytes = self.planner.arena.buffer_bytes
            planner.persistent.buffer_bytes = self.planner.persistent.buffer_bytes
            self.planner = planner
        self._next = 0
        self._prepare(depth)
        self._stands, self._undone = True, False

    def _planned(self) -> list[RuntimeNode]:
        """``ReplaceNodeSubsetsWithDelegateKernels``."""
        nodes: list[RuntimeNode] = []
        for subset in self._plan:
            if subset.delegated:
                kernel = RuntimeNode(
                    op=DELEGATE,
                    index=len(nodes),
                    inputs=subset.inputs,
                    outputs=list(subset.outputs),
                    tensors=self.graph.tensors,
                    in_file=subset.nodes[0],
                )
                nodes.append(kernel)
                continue
            for number in subset.nodes:
                node = self._undelegated[number]
                node.index, node.in_file = len(nodes), number
                nodes.append(node)
        return nodes

    def _prepare_node(self, node: RuntimeNode, depth: int) -> None:
        if node.op == DELEGATE and not node.own:
            # Its outputs keep the shapes that they had.
            return
        node.pending = {}
        try:
            control = self._control(node)
            if control is not None and control.prepare is not None:
                control.prepare(self, node, depth)
            else:
                self._size(node)
            for index in node.outputs:
                if index != MISSING and min(node.tensors[index].dims, default=0) < 0:
                    raise ValueError("a dimension is negative")
        except (ArithmeticError, LookupError, TypeError, ValueError):
            self._refuse(node)
        for position in range(len(node.outputs)):
            if position not in node.pending:
                self._settle(node, position)
        values.propagate(node)

    def _size(self, node: RuntimeNode) -> None:
        kernel = KERNELS.get(node.op) if not node.own else None
        if kernel is None:
            # Its kernel is unknown: the best guess is the shape in the file.
            for position in range(len(node.outputs)):
                node.resize(position, None)
            return
        if kernel.reserves_when_prepared and not node.reserved:
            node.reserved = [node.add_tensor() for _ in range(kernel.reserved)]
        source = node.input(kernel.dtype_from) if kernel.dtype_from is not None else None
        output = node.output()
        if source is not None and output is not None:
            output.dtype = source.dtype
        kernel.prepare(node)
        for position, scratch in enumerate(kernel.temporaries(node) if kernel.temporaries else ()):
            if position == len(node.temporaries):
                there = position < len(node.reserved)
                node.temporaries.append(node.reserved[position] if there else node.add_tensor())
            tensor = node.tensors[node.temporaries[position]]
            tensor.name, tensor.dtype, tensor.memory = scratch.label, scratch.dtype, scratch.memory
            tensor.resize(scratch.dims)

    def _refuse(self, node: RuntimeNode) -> None:
        """The runtime would not prepare the node, or the guess at the sizes of its inputs was wrong.

        Raises:
            ModelError: the shapes are certain.
        """
        if node.inputs_known:
            shapes = ", ".join(
                f"{node.tensors[i].name!r} {list(node.tensors[i].dims)}" for i in node.inputs if i != MISSING
            )
            open_inputs = [t.name for t in (self.graph.tensors[i] for i in self.graph.inputs) if t.resizable]
            advice = (
                f"say how large {open_inputs[0]!r} is: --input-shape {open_inputs[0]}=1x…"
                if open_inputs
                else "convert the model again"
            )
            raise ModelError(
                f"{self.state.path}: node {node.file_index} of subgraph {self.index}, {node.op}, "
                f"cannot work with {shapes or 'no inputs'}",
                advice,
            )
        for position in range(len(node.outputs)):
            node.resize(position, None)

    def _settle(self, node: RuntimeNode, position: int) -> None:
        """Records a node whose output has an unknown size although its inputs are known."""
        tensor = node.output(position)
        if tensor is None or tensor.known or not node.inputs_known:
            return
        on_heap = not node.own and (tensor.memory not in _IN_ARENAS or node.op == "RESHAPE")
        self.record_unknown(node, tensor.name, reason(node), at_most=node.at_most, on_heap=on_heap)

    def record_unknown(
        self, node: RuntimeNode, tensor: str, why: str, *, at_most: bool, on_heap: bool = False
    ) -> None:
        """Records a node whose memory is unknown, once for each node."""
        self.state.unknown.setdefault(
            (self.index, node.file_index),
            Unknown(
                subgraph=self.index,
                node=node.file_index,
                op=node.op,
                tensor=tensor,
                reason=why,
                at_most=at_most,
                on_heap=on_heap,
            ),
        )

    def _control(self, node: RuntimeNode) -> ControlOp | None:
        return self.state.control.get(node.op) if not node.own else None

    def _run(self, node: RuntimeNode, depth: int, *, certain: bool) -> None:
        control = self._control(node)
        if control is not None:
            try:
                control.run(self, node, depth, certain)
            except (LookupError, ValueError):
                self._refuse(node)
        if node.op == "RESHAPE" and not node.own and node.pending:
            self._reshape(node)
        for position, (dims, known) in node.pending.items():
            tensor = node.output(position)
            if tensor is not None:
                if dims is not None:
                    shrunk = not known and node.at_most and dims
                    tensor.resize((math.ceil(dims[0] * self.state.share), *dims[1:]) if shrunk else dims)
                tensor.known = known
                self._settle(node, position)
        if node.pending:
            values.propagate(node)
        node.pending = {}

    def _reshape(self, node: RuntimeNode) -> None:
        """An output that could not take the place of the input moves to the heap: ``Eval`` of ``reshape.cc``.

        Its place in the arena stays empty.
        """
        output = node.output()
        if output is None or output.memory is not Memory.ARENA:
            return
        if self.planner is None or not self.planner.share_a_place(node.outputs[0], node.inputs[0]):
            output.memory = Memory.HEAP

    def is_affected(self) -> bool:
        """Whether anything in its arenas has an unknown size."""
        if self.planner is None:
            return False
        # However it is reshaped, a tensor has as many bytes as before.
        sized = {
            node.outputs[0]
            for node in self.graph.nodes
            if node.op == "RESHAPE" and node.outputs and node.input(0) is not None and node.of(0).known
        }
        return any(
            not self.graph.tensors[index].known for index in self.planner.allocations if index not in sized
        )


def is_sized_by_its_run(node: RuntimeNode) -> bool:
    """Whether a prepared node has an output whose shape only its run tells."""
    return bool(node.pending) or any(
        node.tensors[index].memory is Memory.HEAP for index in node.outputs if index != MISSING
    )
