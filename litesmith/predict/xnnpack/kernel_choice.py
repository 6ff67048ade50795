"""Profile + models → which kernels run the nodes: ``kernels: builtin``, ``xnnpack`` or ``auto``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litesmith.base.errors import UsageError
from litesmith.model.entry_points import EVERYTHING, Choice
from litesmith.model.model_file import Model
from litesmith.predict import work
from litesmith.predict.xnnpack import delegation
from litesmith.predict.xnnpack.delegation import DelegatedSubgraph, Delegation
from litesmith.runtime.graph import MISSING, Subset
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.required import Requirements
from litesmith.runtime.xnnpack.requirements import requirements_of
from litesmith.target import instruction_sets
from litesmith.target.profiles import Profile

LEAST_SHARE = 0.5
"""The least share of a model's multiply-accumulates in nodes that XNNPACK takes, for ``auto`` to use it."""

_OPS = 4
"""The number of ops that are named for a reason."""

_REASONS = 2
"""The number of reasons that are named for a model of which XNNPACK takes no node."""

_VECTORS = frozenset({"sse4.1", "neon"})


@dataclass(frozen=True, kw_only=True)
class DelegatedModel:
    """A model and the nodes that the delegate takes of it.

    ``share`` is the share of its multiply-accumulates in these nodes, None where it has none.
    """

    path: str
    subgraphs: tuple[DelegatedSubgraph, ...]
    delegation: Delegation
    share: float | None

    @property
    def declined(self) -> str:
        """Why XNNPACK takes no node, in one line that begins with that; empty if it takes some.

        Names the reasons that hold for most nodes, each with its ops.
        """
        if any(one.nodes for one in self.subgraphs):
            return ""
        ops: dict[str, Counter[str]] = {}
        for one, graph in zip(self.subgraphs, self.delegation.graphs, strict=True):
            for node, reason in one.stays.items():
                ops.setdefault(reason, Counter())[graph.nodes[node].op] += 1
        if not ops:
            return f"XNNPACK takes no node of {self.path}: it has none"
        ranked = sorted(ops.items(), key=lambda item: -item[1].total())
        named = [f"{reason} ({_names(found)})" for reason, found in ranked[:_REASONS]]
        rest = sum(found.total() for _, found in ranked[_REASONS:])
        if rest:
            named.append(f"{rest} more node{'' if rest == 1 else 's'} for other reasons")
        return f"XNNPACK takes no node of {self.path}: {'; '.join(named)}"

    def to_json(self) -> dict[str, Any]:
        """An entry of ``kernels.models`` in ``manifest.json``."""
        return {
            "path": self.path,
            "nodes": sum(len(one.nodes) + len(one.stays) for one in self.subgraphs),
            "xnnpack": sum(len(one.nodes) for one in self.subgraphs),
            "share_of_macs": None if self.share is None else round(self.share, 4),
            "subgraphs": [
                {
                    "subgraph": one.subgraph,
                    "xnnpack": one.nodes,
                    "while_loading": one.unpacked,
                    "partitions": one.partitions,
                    "stays": {str(node): reason for node, reason in one.stays.items()},
                }
                for one in self.subgraphs
            ],
        }


