"""The nodes that the delegate takes → its kernels, and the order in which all nodes run.

This is ``PartitionGraphIntoIndependentNodeSubsets`` of ``graph_info.cc`` of TensorFlow Lite 2.14.1, as
``Subgraph::PartitionGraph`` calls it: greedy, and with an edge from each node that might have side effects to
the next one.  Control edges in a model's metadata are not considered: programs read no metadata.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from litesmith.runtime.graph import MISSING, RuntimeGraph, RuntimeNode, Subset

_CONTROL_FLOW = frozenset({"IF", "WHILE", "CALL_ONCE"})

_NOT_READY = -1
_ALWAYS_READY = -2


def plan(graph: RuntimeGraph, taken: Collection[int]) -> tuple[Subset, ...]:
    """The subsets of a subgraph's nodes, in order of execution; ``taken`` are the delegate's nodes."""
    if not taken:
        # Nothing is replaced, so the order stays.
        return ()
    return _Partitioning(graph, taken).run()


def _might_have_side_effect(node: RuntimeNode) -> bool:
    """``OpMightHaveSideEffect``."""
    tensors = (node.tensors[index] for index in (*node.inputs, *node.outputs) if index != MISSING)
    return any(tensor.dtype == "resource" for tensor in tensors) or (
        node.op in _CONTROL_FLOW and not node.own
    )


def _present(indices: Iterable[int]) -> list[int]:
    return [index for index in indices if index != MISSING]


@dataclass
class _Epoch:
    """A subset that nodes are being added to (an epoch of ``graph_info.cc``)."""

    taken: bool
    nodes: list[int] = field(default_factory=list)
    inputs: set[int] = field(default_factory=set)
    outputs: set[int] = field(default_factory=set)


class _Partitioning:
    def __init__(self, graph: RuntimeGraph, taken: Collection[int]) -> None:
        self._graph = graph
        self._taken = frozenset(taken)
        self._epochs: list[_Epoch] = []
        made = (index for node in graph.nodes for index in _present(node.outputs))
        self._epoch_of = dict.fromkeys(made, _NOT_READY)
        chain = [node.index for node in graph.nodes if _might_have_side_effect(node)]
        self._after = dict(zip(chain[1:], chain, strict=False))
        self._remaining = list(graph.nodes)

    def run(self) -> tuple[Subset, ...]:
        # Nodes in a cycle never get ready.
        while self._remaining and self._next_epoch():
            pass
        for index in _present(self._graph.outputs):
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
        """Starts a subset with the first ready node, and adds what is ready and of the same kind."""
        first = next((node for node in self._remaining if self._ready(node)), None)
        if first is None:
            return False
        epoch = _Epoch(taken=first.index in self._taken)
        self._epochs.append(epoch)
        before = None
        while before != len(self._remaining):
            before = len(self._remaining)
            self._remaining = [node for node in self._remaining if not self._add(node, epoch)]
        return True

    def _ready(self, node: RuntimeNode) -> bool:
        waits = any(self._epoch_of.get(index) == _NOT_READY for index in _present(node.inputs))
        return not waits and self._after.get(node.index) is None

    def _add(self, node: RuntimeNode, epoch: _Epoch) -> bool:
        if (node.index in self._taken) is not epoch.taken or not self._ready(node):
            return False
        current = len(self._epochs) - 1
        epoch.nodes.append(node.index)
        for index in _present(node.outputs):
            self._epoch_of[index] = current
        for index in _present(node.inputs):
            source = self._epoch_of.get(index, _ALWAYS_READY)
            if source != current:
                epoch.inputs.add(index)
                if source >= 0:
                    self._epochs[source].outputs.add(index)
        for later, earlier in list(self._after.items()):
            if earlier == node.index:
                del self._after[later]
        return True
