"""Models whose answers move by a rounding, or are not numbers: such models were once called wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from litesmith.model.tensors import Array
from litesmith.study.op_models.tensor_types import TensorType
from litesmith.study.op_models.writer import Graph

_RELU, _RELU6, _TANH, _NONE, _SAME = 1, 3, 4, 0, 0


class _Layers:
    """A graph under construction, with layers in float32 or with integer weights (dynamic range)."""

    def __init__(self, seed: int, *, hybrid: bool = False) -> None:
        self.g = Graph()
        self.rng = np.random.default_rng(seed)
        self._hybrid = hybrid

    def weights(self, shape: tuple[int, ...], fan_in: int, channel: int) -> int:
        values = (self.rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
        if not self._hybrid:
            return self.g.const(values)
        across = tuple(axis for axis in range(values.ndim) if axis != channel)
        scales = np.abs(values).max(axis=across, keepdims=True) / 127
        integers = np.round(values / scales).astype(np.int8)
        quant = ([float(scale) for scale in scales.ravel()], [0] * scales.size, channel)
        return self.g.const(integers, TensorType("int8", quant))

    def bias(self, size: int) -> int:
        return self.g.const(self.rng.standard_normal(size).astype(np.float32) * 0.1)

    def conv(
        self, x: int, shape: list[int], filters: int, *, kernel: int = 1, stride: int = 1, act: int = _RELU6
    ) -> tuple[int, list[int]]:
        weights = self.weights((filters, kernel, kernel, shape[3]), kernel * kernel * shape[3], 0)
        made = [1, -(-shape[1] // stride), -(-shape[2] // stride), filters]
        y = self.g.tensor(made, "float32")
        options = {"strideW": stride, "strideH": stride, "padding": _SAME, "fusedActivationFunction": act}
        options |= {"dilationWFactor": 1, "dilationHFactor": 1}
        self.g.op("CONV_2D", [x, weights, self.bias(filters)], [y], "Conv2D", **options)
        return y, made

    def depthwise(self, x: int, shape: list[int], *, stride: int = 1) -> tuple[int, list[int]]:
        weights = self.weights((1, 3, 3, shape[3]), 9, 3)
        made = [1, -(-shape[1] // stride), -(-shape[2] // stride), shape[3]]
        y = self.g.tensor(made, "float32")
        options = {"strideW": stride, "strideH": stride, "padding": _SAME, "depthMultiplier": 1}
        options |= {"dilationWFactor": 1, "dilationHFactor": 1, "fusedActivationFunction": _RELU6}
        self.g.op("DEPTHWISE_CONV_2D", [x, weights, self.bias(shape[3])], [y], "DepthwiseConv2D", **options)
        return y, made

    def add(self, x: int, y: int, shape: list[int]) -> int:
        z = self.g.tensor(shape, "float32")
        self.g.op("ADD", [x, y], [z], "Add")
        return z

    def mean(self, x: int, channels: int) -> int:
        y = self.g.tensor([1, channels], "float32")
        self.g.op("MEAN", [x, self.g.const([1, 2], "int32")], [y], "Reducer", keepDims=False)
        return y

    def dense(self, x: int, n: int, units: int) -> int:
        y = self.g.tensor([1, units], "float32")
        weights = self.weights((units, n), n, 0)
        self.g.op("FULLY_CONNECTED", [x, weights, self.bias(units)], [y], "FullyConnected")
        return y

    def classifier(self, x: int, n: int, classes: int) -> Graph:
        logits = self.dense(x, n, classes)
        self.g.op("SOFTMAX", [logits], [self.g.output("float32", [1, classes])], "Softmax", beta=1.0)
        return self.g


def sine() -> Graph:
    """The sine of TinyML's first lesson: two layers of 16 units, and one number."""
    rows = np.linspace(0.1, 6.2, 16, dtype=np.float32)
    g = Graph()
    x = g.input([1, 1])
    hidden = g.tensor([1, 16], "float32")
    weights = [g.const(np.ones((16, 1), np.float32)), g.const(-rows)]
    g.op("FULLY_CONNECTED", [x, *weights], [hidden], "FullyConnected", fusedActivationFunction=_RELU)
    slopes = np.diff(np.append(np.sin(rows), 0)) / np.diff(np.append(rows, 6.6))
    steps = np.diff(np.concatenate([[0], slopes])).astype(np.float32)
    last = [g.const(steps[None, :]), g.const(np.sin(rows[:1]))]
    g.op("FULLY_CONNECTED", [hidden, *last], [g.output("float32", [1, 1])], "FullyConnected")
    return g


