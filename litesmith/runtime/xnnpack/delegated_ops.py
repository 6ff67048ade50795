"""The ops of a program of which XNNPACK runs nodes, and what these nodes require of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.runtime.xnnpack.required import Requirements

ONLY_DELEGATED = "litesmith::OnlyDelegated"
"""The registration of an op that has no kernel of its own."""


@dataclass(frozen=True, kw_only=True)
class DelegatedOps:
    """The ops of which XNNPACK runs nodes, in all models of a program.

    ``requirements`` maps an op's name to the different requirements of its delegated nodes.
    ``fully_delegated`` names the ops that have no other nodes: their built-in kernels are left out.
    """

    requirements: Mapping[str, frozenset[Requirements]]
    fully_delegated: frozenset[str]

    def without_kernels(self, chosen: Selection) -> Selection:
        """The selection, with no built-in kernel for the fully delegated ops."""
        return dataclasses.replace(chosen, ops=tuple(self._without_kernel(op) for op in chosen.ops))

    def _without_kernel(self, op: SelectedOp) -> SelectedOp:
        if op.custom or op.name not in self.fully_delegated:
            return op
        return dataclasses.replace(op, registration=ONLY_DELEGATED, sources=())
