"""Ops that treat each element for itself, with broadcasting where there are two inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from litesmith.study.op_models.writer import Graph

Made = Iterator[tuple[str, str, Graph]]
"""Op, dtypes, model."""

QUANT: dict[str, tuple[float, int]] = {"int8": (0.03, -3), "uint8": (0.03, 120), "int16": (0.0002, 0)}

# Op, options, dtypes; a star marks a quantised tensor.
_UNARY = (
    ("ABS", "Abs", "float32 int8* int16* int32"),
    ("NEG", "Neg", "float32 int32 int64"),
    ("SQUARE", "Square", "float32"),
    ("SQRT", None, "float32"),
    ("SIN", None, "float32"),
    ("COS", "Cos", "float32"),
    ("EXP", "Exp", "float32 int8* int16*"),
    ("FLOOR", None, "float32"),
    ("CEIL", None, "float32"),
    ("ROUND", None, "float32"),
    ("SIGN", "Sign", "float32 float64 int32"),
    ("ELU", None, "float32 int8*"),
    ("RELU", None, "float32 int8* uint8* int16*"),
    ("RELU6", None, "float32 int8* uint8*"),
    ("RELU_0_TO_1", None, "float32 int8* uint8*"),
    ("RELU_N1_TO_1", None, "float32 int8* uint8*"),
    ("HARD_SWISH", "HardSwish", "float32 int8* uint8*"),
    ("LOGICAL_NOT", "LogicalNot", "bool"),
    ("ZEROS_LIKE", "ZerosLike", "float32 int32 int64"),
)
_ARITHMETIC = (
    ("ADD", "Add", "float32 int32 int64 int8* uint8* int16*"),
    ("SUB", "Sub", "float32 int32 int64 int8* uint8* int16*"),
    ("MUL", "Mul", "float32 int32 int64 int8* uint8* int16* uint32 complex64"),
    ("DIV", "Div", "float32 int32 uint8*"),
    ("MAXIMUM", "MaximumMinimum", "float32 int8* uint8* int16* int32 int64"),
    ("MINIMUM", "MaximumMinimum", "float32 int8* uint8* int16* int32 int64"),
    ("POW", "Pow", "float32 int32"),
    ("SQUARED_DIFFERENCE", "SquaredDifference", "float32 int32 int8*"),
    ("FLOOR_DIV", "FloorDiv", "float32 int32 int8 int16"),
    ("FLOOR_MOD", "FloorMod", "float32 int32 int64 int8 int16"),
    ("ATAN2", "ATan2", "float32 float64"),
    ("LOGICAL_AND", "LogicalAnd", "bool"),
    ("LOGICAL_OR", "LogicalOr", "bool"),
    ("BITWISE_XOR", "BitwiseXor", "int8 uint8 int16 uint16 int32 uint32"),
    ("RIGHT_SHIFT", "RightShift", "int8 uint8 int16 uint16 int32 uint32"),
)
_COMPARISONS = (
    ("EQUAL", "Equal", "float32 int32 int64 int8* uint8* int16* bool"),
    ("NOT_EQUAL", "NotEqual", "float32 int32 int64 int8* uint8* bool"),
    ("GREATER", "Greater", "float32 int32 int64 int8* uint8*"),
    ("GREATER_EQUAL", "GreaterEqual", "float32 int32 int64 int8* uint8* int16*"),
    ("LESS", "Less", "float32 int32 int64 int8* uint8* int16*"),
    ("LESS_EQUAL", "LessEqual", "float32 int32 int64 int8* uint8*"),
)
_FUSED = {"ADD", "SUB", "MUL", "DIV"}


def quantized(word: str) -> tuple[str, dict[str, Any]]:
    """``int8*`` → the dtype, and the arguments of a tensor of it."""
    dtype = word.rstrip("*")
    return dtype, {"quant": QUANT[dtype]} if word.endswith("*") else {}


def _values(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Any:
    """Numbers that are never zero, and small where they are integers."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith("float"):
        return rng.uniform(0.1, 3, shape).astype(dtype)
    return rng.integers(1, 7, shape).astype(dtype)


def unary() -> Made:
    """One input."""
    for op, kind, words in _UNARY:
        for word in words.split():
            dtype, more = quantized(word)
            g = Graph()
            g.op(op, [g.input([2, 3, 5], dtype, **more)], [g.output(dtype, **more)], kind)
            yield op, word, g