def nearly_constant() -> Graph:
    """Two float outputs that vary by 2e-4 around 2."""
    layers = _Layers(3)
    x = layers.g.input([1, 64])
    for size in (1, 5):
        hidden = layers.g.tensor([1, 256], "float32")
        layers.g.op("TANH", [layers.dense(x, 64, 256)], [hidden])
        y = layers.g.output("float32", [1, size])
        weights = layers.rng.uniform(-1e-5, 1e-5, (size, 256)).astype(np.float32)
        inputs = [hidden, layers.g.const(weights), layers.g.const(np.full(size, 2, np.float32))]
        layers.g.op("FULLY_CONNECTED", inputs, [y], "FullyConnected")
    return layers.g


def inverted_residuals(*, hybrid: bool = False) -> Graph:
    """MobileNet v2's blocks with random weights."""
    layers = _Layers(5, hybrid=hybrid)
    shape = [1, 48, 48, 3]
    x = layers.g.input(shape)
    x, shape = layers.conv(x, shape, 8, kernel=3, stride=2)
    for filters, stride in ((8, 1), (12, 2), (12, 1), (16, 2), (16, 1), (24, 1), (24, 1)):
        y, wide = layers.conv(x, shape, 6 * shape[3])
        y, wide = layers.depthwise(y, wide, stride=stride)
        y, narrow = layers.conv(y, wide, filters, act=_NONE)
        x = layers.add(x, y, narrow) if narrow == shape else y
        shape = narrow
    x, shape = layers.conv(x, shape, 96)
    return layers.classifier(layers.mean(x, shape[3]), shape[3], 10)


def squeeze_and_excite() -> Graph:
    """MobileNet v3's blocks with random weights: HARD_SWISH, and channels scaled by a gate."""
    layers = _Layers(7)
    g = layers.g
    shape = [1, 32, 32, 3]
    x = g.input(shape)
    x, shape = layers.conv(x, shape, 8, kernel=3, stride=2, act=_NONE)
    for filters, stride in ((8, 1), (16, 2), (16, 1), (24, 2)):
        y, wide = layers.conv(x, shape, 4 * shape[3], act=_NONE)
        z = g.tensor(wide, "float32")
        g.op("HARD_SWISH", [y], [z], "HardSwish")
        y, wide = layers.depthwise(z, wide, stride=stride)
        gate = layers.dense(layers.mean(y, wide[3]), wide[3], wide[3])
        squashed, scaled = g.tensor([1, wide[3]], "float32"), g.tensor(wide, "float32")
        g.op("LOGISTIC", [gate], [squashed])
        reshaped = g.tensor([1, 1, 1, wide[3]], "float32")
        g.op("RESHAPE", [squashed, g.const([1, 1, 1, wide[3]], "int32")], [reshaped])
        g.op("MUL", [y, reshaped], [scaled], "Mul")
        y, narrow = layers.conv(scaled, wide, filters, act=_NONE)
        x = layers.add(x, y, narrow) if narrow == shape else y
        shape = narrow
    return layers.classifier(layers.mean(x, shape[3]), shape[3], 10)


def dynamic_range() -> Graph:
    """A classifier whose convolutions quantise their inputs while it runs."""
    layers = _Layers(11, hybrid=True)
    shape = [1, 24, 24, 3]
    x = layers.g.input(shape)
    for filters, stride in ((16, 1), (24, 2), (32, 2)):
        x, shape = layers.conv(x, shape, filters, kernel=3, stride=stride, act=_RELU)
        x, shape = layers.depthwise(x, shape)
    return layers.classifier(layers.mean(x, shape[3]), shape[3], 10)