@dataclass(frozen=True, kw_only=True)
class KernelChoice:
    """The kernels that run the nodes of a program's models, and why.

    ``delegated_ops`` is None where XNNPACK runs no node; ``models`` is empty where the built-in kernels were
    asked for.
    """

    asked: str
    reason: str
    models: tuple[DelegatedModel, ...]
    delegated_ops: DelegatedOps | None

    def to_json(self) -> dict[str, Any]:
        """``kernels`` of ``manifest.json``, without the part of XNNPACK that is in the program."""
        return {
            "asked": self.asked,
            "chosen": "xnnpack" if self.delegated_ops else "builtin",
            "reason": self.reason,
            "models": [model.to_json() for model in self.models],
            "without_kernel": sorted(self.delegated_ops.fully_delegated) if self.delegated_ops else [],
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """A line for each model of which XNNPACK was asked to take nodes, and takes none."""
        if self.asked != "xnnpack":
            return ()
        return tuple(model.declined for model in self.models if model.declined)

    @property
    def plans(self) -> Mapping[str, tuple[tuple[Subset, ...], ...]]:
        """The order of execution of each delegated model, by its path, for the arena's prediction."""
        return {model.path: model.delegation.plans for model in self.models} if self.delegated_ops else {}


def choose(
    profile: Profile, models: Sequence[Model], registry: Registry, choice: Choice = EVERYTHING
) -> KernelChoice:
    """The kernels that run the nodes of the models in one program.

    Ops keep their built-in kernels where the program may be given other shapes than the file's, and where
    the file does not have the shapes of their outputs.
    """
    if profile.kernels == "builtin":
        return KernelChoice(asked="builtin", reason="as asked", models=(), delegated_ops=None)
    found = tuple(_delegated(model, registry) for model in models)
    delegated_ops = _delegated_ops(models, found, choice)
    reason = "as asked"
    if delegated_ops is None:
        reason = "; ".join(model.declined for model in found)
    elif profile.kernels == "auto":
        delegated_ops, reason = _automatic(profile, found, delegated_ops)
    return KernelChoice(asked=profile.kernels, reason=reason, models=found, delegated_ops=delegated_ops)


def _names(ops: Counter[str]) -> str:
    """Ops and their numbers of nodes, the most frequent first: ``4 CONV_2D, 1 ADD and 2 more ops``."""
    most = ops.most_common()
    more = f" and {len(most) - _OPS} more ops" if len(most) > _OPS else ""
    return ", ".join(f"{count} {op}" for op, count in most[:_OPS]) + more


def _automatic(
    profile: Profile, models: Sequence[DelegatedModel], delegated_ops: DelegatedOps
) -> tuple[DelegatedOps | None, str]:
    known = instruction_sets.closed(profile.architecture, profile.instruction_sets)
    if not any(one.name in _VECTORS for one in known):
        return None, f"XNNPACK has no vector kernels for {profile.architecture}"
    for model in models:
        if model.share is None or model.share < LEAST_SHARE:
            share = f"{model.share:.0%} of the MACs" if model.share is not None else "no MACs"
            return None, f"XNNPACK takes {share} of {model.path}, less than {LEAST_SHARE:.0%}"
    least = min(model.share or 0 for model in models)
    return (
        delegated_ops,
        f"XNNPACK takes at least {least:.0%} of each model's MACs; {LEAST_SHARE:.0%} are enough",
    )


def _delegated(model: Model, registry: Registry) -> DelegatedModel:
    found = delegation.prepare(model.analysis, model.content, registry)
    try:
        shapes = [[tensor.dims for tensor in graph.tensors] for graph in found.graphs]
        nodes = work.count(model.analysis, registry, shapes).nodes
    except UsageError:
        nodes = ()
    taken = {(one.subgraph, node) for one in found.subgraphs for node in one.nodes}
    macs = sum(node.macs for node in nodes)
    delegated = sum(node.macs for node in nodes if (node.subgraph, node.node) in taken)
    return DelegatedModel(
        path=model.analysis.path,
        subgraphs=found.subgraphs,
        delegation=found,
        share=delegated / macs if macs else None,
    )


def _delegated_ops(
    models: Sequence[Model], found: Sequence[DelegatedModel], choice: Choice
) -> DelegatedOps | None:
    requirements: dict[str, set[Requirements]] = {}
    nodes, taken = Counter[str](), Counter[str]()
    shaped = not choice.shapes
    for model, one in zip(models, found, strict=True):
        for subgraph, (graph, part) in enumerate(zip(one.delegation.graphs, one.subgraphs, strict=True)):
            stored = model.analysis.subgraphs[subgraph].tensors
            nodes.update(node.op for node in graph.nodes)
            for index in part.also_unpacked:
                requirements.setdefault(graph.nodes[index].op, set()).add(Requirements())
            for index in part.nodes:
                node = graph.nodes[index]
                taken[node.op] += 1
                outputs = (i for i in node.outputs if i != MISSING)
                shaped = shaped and all(graph.tensors[i].dims == stored[i].allocated_shape for i in outputs)
                required = Requirements() if index in part.unpacked else requirements_of(node)
                requirements.setdefault(node.op, set()).add(required)
    if not requirements:
        return None
    fully_delegated = (op for op in taken if taken[op] == nodes[op])
    return DelegatedOps(
        requirements={op: frozenset(found) for op, found in requirements.items()},
        fully_delegated=frozenset(fully_delegated if shaped else ()),
    )
