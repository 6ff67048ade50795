"""Subgraphs that are prepared and run without their data: ``core/subgraph.cc``, ``if.cc`` and ``while.cc``.

Nodes are prepared until one has an output that only its run can size; what they need is placed, they run,
and the next ones are prepared.  No arithmetic is done but that on shapes.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from litesmith.base.errors import ModelError
from litesmith.predict.arena import values
from litesmith.predict.arena.layout import Planner
from litesmith.predict.arena.ordering import LIBCXX, Library
from litesmith.predict.arena.scratch import SCRATCH, reserved
from litesmith.predict.arena.shapes import PREPARE
from litesmith.runtime.graph import (
    DELEGATE,
    MISSING,
    UNSIZED,
    Dims,
    Memory,
    RuntimeGraph,
    RuntimeNode,
    RuntimeTensor,
    Subset,
)

_DEEPEST = 32
"""Subgraphs within subgraphs; a model that goes deeper calls itself."""

_MOST_CALLS = 10_000
"""Of subgraphs, by all nodes; a damaged file could ask for any number."""

_BRANCHES = ("then_subgraph_index", "else_subgraph_index")
_LOOP = ("cond_subgraph_index", "body_subgraph_index")

_IN_ARENAS = (Memory.ARENA, Memory.PERSISTENT)

_DTYPE_OF: Mapping[str, int] = {
    **dict.fromkeys(
        (
            *("ADD_N", "BITWISE_XOR", "CEIL", "DENSIFY", "DYNAMIC_UPDATE_SLICE", "EXP", "EXPAND_DIMS"),
            *("FAKE_QUANT", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "GATHER", "GATHER_ND", "MATRIX_DIAG"),
            *("MATRIX_SET_DIAG", "MAXIMUM", "MINIMUM", "NEG", "POW", "PRELU", "RESIZE_BILINEAR"),
            *("RESIZE_NEAREST_NEIGHBOR", "RIGHT_SHIFT", "ROUND", "ZEROS_LIKE"),
        ),
        0,
    ),
    **dict.fromkeys(
        (*("ADD", "DIV", "FILL", "SCATTER_ND", "SELECT", "SELECT_V2", "SQUARED_DIFFERENCE", "SUB"),),
        1,
    ),
    "SPARSE_TO_DENSE": 2,
}
"""Ops whose kernels give their output the dtype of an input, whatever the file says: its position."""


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """Why a plan is not exact: a node whose memory only a run can tell.

    ``at_most`` says that the plan has the most that it can be; else it has the size that the file gives.
    ``on_heap`` says that the tensor itself lies in no arena: it matters for those that follow from it.
    """

    subgraph: int
    node: int
    op: str
    tensor: str
    reason: str
    at_most: bool
    on_heap: bool

    def line(self) -> str:
        """The same in one line."""
        return f"node {self.node} of subgraph {self.subgraph}, {self.op}, {self.tensor!r}: {self.reason}"


class Interpreter:
    """All subgraphs of a model, and what was learnt while they ran.

    ``share`` is what tensors have whose size nobody knows, of the most that they can have.
    """

    def __init__(
        self, path: str, graphs: Sequence[RuntimeGraph], library: Library = LIBCXX, share: float = 1
    ) -> None:
        self.path = path
        self.library = library
        self.share = share
        self.subgraphs = [Subgraph(self, index, one) for index, one in enumerate(graphs)]
        self.unknown: dict[tuple[int, int], Unknown] = {}
        self.initialised: set[int] = set()
        self._calls = 0
        self.variables: dict[str, RuntimeTensor] = {}

    def run(self, entry: int, shapes: Mapping[int, Dims], plans: Sequence[Sequence[Subset]] = ()) -> None:
        """Allocates and runs the subgraph ``entry`` once; ``shapes`` are those of its inputs, by tensor.

        ``plans`` are what a delegate has made of the nodes of each subgraph, the file's order where empty.
        """
        main = self.subgraphs[entry]
        for index, dims in shapes.items():
            main.graph.tensors[index].resize(dims)
        # The other way round: bodies of control flow come after their callers.
        for subgraph, plan in reversed(list(zip(self.subgraphs, plans, strict=False))):
            subgraph.delegate(plan)
        # A program allocates the first subgraph, too, when a signature has another one.
        for number in dict.fromkeys((0, entry)):
            self.subgraphs[number].allocate(0)
        main.invoke(0, certain=True)

    def doubts(self) -> tuple[Unknown, ...]:
        """Sizes that nobody knows are of no concern while nothing in an arena depends on them."""
        affected = any(subgraph.is_affected() for subgraph in self.subgraphs)
        return tuple(one for one in self.unknown.values() if affected or not one.on_heap)

    def called(self, node: RuntimeNode, option: str, depth: int) -> Subgraph:
        """A subgraph that a node names among its options.

        Raises:
            ModelError: there is none, or it is deeper or called more often than in any sound model.
        """
        number = node.options.integer(option)
        self._calls += 1
        if not 0 <= number < len(self.subgraphs) or depth > _DEEPEST or self._calls > _MOST_CALLS:
            raise ModelError(
                f"{self.path}: node {_in_file(node)}, {node.op}, calls subgraph {number} "
                f"of {len(self.subgraphs)}, {depth} deep",
                "convert the model again",
            )
        return self.subgraphs[number]


class Subgraph:
    """A subgraph that is prepared and run: ``Subgraph`` of ``core/subgraph.cc``."""

    def __init__(self, interpreter: Interpreter, index: int, held: RuntimeGraph) -> None:
        self._all = interpreter
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

    # How it is sized, from outside.

    @property
    def arena_bytes(self) -> int:
        """The arena that is given back after control flow, not the persistent one."""
        return self.planner.arena.buffer_bytes if self.planner else 0

    def release(self) -> None:
        """``ReleaseNonPersistentMemory``."""
        self.released = True
        self._stands = False

    def drop_unused_inputs(self) -> None:
        """``RemoveUnusedInputs``."""
        uses = self._uses()
        inputs = self.graph.inputs
        for position, index in enumerate(inputs):
            if index != MISSING and not uses.get(index):
                self.graph.tensors[index].bytes = 0
                inputs[position] = MISSING

    def _uses(self) -> dict[int, int]:
        """How often each tensor is wanted: ``GetInputTensorsCount``."""
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
            # What has no memory yet is resized even to its own shape.
            resized = target.dims != source.dims or target.dtype in UNSIZED or target.bytes == 0
            if self._stands and resized:
                # A graph with dynamic tensors keeps its delegates.
                self._stands, self._undone = False, not self.dynamic
            target.dtype, target.known, target.handle = source.dtype, source.known, source.handle
            target.resize(source.dims)
            if borrow and target.dtype not in _RESOURCES:
                target.memory = Memory.BORROWED

    def results(self) -> list[RuntimeTensor]:
        """Its outputs."""
        return [self.graph.tensors[index] for index in self.graph.outputs]

    # AllocateTensors and Invoke.

    def allocate(self, depth: int) -> None:
        """Prepares what can be prepared before anything runs, and places it."""
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
        """Runs all nodes; ``certain`` is false where nobody knows whether they run."""
        for position, node in enumerate(self.graph.nodes):
            if position == self._next:
                self._prepare(depth)
            self._run(node, depth, certain=certain)

    def _prepare(self, depth: int) -> None:
        first = self._next
        last = self._prepare_nodes(first, depth)
        self._next = last + 1
        if self.planner is None:
            self.planner = Planner(self.graph, self._all.library)
        self.planner.execute(first, last)
        self.released = False

    def _prepare_nodes(self, first: int, depth: int) -> int:
        """Up to the first whose output only its run can size, which is returned: ``PrepareOpsStartingAt``."""
        last = 0
        if first == 0:
            self.dynamic = any(one.memory is Memory.HEAP for one in self.results())
        for node in self.graph.nodes[first:]:
            self._prepare_node(node, depth)
            last = node.index
            if any(node.tensors[i].memory is Memory.HEAP for i in node.outputs if i != MISSING):
                self.dynamic = True
                break
        return last

    # ModifyGraphWithDelegate.

    def delegate(self, plan: Sequence[Subset]) -> None:
        """Gives nodes to a delegate, and allocates what is left; where that fails, all nodes stay."""
        self._plan = plan
        # What cannot be prepared for the shapes in the file may be, later, for those of a caller.
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
            # Planned anew before anything is prepared; the buffers are kept, and never shrink.
            planner = Planner(self.graph, self._all.library)
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
            # The tensors that it makes have their shapes from before.
            return
        node.pending = {}
        try:
            if node.op == "IF" and not node.own:
                self._prepare_if(node, depth)
            elif node.op == "WHILE" and not node.own:
                self._prepare_while(node, depth)
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
        prepare = PREPARE.get(node.op) if not node.own else None
        if prepare is None:
            # Nobody knows what it does with shapes: the file is as good a guess as any.
            for position in range(len(node.outputs)):
                node.resize(position, None)
            return
        decisive, made = node.input(_DTYPE_OF.get(node.op, len(node.inputs))), node.output()
        if decisive is not None and made is not None:
            made.dtype = decisive.dtype
        prepare(node)
        added = SCRATCH[node.op](node) if node.op in SCRATCH else []
        for position, scratch in enumerate(added):
            if position == len(node.temporaries):
                there = position < len(node.reserved)
                node.temporaries.append(node.reserved[position] if there else node.add_tensor())
            tensor = node.tensors[node.temporaries[position]]
            tensor.name, tensor.dtype, tensor.memory = scratch.label, scratch.dtype, scratch.memory
            tensor.resize(scratch.dims)

    def _refuse(self, node: RuntimeNode) -> None:
        """The runtime would not prepare a node; or our guess at its inputs was wrong.

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
                f"{self._all.path}: node {_in_file(node)} of subgraph {self.index}, {node.op}, "
                f"cannot work with {shapes or 'no inputs'}",
                advice,
            )
        for position in range(len(node.outputs)):
            node.resize(position, None)

    def _settle(self, node: RuntimeNode, position: int) -> None:
        """Notes a node whose output nobody can size although all its inputs are known."""
        tensor = node.output(position)
        if tensor is None or tensor.known or not node.inputs_known:
            return
        on_heap = tensor.memory not in _IN_ARENAS and not node.own
        self._doubt(node, tensor.name, _reason(node), at_most=node.at_most, on_heap=on_heap)

    def _doubt(
        self, node: RuntimeNode, tensor: str, reason: str, *, at_most: bool, on_heap: bool = False
    ) -> None:
        self._all.unknown.setdefault(
            (self.index, _in_file(node)),
            Unknown(
                subgraph=self.index,
                node=_in_file(node),
                op=node.op,
                tensor=tensor,
                reason=reason,
                at_most=at_most,
                on_heap=on_heap,
            ),
        )

    def _run(self, node: RuntimeNode, depth: int, *, certain: bool) -> None:
        if not node.own and node.op in _RUN:
            try:
                _RUN[node.op](self, node, depth, certain)
            except (LookupError, ValueError):
                self._refuse(node)
        for position, (dims, known) in node.pending.items():
            tensor = node.output(position)
            if tensor is not None:
                if dims is not None:
                    shrunk = not known and node.at_most and dims
                    tensor.resize((math.ceil(dims[0] * self._all.share), *dims[1:]) if shrunk else dims)
                tensor.known = known
                self._settle(node, position)
        if node.pending:
            values.propagate(node)
        node.pending = {}

    # Control flow.

    def _prepare_if(self, node: RuntimeNode, depth: int) -> None:
        branches = [self._all.called(node, option, depth) for option in _BRANCHES]
        passed = [node.of(position) for position in range(1, len(node.inputs))]
        for branch in branches:
            branch.drop_unused_inputs()
            branch.take(passed, borrow=True)
            branch.allocate(depth + 1)
        then, other = (branch.results() for branch in branches)
        dynamic = any(branch.dynamic for branch in branches)
        dynamic = dynamic or any(a.dims != b.dims for a, b in zip(then, other, strict=True))
        for position, result in enumerate(then):
            if dynamic:
                node.heap(position, None)
            else:
                node.resize(position, result.dims, known=result.known)

    def _run_if(self, node: RuntimeNode, depth: int, certain: bool) -> None:
        branches = [self._all.called(node, option, depth) for option in _BRANCHES]
        passed = [node.of(position) for position in range(1, len(node.inputs))]
        condition = node.ints(0) if node.of(0).known else None
        taken = branches if condition is None else [branches[0 if condition[0] else 1]]
        sure = certain and len(taken) == 1
        for branch in taken:
            branch.take(passed, borrow=True)
            if node.pending:
                branch.allocate(depth + 1)
            branch.invoke(depth + 1, certain=sure)
        for position in node.pending:
            results = [branch.results()[position] for branch in taken]
            largest = max(results, key=lambda one: one.bytes)
            same = all(one.dims == largest.dims and one.known for one in results)
            node.at_most = all(one.known for one in results)
            node.pending[position] = (largest.dims, same)
        smallest = min(taken, key=lambda branch: branch.arena_bytes)
        if certain:
            smallest.release()
        if not certain or (len(taken) > 1 and len({branch.arena_bytes for branch in taken}) > 1):
            reason = "which branch runs, and gives its arena back, depends on data"
            self._doubt(node, node.of(0).name, reason, at_most=True)

    def _prepare_while(self, node: RuntimeNode, depth: int) -> None:
        condition, body = (self._all.called(node, option, depth) for option in _LOOP)
        passed = [node.of(position) for position in range(len(node.inputs))]
        condition.drop_unused_inputs()
        condition.take(passed, borrow=False)
        condition.allocate(depth + 1)
        body.take(passed, borrow=False)
        uses = self._uses()
        for position, (inside, outside) in enumerate(zip(body.graph.inputs, body.graph.outputs, strict=True)):
            wanted = node.outputs[position]
            loose = wanted != MISSING and not uses.get(wanted)
            if inside == outside and loose and body.graph.tensors[inside].dtype not in UNSIZED:
                # It comes out as it went in, and nobody asks for it.
                node.outputs[position] = MISSING
        body.take(passed, borrow=True)
        body.allocate(depth + 1)
        results = body.results()
        dynamic = body.dynamic or any(
            _grows(source.dims, result.dims) for source, result in zip(passed, results, strict=True)
        )
        for position, result in enumerate(results):
            if dynamic:
                node.heap(position, None)
            else:
                node.resize(position, result.dims, known=result.known)

    def _run_while(self, node: RuntimeNode, depth: int, certain: bool) -> None:
        condition, body = (self._all.called(node, option, depth) for option in _LOOP)
        passed = [node.of(position) for position in range(len(node.inputs))]
        condition.invoke(depth + 1, certain=certain)
        body.take(passed, borrow=True)
        if node.pending:
            body.allocate(depth + 1)
        body.invoke(depth + 1, certain=False)
        for position in node.pending:
            result = body.results()[position]
            stays = result.known and result.dims == passed[position].dims
            node.pending[position] = (passed[position].dims, stays)
        if certain:
            condition.release()
            body.release()
        else:
            reason = "whether it runs, and gives its arenas back, depends on data"
            self._doubt(node, node.of(0).name, reason, at_most=True)

    def _run_once(self, node: RuntimeNode, depth: int, certain: bool) -> None:  # noqa: ARG002
        initialisation = self._all.called(node, "init_subgraph_index", depth)
        if initialisation.index in self._all.initialised:
            return
        self._all.initialised.add(initialisation.index)
        initialisation.allocate(depth + 1)
        initialisation.invoke(depth + 1, certain=True)
        initialisation.release()

    def _run_assign(self, node: RuntimeNode, depth: int, certain: bool) -> None:  # noqa: ARG002
        self._all.variables[node.of(0).handle] = node.of(1)

    def _run_read(self, node: RuntimeNode, depth: int, certain: bool) -> None:  # noqa: ARG002
        held = self._all.variables.get(node.of(0).handle)
        if node.pending and held is not None:
            node.pending[0] = (held.dims, held.known)

    def is_affected(self) -> bool:
        """Whether anything in its arenas has a size that nobody knows."""
        return self.planner is not None and any(
            not self.graph.tensors[index].known for index in self.planner.allocations
        )