def integers() -> Graph:
    """Convolutions of int8, whose last integers are the output."""
    rng = np.random.default_rng(23)
    kind = TensorType("int8", (0.05, -3))
    g = Graph()
    x, shape = g.input([1, 16, 16, 8], kind), [1, 16, 16, 8]
    for number, (filters, kernel) in enumerate(((12, 3), (12, 0), (16, 1), (16, 0), (10, 3))):
        size, last = kernel or 3, number == 4
        outputs = filters if kernel else shape[3]
        weights_shape = (outputs, size, size, shape[3]) if kernel else (1, 3, 3, outputs)
        n = size * size * (shape[3] if kernel else 1)
        scales = (rng.uniform(0.4, 1.2, outputs) / 127 / np.sqrt(n / 9)).astype(np.float32)
        quant = ([float(scale) for scale in scales], [0] * outputs, 0 if kernel else 3)
        weights = g.const(rng.integers(-127, 128, weights_shape), TensorType("int8", quant))
        sums = ([float(scale) * 0.05 for scale in scales], [0] * outputs, 0)
        bias = g.const(rng.integers(-500, 500, outputs), TensorType("int32", sums))
        shape = [1, 16, 16, outputs]
        y = g.output(kind, shape) if last else g.tensor(shape, kind)
        options = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, "padding": _SAME}
        if kernel:
            g.op("CONV_2D", [x, weights, bias], [y], "Conv2D", **options)
        else:
            g.op(
                "DEPTHWISE_CONV_2D", [x, weights, bias], [y], "DepthwiseConv2D", depthMultiplier=1, **options
            )
        x = y
    return g


def gru() -> Graph:
    """A GRU as Keras writes one: a WHILE over the steps of a sequence."""
    rng = np.random.default_rng(13)
    steps, features, units = 12, 8, 16
    g = Graph()
    x = g.input([steps, features])
    names = [g.const(np.zeros(1), "int32"), g.const(np.zeros((1, units)))]
    y = g.output("float32", [1, units])
    counted = g.tensor([1], "int32")
    copied = g.tensor([steps, features], "float32")
    g.op(
        "WHILE",
        [names[0], x, names[1]],
        [counted, copied, y],
        "While",
        condSubgraphIndex=1,
        bodySubgraphIndex=2,
    )
    g.subgraph("cond")
    i = g.input([1], "int32")
    g.input([steps, features])
    g.input([1, units])
    g.op("LESS", [i, g.const([steps], "int32")], [g.output("bool", [1])], "Less")
    g.subgraph("body")
    i, x, h = g.input([1], "int32"), g.input([steps, features]), g.input([1, units])

    def new(shape: list[int]) -> int:
        return g.tensor(shape, "float32")

    def gate(inputs: int, state: int, op: str) -> int:
        parts = []
        for source, n in ((inputs, features), (state, units)):
            weights = g.const(rng.standard_normal((units, n)).astype(np.float32) * 0.5)
            parts.append(new([1, units]))
            bias = g.const(rng.standard_normal(units).astype(np.float32) * 0.1)
            g.op("FULLY_CONNECTED", [source, weights, bias], [parts[-1]], "FullyConnected")
        total, squashed = new([1, units]), new([1, units])
        g.op("ADD", parts, [total], "Add")
        g.op(op, [total], [squashed])
        return squashed

    row = new([1, features])
    g.op("GATHER", [x, i], [row], "Gather", axis=0)
    update, reset = gate(row, h, "LOGISTIC"), gate(row, h, "LOGISTIC")
    kept = new([1, units])
    g.op("MUL", [reset, h], [kept], "Mul")
    candidate = gate(row, kept, "TANH")
    difference, scaled, state = new([1, units]), new([1, units]), new([1, units])
    g.op("SUB", [h, candidate], [difference], "Sub")
    g.op("MUL", [update, difference], [scaled], "Mul")
    g.op("ADD", [candidate, scaled], [state], "Add")
    after = g.tensor([1], "int32")
    g.op("ADD", [i, g.const([1], "int32")], [after], "Add")
    g.current.outputs = [after, x, state]
    return g


