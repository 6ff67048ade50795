"""The memory of XNNPACK's workspaces: the values between its nodes, in a program that runs with one thread.

Each subgraph of a model has one workspace, which the delegate's kernels share.  It grows to what the largest
partition needs while the model is loaded; a program reports the same in ``workspace_bytes``.
"""

from __future__ import annotations

from collections.abc import Sequence

from litesmith.predict.xnnpack.delegation import DelegatedSubgraph, Delegation
from litesmith.predict.xnnpack.memory_plan import workspace_size
from litesmith.predict.xnnpack.operator_workspace import Cpu
from litesmith.predict.xnnpack.subgraph import XnnpackSubgraph
from litesmith.runtime.graph import RuntimeGraph
from litesmith.target.instruction_sets import KNOWN, Architecture


def workspace_bytes(
    delegation: Delegation,
    architecture: Architecture,
    levels: Sequence[str] = (),
) -> int:
    """Bytes of the workspaces of all subgraphs.

    ``levels`` are the instruction sets among which a program chooses, by default all of the architecture.
    They matter to FULLY_CONNECTED nodes with computed weights; the result is that of the largest one.
    """
    known = levels or [one.name for one in KNOWN[architecture]]
    return max(
        sum(
            _of_subgraph(graph, part, Cpu(architecture=architecture, level=level))
            for graph, part in zip(delegation.graphs, delegation.subgraphs, strict=True)
        )
        for level in known
    )


def _of_subgraph(graph: RuntimeGraph, part: DelegatedSubgraph, cpu: Cpu) -> int:
    partitions = (XnnpackSubgraph(graph, part, subset, cpu) for subset in part.plan if subset.delegated)
    return max((workspace_size(partition, cpu) for partition in partitions), default=0)