def positive() -> Made:
    """Logarithms and roots, which need inputs above zero; and activations with an odd output scale."""
    for op, words in (("LOG", "float32"), ("RSQRT", "float32 int8*")):
        for word in words.split():
            dtype, _ = quantized(word)
            more: dict[str, Any] = {"quant": (0.05, -128)} if word.endswith("*") else {}
            g = Graph()
            g.op(
                op,
                [g.input([2, 3, 4], dtype, **more)],
                [g.output(dtype, quant=(0.04, 5) if more else None)],
            )
            values = np.arange(1, 25).reshape(2, 3, 4)
            g.sample("positive", (values - 120 if more else values * 0.3).astype(dtype))
            yield op, word, g
    scales = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}
    tanh = {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0)}
    softmax_log = {"int8": (16 / 256, 127), "uint8": (16 / 256, 255)}
    narrow = {"int8": (0.1, 4), "uint8": (0.1, 130), "int16": (1 / 4096, 0)}
    for op, kind, words, output in (
        ("LOGISTIC", None, "float32 int8* uint8* int16*", scales),
        ("TANH", None, "float32 int8* uint8* int16*", tanh),
        ("SOFTMAX", "Softmax", "float32 int8* uint8* int16*", scales),
        ("LOG_SOFTMAX", "LogSoftmax", "float32 int8* uint8*", softmax_log),
        ("L2_NORMALIZATION", "L2Norm", "float32 int8* uint8*", tanh),
    ):
        for word in words.split():
            dtype, more = quantized(word)
            g = Graph()
            x = g.input([2, 10], dtype, quant=narrow[dtype] if more else None)
            y = g.output(dtype, quant=output[dtype] if more else None)
            g.op(op, [x], [y], kind, **({"beta": 1.0} if op == "SOFTMAX" else {}))
            yield op, word, g
    for word in ("float32", "int8*", "uint8*"):
        dtype, more = quantized(word)
        for approximate in (False, True):
            g = Graph()
            x, y = g.input([2, 7], dtype, **more), g.output(dtype, **more)
            g.op("GELU", [x], [y], "Gelu", approximate=approximate)
            yield "GELU", word + (" approximate" if approximate else ""), g
    for word in ("float32", "int8*", "uint8*", "int16*"):
        dtype, more = quantized(word)
        g = Graph()
        g.op(
            "LEAKY_RELU", [g.input([2, 7], dtype, **more)], [g.output(dtype, **more)], "LeakyRelu", alpha=0.2
        )
        yield "LEAKY_RELU", word, g
    for word in ("float32", "int8*", "uint8*"):
        dtype, more = quantized(word)
        g = Graph()
        x = g.input([1, 3, 4, 5], dtype, **more)
        alpha = g.const(np.linspace(1, 20, 5).reshape(1, 1, 5), dtype, quant=(0.01, 2) if more else None)
        g.op("PRELU", [x, alpha], [g.output(dtype, **more)])
        yield "PRELU", word, g


def binary() -> Made:
    """Two inputs of the same shape, and two that broadcast."""
    rng = np.random.default_rng(1)
    for table, boolean in ((_ARITHMETIC, False), (_COMPARISONS, True)):
        for op, kind, words in table:
            for word in words.split():
                dtype, more = quantized(word)
                for label, shapes in (("", ((2, 3, 4), (2, 3, 4))), (" broadcast", ((2, 3, 4), (3, 1)))):
                    if op == "ATAN2" and label:
                        continue
                    g = Graph()
                    inputs = [g.input(shape, dtype, **more) for shape in shapes]
                    output = g.output("bool") if boolean else g.output(dtype, **more)
                    options: dict[str, Any] = {}
                    if op in _FUSED and word == "float32" and not label:
                        options["fusedActivationFunction"] = 1
                    g.op(op, inputs, [output], kind, **options)
                    if not more:
                        g.sample("small", *(_values(rng, dtype, shape) for shape in shapes))
                    yield op, word + label, g


