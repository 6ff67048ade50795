"""The memory of packed weights: copies of the weights, in the order in which the micro-kernels read them.

The formulas are those of XNNPACK's ``src/operators``; a program reports the same in ``packed_weights_bytes``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from litesmith.predict.xnnpack.quantization import blocks
from litesmith.runtime.graph import RuntimeNode
from litesmith.runtime.xnnpack import source_index
from litesmith.runtime.xnnpack.matrices import strides
from litesmith.runtime.xnnpack.required import RequiredMicrokernels
from litesmith.runtime.xnnpack.requirements import requirements_of
from litesmith.runtime.xnnpack.source_index import SourceIndex
from litesmith.target.instruction_sets import Architecture

_BIAS = 4
_SCALE = 4
_SCALE_OF_A_BLOCK = 2
_ALIGNMENT = {"x86_64": 64}
_LEAST_ALIGNMENT = 16
_PLANES = 2
_WIDTHS = {"float32": 4, "int8": 1, "uint8": 1}
_MATRIX_KINDS = frozenset({"gemm", "gemm1", "igemm", "igemm1"})

_GEMM = re.compile(r"_i?gemm_minmax\w*?_ukernel_(\d+)x(\d+)(?:c(\d+))?(?:s(\d+))?__")
_DWCONV = re.compile(r"_ukernel_(\d+)p(\d+)c")
_CHANNELS = re.compile(r"_ukernel_c(\d+)__")


def packed_weights(nodes: Iterable[RuntimeNode], architecture: Architecture, level: str) -> int:
    """Bytes of the nodes' packed weights on a CPU whose best instruction set is ``level``."""
    known = source_index.load()
    return sum(_packed(known, node, architecture, level) for node in nodes)


def most_packed_weights(
    nodes: Sequence[RuntimeNode], architecture: Architecture, levels: Sequence[str]
) -> int:
    """The same for the CPU that needs most, of the instruction sets among which a program chooses."""
    return max(packed_weights(nodes, architecture, level) for level in levels)


_WITH_WEIGHTS = frozenset(
    {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
)


def _packed(known: SourceIndex, node: RuntimeNode, architecture: Architecture, level: str) -> int:
    if node.op not in _WITH_WEIGHTS or node.own or not node.of(1).fixed:
        return 0
    required = next(
        one
        for one in sorted(requirements_of(node).microkernels)
        if one.kind in _MATRIX_KINDS | {"dwconv"} or "vmulcaddc" in one.config
    )
    symbols = known.hardware[architecture][required.config][level]
    alignment = _ALIGNMENT.get(architecture, _LEAST_ALIGNMENT)
    return _round_up(_unaligned(node, required, symbols), alignment)


def gemm_tile(symbols: Iterable[str]) -> tuple[int, int]:
    """The columns that the GEMM micro-kernels of a configuration compute at once, and a step of depth."""
    return max((int(m[2]), int(m[3] or 1) * int(m[4] or 1)) for m in map(_GEMM.search, symbols) if m)


def packed_product(node: RuntimeNode, symbols: Iterable[str]) -> int:
    """Bytes of the packed second input of BATCH_MATMUL: ``batch-matrix-multiply-nc.c``."""
    columns, depth = gemm_tile(symbols)
    *batches, rows, width = node.dims(1)
    outputs, inputs = (rows, width) if node.options.boolean("adj_y") else (width, rows)
    row = _row_bytes(node.of(1).dtype, inputs, depth) + _BIAS + _extra(node)
    return math.prod(batches) * row * _round_up(outputs, columns)


def _unaligned(node: RuntimeNode, required: RequiredMicrokernels, symbols: Sequence[str]) -> int:
    weights = node.of(1)
    if required.kind == "dwconv":
        width, extra = _WIDTHS[weights.dtype], _SCALE if weights.dtype == "int8" else 0
        tiles = sorted((int(m[1]), int(m[2])) for one in symbols if (m := _DWCONV.search(one)))
        taps, channels = next(tile for tile in tiles if tile[0] >= required.taps)
        return (taps * width + _BIAS + extra) * _round_up(weights.dims[-1], channels)
    if required.kind not in _MATRIX_KINDS:
        tile = next(int(m[1]) for one in symbols if (m := _CHANNELS.search(one)))
        return (_WIDTHS[weights.dtype] + _BIAS) * _round_up(weights.dims[-1], tile)
    if node.op == "BATCH_MATMUL":
        return packed_product(node, symbols)
    columns, depth = gemm_tile(symbols)
    if node.op == "FULLY_CONNECTED":
        outputs, inputs, taps, groups = weights.dims[0], weights.dims[1], 1, 1
    elif node.op == "DEPTHWISE_CONV_2D":
        groups = node.dims(0)[-1]
        outputs, inputs, taps = weights.dims[-1] // groups, 1, math.prod(weights.dims[1:3])
    else:
        inputs, taps = weights.dims[3], math.prod(weights.dims[1:3])
        groups = 1 if node.op == "TRANSPOSE_CONV" else node.dims(0)[-1] // max(inputs, 1)
        outputs = weights.dims[0] // max(groups, 1)
    phases = 1
    if node.op == "TRANSPOSE_CONV":
        steps = strides(node)
        if max(steps) > 1 and all(s <= k for s, k in zip(steps, weights.dims[1:3], strict=True)):
            # A smaller convolution for each phase of the output, each with its own bias.
            phases = math.prod(steps)
    row = taps * _row_bytes(weights.dtype, inputs, depth) + (_BIAS + _extra(node)) * phases
    return row * _round_up(outputs, columns) * groups


def _row_bytes(dtype: str, inputs: int, depth: int) -> int:
    """One tap of one output channel."""
    if dtype == "int4":
        # The two halves of a byte belong to different groups of inputs, if the kernel has two planes.
        return _round_up(_round_up(inputs, depth * _PLANES), 2) // 2
    return _round_up(inputs, depth) * _WIDTHS[dtype]


def _extra(node: RuntimeNode) -> int:
    """``extra_weights_bytes`` of an output channel: its scale, and a float bias beside the sum of weights."""
    weights = node.of(1)
    if weights.dtype not in {"int4", "int8"}:
        return 0
    block = blocks(weights)
    if block is not None:
        return _BIAS + _SCALE_OF_A_BLOCK * (weights.dims[1] // block.size)
    image = node.of(2 if node.op == "TRANSPOSE_CONV" else 0)
    return _SCALE if image.dtype == "int8" else _SCALE + _BIAS


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
