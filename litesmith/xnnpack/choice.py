"""Profile + models → the nodes that XNNPACK runs: ``kernels: builtin``, ``xnnpack`` or ``auto``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from litesmith.models import Model
from litesmith.ops import Registry
from litesmith.profiles import Profile
from litesmith.samples import EVERYTHING, Choice
from litesmith.xnnpack import delegation
from litesmith.xnnpack.needs import Needs, needs_of
from litesmith.xnnpack.program import Delegates


def for_program(
    profile: Profile, models: Sequence[Model], registry: Registry, choice: Choice = EVERYTHING
) -> Delegates | None:
    """The nodes of all models that XNNPACK takes; None where it is not asked for, or takes none.

    Ops keep their own kernels where the program may be asked for other shapes than the file's.
    """
    if profile.kernels == "builtin":
        return None
    needs: dict[str, Needs] = {}
    nodes, taken = Counter[str](), Counter[str]()
    for model in models:
        found = delegation.prepare(model.analysis, model.path.read_bytes(), registry)
        for graph, part in zip(found.graphs, found.subgraphs, strict=True):
            nodes.update(node.op for node in graph.nodes)
            for index in part.nodes:
                node = graph.nodes[index]
                taken[node.op] += 1
                need = Needs() if index in part.unpacked else needs_of(node)
                needs[node.op] = needs.get(node.op, Needs()) | need
    if not needs:
        return None
    whole = frozenset() if choice.shapes else frozenset(op for op in taken if taken[op] == nodes[op])
    return Delegates(needs=needs, whole=whole)
