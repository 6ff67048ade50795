"""Profiling programs: the program of a build with an observed runtime, which prints the time of each node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.build.request import ResolvedRequest
from litesmith.build.session import opened
from litesmith.model.analysis import ModelAnalysis


@dataclass(frozen=True, kw_only=True)
class OpTime:
    """All nodes of one op: their number and, for one inference, calls, µs, and share of all nodes' time.

    The time of a node that runs a subgraph (WHILE, IF) excludes the nodes of that subgraph.
    """

    op: str
    nodes: int
    calls: float
    us: float
    share: float


@dataclass(frozen=True, kw_only=True)
class NodeTime:
    """One node, named by its first output tensor; see :class:`OpTime`."""

    subgraph: int
    node: int
    op: str
    name: str
    calls: float
    us: float
    share: float


def profiling_program(resolved: ResolvedRequest) -> Path:
    """Builds the profiling program of a request, without symbols."""
    with opened(resolved) as session:
        return session.builder.stripped(session.project(profiling=True))


def node_times(
    nodes: Sequence[Mapping[str, Any]], runs: int, analysis: ModelAnalysis
) -> tuple[NodeTime, ...]:
    """``nodes`` of a profiling program's JSON, sums over ``runs`` inferences → the times in one of them."""
    whole = sum(node["ns"] for node in nodes) or 1
    return tuple(
        NodeTime(
            subgraph=node["subgraph"],
            node=node["node"],
            op=node["op"],
            name=_name(analysis, node["subgraph"], node["node"]),
            calls=node["calls"] / runs,
            us=node["ns"] / runs / 1000,
            share=node["ns"] / whole,
        )
        for node in nodes
    )


def _name(analysis: ModelAnalysis, subgraph: int, node: int) -> str:
    graph = analysis.subgraphs[subgraph]
    outputs = graph.nodes[node].outputs
    return graph.tensors[outputs[0]].name if outputs and outputs[0] >= 0 else ""


def by_op(nodes: Sequence[NodeTime]) -> tuple[OpTime, ...]:
    """The nodes of each op together, the slowest op first."""
    groups: dict[str, list[NodeTime]] = defaultdict(list)
    for node in nodes:
        groups[node.op].append(node)
    times = (
        OpTime(
            op=op,
            nodes=len(group),
            calls=sum(node.calls for node in group),
            us=sum(node.us for node in group),
            share=sum(node.share for node in group),
        )
        for op, group in groups.items()
    )
    return tuple(sorted(times, key=lambda time: (-time.us, time.op)))
