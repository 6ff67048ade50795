"""What the kernels of this runtime cannot do although the op is there.

A kernel finds out while a model is prepared or run: it ends with an error or an abort, or answers wrongly.
The limits here say so before anything is built.  Each was read in the kernel that it names
(``tensorflow/lite/kernels``, the revision of :mod:`litesmith.runtime.pins`).  Shapes that only a run
decides are not judged.

To add a limit, read ``Prepare`` and the branches of ``Eval`` that end in an error or read a tensor as another
dtype, write the check in the module of the op's family, and add a model that it refuses to
``tests/refused_models.py``, and one beside it that runs to ``tests/kernel_models.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from litesmith.model.analysis import ModelAnalysis, OperatorCode
from litesmith.runtime.kernel_limits import (
    activations,
    conversions,
    convolutions,
    elementwise,
    indexing,
    matrices,
    others,
    recurrent,
    reductions,
    shapes,
)
from litesmith.runtime.kernel_limits.limit import Limit
from litesmith.runtime.kernel_limits.node import KernelNode

_FAMILIES = (
    *(activations, conversions, convolutions, elementwise, indexing),
    *(matrices, others, recurrent, reductions, shapes),
)

LIMITS: Mapping[str, tuple[Limit, ...]] = {
    op: limits for family in _FAMILIES for op, limits in family.LIMITS.items()
}
"""The limits of all ops that have some, by op."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A node that its kernel cannot run: the op, a message that names node and tensor, and what to do."""

    op: str
    message: str
    advice: str


def refusals(model: ModelAnalysis, upstream_name: Callable[[OperatorCode], str | None]) -> Iterator[Refusal]:
    """The nodes of a model that their kernels cannot run, each with its first reason.

    ``upstream_name`` names the op of a code; None for ops whose kernel is not upstream's.
    """
    for number, subgraph in enumerate(model.subgraphs):
        for index, node in enumerate(subgraph.nodes):
            op = upstream_name(model.operator_codes[node.opcode_index])
            if op is None:
                continue
            seen = KernelNode.of(model, op, number, index)
            for limit in LIMITS.get(op, ()):
                reason = limit.check(seen)
                if reason is not None:
                    yield Refusal(
                        op=op,
                        message=f"node {index} of subgraph {number}, {op}: {reason}",
                        advice=limit.advice,
                    )
                    break
