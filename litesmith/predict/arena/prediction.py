"""A model → how many bytes its tensors take in a generated program, and where each of them lies.

Neither a program nor TensorFlow is needed.  The plan is exact where it depends on shapes and constants
alone; where it depends on data, it says so, and names the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from litesmith.base.errors import ModelError
from litesmith.model.analysis import ModelAnalysis
from litesmith.model.entry_points import EVERYTHING, Choice, parts
from litesmith.model.flatbuffer import DamagedError
from litesmith.predict.arena.interpreter import Interpreter
from litesmith.predict.arena.layout import NEVER, Planner
from litesmith.predict.arena.subgraph import Subgraph
from litesmith.predict.arena.unknown import Unknown
from litesmith.runtime import graph, op_registry
from litesmith.runtime.graph import Dims, Memory, RuntimeGraph, Subset
from litesmith.runtime.op_registry import Registry

_SHARES = (0.75, 0.5, 0.25, 0)
"""Parts of the largest possible size of a tensor that are tried as well when its size is unknown."""

Kind = Literal["input", "output", "activation", "scratch", "variable", "kept"]
"""What a tensor in an arena is for: scratch is that of one node, and kept is computed once by a kernel (row
sums, unpacked weights)."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A tensor in an arena: ``bytes`` at ``offset``, from ``first_node`` to ``last_node``, both included.

    Nodes are indices into the subgraph's nodes.  ``persistent`` tensors lie in the arena that keeps its
    contents.  ``shares`` is the tensor whose place this one takes over.
    """

    name: str
    dtype: str
    shape: Dims
    bytes: int
    offset: int
    first_node: int
    last_node: int
    kind: Kind
    persistent: bool
    shares: str | None = None


@dataclass(frozen=True, kw_only=True)
class SubgraphPlan:
    """The two arenas of a subgraph, in bytes; 0 where the subgraph is never prepared.

    ``released`` says that the arena is freed before the inference ends: bodies of control flow.
    ``heap_bytes`` are tensors outside the arenas: those that are sized when their node runs, and results
    that are computed while it is prepared.  ``shapes`` are those of the file's tensors in this run, in the
    file's order.
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
    """The memory of all subgraphs, in bytes.

    ``bytes`` is what the program reports after an inference (``arena_bytes``), ``peak_bytes`` the most that
    is allocated at a time.  ``unknown`` says why they are not exact.
    """

    bytes: int
    peak_bytes: int
    unknown: tuple[Unknown, ...]
    subgraphs: tuple[SubgraphPlan, ...]

    @property
    def exact(self) -> bool:
        """Whether the memory does not depend on data."""
        return not self.unknown

    @property
    def at_most(self) -> bool:
        """Whether it depends on data, and no data can need more."""
        return bool(self.unknown) and all(one.at_most for one in self.unknown)


def predict(
    model: ModelAnalysis,
    content: bytes,
    choice: Choice = EVERYTHING,
    *,
    registry: Registry | None = None,
    delegated: Sequence[Sequence[Subset]] = (),
) -> ArenaPlan:
    """The arenas of a program that runs a model once, with one thread.

    ``content`` is the file that ``model`` is the analysis of; ``choice`` says which signature runs, and with
    which shapes of its inputs.  ``delegated`` is the plan of each subgraph that has been given to a delegate,
    empty where it took nothing.

    Raises:
        UsageError: there is no such signature or input.
        ModelError: the file is damaged, or the shapes of a node's inputs do not fit together, so that the
            runtime would refuse it.
    """
    known = registry or op_registry.load()
    part = parts(model, choice)[-1 if choice.signature is not None else 0]
    entry = next(i for i, subgraph in enumerate(model.subgraphs) if subgraph is part.subgraph)

    def planned(share: float) -> ArenaPlan:
        interpreter = Interpreter(model.path, graph.read(model, content, known), share)
        interpreter.run(entry, part.shapes, delegated)
        return _plan(interpreter)

    try:
        plan = planned(1)
        if not plan.at_most:
            return plan
        # A smaller tensor can make the arena larger: other tensors then fill other gaps.
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
        unknown=interpreter.unknown(),
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


def _kind(held: RuntimeGraph, index: int, *, scratch: bool) -> Kind:
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
