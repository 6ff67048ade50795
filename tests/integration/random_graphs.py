"""Random graphs of ops whose tensors are allocated, freed, and reuse each other's memory."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from litesmith.study.op_models.writer import Graph


class _Growing:
    """A random graph under construction, with the actual shapes of its tensors."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.g = Graph()
        self.shapes: dict[int, list[int]] = {}
        self.pool: list[int] = []
        for _ in range(self.rng.randint(1, 3)):
            shape = [self.rng.choice([1, 2, 3, 8]) for _ in range(self.rng.choice([2, 3, 4, 4]))]
            index = self.g.input([*shape, 8])
            self.shapes[index] = [*shape, 8]
            self.pool.append(index)

    def tensor(self, shape: list[int], dtype: str = "float32") -> int:
        """A tensor whose shape may be missing from the file; kernels determine it in any case."""
        index = self.g.tensor(shape if self.rng.random() < 0.7 else [], dtype)
        self.shapes[index] = list(shape)
        return index

    def grown(self, shape: list[int]) -> int:
        index = self.tensor(shape)
        self.pool.append(index)
        return index

    def pick(self) -> tuple[int, list[int]]:
        index = self.rng.choice(self.pool[-6:] if self.rng.random() < 0.8 else self.pool)
        return index, self.shapes[index]

    def ints(self, values: Any) -> int:
        return self.g.const(values, "int32")


