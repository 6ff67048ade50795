"""Products and diagonals of matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping

from litesmith.predict.arena.kernels.kernel import Kernel, Temporaries, in_arena, kept
from litesmith.predict.arena.kernels.sparsity import ledger
from litesmith.runtime.graph import Dims, Memory, RuntimeNode


def _fully_connected(node: RuntimeNode) -> None:
    dims, (units, depth) = node.dims(0), node.dims(1)
    if depth and math.prod(dims) % depth:
        raise ValueError(f"{dims} cannot be split into rows of {depth}")
    if node.options.boolean("keep_num_dims"):
        node.resize(0, (*dims[:-1], units))
    else:
        batch = math.prod(dims) // depth if depth else math.prod(dims[:-1])
        node.resize(0, (batch, units))


def _batch_matmul(node: RuntimeNode) -> None:
    left, right = node.dims(0), node.dims(1)
    rank = max(len(left), len(right))
    left, right = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    batches = [b if a == 1 else a for a, b in zip(left[:-2], right[:-2], strict=True)]
    rows = left[-1] if node.options.boolean("adj_x") else left[-2]
    columns = right[-2] if node.options.boolean("adj_y") else right[-1]
    node.resize(0, (*batches, rows, columns))


def _matrix_diag(node: RuntimeNode) -> None:
    node.resize(0, (*node.dims(0), node.dims(0)[-1]))


def _swapped(dims: Dims) -> Dims:
    return (*dims[:-2], dims[-1], dims[-2])


def _batch_matmul_temporaries(node: RuntimeNode) -> Temporaries:
    left, right = node.of(0), node.of(1)
    transposed = kept if right.memory is Memory.CONSTANT else in_arena
    added = [
        in_arena("left, transposed", left.dtype, _swapped(left.dims)),
        transposed("right, transposed", right.dtype, _swapped(right.dims)),
    ]
    if left.dtype != "float32" or right.dtype != "int8":
        return added
    rows = left.dims[-1] if node.options.boolean("adj_x") else left.dims[-2]
    units = right.dims[-2] if node.options.boolean("adj_y") else right.dims[-1]
    vectors = math.prod(left.dims[:-2]) * rows
    return [
        *added,
        in_arena("quantised input", right.dtype, left.dims),
        in_arena("scales", "float32", (vectors,)),
        in_arena("accumulators", "int32", (units, rows)),
        in_arena("offsets", "int32", (vectors,)),
        kept("row sums", "int32", (math.prod(right.dims[:-2]) * units,)),
    ]


_FILTER_WIDTH_4_BIT = 4
_FILTER_DEPTH_4_BIT = 32
"""``FilterWidth`` and ``FilterDepth`` of ``optimized/fully_connected_4bit.h``."""


def _fully_connected_temporaries(node: RuntimeNode) -> Temporaries:
    values, weights = node.of(0), node.of(1)
    units, depth = weights.dims
    if values.dtype != "float32" or weights.dtype not in {"uint8", "int8", "int4", "int2"} or not depth:
        return []
    batch = values.elements // depth
    small = batch and depth % 2 == 0 and units >= _FILTER_WIDTH_4_BIT and depth >= _FILTER_DEPTH_4_BIT
    if weights.dtype == "int4" and weights.memory is Memory.CONSTANT and small:
        padded_depth = -(-depth // _FILTER_DEPTH_4_BIT) * _FILTER_DEPTH_4_BIT
        padded_units = -(-units // _FILTER_WIDTH_4_BIT) * _FILTER_WIDTH_4_BIT
        return [
            in_arena("quantised input", "int8", (batch, padded_depth)),
            in_arena("scales", "float32", (batch,)),
            in_arena("accumulators", "int32", (batch, padded_units)),
            in_arena("offsets", "int32", (batch,)),
        ]
    added = [
        in_arena("quantised input", "int8", values.dims),
        in_arena("scales", "float32", (batch,)),
        in_arena("accumulators", "int32", (units, batch)),
        in_arena("offsets", "int32", (batch,)),
        kept("row sums", "int32", (units,)),
    ]
    if weights.sparsity is not None:
        added.append(ledger(weights))
    return added


KERNELS: Mapping[str, Kernel] = {
    "BATCH_MATMUL": Kernel(
        prepare=_batch_matmul,
        temporaries=_batch_matmul_temporaries,
        reserved=7,
        reserves_when_prepared=True,
    ),
    "FULLY_CONNECTED": Kernel(
        prepare=_fully_connected,
        temporaries=_fully_connected_temporaries,
        reserved=6,
        reserves_when_prepared=True,
    ),
    "MATRIX_DIAG": Kernel(prepare=_matrix_diag, dtype_from=0),
}
