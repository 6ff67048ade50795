"""What single operators of XNNPACK need in the workspace, in addition to the values between nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from litesmith.predict.xnnpack.packed_weights import gemm_tile, packed_product
from litesmith.runtime.graph import RuntimeNode, RuntimeTensor
from litesmith.runtime.xnnpack import source_index
from litesmith.target.instruction_sets import Architecture

EXTRA_BYTES = 16
"""``XNN_EXTRA_BYTES``: bytes that micro-kernels may read beyond a value."""

_REDUCTIONS = frozenset({"MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM"})

_ALIGNMENT = {"x86_64": 64}
_LEAST_ALIGNMENT = 16
_ACCUMULATOR = 4
_FLOAT = 4

_EXTRA_PARAMETERS = 15
"""``XNN_EXTRA_QUANTIZATION_PARAMS``: scales that micro-kernels may read beyond those of a value."""

_PARAMETERS = 8
"""Scale and zero point."""


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """A CPU that a program runs on: its architecture and instruction set."""

    architecture: Architecture
    level: str

    def rounded(self, size: int) -> int:
        """``xnn_get_rounded_size``: the alignment covers the bytes that may be read beyond a value."""
        return _round_up(size, _ALIGNMENT.get(self.architecture, _LEAST_ALIGNMENT))

    def run_time_scales(self, rows: int) -> int:
        """Bytes beside a value that is quantised when its node runs, with a scale for each of its rows."""
        extra = _EXTRA_PARAMETERS
        return self.rounded((rows + extra) * _PARAMETERS) + self.rounded((rows + extra) * _FLOAT)

    def operator_workspace(self, node: RuntimeNode, *, static_weights: bool) -> int:
        """Bytes that a node's operator needs in addition to its values.

        ``static_weights`` says whether all inputs but the first are constants.
        """
        source, target = node.of(0), node.tensors[node.outputs[0]]
        if node.op in _REDUCTIONS and source.dtype != "float32":
            accumulator = _ACCUMULATOR if node.op in {"MEAN", "SUM"} else 1
            return target.elements * accumulator + EXTRA_BYTES
        if static_weights:
            return 0
        if node.op == "FULLY_CONNECTED":
            return self._packed(node.of(1))
        if node.op == "BATCH_MATMUL":
            config = "f32_gemm" if source.dtype == "float32" else "qs8_qc8w_gemm"
            return packed_product(node, self._symbols(config))
        return 0

    def _packed(self, weights: RuntimeTensor) -> int:
        """Weights that are packed in every inference, and their bias: ``dynamic-fully-connected-nc.c``."""
        columns, depth = gemm_tile(self._symbols("f32_gemm"))
        return _round_up(weights.dims[0], columns) * (1 + _round_up(weights.dims[1], depth)) * _FLOAT

    def _symbols(self, config: str) -> Sequence[str]:
        return source_index.load().hardware[self.architecture][config][self.level]


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