def _unary(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op(r.rng.choice(["RELU", "TANH", "LOGISTIC", "NEG"]), [x], [r.grown(s)])


def _softmax(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op("SOFTMAX", [x], [r.grown(s)], "Softmax", beta=1.0)


def _binary(r: _Growing, x: int, s: list[int]) -> None:
    alike = [index for index in r.pool if r.shapes[index] == s]
    both = [x, r.rng.choice(alike) if r.rng.random() < 0.7 else r.g.const(1.0)]
    r.rng.shuffle(both)
    op = r.rng.choice(["ADD", "MUL", "SUB", "DIV"])
    r.g.op(op, both, [r.grown(s)], op.capitalize())


def _reshape(r: _Growing, x: int, s: list[int]) -> None:
    wanted = r.rng.choice([[math.prod(s)], [1, math.prod(s)], [*s, 1]])
    r.g.op("RESHAPE", [x, r.ints(wanted)], [r.grown(wanted)], "Reshape", newShape=wanted)


def _computed_reshape(r: _Growing, x: int, s: list[int]) -> None:
    """A reshape that keeps an unknown batch size, as converters write it."""
    shape, batch, packed = r.tensor([len(s)], "int32"), r.tensor([], "int32"), r.tensor([2], "int32")
    rest = math.prod(s[1:])
    r.g.op("SHAPE", [x], [shape], "Shape", outType=2)
    ends = [r.ints([0]), r.ints([1]), r.ints([1])]
    r.g.op("STRIDED_SLICE", [shape, *ends], [batch], "StridedSlice", shrinkAxisMask=1)
    r.g.op("PACK", [batch, r.ints(rest)], [packed], "Pack", valuesCount=2)
    r.g.op("RESHAPE", [x, packed], [r.grown([s[0], rest])], "Reshape")


def _split(r: _Growing, x: int, s: list[int]) -> None:
    if s[-1] % 2 == 0:
        half = [*s[:-1], s[-1] // 2]
        r.g.op("SPLIT", [r.ints(len(s) - 1), x], [r.grown(half), r.grown(half)], "Split", numSplits=2)


def _unpack(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op("UNPACK", [x], [r.grown(s[1:]) for _ in range(s[0])], "Unpack", num=s[0])


def _squeeze(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op("SQUEEZE", [x], [r.grown([size for size in s if size != 1])], "Squeeze", squeezeDims=[])


def _reduce(r: _Growing, x: int, s: list[int]) -> None:
    op = r.rng.choice(["MEAN", "SUM", "REDUCE_MAX"])
    axis = r.ints([0])
    if r.rng.random() < 0.3:
        axis = r.tensor([1], "int32")
        r.g.op("NEG", [r.ints([0])], [axis])
    r.g.op(op, [x, axis], [r.grown(s[1:])], "Reducer")


def _layer(r: _Growing, x: int, s: list[int]) -> None:
    weights = r.g.const(np.ones((12, s[-1])))
    if r.rng.random() < 0.5:
        weights = r.g.const(np.ones((12, s[-1])), "int8", quant=(0.1, 0))
    r.g.op("FULLY_CONNECTED", [x, weights, -1], [r.grown([math.prod(s[:-1]), 12])], "FullyConnected")


def _convolution(r: _Growing, x: int, s: list[int]) -> None:
    if len(s) != 4:
        return
    quant = r.rng.choice([None, (0.1, 0), ([0.1, 0.2, 0.3, 0.4], [0] * 4, 0)])
    filters = r.g.const(np.ones((4, 3, 3, s[3])), "int8" if quant else "float32", quant=quant)
    r.g.op(
        "CONV_2D",
        [x, filters, r.g.const(np.zeros(4))],
        [r.grown([s[0], -(-s[1] // 2), s[2], 4])],
        "Conv2D",
        strideW=1,
        strideH=2,
    )


def _product(r: _Growing, x: int, s: list[int]) -> None:
    if 2 <= len(s) <= 5:
        right = r.g.const(np.ones([*s[:-2], s[-1], 5]))
        r.g.op("BATCH_MATMUL", [x, right], [r.grown([*s[:-1], 5])], "BatchMatMul")


def _unpacked_constant(r: _Growing, x: int, s: list[int]) -> None:
    floats = r.tensor(s)
    r.g.op("DEQUANTIZE", [r.g.const(np.ones(s), "float16")], [floats])
    r.g.op("ADD", [x, floats], [r.grown(s)], "Add")


def _sum(r: _Growing, x: int, s: list[int]) -> None:
    r.g.op("ADD_N", [x, x], [r.grown(s)])


def _loop(r: _Growing, x: int, s: list[int]) -> None:
    main, count = r.g.current, len(r.g.model.subgraphs)
    options = {"condSubgraphIndex": count, "bodySubgraphIndex": count + 1}
    r.g.op("WHILE", [r.ints(0), x], [r.tensor([], "int32"), r.grown(s)], "While", **options)
    r.g.subgraph("condition")
    i, _ = r.g.input([], "int32"), r.g.input(s)
    r.g.op("LESS", [i, r.ints(r.rng.choice([0, 2]))], [r.g.output("bool", [])], "Less")
    r.g.subgraph("body")
    i, y = r.g.input([], "int32"), r.g.input(s)
    r.g.op("ADD", [i, r.ints(1)], [r.g.output("int32", [])], "Add")
    middle = r.g.tensor(s, "float32")
    r.g.op("TANH", [y], [middle])
    r.g.op("NEG", [middle], [r.g.output("float32", s)])
    r.g.current = main


_STEPS_OF_GROWTH: tuple[Callable[[_Growing, int, list[int]], None], ...] = (
    _unary, _softmax, _binary, _binary, _reshape, _computed_reshape, _split, _unpack, _squeeze, _reduce,
    _layer, _convolution, _product, _unpacked_constant, _sum, _loop,
)  # fmt: skip


def random_graph(seed: int, steps: int) -> Graph:
    """A random graph of ops whose tensors are allocated, freed and reuse each other's memory."""
    r = _Growing(seed)
    for _ in range(steps):
        x, shape = r.pick()
        if shape and math.prod(shape) < 20_000:
            r.rng.choice(_STEPS_OF_GROWTH)(r, x, shape)
    used = {index for node in r.g.current.operators for index in node.inputs}
    made = [index for index in r.pool if index not in r.g.current.inputs]
    loose = [index for index in made if index not in used or r.rng.random() < 0.1]
    r.g.current.outputs = loose or [r.g.current.inputs[0]]
    return r.g


def random_graphs() -> Iterator[tuple[str, Graph]]:
    """Small and large random graphs."""
    for seed in range(40):
        yield f"random {seed}", random_graph(seed, 150 if seed % 8 == 0 else 15)
