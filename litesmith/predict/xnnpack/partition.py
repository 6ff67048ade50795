"""Nodes that the delegate takes → kernels of it, and the order in which everything runs.

This is ``PartitionGraphIntoIndependentNodeSubsets`` of ``graph_info.cc``, version 2.14.1, as
``Subgraph::PartitionGraph`` calls it: greedily, and with an edge from each node that might have side effects
to the next one.  Edges that a model's metadata names are upstream's alone: our programs read no metadata.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from litesmith.runtime.graph import MISSING, RuntimeGraph, RuntimeNode, Subset

_CONTROL_FLOW = frozenset({"IF", "WHILE", "CALL_ONCE"})

_NOT_READY = -1
_ALWAYS_READY = -2


def plan(graph: RuntimeGraph, taken: Collection[int]) -> tuple[Subset, ...]:
    """The nodes of a subgraph in subsets, in the order in which they run; ``taken`` are the delegate's."""
    if not taken:
        # Nothing is replaced, so nothing is reordered.
        return ()
    return _Partitioning(graph, taken).run()


def _might_have_side_effect(node: RuntimeNode) -> bool:
    """``OpMightHaveSideEffect``."""
    tensors = (node.tensors[index] for index in (*node.inputs, *node.outputs) if index != MISSING)
    return any(tensor.dtype == "resource" for tensor in tensors) or (
        node.op in _CONTROL_FLOW and not node.own
    )


def _there(indices: Iterable[int]) -> list[int]:
    return [index for index in indices if index != MISSING]


@dataclass
class _Epoch:
    """A subset in the making."""

    taken: bool
    nodes: list[int] = field(default_factory=list)
    inputs: set[int] = field(default_factory=set)
    outputs: set[int] = field(default_factory=set)


class _Partitioning:
    def __init__(self, graph: RuntimeGraph, taken: Collection[int]) -> None:
        self._graph = graph
        self._taken = frozenset(taken)
        self._epochs: list[_Epoch] = []
        made = (index for node in graph.nodes for index in _there(node.outputs))
        self._epoch_of = dict.fromkeys(made, _NOT_READY)
        chain = [node.index for node in graph.nodes if _might_have_side_effect(node)]
        self._after = dict(zip(chain[1:], chain, strict=False))
        self._left = list(graph.nodes)

    def run(self) -> tuple[Subset, ...]:
        # What is in a circle never gets ready.
        while self._left and self._next_epoch():
            pass
        for index in _there(self._graph.outputs):
            epoch = self._epoch_of.get(index, _ALWAYS_READY)
            if epoch >= 0:
                self._epochs[epoch].outputs.add(index)
        return tuple(
            Subset(
                nodes=tuple(one.nodes),
                inputs=tuple(sorted(one.inputs)),
                outputs=tuple(sorted(one.outputs)),
                delegated=one.taken,
            )
            for one in self._epochs
        )

    def _next_epoch(self) -> bool:
        """Takes what is ready and of the kind of the first ready node, again and again."""
        first = next((node for node in self._left if self._ready(node)), None)
        if first is None:
            return False
        epoch = _Epoch(taken=first.index in self._taken)
        self._epochs.append(epoch)
        before = None
        while before != len(self._left):
            before = len(self._left)
            self._left = [node for node in self._left if not self._add(node, epoch)]
        return True

    def _ready(self, node: RuntimeNode) -> bool:
        waits = any(self._epoch_of.get(index) == _NOT_READY for index in _there(node.inputs))
        return not waits and self._after.get(node.index) is None

    def _add(self, node: RuntimeNode, epoch: _Epoch) -> bool:
        if (node.index in self._taken) is not epoch.taken or not self._ready(node):
            return False
        current = len(self._epochs) - 1
        epoch.nodes.append(node.index)
        for index in _there(node.outputs):
            self._epoch_of[index] = current
        for index in _there(node.inputs):
            source = self._epoch_of.get(index, _ALWAYS_READY)
            if source != current:
                epoch.inputs.add(index)
                if source >= 0:
                    self._epochs[source].outputs.add(index)
        for later, earlier in list(self._after.items()):
            if earlier == node.index:
                del self._after[later]
        return True
