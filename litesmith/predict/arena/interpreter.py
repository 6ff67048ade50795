"""All subgraphs of a model, allocated and run once: ``Interpreter`` of ``core/interpreter.cc``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litesmith.predict.arena.control_flow import CONTROL
from litesmith.predict.arena.subgraph import State, Subgraph
from litesmith.predict.arena.unknown import Unknown
from litesmith.runtime.graph import Dims, RuntimeGraph, Subset


class Interpreter:
    """All subgraphs of a model, and what was found out while they ran.

    ``share`` is the part of its largest possible size that a tensor of unknown size has.
    """

    def __init__(self, path: str, graphs: Sequence[RuntimeGraph], share: float = 1) -> None:
        self._state = State(path=path, control=CONTROL, share=share)
        self._state.subgraphs += [Subgraph(self._state, index, graph) for index, graph in enumerate(graphs)]

    @property
    def subgraphs(self) -> Sequence[Subgraph]:
        """In the order of the file."""
        return self._state.subgraphs

    def run(self, entry: int, shapes: Mapping[int, Dims], plans: Sequence[Sequence[Subset]] = ()) -> None:
        """Allocates and runs the subgraph ``entry`` once; ``shapes`` are those of its inputs, by tensor.

        ``plans`` are what a delegate has made of the nodes of each subgraph; nodes run in the order of the
        file where they are empty.
        """
        main = self.subgraphs[entry]
        for index, dims in shapes.items():
            main.graph.tensors[index].resize(dims)
        # Backwards: the bodies of control flow come after their callers.
        for subgraph, plan in reversed(list(zip(self.subgraphs, plans, strict=False))):
            subgraph.delegate(plan)
        # A program also allocates the first subgraph when it runs a signature of another one.
        for number in dict.fromkeys((0, entry)):
            self.subgraphs[number].allocate(0)
        main.invoke(0, certain=True)

    def unknown(self) -> tuple[Unknown, ...]:
        """The nodes whose memory is unknown; those on the heap only if an arena depends on them."""
        affected = any(subgraph.is_affected() for subgraph in self.subgraphs)
        return tuple(one for one in self._state.unknown.values() if affected or not one.on_heap)
