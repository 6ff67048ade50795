"""Networks as they are published for phones, with random weights: what ``bench.speed`` measures
beside the small models of the zoo.

Each has the ops, the shapes and about the size of a known network: the face detector, the hand landmarks and
the palm detector of MediaPipe (https://ai.google.dev/edge/mediapipe/solutions/guide), whose weights are
float16, and the keyword spotter that the speech commands of TensorFlow.js train by transfer learning
(https://github.com/tensorflow/tfjs-models/tree/master/speech-commands), whose weights are float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litesmith.study.op_models.writer import Graph

_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
_RELU, _RELU6 = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.RELU6
_NONE = schema.ActivationFunctionType.NONE


class _Network:
    """A network of float32 under construction; :attr:`shapes` are those of its tensors."""

    def __init__(self, shape: Sequence[int], *, half_weights: bool) -> None:
        self.graph = Graph()
        self.start = self.graph.input(shape)
        self.shapes: dict[int, Sequence[int]] = {self.start: shape}
        self._random = np.random.default_rng(18)
        self._half_weights = half_weights
        self.graph.sample("random", self._random.uniform(-1, 1, shape).astype(np.float32))

    def write(self, path: Path, outputs: Sequence[int]) -> None:
        """Writes the model and its sample."""
        self.graph.current.outputs = list(outputs)
        path.write_bytes(self.graph.content())
        np.savez(path.with_suffix(".inputs.npz"), random_0=self.graph.samples["random"][0])

    def add_op(
        self, name: str, inputs: Sequence[int], shape: Sequence[int], *kind: str, **options: Any
    ) -> int:
        """Adds a node with one output of a shape, and returns that."""
        made = self.graph.tensor(shape, "float32")
        self.shapes[made] = shape
        self.graph.op(name, inputs, [made], *kind, **options)
        return made

    def weights(self, shape: Sequence[int], terms: int) -> int:
        """Weights of which an output sums ``terms``: it stays about as large as the inputs."""
        values = self._random.normal(0, math.sqrt(1 / terms), shape)
        if not self._half_weights:
            return self.graph.const(values)
        return self.add_op("DEQUANTIZE", [self.graph.const(values, "float16")], shape, "Dequantize")

    def convolution(
        self,
        source: int,
        channels: int,
        size: Sequence[int] = (1, 1),
        *,
        stride: int = 1,
        padding: Any = _SAME,
        activation: Any = _NONE,
    ) -> int:
        """A convolution with a bias."""
        _, height, width, depth = self.shapes[source]
        kernel = self.weights([channels, *size, depth], math.prod(size) * depth)
        shape = [1, *_reduced((height, width), size, stride, padding), channels]
        return self.add_op(
            "CONV_2D",
            [source, kernel, self.weights([channels], 100)],
            shape,
            "Conv2D",
            padding=padding,
            strideH=stride,
            strideW=stride,
            dilationHFactor=1,
            dilationWFactor=1,
            fusedActivationFunction=activation,
        )

    def depthwise(self, source: int, size: int, *, stride: int = 1, activation: Any = _NONE) -> int:
        """A depthwise convolution with a bias and padding."""
        _, height, width, depth = self.shapes[source]
        kernel = self.weights([1, size, size, depth], size * size)
        shape = [1, *_reduced((height, width), (size, size), stride, _SAME), depth]
        return self.add_op(
            "DEPTHWISE_CONV_2D",
            [source, kernel, self.weights([depth], 100)],
            shape,
            "DepthwiseConv2D",
            padding=_SAME,
            strideH=stride,
            strideW=stride,
            depthMultiplier=1,
            dilationHFactor=1,
            dilationWFactor=1,
            fusedActivationFunction=activation,
        )

    def maximum(self, source: int, size: Sequence[int], stride: Sequence[int]) -> int:
        """The maximum of each window, without padding."""
        _, height, width, depth = self.shapes[source]
        sides = [
            (side - one) // step + 1 for side, one, step in zip((height, width), size, stride, strict=True)
        ]
        return self.add_op(
            "MAX_POOL_2D",
            [source],
            [1, *sides, depth],
            "Pool2D",
            padding=_VALID,
            filterHeight=size[0],
            filterWidth=size[1],
            strideH=stride[0],
            strideW=stride[1],
        )

    def sum(self, first: int, second: int, activation: Any = _NONE) -> int:
        """The sum of two tensors of one shape."""
        return self.add_op(
            "ADD", [first, second], self.shapes[first], "Add", fusedActivationFunction=activation
        )

    def widened(self, source: int, channels: int) -> int:
        """The tensor with zeros behind its channels."""
        *sides, depth = self.shapes[source]
        paddings = self.graph.const([[0, 0], [0, 0], [0, 0], [0, channels - depth]], "int32")
        return self.add_op("PAD", [source, paddings], [*sides, channels], "Pad")

    def prelu(self, source: int) -> int:
        """A rectifier with a slope for each channel."""
        depth = self.shapes[source][-1]
        return self.add_op("PRELU", [source, self.weights([1, 1, depth], 32)], self.shapes[source])

    def doubled(self, source: int) -> int:
        """The image in twice its size."""
        _, height, width, depth = self.shapes[source]
        size = self.graph.const([2 * height, 2 * width], "int32")
        shape = [1, 2 * height, 2 * width, depth]
        return self.add_op("RESIZE_BILINEAR", [source, size], shape, "ResizeBilinear", halfPixelCenters=True)

    def reshaped(self, source: int, shape: Sequence[int]) -> int:
        """The same elements in another shape."""
        return self.add_op(
            "RESHAPE", [source, self.graph.const(shape, "int32")], shape, "Reshape", newShape=shape
        )

    def joined(self, sources: Sequence[int]) -> int:
        """Tensors of shape (1, rows, columns), with their rows behind each other."""
        rows = sum(self.shapes[source][1] for source in sources)
        shape = [1, rows, self.shapes[sources[0]][2]]
        return self.add_op("CONCATENATION", sources, shape, "Concatenation", axis=1)

    def averaged(self, source: int) -> int:
        """The mean of each channel."""
        axes = self.graph.const([1, 2], "int32")
        return self.add_op("MEAN", [source, axes], [1, self.shapes[source][-1]], "Reducer", keepDims=False)

    def dense(self, source: int, count: int, activation: Any = _NONE) -> int:
        """A layer in which each output depends on all inputs."""
        depth = self.shapes[source][-1]
        inputs = [source, self.weights([count, depth], depth), self.weights([count], 100)]
        return self.add_op(
            "FULLY_CONNECTED", inputs, [1, count], "FullyConnected", fusedActivationFunction=activation
        )


def _reduced(sides: Sequence[int], size: Sequence[int], stride: int, padding: Any) -> list[int]:
    missing = [0, 0] if padding == _SAME else [one - 1 for one in size]
    return [-(-(side - less) // stride) for side, less in zip(sides, missing, strict=True)]


def _heads(net: _Network, sources: Sequence[tuple[int, int]], columns: int) -> list[int]:
    """Boxes and scores of anchors: from each source, its number of anchors for each pixel."""
    found = []
    for width in (columns, 1):
        rows = []
        for source, anchors in sources:
            one = net.convolution(source, anchors * width)
            rows.append(net.reshaped(one, [1, math.prod(net.shapes[one]) // width, width]))
        found.append(net.joined(rows))
    return found


def _block(net: _Network, source: int, channels: int, size: int, *, halved: bool, prelu: bool) -> int:
    """A depthwise and a pointwise convolution, beside which the source goes on."""
    made = net.convolution(net.depthwise(source, size, stride=2 if halved else 1), channels)
    beside = net.maximum(source, (2, 2), (2, 2)) if halved else source
    if net.shapes[beside][-1] < channels:
        beside = net.widened(beside, channels)
    return net.prelu(net.sum(made, beside)) if prelu else net.sum(made, beside, _RELU)


def _face_detection(path: Path) -> None:
    net = _Network([1, 128, 128, 3], half_weights=True)
    made = net.convolution(net.start, 24, (5, 5), stride=2, activation=_RELU)
    for channels, halved in ((24, False), (28, False), (32, True), (36, False), (42, False), (48, True)):
        made = _block(net, made, channels, 3, halved=halved, prelu=False)
    for channels in (56, 64, 72, 80, 88):
        made = _block(net, made, channels, 3, halved=False, prelu=False)
    last = _block(net, made, 96, 3, halved=True, prelu=False)
    for _ in range(4):
        last = _block(net, last, 96, 3, halved=False, prelu=False)
    net.write(path, _heads(net, [(made, 2), (last, 6)], 16))


def _palm_detection(path: Path) -> None:
    net = _Network([1, 192, 192, 3], half_weights=True)
    made = net.prelu(net.convolution(net.start, 32, (5, 5), stride=2))
    scales = []
    for channels in (32, 64, 128, 256, 256):
        if channels > 32:
            made = _block(net, made, channels, 5, halved=True, prelu=True)
        for _ in range(3):
            made = _block(net, made, channels, 5, halved=False, prelu=True)
        scales.append(made)
    *_, fine, middle, coarse = scales
    for beside, channels in ((middle, 256), (fine, 128)):
        up = net.prelu(net.convolution(net.doubled(coarse), channels))
        coarse = net.sum(up, beside)
        for _ in range(2):
            coarse = _block(net, coarse, channels, 5, halved=False, prelu=True)
        middle = coarse if channels == 256 else middle
    net.write(path, _heads(net, [(coarse, 2), (middle, 6)], 18))


def _hand_landmarks(path: Path) -> None:
    net = _Network([1, 224, 224, 3], half_weights=True)
    made = net.convolution(net.start, 16, (3, 3), stride=2, activation=_RELU6)
    made = net.convolution(net.depthwise(made, 3, activation=_RELU6), 16)
    # Factor of expansion, channels, how often, stride of the first: in the way of MobileNet v2.
    for factor, channels, count, stride in (
        (4, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 80, 3, 1),
        (6, 112, 3, 2),
        (6, 144, 1, 1),
    ):
        for number in range(count):
            wide = net.convolution(made, factor * net.shapes[made][-1], activation=_RELU6)
            wide = net.depthwise(
                wide, 3 if stride == 1 else 5, stride=stride if number == 0 else 1, activation=_RELU6
            )
            narrow = net.convolution(wide, channels)
            made = net.sum(narrow, made) if number else narrow
    features = net.averaged(net.convolution(made, 576, activation=_RELU6))
    sure = [net.add_op("LOGISTIC", [net.dense(features, 1)], [1, 1]) for _ in range(2)]
    net.write(path, [net.dense(features, 63), *sure, net.dense(features, 63)])


def _keyword_spotter(path: Path) -> None:
    net = _Network([1, 43, 232, 1], half_weights=False)
    made = net.start
    for channels, size, stride in ((8, (2, 8), 2), (32, (2, 4), 2), (32, (2, 4), 2), (32, (2, 4), 1)):
        made = net.convolution(made, channels, size, padding=_VALID, activation=_RELU)
        made = net.maximum(made, (2, 2), (2, stride))
    made = net.reshaped(made, [1, math.prod(net.shapes[made])])
    made = net.dense(net.dense(made, 2000, _RELU), 20)
    net.write(path, [net.add_op("SOFTMAX", [made], [1, 20], "Softmax", beta=1.0)])


_WRITERS: Mapping[str, Callable[[Path], None]] = {
    "face_detection": _face_detection,
    "hand_landmarks": _hand_landmarks,
    "keyword_spotter": _keyword_spotter,
    "palm_detection": _palm_detection,
}


def write(folder: Path) -> tuple[str, ...]:
    """Writes the four models into an existing folder; returns their paths."""
    paths = [folder / f"{name}.tflite" for name in _WRITERS]
    for path in paths:
        _WRITERS[path.stem](path)
    return tuple(str(path) for path in paths)
