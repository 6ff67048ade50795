"""Dtypes with the quantisation that tensors of the models have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Blockwise:
    """Weights with a scale for every ``size`` elements of a row.

    ``scales`` is the index of a float16 tensor with the scales, row by row.
    """

    scales: int
    size: int


Affine = tuple[float, int] | tuple[Sequence[float], Sequence[int], int]
"""Scale and zero point; or one of each for every channel, and the channels' dimension."""

Quant = Affine | Blockwise
"""How a tensor is quantised."""


QUANT: dict[str, tuple[float, int]] = {"int8": (0.03, -3), "uint8": (0.03, 120), "int16": (0.0002, 0)}
"""The usual scale and zero point of quantised tensors; kernels for int16 require a zero point of 0."""


@dataclass(frozen=True)
class TensorType:
    """A dtype, and its quantisation where it is quantised."""

    dtype: str
    quant: Quant | None = None

    @property
    def quantised(self) -> bool:
        """Whether tensors of this type have a scale and a zero point."""
        return self.quant is not None

    @property
    def label(self) -> str:
        """The type as :func:`types` reads it."""
        return f"{self.dtype}*" if self.quantised else self.dtype

    def with_quant(self, quant: Quant) -> TensorType:
        """The same with another scale and zero point, where it is quantised."""
        return TensorType(self.dtype, quant) if self.quantised else self


def types(labels: str) -> tuple[TensorType, ...]:
    """``float32 int8*`` → the types; a star marks a quantised one."""
    return tuple(
        TensorType(label[:-1], QUANT[label[:-1]]) if label.endswith("*") else TensorType(label)
        for label in labels.split()
    )


@dataclass(frozen=True)
class TypedOp:
    """An op, the types for which its kernel has code, and the table of its options in the schema.

    ``types`` is written as for :func:`types`, ``options`` without the ending ``Options``.
    """

    name: str
    types: str
    options: str | None = None
