"""Ops on several inputs, element by element, with broadcasting: arithmetic, comparisons, sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from litesmith.model.tensors import Array
from litesmith.study.op_models.tensor_types import TypedOp, types
from litesmith.study.op_models.writer import Graph, OpModels

_ARITHMETIC = (
    TypedOp("ADD", "float32 int32 int64 int8* uint8* int16*", "Add"),
    TypedOp("SUB", "float32 int32 int64 int8* uint8* int16*", "Sub"),
    TypedOp("MUL", "float32 int32 int64 int8* uint8* int16* uint32 complex64", "Mul"),
    TypedOp("DIV", "float32 int32 uint8* int8* int16*", "Div"),
    TypedOp("MAXIMUM", "float32 int8* uint8* int16* int32 int64", "MaximumMinimum"),
    TypedOp("MINIMUM", "float32 int8* uint8* int16* int32 int64", "MaximumMinimum"),
    TypedOp("POW", "float32 int32", "Pow"),
    TypedOp("SQUARED_DIFFERENCE", "float32 int32 int8*", "SquaredDifference"),
    TypedOp("FLOOR_DIV", "float32 int32 int8 int16", "FloorDiv"),
    TypedOp("FLOOR_MOD", "float32 int32 int64 int8 int16", "FloorMod"),
    TypedOp("ATAN2", "float32 float64", "ATan2"),
    TypedOp("LOGICAL_AND", "bool", "LogicalAnd"),
    TypedOp("LOGICAL_OR", "bool", "LogicalOr"),
    TypedOp("BITWISE_XOR", "int8 uint8 int16 uint16 int32 uint32", "BitwiseXor"),
    TypedOp("RIGHT_SHIFT", "int8 uint8 int16 uint16 int32 uint32", "RightShift"),
)

_COMPARISONS = (
    TypedOp("EQUAL", "float32 int32 int64 int8* uint8* int16 int16* bool", "Equal"),
    TypedOp("NOT_EQUAL", "float32 int32 int64 int8* uint8* int16* bool", "NotEqual"),
    TypedOp("GREATER", "float32 int32 int64 int8* uint8* int16*", "Greater"),
    TypedOp("GREATER_EQUAL", "float32 int32 int64 int8* uint8* int16*", "GreaterEqual"),
    TypedOp("LESS", "float32 int32 int64 int8* uint8* int16*", "Less"),
    TypedOp("LESS_EQUAL", "float32 int32 int64 int8* uint8* int16*", "LessEqual"),
)

_WITH_ACTIVATION = {"ADD", "SUB", "MUL", "DIV"}
_RELU = 1
_WITHOUT_BROADCAST = {"ATAN2"}

_SHAPES = (
    ("", ((2, 3, 4), (2, 3, 4))),
    (" broadcast", ((2, 3, 4), (3, 1))),
)


def pairs() -> OpModels:
    """Two inputs of the same shape, and two that broadcast; comparisons have Boolean outputs.

    Float models with an activation fuse ReLU into the op where the inputs have the same shape.  For plain
    dtypes a sample has small numbers above zero: random integers may be divisors or counts of bits.
    """
    rng = np.random.default_rng(1)
    for op in (*_ARITHMETIC, *_COMPARISONS):
        for kind in types(op.types):
            for label, shapes in _SHAPES:
                broadcast = label != ""
                if broadcast and op.name in _WITHOUT_BROADCAST:
                    continue
                g = Graph()
                inputs = [g.input(shape, kind) for shape in shapes]
                output = g.output("bool" if op in _COMPARISONS else kind)
                options: dict[str, Any] = {}
                if op.name in _WITH_ACTIVATION and kind.dtype == "float32" and not broadcast:
                    options["fusedActivationFunction"] = _RELU
                g.op(op.name, inputs, [output], op.options, **options)
                if not kind.quantised:
                    g.sample("small", *(_small(rng, kind.dtype, shape) for shape in shapes))
                # A quantised type of the same name has the label without its star.
                plain = " plain" if f"{kind.label}*" in op.types else ""
                yield op.name, kind.label + plain + label, g


def _small(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Array:
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith("float"):
        return rng.uniform(0.1, 3, shape).astype(dtype)
    return rng.integers(1, 7, shape).astype(dtype)


def sums() -> OpModels:
    """The sum of three inputs."""
    for kind in types("float32 int32"):
        g = Graph()
        g.op("ADD_N", [g.input([2, 3], kind) for _ in range(3)], [g.output(kind)], "AddN")
        yield "ADD_N", kind.label, g


FAMILY = (pairs, sums)
