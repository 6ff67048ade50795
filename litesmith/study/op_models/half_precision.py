"""Models with float16 and bfloat16, for the kernels that have code for them.

Inputs and outputs are float16, or float32 beside casts to and from bfloat16, which NumPy does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from litesmith.study.op_models.writer import Graph, OpModels

_BOTH = ("float16", "bfloat16")


@dataclass
class _HalfGraph:
    """A model whose ``dtype`` is float16 or bfloat16."""

    g: Graph
    dtype: str

    def input(self, shape: list[int]) -> int:
        """An input; a float32 one for bfloat16, with a cast."""
        if self.dtype == "float16":
            return self.g.input(shape, "float16")
        made = self.g.tensor(shape, self.dtype)
        self.g.op("CAST", [self.g.input(shape)], [made], "Cast")
        return made

    def const(self, value: float) -> int:
        """A constant with a single element."""
        if self.dtype == "float16":
            return self.g.const(value, "float16")
        made = self.g.tensor([], self.dtype)
        self.g.op("CAST", [self.g.const(value)], [made], "Cast")
        return made

    def op(
        self, name: str, inputs: list[int], kind: str | None = None, count: int = 1, **options: Any
    ) -> None:
        """The op that the model is for, whose outputs become those of the model."""
        if self.dtype == "float16":
            self.g.op(name, inputs, [self.g.output("float16") for _ in range(count)], kind, **options)
            return
        made = [self.g.tensor([], self.dtype) for _ in range(count)]
        self.g.op(name, inputs, made, kind, **options)
        for tensor in made:
            self.g.op("CAST", [tensor], [self.g.output()], "Cast")


def _unary(name: str, kind: str | None = None) -> Callable[[_HalfGraph], None]:
    return lambda h: h.op(name, [h.input([2, 3, 5])], kind)


def _binary(name: str, kind: str | None = None) -> Callable[[_HalfGraph], None]:
    return lambda h: h.op(name, [h.input([2, 3, 4]), h.input([2, 3, 4])], kind)


def _broadcast(name: str, kind: str) -> Callable[[_HalfGraph], None]:
    return lambda h: h.op(name, [h.input([2, 3, 4]), h.input([3, 1])], kind)


def _concatenation(h: _HalfGraph) -> None:
    h.op("CONCATENATION", [h.input([2, 1, 2]), h.input([2, 3, 2])], "Concatenation", axis=1)


def _gather(h: _HalfGraph) -> None:
    h.op("GATHER", [h.input([2, 3, 4]), h.g.const([1, 0, 2], "int32")], "Gather", axis=1)


def _gather_nd(h: _HalfGraph) -> None:
    h.op("GATHER_ND", [h.input([3, 4, 2]), h.g.const([[0, 1], [2, 3]], "int32")], "GatherNd")


_EDGES = [[0, 0], [1, 2], [2, 1], [0, 0]]


def _pad(h: _HalfGraph) -> None:
    h.op("PAD", [h.input([1, 3, 4, 2]), h.g.const(_EDGES, "int32")], "Pad")


def _pad_v2(h: _HalfGraph) -> None:
    h.op("PADV2", [h.input([1, 3, 4, 2]), h.g.const(_EDGES, "int32"), h.const(3)], "PadV2")


def _reverse(h: _HalfGraph) -> None:
    h.op("REVERSE_V2", [h.input([3, 4, 2]), h.g.const([1], "int32")], "ReverseV2")


def _unpack(h: _HalfGraph) -> None:
    h.op("UNPACK", [h.input([2, 3])], "Unpack", count=3, axis=1, num=3)


def _dynamic_update_slice(h: _HalfGraph) -> None:
    inputs = [h.input([4, 5]), h.input([2, 3]), h.g.const([1, 2], "int32")]
    h.op("DYNAMIC_UPDATE_SLICE", inputs, "DynamicUpdateSlice")


def _slice(h: _HalfGraph) -> None:
    begin, size = h.g.const([0, 1, 1], "int32"), h.g.const([2, 3, -1], "int32")
    h.op("SLICE", [h.input([2, 5, 3]), begin, size], "Slice")


def _transpose(h: _HalfGraph) -> None:
    h.op("TRANSPOSE", [h.input([2, 3, 4]), h.g.const([2, 0, 1], "int32")], "Transpose")


_MODELS: tuple[tuple[str, Callable[[_HalfGraph], None], tuple[str, ...]], ...] = (
    ("TANH", _unary("TANH"), _BOTH),
    ("LOGISTIC", _unary("LOGISTIC"), _BOTH),
    ("FLOOR", _unary("FLOOR"), _BOTH),
    ("ROUND", _unary("ROUND"), _BOTH),
    ("NEG", _unary("NEG", "Neg"), _BOTH),
    ("ATAN2", _binary("ATAN2", "ATan2"), _BOTH),
    ("MAXIMUM", _binary("MAXIMUM", "MaximumMinimum"), _BOTH),
    ("MAXIMUM broadcast", _broadcast("MAXIMUM", "MaximumMinimum"), _BOTH),
    ("MINIMUM", _binary("MINIMUM", "MaximumMinimum"), _BOTH),
    ("MINIMUM broadcast", _broadcast("MINIMUM", "MaximumMinimum"), _BOTH),
    ("CONCATENATION", _concatenation, _BOTH),
    ("GATHER", _gather, _BOTH),
    ("GATHER_ND", _gather_nd, _BOTH),
    ("PAD", _pad, _BOTH),
    ("PADV2", _pad_v2, _BOTH),
    ("REVERSE_V2", _reverse, _BOTH),
    ("UNPACK", _unpack, _BOTH),
    ("SLICE", _slice, _BOTH),
    ("TRANSPOSE", _transpose, _BOTH),
    ("DYNAMIC_UPDATE_SLICE", _dynamic_update_slice, ("float16",)),
)
"""Op and label, what makes its model, and the dtypes that its kernel has code for."""


def computations() -> OpModels:
    """Functions, arithmetic, and ops that move elements."""
    for name, make, dtypes in _MODELS:
        op, _, label = name.partition(" ")
        for dtype in dtypes:
            h = _HalfGraph(Graph(), dtype)
            make(h)
            yield op, f"{dtype} {label}", h.g


def casts() -> OpModels:
    """Between both, and to and from integers."""
    for dtype in ("float16", "int32", "int64", "int8", "bool", "float64"):
        g = Graph()
        half = g.tensor([5, 3], "bfloat16")
        g.op("CAST", [g.input([5, 3], dtype)], [half], "Cast")
        g.op("CAST", [half], [g.output(dtype)], "Cast")
        g.sample("in range", np.arange(15).reshape(5, 3).astype(dtype))
        yield "CAST", f"{dtype} to bfloat16 to {dtype}", g


_COMPARISONS = {
    "EQUAL": ("Equal", ("float16",)),
    "NOT_EQUAL": ("NotEqual", ("float16",)),
    "LESS": ("Less", _BOTH),
    "LESS_EQUAL": ("LessEqual", ("float16",)),
    "GREATER": ("Greater", _BOTH),
    "GREATER_EQUAL": ("GreaterEqual", ("float16",)),
}


def comparisons() -> OpModels:
    """With Boolean outputs."""
    for op, (table, dtypes) in _COMPARISONS.items():
        for dtype in dtypes:
            for label, shape in (("", [2, 3, 4]), (" broadcast", [3, 1])):
                h = _HalfGraph(Graph(), dtype)
                h.g.op(op, [h.input([2, 3, 4]), h.input(shape)], [h.g.output("bool")], table)
                yield op, dtype + label, h.g


FAMILY = (computations, casts, comparisons)
