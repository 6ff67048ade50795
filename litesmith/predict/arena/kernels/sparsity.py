"""Temporaries for sparse weights."""

from __future__ import annotations

from litesmith.model.tables import Table
from litesmith.predict.arena.kernels.kernel import kept
from litesmith.runtime.graph import RuntimeTensor, Scratch


def ledger(weights: RuntimeTensor) -> Scratch:
    """The blocks of sparse weights that are not zero: one byte for each block, and one for each row."""
    size = 0
    if weights.sparsity is not None:
        for position, dimension in enumerate(weights.sparsity.tables("dim_metadata")):
            if position == 1:
                rows = _sparse_length(dimension.union("array_segments"))
                blocks = _sparse_length(dimension.union("array_indices"))
                size = blocks + rows - 1
    return kept("ledger", "uint8", (size,))


def _sparse_length(vector: Table | None) -> int:
    return vector.length("values") if vector is not None else 0