def several() -> Made:
    """Sums of many, casts, choices, ranges of values."""
    for dtype in ("float32", "int32"):
        g = Graph()
        inputs = [g.input([2, 3], dtype) for _ in range(3)]
        g.op("ADD_N", inputs, [g.output(dtype)], "AddN")
        yield "ADD_N", dtype, g
    names = ("float32", "int32", "int64", "bool", "uint8", "int8", "int16", "uint16", "uint32", "float64")
    for source in names:
        for target in names:
            g = Graph()
            g.op("CAST", [g.input([5, 3], source)], [g.output(target)], "Cast")
            # Numbers that every dtype holds; what a cast makes of the others C++ leaves open.
            g.sample("in range", np.arange(15).reshape(5, 3).astype(source))
            yield "CAST", f"{source} to {target}", g
    for source, target in (("float16", "float32"), ("float32", "float16")):
        g = Graph()
        g.op("CAST", [g.input([5, 3], source)], [g.output(target)], "Cast")
        yield "CAST", f"{source} to {target}", g
    g = Graph()
    g.op("CAST", [g.input([5], "complex64")], [g.output("float32")], "Cast")
    yield "CAST", "complex64 to float32", g
    for source, target in (
        ("float32", "int32"),
        ("int32", "float32"),
        ("int16", "uint16"),
        ("int8", "uint8"),
    ):
        g = Graph()
        g.op("BITCAST", [g.input([2, 4], source)], [g.output(target)], "Bitcast")
        yield "BITCAST", f"{source} to {target}", g
    for op, kind in (("REAL", None), ("IMAG", None), ("COMPLEX_ABS", None)):
        g = Graph()
        g.op(op, [g.input([3, 4], "complex64")], [g.output("float32")], kind)
        yield op, "complex64", g
        g = Graph()
        g.op(op, [g.input([3, 4], "complex128")], [g.output("float64")], kind)
        yield op, "complex128", g
    for op, words in (
        ("SELECT", "float32 bool int8 uint8 int16 int32 uint32 int64"),
        ("SELECT_V2", "float32 bool int8 uint8 int16 int32 uint32 int64"),
    ):
        for word in words.split():
            g = Graph()
            condition = g.input([2, 3], "bool")
            both = [g.input([2, 3] if op == "SELECT" or i else [3], word) for i in range(2)]
            g.op(op, [condition, *both], [g.output(word)], "Select" if op == "SELECT" else "SelectV2")
            yield op, word, g
    for dtype in ("float32", "int32", "uint32", "int64", "int8", "uint8", "bool"):
        g = Graph()
        g.op("WHERE", [g.input([3, 4], dtype)], [g.output("int64")], "Where")
        yield "WHERE", dtype, g
    g = Graph()
    g.op("BUCKETIZE", [g.input([3, 4])], [g.output("int32")], "Bucketize", boundaries=[-0.5, 0.0, 0.25, 0.9])
    yield "BUCKETIZE", "float32", g
    for dtype in ("int32", "int64", "float64"):
        g = Graph()
        g.op(
            "BUCKETIZE",
            [g.input([3, 4], dtype)],
            [g.output("int32")],
            "Bucketize",
            boundaries=[-1.0, 0.0, 1.0],
        )
        yield "BUCKETIZE", dtype, g
    g = Graph()
    g.op("FAKE_QUANT", [g.input([3, 4])], [g.output()], "FakeQuant", min=-0.7, max=0.9, numBits=8)
    yield "FAKE_QUANT", "float32", g
    for source, scales in (
        ("int8", (0.1, 3)),
        ("uint8", (0.1, 120)),
        ("int16", (0.001, 0)),
        ("float16", None),
    ):
        g = Graph()
        x = g.input([3, 4], source, quant=scales) if scales else g.const(np.linspace(-2, 2, 12), source)
        g.op("DEQUANTIZE", [x], [g.output()], "Dequantize")
        yield "DEQUANTIZE", source, g
    for source, target in (
        *(("float32", word) for word in ("int8", "uint8", "int16")),
        *(("int8", word) for word in ("int8", "uint8")),
        *(("uint8", word) for word in ("int8", "uint8")),
        *(("int16", word) for word in ("int8", "int16", "int32")),
        ("int32", "int8"),
        ("int32", "int16"),
    ):
        g = Graph()
        quant: Callable[[str], tuple[float, int]] = lambda d: QUANT.get(d, (0.0001, 0))  # noqa: E731
        x = g.input([3, 4], source, **({} if source == "float32" else {"quant": quant(source)}))
        g.op(
            "QUANTIZE", [x], [g.output(target, quant=(quant(target)[0] * 1.7, quant(target)[1]))], "Quantize"
        )
        yield "QUANTIZE", f"{source} to {target}", g


FAMILY = (unary, positive, binary, several)
