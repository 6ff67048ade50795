"""Models with integers of 4 and 2 bits, several in a byte, for the kernels that have code for them.

Inputs and outputs of a model have wider dtypes; casts or quantisations make and read the narrow ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from litesmith.study.op_models.tensor_types import Blockwise, Quant, TensorType
from litesmith.study.op_models.writer import Graph, OpModels, packed

# One stream of random numbers: the values depend on the order of the models and of their tensors.
_RNG = np.random.default_rng(24)

_RANGES = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1)}
_BITS = {"int4": 4, "uint4": 4, "int2": 2}


def _constant(g: Graph, dtype: str, shape: tuple[int, ...], quant: Quant | None = None) -> int:
    """Random numbers of the whole range."""
    low, high = _RANGES[dtype]
    values = _RNG.integers(low, high, shape, endpoint=True)
    return g.tensor(shape, dtype, quant=quant, data=packed(values, _BITS[dtype]))


def casts() -> OpModels:
    """From float32 and back, with an odd number of elements: the last byte is not full."""
    for dtype, (low, high) in _RANGES.items():
        g = Graph()
        narrow = g.tensor([5, 3], dtype)
        g.op("CAST", [g.input([5, 3])], [narrow], "Cast")
        g.op("CAST", [narrow], [g.output()], "Cast")
        g.sample("in range", np.linspace(low, high, 15, dtype=np.float32).reshape(5, 3))
        yield "CAST", f"float32 to {dtype} to float32", g
        g = Graph()
        g.op("CAST", [_constant(g, dtype, (5, 7))], [g.output()], "Cast")
        yield "CAST", f"{dtype} to float32", g


_SCALES: Quant = ([0.1, 0.2, 0.05], [0, 0, 0], 0)


def dequantize() -> OpModels:
    """Constants, with one scale and with one for each channel."""
    for dtype, zero_point in (("int4", 1), ("uint4", 7), ("int2", 0)):
        g = Graph()
        weights = _constant(g, dtype, (3, 5), (0.1, zero_point))
        g.op("DEQUANTIZE", [weights], [g.output()], "Dequantize")
        yield "DEQUANTIZE", dtype, g
        g = Graph()
        g.op("DEQUANTIZE", [_constant(g, dtype, (3, 6), _SCALES)], [g.output()], "Dequantize")
        yield "DEQUANTIZE", f"{dtype} per channel", g


def quantize() -> OpModels:
    """From float32, and back to it."""
    for dtype, zero_point in (("int4", -1), ("uint4", 8)):
        g = Graph()
        narrow = g.tensor([3, 5], dtype, quant=(0.1, zero_point))
        g.op("QUANTIZE", [g.input([3, 5])], [narrow], "Quantize")
        g.op("DEQUANTIZE", [narrow], [g.output()], "Dequantize")
        yield "QUANTIZE", f"float32 to {dtype}", g


def embeddings() -> OpModels:
    """Rows of a table: with one scale, with one for each row, with one for each block of a row."""
    for dtype in ("int4", "int2"):
        for label, quant in (("", (0.1, 0)), (" per row", ([0.1, 0.2, 0.05, 0.3], [0] * 4, 0))):
            for output in ("float32", "float16"):
                g = Graph()
                rows = _constant(g, dtype, (4, 8), quant)
                g.op("EMBEDDING_LOOKUP", [g.const([3, 0, 2], "int32"), rows], [g.output(output)])
                yield "EMBEDDING_LOOKUP", f"{dtype} to {output}{label}", g
    for output in ("float32", "float16"):
        g = Graph()
        rows = g.const(_RNG.integers(-127, 128, (4, 8)), "int8", ([0.1, 0.2, 0.05, 0.3], [0] * 4, 0))
        g.op("EMBEDDING_LOOKUP", [g.const([3, 0, 2], "int32"), rows], [g.output(output)])
        yield "EMBEDDING_LOOKUP", f"int8 to {output} per row", g
        g = Graph()
        scales = g.const(_RNG.uniform(0.05, 0.3, (4, 2)), "float16")
        rows = _constant(g, "int4", (4, 64), Blockwise(scales, 32))
        g.op("EMBEDDING_LOOKUP", [g.const([3, 0, 2], "int32"), rows], [g.output(output)])
        yield "EMBEDDING_LOOKUP", f"int4 to {output} blockwise", g


_INT4 = TensorType("int4", (0.1, 0))


def _moving(make: Callable[[Graph, int, int], None], shape: list[int], result: list[int]) -> Graph:
    """A model that quantises its input to int4, moves elements and dequantises."""
    g = Graph()
    source, target = g.tensor(shape, _INT4), g.tensor(result, _INT4)
    g.op("QUANTIZE", [g.input(shape)], [source], "Quantize")
    make(g, source, target)
    g.op("DEQUANTIZE", [target], [g.output()], "Dequantize")
    return g


def moves() -> OpModels:
    """Ops that copy int4 elements from one place to another."""

    def concatenation(g: Graph, x: int, y: int) -> None:
        g.op("CONCATENATION", [x, x, x], [y], "Concatenation", axis=1)

    def gather(g: Graph, x: int, y: int) -> None:
        g.op("GATHER", [x, g.const([2, 0], "int32")], [y], "Gather", axis=0)

    def cut(g: Graph, x: int, y: int) -> None:
        g.op("SLICE", [x, g.const([1, 2], "int32"), g.const([2, 3], "int32")], [y], "Slice")

    def transpose(g: Graph, x: int, y: int) -> None:
        g.op("TRANSPOSE", [x, g.const([1, 0], "int32")], [y], "Transpose")

    def update(g: Graph, x: int, y: int) -> None:
        part = _constant(g, "int4", (2, 3), _INT4.quant)
        g.op("DYNAMIC_UPDATE_SLICE", [x, part, g.const([1, 2], "int32")], [y], "DynamicUpdateSlice")

    yield "CONCATENATION", "int4", _moving(concatenation, [2, 3], [2, 9])
    yield "GATHER", "int4", _moving(gather, [3, 4], [2, 4])
    yield "SLICE", "int4", _moving(cut, [4, 6], [2, 3])
    yield "TRANSPOSE", "int4", _moving(transpose, [3, 5], [5, 3])
    yield "DYNAMIC_UPDATE_SLICE", "int4", _moving(update, [4, 6], [4, 6])


FAMILY = (casts, dequantize, quantize, embeddings, moves)
