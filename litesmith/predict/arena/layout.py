"""Tensors and nodes → offsets in the two arenas, by the rules of the runtime.

This follows ``arena_planner.cc`` and ``simple_memory_arena.cc`` of TensorFlow Lite, with the order of tensors
that :mod:`litesmith.runtime.edits.sort_order` gives them: the lifetimes of tensors, which outputs take the
place of an input, which gap a tensor gets.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field

from litesmith.runtime.graph import MISSING, Memory, RuntimeGraph, RuntimeNode, RuntimeTensor

ALIGNMENT = 64
"""Bytes: ``kDefaultArenaAlignment`` and ``kDefaultTensorAlignment``."""

NEVER = 2**31 - 1
"""``kNodeNotAssigned``: no node produces the tensor, or no node is the last to use it."""

_NO_GAP = 2**64
_SCALAR_BYTES = 4
_MOST_SHARED_INPUTS = 3


@dataclass(frozen=True, kw_only=True)
class InPlace:
    """Inputs whose place the first output of an op may take (``TfLiteRegistration::inplace_operator``).

    ``unmodified`` says that the op does not change the data, so that several outputs may share one input.
    """

    inputs: tuple[int, ...]
    unmodified: bool = False


_EITHER = InPlace(inputs=(0, 1))
_SAME_DATA = InPlace(inputs=(0,), unmodified=True)

IN_PLACE: Mapping[str, InPlace] = {
    "ADD": _EITHER,
    "SUB": _EITHER,
    "MUL": _EITHER,
    "DIV": _EITHER,
    "SOFTMAX": InPlace(inputs=(0,)),
    "DYNAMIC_UPDATE_SLICE": InPlace(inputs=(0,)),
    "RESHAPE": _SAME_DATA,
    "SQUEEZE": _SAME_DATA,
    "EXPAND_DIMS": _SAME_DATA,
    "BITCAST": _SAME_DATA,
}


def _align(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, order=True)
class Allocation:
    """Bytes of an arena, used from ``first_node`` to ``last_node``, both included."""

    offset: int
    size: int = field(compare=False)
    first_node: int = field(compare=False)
    last_node: int = field(compare=False)


class Arena:
    """``SimpleMemoryArena``: allocations in the order of their offsets, and the largest end of any so far."""

    def __init__(self) -> None:
        self._active: list[Allocation] = []
        self._high_water_mark = 0
        self.buffer_bytes = 0

    def clear(self) -> None:
        """Drops all allocations; the buffer stays."""
        self._active = []
        self._high_water_mark = 0

    def forget_allocations(self) -> None:
        """Drops all allocations, but not the high-water mark."""
        self._active = []

    def purge(self, node: int) -> None:
        """Drops allocations that end before a node."""
        self._active = [one for one in self._active if one.last_node >= node]

    def allocate(self, size: int, first_node: int, last_node: int) -> Allocation:
        """Takes the smallest gap that fits between allocations used at the same time, else the end."""
        if size == 0:
            return Allocation(0, 0, first_node, last_node)
        best: int | None = None
        best_gap = _NO_GAP
        end = 0
        for other in self._active:
            if other.last_node < first_node or other.first_node > last_node:
                continue
            start = _align(end)
            if start + size <= other.offset and other.offset - start < best_gap:
                best, best_gap = start, other.offset - end
            end = max(end, other.offset + other.size)
            if best_gap == 0:
                break
        offset = _align(end) if best is None else best
        self._high_water_mark = max(self._high_water_mark, offset + size)
        made = Allocation(offset, size, first_node, last_node)
        insort(self._active, made)
        return made

    def commit(self) -> None:
        """Grows the buffer to the high-water mark."""
        self.buffer_bytes = max(self.buffer_bytes, self._high_water_mark)


class Planner:
    """``ArenaPlanner`` of one subgraph."""

    def __init__(self, graph: RuntimeGraph) -> None:
        self._graph = graph
        self.arena = Arena()
        self.persistent = Arena()
        self.allocations: dict[int, Allocation] = {}
        self.shared: dict[int, int] = {}
        self.first_node: dict[int, int] = {}
        self.last_node: dict[int, int] = {}
        self._of_node: list[dict[int, None]] = [{} for _ in range(max(len(graph.nodes), 1))]
        self._last_active = NEVER
        self._plan()

    def _plan(self) -> None:
        """Finds the lifetime of each tensor (``PlanAllocations``)."""
        graph = self._graph
        references: dict[int, int] = {}
        for index in graph.outputs:
            if index != MISSING:
                references[index] = references.get(index, 0) + 1
        for index in [*graph.variables, *graph.inputs]:
            if index != MISSING:
                references[index] = references.get(index, 0) + 1
                self.first_node.setdefault(index, 0)
                self._of_node[0][index] = None
        uses = dict(references)
        for node in graph.nodes:
            for index in node.inputs:
                if index != MISSING:
                    uses[index] = uses.get(index, 0) + 1
        self._share(uses)
        for node in graph.nodes:
            for index in node.inputs:
                if index != MISSING:
                    root = self._root(index)
                    references[root] = references.get(root, 0) + 1
        for position, node in enumerate(graph.nodes):
            for index in node.outputs:
                if index != MISSING:
                    self._of_node[position][index] = None
                    self.first_node.setdefault(index, position)
            for index in node.inputs:
                if index == MISSING:
                    continue
                root = self._root(index)
                references[root] -= 1
                if references[root] == 0 and root in self.first_node:
                    self.last_node[root] = position

    def _root(self, index: int) -> int:
        return self.shared.get(index, index)

    def _share(self, uses: Mapping[int, int]) -> None:
        """Finds outputs that take the place of an input (``IdentifyInPlaceTensors``)."""
        for node in self._graph.nodes:
            rule = IN_PLACE.get(node.op) if not node.own else None
            if rule is None or not node.outputs or node.outputs[0] == MISSING:
                continue
            chosen = next((index for index in self._candidates(node, rule, uses)), None)
            if chosen is None:
                continue
            root = self._root(chosen)
            if rule.unmodified or uses.get(root, 0) <= 1:
                self.shared[node.outputs[0]] = root

    def _candidates(self, node: RuntimeNode, rule: InPlace, uses: Mapping[int, int]) -> list[int]:
        output = node.outputs[0]
        found = []
        for position, index in enumerate(node.inputs[:_MOST_SHARED_INPUTS]):
            if index == MISSING or position not in rule.inputs:
                continue
            source, target = node.tensors[index], node.tensors[output]
            same_size = source.bytes == target.bytes and source.bytes > _SCALAR_BYTES
            if not rule.unmodified and (not same_size or uses.get(index, 0) > 1):
                continue
            if index in self._graph.inputs or output in self._graph.outputs:
                continue
            if source.memory in (target.memory, Memory.ARENA):
                found.append(index)
        return found

    def share_a_place(self, index: int, other: int) -> bool:
        """Whether two tensors have the same address."""
        root = self._root(index)
        both = (self._graph.tensors[one].memory is Memory.ARENA for one in (index, other, root))
        return root == self._root(other) and all(both)

    def reset(self) -> None:
        """Drops the places of all tensors (``ResetAllocations``)."""
        self.arena.clear()
        self.persistent.clear()
        self.allocations = {}
        self._last_active = NEVER

    def execute(self, first: int, last: int) -> None:
        """Places the tensors of prepared nodes, ``last`` included (``ExecuteAllocations``)."""
        for node in self._graph.nodes[first : last + 1]:
            for index in node.temporaries:
                self.first_node[index] = self.last_node[index] = node.index
                self._of_node[node.index][index] = None
        self._place(first, last)
        self.arena.commit()
        self.persistent.commit()

    def _place(self, first: int, last: int) -> None:
        tensors = self._graph.tensors
        waiting = [index for of_node in self._of_node[first : last + 1] for index in of_node]
        chosen = [index for index in waiting if self._to_place(index, tensors[index])]
        if chosen:
            if first < self._last_active:
                self.arena.forget_allocations()
            else:
                self.arena.purge(first)
            for index in sorted(chosen, key=self._order):
                self._place_one(index, tensors)
        self._last_active = last

    def _to_place(self, index: int, tensor: RuntimeTensor) -> bool:
        if tensor.memory is Memory.PERSISTENT:
            return True
        there = self.allocations.get(index)
        return tensor.memory is Memory.ARENA and (there.size if there else 0) < tensor.bytes

    def _order(self, index: int) -> tuple[int, int, int, int]:
        """Sorts tensors that live for the whole inference first, then by size, first node, and index."""
        first = self.first_node.get(index, NEVER)
        if first == 0 and index not in self.last_node:
            return (0, 0, 0, index)
        return (1, -self._graph.tensors[index].bytes, first, index)

    def _place_one(self, index: int, tensors: list[RuntimeTensor]) -> None:
        tensor = tensors[index]
        root = self.shared.get(index)
        if root is not None:
            if tensors[root].memory is Memory.ARENA and tensors[root].bytes == tensor.bytes:
                return
            del self.shared[index]
        first, last = self.first_node.get(index, NEVER), self.last_node.get(index, NEVER)
        if tensor.memory is Memory.ARENA:
            self.allocations[index] = self.arena.allocate(tensor.bytes, first, last)
        elif self.allocations.get(index, Allocation(0, 0, 0, 0)).size == 0 and tensor.bytes:
            self.allocations[index] = self.persistent.allocate(tensor.bytes, first, NEVER)
