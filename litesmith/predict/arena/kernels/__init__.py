"""What ``Prepare`` of each kernel does, by families of ops (``tensorflow/lite/kernels``)."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.predict.arena.kernels import (
    convolutions,
    elementwise,
    images,
    matrices,
    others,
    recurrent,
    reductions,
    reshaping,
    slicing,
    stablehlo,
)
from litesmith.predict.arena.kernels.kernel import Kernel
from litesmith.runtime.graph import RuntimeNode

_FAMILIES = (
    *(convolutions, elementwise, images, matrices, others),
    *(recurrent, reductions, reshaping, slicing, stablehlo),
)

KERNELS: Mapping[str, Kernel] = {op: kernel for family in _FAMILIES for op, kernel in family.KERNELS.items()}
"""The kernels of all ops but those of control flow, which prepare other subgraphs."""


def reserved(node: RuntimeNode) -> int:
    """How many tensors a kernel adds as soon as the model is read, whether it needs them or not.

    They matter because the order of equal tensors depends on their indices.
    """
    kernel = KERNELS.get(node.op)
    if kernel is None or node.own or kernel.reserves_when_prepared:
        return 0
    if node.op == "LSTM" and node.options.enum("kernel_type") == "BASIC":
        return 0
    return kernel.reserved
