"""Models of single ops with every value of an integer input, or values from the whole range of float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from litesmith.model.tensors import Array
from litesmith.study.op_models.tensor_types import TensorType, TypedOp, types
from litesmith.study.op_models.writer import Case, Graph

_FIXED = {
    "LOGISTIC": {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)},
    "TANH": {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0)},
    "SOFTMAX": {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)},
    "LOG_SOFTMAX": {"int8": (16 / 256, 127), "uint8": (16 / 256, 255)},
}
_INPUTS = {"int8": (0.06, 4), "uint8": (0.06, 130), "int16": (1 / 4096, 0)}

_ELEMENTWISE = (
    TypedOp("LOGISTIC", "float32 int8* uint8* int16*"),
    TypedOp("TANH", "float32 int8* uint8* int16*"),
    TypedOp("EXP", "float32 int8* int16*", "Exp"),
    TypedOp("ELU", "float32 int8*"),
    TypedOp("GELU", "float32 int8* uint8*", "Gelu"),
    TypedOp("HARD_SWISH", "float32 int8* uint8*", "HardSwish"),
    TypedOp("LEAKY_RELU", "float32 int8* uint8* int16*", "LeakyRelu"),
    TypedOp("ABS", "float32 int8* int16*", "Abs"),
    TypedOp("SQRT", "float32"),
    TypedOp("SIN", "float32"),
    TypedOp("COS", "float32", "Cos"),
    TypedOp("LOG", "float32"),
    TypedOp("RSQRT", "float32"),
    TypedOp("FLOOR", "float32"),
    TypedOp("CEIL", "float32"),
    TypedOp("ROUND", "float32"),
)
_ROWS = (
    TypedOp("SOFTMAX", "float32 int8* uint8* int16*", "Softmax"),
    TypedOp("LOG_SOFTMAX", "float32 int8* uint8*", "LogSoftmax"),
)
_OPTIONS = {"SOFTMAX": {"beta": 1.0}, "LEAKY_RELU": {"alpha": 0.2}, "GELU": {"approximate": False}}


@dataclass(frozen=True)
class RangeCase:
    """A model and its one input."""

    case: Case
    values: Array


def cases() -> Iterator[RangeCase]:
    """One model for each op and dtype that has code of its own for some architecture."""
    for op in _ELEMENTWISE:
        for kind in types(op.types):
            yield _case(op, kind, _every_value(kind.dtype)[None, :])
    for op in _ROWS:
        for kind in types(op.types):
            yield _case(op, kind, _rows(kind.dtype))


def _case(op: TypedOp, kind: TensorType, values: Array) -> RangeCase:
    g = Graph()
    source = kind.with_quant(_INPUTS[kind.dtype]) if kind.quantised else kind
    result = (
        source.with_quant(_FIXED[op.name][kind.dtype]) if kind.quantised and op.name in _FIXED else source
    )
    g.op(
        op.name, [g.input(values.shape, source)], [g.output(result)], op.options, **_OPTIONS.get(op.name, {})
    )
    name = f"{op.name}_{kind.dtype}_range"
    return RangeCase(case=Case(op=op.name, name=name, content=g.content(), samples={}), values=values)


def _every_value(dtype: str) -> Array:
    """All values of an integer dtype; of float32 every 8,192nd bit pattern, without infinities and NaNs."""
    if dtype != "float32":
        limits = np.iinfo(dtype)
        return np.arange(limits.min, limits.max + 1).astype(dtype)
    patterns = np.arange(0, 2**32, 8192, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return patterns[np.isfinite(patterns)]


def _rows(dtype: str) -> Array:
    """Rows of 16 values: every difference between two values of an integer dtype is in one of them.

    For float32, differences from 0 to 110, beyond which exponentials are zero.
    """
    rng = np.random.default_rng(7)
    if dtype == "float32":
        return (rng.random((2048, 16)) * np.linspace(0, 110, 2048)[:, None]).astype(np.float32)
    limits = np.iinfo(dtype)
    first = (
        np.linspace(limits.min, limits.max, 4096).round()
        if dtype == "int16"
        else np.arange(limits.min, limits.max + 1)
    )
    rows = rng.integers(limits.min, limits.max + 1, (len(first), 16))
    rows[:, 0], rows[:, 1] = first, limits.max
    return rows.astype(dtype)