_RESOURCES = frozenset({"resource", "variant"})

_RUN: Mapping[str, Callable[[Subgraph, RuntimeNode, int, bool], None]] = {
    "IF": Subgraph._run_if,
    "WHILE": Subgraph._run_while,
    "CALL_ONCE": Subgraph._run_once,
    "ASSIGN_VARIABLE": Subgraph._run_assign,
    "READ_VARIABLE": Subgraph._run_read,
}
"""Ops that change more than their outputs when they run."""


def _in_file(node: RuntimeNode) -> int:
    """Its index in the file, which people know it by."""
    return node.index if node.in_file is None else node.in_file


def _grows(before: Dims, after: Dims) -> bool:
    """Whether a loop's tensor has another shape after an iteration; a scalar and one number are alike."""
    return before != after and (before[0] if before else 0) + (after[0] if after else 0) != 1


def _reason(node: RuntimeNode) -> str:
    """Why nobody can size an output."""
    if node.own:
        return "an op of your own, which may ask for more than the file says"
    if PREPARE.get(node.op) is None and node.op not in _RUN:
        return "an op that the runtime does not have"
    if node.op == "WHILE":
        return "it may have another shape after each iteration; planned for the first one"
    inputs = [tensor for position in range(len(node.inputs)) if (tensor := node.input(position)) is not None]
    deciding = [tensor.name for tensor in inputs[1:] or inputs if tensor.value is None]
    what = " and ".join(repr(name) for name in deciding[:2]) or "its inputs"
    planned = "planned for the most that it can be" if node.at_most else "planned as large as the file says"
    return f"its size depends on what {what} will hold; {planned}"
