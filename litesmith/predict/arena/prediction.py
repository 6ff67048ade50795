"""A model → how many bytes its tensors will take in a program of ours, and where each of them will lie.

Neither a program nor TensorFlow is needed.  What shapes and constants decide is exact; where data decides,
the plan says so, and by which node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from litesmith.base.errors import ModelError
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.entry_points import EVERYTHING, Choice, parts
from litesmith.model.flatbuffer import DamagedError
from litesmith.predict.arena.interpreter import Interpreter, Subgraph, Unknown
from litesmith.predict.arena.layout import NEVER, Planner
from litesmith.predict.arena.ordering import LIBCXX, Library
from litesmith.runtime import graph, op_registry
from litesmith.runtime.graph import Dims, Memory, RuntimeGraph, Subset
from litesmith.runtime.op_registry import Registry

_SHARES = (0.75, 0.5, 0.25, 0)
"""Of the most that a tensor may have: what is tried, too, when nobody knows its size."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A tensor in an arena: ``bytes`` at ``offset``, from ``first_node`` to ``last_node``, both included.

    Nodes are indices into the subgraph's.  ``kind`` is input, output, activation, variable, scratch (of one
    node), or kept (what a kernel computes once: row sums, unpacked weights).  ``persistent`` tensors lie in
    the arena that keeps its contents.  ``shares`` is the tensor whose place this one takes over.
    """

    name: str
    dtype: str
    shape: Dims
    bytes: int
    offset: int
    first_node: int
    last_node: int
    kind: str
    persistent: bool
    shares: str | None = None


@dataclass(frozen=True, kw_only=True)
class SubgraphPlan:
    """The two arenas of a subgraph, in bytes; 0 where the subgraph is never prepared.

    They are a little larger than what lies in them: alignment and padding, 128 bytes for each.  ``released``
    says that the arena is given back before the inference ends: bodies of control flow.  ``heap_bytes`` are
    tensors that lie in no arena: those that a node's run sizes, and results that are there before it.
    ``shapes`` are those that the file's tensors have in this run, in the file's order.
    """

    index: int
    name: str
    nodes: int
    arena_bytes: int
    persistent_bytes: int
    released: bool
    heap_bytes: int
    tensors: tuple[Placed, ...]
    shapes: tuple[Dims, ...]


@dataclass(frozen=True, kw_only=True)
class ArenaPlan:
    """What all subgraphs take.

    ``bytes`` is what the program reports after an inference (``arena_bytes``), ``peak_bytes`` the most that
    exists at a time.  ``unknown`` is why they are not exact.
    """

    bytes: int
    peak_bytes: int
    unknown: tuple[Unknown, ...]
    subgraphs: tuple[SubgraphPlan, ...]

    @property
    def exact(self) -> bool:
        """Whether no data can change it."""
        return not self.unknown

    @property
    def at_most(self) -> bool:
        """Whether it was planned for the most that data can ask for."""
        return bool(self.unknown) and all(one.at_most for one in self.unknown)


def predict(
    model: ModelAnalysis,
    content: bytes,
    choice: Choice = EVERYTHING,
    *,
    registry: Registry | None = None,
    library: Library = LIBCXX,
    delegated: Sequence[Sequence[Subset]] = (),
) -> ArenaPlan:
    """The arenas of a program that runs a model once, with one thread.

    ``content`` is the file that ``model`` is the analysis of; ``choice`` says which signature runs, and with
    which shapes of its inputs.  ``library`` is the C++ library of the toolchain.  ``delegated`` is the plan
    of each subgraph that has been given to a delegate, empty where it took nothing.

    Raises:
        UsageError: there is no such signature or input.
        ModelError: the file is damaged, or the shapes of a node's inputs do not fit together, so that the
            runtime would refuse it.
    """
    known = registry or op_registry.load()
    part = parts(model, choice)[-1 if choice.signature is not None else 0]
    entry = next(i for i, subgraph in enumerate(model.subgraphs) if subgraph is part.subgraph)

    def planned(share: float) -> ArenaPlan:
        interpreter = Interpreter(model.path, graph.read(model, content, known), library, share)
        interpreter.run(entry, part.shapes, delegated)
        return _plan(interpreter)

    try:
        plan = planned(1)
        if not plan.at_most:
            return plan
        # Fewer bytes in one tensor can mean more in the arena: other tensors fill other gaps.
        tried = [plan, *map(planned, _SHARES)]
    except DamagedError as error:
        raise ModelError(f"{model.path} is damaged: {error}", "convert or copy the model again") from None
    return max(tried, key=lambda one: (one.bytes, one.peak_bytes))


def _plan(interpreter: Interpreter) -> ArenaPlan:
    subgraphs = tuple(map(_subgraph_plan, interpreter.subgraphs))
    persistent = sum(one.persistent_bytes for one in subgraphs)
    return ArenaPlan(
        bytes=persistent + sum(one.arena_bytes for one in subgraphs if not one.released),
        peak_bytes=persistent + sum(one.arena_bytes for one in subgraphs),
        unknown=interpreter.doubts(),
        subgraphs=subgraphs,
    )


def _subgraph_plan(subgraph: Subgraph) -> SubgraphPlan:
    planner, held = subgraph.planner, subgraph.graph
    on_heap = (one.bytes for one in held.tensors if one.memory in (Memory.HEAP, Memory.COMPUTED))
    return SubgraphPlan(
        index=subgraph.index,
        name=held.name,
        nodes=len(held.nodes),
        arena_bytes=planner.arena.buffer_bytes if planner else 0,
        persistent_bytes=planner.persistent.buffer_bytes if planner else 0,
        released=subgraph.released,
        heap_bytes=sum(on_heap) if planner else 0,
        tensors=_placed(held, planner) if planner else (),
        shapes=tuple(tensor.dims for tensor in held.tensors),
    )


def _placed(held: RuntimeGraph, planner: Planner) -> tuple[Placed, ...]:
    temporaries = {index for node in held.nodes for index in node.temporaries}
    end = max(len(held.nodes) - 1, 0)
    found = []
    for index, tensor in enumerate(held.tensors):
        root = planner.shared.get(index) if tensor.memory is Memory.ARENA else None
        there = planner.allocations.get(index if root is None else root)
        if there is None or there.size == 0:
            continue
        persistent = tensor.memory is Memory.PERSISTENT
        last = NEVER if persistent else planner.last_node.get(index, NEVER)
        found.append(
            Placed(
                name=tensor.name,
                dtype=tensor.dtype,
                shape=tensor.dims,
                bytes=tensor.bytes,
                offset=there.offset,
                first_node=planner.first_node.get(index, 0),
                last_node=min(last, end),
                kind=_kind(held, index, scratch=index in temporaries),
                persistent=persistent,
                shares=None if root is None else held.tensors[root].name,
            )
        )
    return tuple(sorted(found, key=lambda one: (one.persistent, one.first_node, one.offset)))


def _kind(held: RuntimeGraph, index: int, *, scratch: bool) -> str:
    tensor = held.tensors[index]
    if tensor.variable:
        return "variable"
    if tensor.memory is Memory.PERSISTENT:
        return "kept"
    if scratch:
        return "scratch"
    if index in held.inputs:
        return "input"
    return "output" if index in held.outputs else "activation"
