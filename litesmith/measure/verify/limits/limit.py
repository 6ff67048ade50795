"""The limit of a node's output: :class:`Limit`, and the node as limits see it: :class:`NodeView`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from litesmith.measure.verify.tensor_values import TensorValues
from litesmith.model.analysis import Node, Tensor
from litesmith.model.tensors import Array

NORMAL = float(np.finfo(np.float32).tiny)
"""Programs take smaller numbers as zero (ruy and XNNPACK switch the CPU to that); the reference does not."""

SMALLEST = 1e-37
"""Differences below this are never looked at: intermediate results below ``NORMAL`` are zero, too."""

PROBABILISTIC = 8.0
"""Of sums of more than 64 terms: the factor of the square root of their number.

The worst case of a sum of n terms is n roundings of the sum of the terms' magnitudes, and no sum of thousands
comes near it.  Roundings of either sign give ``lambda * sqrt(n)`` with a probability of failure below
``2 * exp(-lambda**2 / 2)``, 3e-14 for 8 (Higham and Mary, A new approach to probabilistic rounding error
analysis, SIAM J. Sci. Comput. 41(5), 2019).  Up to 64 terms the worst case itself is smaller.
"""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The largest accepted difference of each element, as an array that fits the output's shape, and why."""

    value: Array
    reason: str


def equal(reason: str) -> Limit:
    """Every element must be equal."""
    return Limit(value=np.zeros(()), reason=reason)


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """A node with the reference's values of its tensors.

    ``delegated`` says that XNNPACK runs it.
    """

    op: str
    node: Node
    tensors: Sequence[Tensor]
    values: TensorValues
    delegated: bool

    def input(self, slot: int) -> Array | None:
        """The value of an input; None where it is left out or not known."""
        index = self.input_index(slot)
        return None if index < 0 else self.values.get(index)

    def input_index(self, slot: int) -> int:
        """The tensor of an input; -1 where it is left out."""
        return self.node.inputs[slot] if slot < len(self.node.inputs) else -1

    def dtype(self, slot: int) -> str:
        """The dtype of an input; empty where it is left out."""
        index = self.input_index(slot)
        return "" if index < 0 else self.tensors[index].dtype

    def scales(self, slot: int) -> Array:
        """The scales of an input: one, or one for each channel; none where it is not quantised."""
        return np.array(self.tensors[self.input_index(slot)].quantization.scales, np.float64)


def subnormal(value: Array) -> Array:
    """Which elements programs take as zero (:data:`NORMAL`)."""
    found: Array = (np.abs(value) < NORMAL) & (value != 0)
    return found


def roundoff(dtype: np.dtype[np.generic]) -> float:
    """Half of the distance from 1 to the next number: the largest relative error of one rounding."""
    real = np.dtype(dtype).type(0).real.dtype
    return float(np.finfo(real).eps) / 2


def growth(terms: int) -> float:
    """By how many roundings of its terms' magnitude a sum of so many terms may be off."""
    return float(min(terms, PROBABILISTIC * np.sqrt(terms)))


def magnitude(value: Array | None) -> float:
    """The largest finite magnitude of a tensor; 0 for one that is empty or unknown."""
    if value is None or value.size == 0 or value.dtype.kind not in "fciub":
        return 0.0
    size = np.abs(value.astype(np.float64) if value.dtype.kind in "iub" else value)
    return float(np.max(size, initial=0.0, where=np.isfinite(size)))
