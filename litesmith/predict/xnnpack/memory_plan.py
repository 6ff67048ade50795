"""A subgraph of XNNPACK → the size of its workspace: ``src/memory-planner.c`` with ``XNN_ENABLE_MEMOPT``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from litesmith.predict.xnnpack.operator_workspace import EXTRA_BYTES, Cpu
from litesmith.predict.xnnpack.subgraph import IN_PLACE, Node, XnnpackSubgraph


@dataclass(slots=True, kw_only=True)
class _Usage:
    """``xnn_usage_record``: the first and the last node between which a value is in memory, and its place."""

    size: int
    first: int
    last: int
    offset: int = 0

    def overlaps(self, other: _Usage) -> bool:
        """``value_lifecycle_overlap``."""
        return self.last >= other.first and other.last >= self.first


def workspace_size(subgraph: XnnpackSubgraph, cpu: Cpu) -> int:
    """Bytes of the workspace: ``xnn_plan_memory``."""
    usages = _usages(subgraph, cpu)
    _run_in_place(subgraph, usages)
    operators = [
        _Usage(size=cpu.rounded(node.workspace), first=number, last=number)
        for number, node in enumerate(subgraph.nodes)
    ]
    placed = [usage for usage in (*usages.values(), *operators) if usage.size]
    size = _place(sorted(placed, key=lambda usage: (-usage.size, usage.first - usage.last)))
    return size + 2 * EXTRA_BYTES if size else 0


def _usages(subgraph: XnnpackSubgraph, cpu: Cpu) -> dict[int, _Usage]:
    """``populate_value_lifecycle``."""
    usages: dict[int, _Usage] = {}
    for number, node in enumerate(subgraph.nodes):
        for index in (*node.inputs, *node.outputs):
            if subgraph.values[index].internal:
                value = subgraph.values[index]
                size = cpu.rounded(value.size)
                if value.parameters:
                    size += cpu.run_time_scales(value.parameters)
                usages.setdefault(index, _Usage(size=size, first=number, last=number)).last = number
    return dict(sorted(usages.items()))


def _run_in_place(subgraph: XnnpackSubgraph, usages: dict[int, _Usage]) -> None:
    """``optimize_tensor_allocation_for_in_place_operations``."""
    root: dict[int, int] = {}
    for node in subgraph.nodes:
        source = next((i for i in node.inputs if _can_be_reused(subgraph, i, node)), None)
        if source is None:
            continue
        target = node.outputs[0]
        # XNNPACK knows only the first consumer of a value.
        if subgraph.values[target].consumers == 1:
            root[target] = root.get(source, source)
            usages[target].size = 0
            usages[root[target]].last = subgraph.values[target].first_consumer


def _can_be_reused(subgraph: XnnpackSubgraph, index: int, node: Node) -> bool:
    """``input_memory_can_be_reused``."""
    if node.op not in IN_PLACE:
        return False
    source, target = subgraph.values[index], subgraph.values[node.outputs[0]]
    return source.internal and target.internal and source.consumers == 1 and source.size == target.size


def _place(usages: Sequence[_Usage]) -> int:
    """``xnn_plan_value_allocation_tracker``: places each value in the smallest gap that is large enough."""
    size = 0
    for number, usage in enumerate(usages):
        blocks = [
            (other.offset, other.offset + other.size) for other in usages[:number] if other.overlaps(usage)
        ]
        usage.offset = _gap(sorted(blocks), usage.size)
        size = max(size, usage.offset + usage.size)
    return size


def _gap(blocks: Sequence[tuple[int, int]], size: int) -> int:
    """``find_value_alloc_offset``, which ignores a gap before the first block."""
    if not blocks:
        return 0
    best, smallest = 0, math.inf
    end = blocks[0][1]
    for start, following in blocks:
        if size <= start - end < smallest:
            best, smallest = end, start - end
        end = max(end, following)
    return end if smallest == math.inf else best