def lstm() -> Graph:
    """An LSTM over a sequence, as one node, and a classifier."""
    layers = _Layers(17)
    g, units, features = layers.g, 24, 12
    x = g.input([20, 1, features])
    cell = [layers.weights((units, features), features, 0) for _ in range(4)]
    cell += [layers.weights((units, units), units, 0) for _ in range(4)]
    cell += [-1] * 3 + [layers.bias(units) for _ in range(4)] + [-1] * 2
    states = [g.tensor([1, units], "float32", variable=True) for _ in range(2)]
    y = g.tensor([20, 1, units], "float32")
    options = {"fusedActivationFunction": _TANH, "cellClip": 10.0, "timeMajor": True}
    inputs = [x, *cell, *states, *[-1] * 4]
    g.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], "UnidirectionalSequenceLSTM", **options)
    last = g.tensor([1, units], "float32")
    begin, end = g.const([19, 0, 0], "int32"), g.const([20, 1, units], "int32")
    strides = g.const([1, 1, 1], "int32")
    g.op("STRIDED_SLICE", [y, begin, end, strides], [last], "StridedSlice", shrinkAxisMask=1)
    return layers.classifier(last, units, 6)


def exact_half() -> Graph:
    """A dense layer of int16 activations and int8 weights; many results are an exact half of a step."""
    g = Graph()
    x = g.input([1, 30, 5], TensorType("int16", (2.0**-15, 0)))
    rng = np.random.default_rng(19)
    weights = g.const(rng.integers(-127, 128, (7, 5)), TensorType("int8", ([2.0**-7] * 7, [0] * 7, 0)))
    bias = g.const(rng.integers(-99, 99, 7), TensorType("int64", ([2.0**-22] * 7, [0] * 7, 0)))
    y = g.output(TensorType("int16", (2.0**-12, 0)), [1, 30, 7])
    g.op("FULLY_CONNECTED", [x, weights, bias], [y], "FullyConnected", keepNumDims=True)
    return g


def not_a_number() -> Graph:
    """Vectors divided by their length: NaN where they are zero."""
    g = Graph()
    x = g.input([1, 6, 8])
    squares, length, root = (g.tensor(shape, "float32") for shape in ([1, 6, 8], [1, 6, 1], [1, 6, 1]))
    g.op("MUL", [x, x], [squares], "Mul")
    g.op("SUM", [squares, g.const([2], "int32")], [length], "Reducer", keepDims=True)
    g.op("SQRT", [length], [root])
    g.op("DIV", [x, root], [g.output("float32", [1, 6, 8])], "Div")
    logarithm = g.output("float32", [1, 6, 1])
    g.op("LOG", [length], [logarithm])
    return g


MODELS: Mapping[str, Callable[[], Graph]] = {
    "sine": sine,
    "nearly_constant": nearly_constant,
    "inverted_residuals": inverted_residuals,
    "inverted_residuals_dynamic": lambda: inverted_residuals(hybrid=True),
    "squeeze_and_excite": squeeze_and_excite,
    "dynamic_range": dynamic_range,
    "integers": integers,
    "gru": gru,
    "lstm": lstm,
    "exact_half": exact_half,
    "not_a_number": not_a_number,
}
"""The models by name."""


INPUTS: Mapping[str, tuple[Array, ...]] = {
    "sine": tuple(np.full((1, 1), value, np.float32) for value in (0.5, 2.0, 3.1416, 5.9)),
    "not_a_number": (np.eye(6, 8, dtype=np.float32)[None] * np.float32(1e-30),),
}
"""Real inputs of models, for which random numbers say little."""


def write(name: str, folder: Path) -> Path:
    """Writes a model, and its inputs beside it."""
    path = folder / f"{name}.tflite"
    path.write_bytes(MODELS[name]().content())
    if name in INPUTS:
        np.savez(folder / f"{name}.inputs.npz", **{f"{i}_0": value for i, value in enumerate(INPUTS[name])})
    return path
