"""Models of one op each, with one property that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litesmith.study.op_models.writer import Graph

INT8 = (0.05, 0)
SIX = ([2, 1, 3, 1, 2, 1], [1, 2, 1, 2, 1, 2])
SEVEN = ([2, 1, 3, 1, 2, 1, 2], [1, 2, 1, 2, 1, 2, 1])
FIVE = ([2, 1, 3, 1, 2], [1, 2, 3, 2, 1])


def pair(
    op: str,
    shapes: Sequence[Sequence[int]],
    dtype: str = "float32",
    *,
    quant: Any = None,
    table: str | None = None,
    output: str | None = None,
    **options: Any,
) -> Graph:
    """An op on two inputs."""
    g = Graph()
    inputs = [g.input(shape, dtype, quant=quant) for shape in shapes]
    g.op(op, inputs, [g.output(output or dtype, quant=quant)], table, **options)
    return g


def unary(op: str, dtype: str, *, quant: Any = None, out: Any = None, output: str | None = None) -> Graph:
    """An op on one input."""
    g = Graph()
    g.op(op, [g.input([2, 3], dtype, quant=quant)], [g.output(output or dtype, quant=out or quant)])
    return g


def per_channel(count: int, *, dimension: int = 0, equal: bool = False) -> tuple[list[float], list[int], int]:
    return [0.01 * (1 if equal else i + 1) for i in range(count)], [0] * count, dimension


def conv(
    *,
    image: str = "float32",
    weights: str = "int8",
    groups: int = 1,
    quant: Any = (0.01, 0),
    bias: str | None = "float32",
    **options: Any,
) -> Graph:
    """CONV_2D of four channels to four."""
    g = Graph()
    around = None if image == "float32" else INT8
    x = g.input([1, 5, 5, 4], image, quant=around)
    shape = (4, 3, 3, 4 // groups)
    inputs = [x, g.const(np.ones(shape), weights, quant=quant)]
    if bias is not None:
        inputs.append(g.const(np.ones(4), bias, quant=None if bias == "float32" else (0.0005, 0)))
    kind = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, **options}
    g.op("CONV_2D", inputs, [g.output(image, quant=around)], "Conv2D", **kind)
    return g


def depthwise(*, weights: str = "int8", quant: Any = (0.01, 0)) -> Graph:
    """DEPTHWISE_CONV_2D of four channels with float32 activations."""
    g = Graph()
    inputs = [
        g.input([1, 5, 5, 4]),
        g.const(np.ones((1, 3, 3, 4)), weights, quant=quant),
        g.const(np.ones(4)),
    ]
    options = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, "depthMultiplier": 1}
    g.op("DEPTHWISE_CONV_2D", inputs, [g.output()], "DepthwiseConv2D", **options)
    return g


def transposed(*, image: str = "float32", weights: str = "int8", quant: Any = (0.01, 0)) -> Graph:
    """TRANSPOSE_CONV of three channels to four."""
    g = Graph()
    around = None if image == "float32" else INT8
    size = g.const([1, 6, 6, 4], "int32")
    held = g.const(np.ones((4, 2, 2, 3)), weights, quant=quant)
    inputs = [size, held, g.input([1, 3, 3, 3], image, quant=around)]
    g.op("TRANSPOSE_CONV", inputs, [g.output(image, quant=around)], "TransposeConv", strideW=2, strideH=2)
    return g


def dense(
    *,
    source: str = "float32",
    weights: str = "int8",
    rows: int = 4,
    columns: int = 32,
    quant: Any = (0.01, 0),
    block: int = 0,
    constant: bool = True,
    activation: int = 0,
    bias: str | None = None,
) -> Graph:
    """FULLY_CONNECTED of ``columns`` to ``rows``; ``block`` weights share a scale."""
    g = Graph()
    around = None if source == "float32" else INT8
    x = g.input([1, columns], source, quant=around)
    if constant:
        bits = {"int4": 2, "int2": 4}.get(weights, 1)
        raw = np.ones(rows * columns // bits, weights if bits == 1 else np.uint8)
        held = g.tensor([rows, columns], weights, quant=None if block else quant, data=raw)
    else:
        held = g.input([rows, columns], weights, quant=None if block else quant)
    if block:
        scales = g.const(np.ones((rows, max(columns // block, 1))), "float16")
        details = schema.BlockwiseQuantizationT()
        details.scales, details.zeroPoints, details.blockSize = scales, -1, block
        made = schema.QuantizationParametersT()
        made.details = details
        made.detailsType = schema.QuantizationDetails.BlockwiseQuantization
        g.current.tensors[held].quantization = made
    inputs = [x, held]
    if bias is not None:
        inputs.append(g.const(np.ones(rows), bias, quant=(0.0005, 0)))
    output = g.output(source, quant=around)
    g.op("FULLY_CONNECTED", inputs, [output], "FullyConnected", fusedActivationFunction=activation)
    return g


def matmul(left: str, right: str, *, right_quant: Any = INT8, rank: int = 3) -> Graph:
    """BATCH_MATMUL with a constant on the right."""
    g = Graph()
    around = None if left == "float32" else INT8
    x = g.input([*[2] * (rank - 2), 3, 4], left, quant=around)
    y = g.const(np.ones([*[2] * (rank - 2), 4, 5]), right, quant=None if right == "float32" else right_quant)
    g.op("BATCH_MATMUL", [x, y], [g.output(left, quant=around)], "BatchMatMul")
    return g


def joined(dtype: str, quants: Sequence[Any], activation: int = 0) -> Graph:
    """CONCATENATION of two inputs."""
    g = Graph()
    inputs = [g.input([2, 3], dtype, quant=quant) for quant in quants[:2]]
    output = g.output(dtype, quant=quants[2])
    g.op("CONCATENATION", inputs, [output], "Concatenation", axis=1, fusedActivationFunction=activation)
    return g


def one_hot(dtype: str) -> Graph:
    g = Graph()
    inputs = [
        g.input([3], "int32"),
        *(g.const(value, kind) for value, kind in ((4, "int32"), (1, dtype), (0, dtype))),
    ]
    g.op("ONE_HOT", inputs, [g.output(dtype)], "OneHot", axis=-1)
    return g


def reduced(op: str, dtype: str, quant: Any, out: Any) -> Graph:
    g = Graph()
    axis = g.const([1], "int32")
    g.op(
        op,
        [g.input([2, 3, 4], dtype, quant=quant), axis],
        [g.output(dtype, quant=out)],
        "Reducer",
        keepDims=False,
    )
    return g


def sliced(rank: int) -> Graph:
    g = Graph()
    inputs = [g.input([2] * rank), g.const([0] * rank, "int32"), g.const([1] * rank, "int32")]
    g.op("SLICE", inputs, [g.output()], "Slice")
    return g


def rnn(quant: Any) -> Graph:
    """RNN with int8 weights beside float32 activations."""
    g = Graph()
    weights = [g.const(np.ones((3, size)), "int8", quant=quant) for size in (4, 3)]
    state = g.tensor([2, 3], "float32", variable=True)
    inputs = [g.input([2, 4]), *weights, g.const([0.1, -0.2, 0.3]), state]
    g.op("RNN", inputs, [g.output()], "RNN", fusedActivationFunction=1)
    return g


def selected(shapes: Sequence[Sequence[int]]) -> Graph:
    g = Graph()
    inputs = [g.input(shapes[0], "bool"), *(g.input(shape) for shape in shapes)]
    g.op("SELECT_V2", inputs, [g.output()])
    return g


def mixed(op: str, table: str) -> Graph:
    g = Graph()
    g.op(op, [g.input([2], "float32"), g.input([2], "int32")], [g.output()], table)
    return g


RUNS: tuple[tuple[str, Callable[[], Graph]], ...] = (
    ("MUL rank 5", lambda: pair("MUL", FIVE, table="Mul")),
    ("MUL rank 6", lambda: pair("MUL", SIX, table="Mul")),
    # Five nested loops take any rank if few groups of dimensions broadcast alike.
    ("MUL rank 7, one scalar dimension", lambda: pair("MUL", ([2] * 7, [2] * 6 + [1]), table="Mul")),
    ("ADD rank 7, few groups", lambda: pair("ADD", ([2] * 7, [1] * 3 + [2] * 4), "int32", table="Add")),
    ("DIV rank 5", lambda: pair("DIV", FIVE, table="Div")),
    ("EQUAL rank 4", lambda: pair("EQUAL", ([2, 1, 3, 1], [1, 2, 1, 2]), output="bool")),
    # Equal shapes need no broadcasting.
    ("EQUAL rank 7, equal shapes", lambda: pair("EQUAL", ([2] * 7, [2] * 7), output="bool")),
    ("SQUARED_DIFFERENCE rank 6, equal shapes", lambda: pair("SQUARED_DIFFERENCE", ([2] * 6, [2] * 6))),
    ("RSQRT int16", lambda: unary("RSQRT", "int16", quant=(0.001, 0))),
    ("CONV_2D hybrid, one scale", conv),
    ("CONV_2D hybrid, groups, scales of channels", lambda: conv(groups=2, quant=per_channel(4))),
    ("DEPTHWISE_CONV_2D hybrid", lambda: depthwise(quant=per_channel(4, dimension=3))),
    ("TRANSPOSE_CONV hybrid", transposed),
    # Version 1 of the op, whose scales of channels the kernel of 2023 did not read.
    ("FULLY_CONNECTED hybrid, scales of channels", lambda: dense(quant=per_channel(4))),
    ("FULLY_CONNECTED blocks", lambda: dense(weights="int4", block=32)),
    ("BATCH_MATMUL int16 x int8", lambda: matmul("int16", "int8")),
    ("ONE_HOT bool", lambda: one_hot("bool")),
    ("SLICE rank 5", lambda: sliced(5)),
    ("RNN hybrid", lambda: rnn((0.01, 0))),
)
"""Models that a kernel can run although it, or an older one, cannot run others that are much alike."""
