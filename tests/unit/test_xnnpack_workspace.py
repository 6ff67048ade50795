"""The size of XNNPACK's workspace: handmade graphs, with the ``workspace_bytes`` that programs printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from litesmith.model import contents
from litesmith.predict.xnnpack import delegation
from litesmith.predict.xnnpack.delegation import Delegation
from litesmith.predict.xnnpack.workspace import workspace_bytes
from litesmith.study.op_models.tensor_types import Quant
from litesmith.study.op_models.writer import Graph
from litesmith.target.instruction_sets import Architecture

IMAGE = (1, 6, 6, 4)
HALF: Quant = (0.5, 0)


class Net(Graph):
    """A graph whose nodes name their outputs."""

    def node(
        self,
        name: str,
        inputs: Sequence[int],
        shape: Sequence[int] = IMAGE,
        kind: str | None = None,
        *,
        dtype: str = "float32",
        quant: Quant | None = None,
        **options: Any,
    ) -> int:
        made = self.tensor(shape, dtype, quant=quant)
        self.op(name, inputs, [made], kind, **options)
        return made

    def conv(self, source: int, shape: Sequence[int] = IMAGE, *, same: bool = True, stride: int = 1) -> int:
        """A 3×3 convolution."""
        channels = self.current.tensors[source].shape[-1]
        weights = self.const(np.zeros((shape[-1], 3, 3, channels)))
        bias = self.const(np.zeros(shape[-1]))
        options: dict[str, Any] = {"padding": 0 if same else 1, "strideW": stride, "strideH": stride}
        dilation: dict[str, Any] = {"dilationWFactor": 1, "dilationHFactor": 1}
        return self.node("CONV_2D", [source, weights, bias], shape, "Conv2D", **options, **dilation)

    def add(self, left: int, right: int, activation: int = 0) -> int:
        return self.node("ADD", [left, right], kind="Add", fusedActivationFunction=activation)

    def pad(
        self, source: int, channels: tuple[int, int] = (0, 0), shape: Sequence[int] = (1, 8, 8, 4)
    ) -> int:
        paddings = self.const([[0, 0], [1, 1], [1, 1], channels], "int32")
        return self.node("PAD", [source, paddings], shape, "Pad")

    def pool(self, source: int, shape: Sequence[int], name: str = "AVERAGE_POOL_2D", **more: Any) -> int:
        size: dict[str, Any] = {"filterWidth": 4, "filterHeight": 4, "strideW": 1, "strideH": 1}
        return self.node(name, [source], shape, "Pool2D", **(size | more))

    def returns(self, *tensors: int) -> Net:
        self.current.outputs = list(tensors)
        return self


def chain() -> Net:
    """Each result reuses the memory of the previous one."""
    net = Net()
    value = net.conv(net.input(IMAGE))
    for name in ("ABS", "NEG", "FLOOR"):
        value = net.node(name, [value])
    return net.returns(net.conv(value))


def reshaped() -> Net:
    """A reshape and a softmax also reuse the memory of their inputs."""
    net = Net()
    flat = net.node(
        "RESHAPE", [net.conv(net.input(IMAGE)), net.const([1, 144], "int32")], (1, 144), "Reshape"
    )
    soft = net.node("SOFTMAX", [flat], (1, 144), "Softmax", beta=1.0)
    image = net.node("RESHAPE", [soft, net.const(IMAGE, "int32")], IMAGE, "Reshape")
    return net.returns(net.conv(image))


def read_twice() -> Net:
    """The memory of a value with two readers is not reused by the first."""
    net = Net()
    first = net.conv(net.input(IMAGE))
    second = net.node("ABS", [first])
    return net.returns(net.conv(net.add(first, second)))


def two_readers() -> Net:
    """The results of two readers do not reuse the memory of their input."""
    net = Net()
    first = net.node("ABS", [net.conv(net.input(IMAGE))])
    return net.returns(net.add(net.conv(first), net.conv(first)))


def transposed() -> Net:
    """The result of an op that reads in another order does not reuse the memory of its input."""
    net = Net()
    value = net.node("TRANSPOSE", [net.conv(net.input(IMAGE)), net.const([0, 2, 1, 3], "int32")])
    return net.returns(net.conv(value))


def clamped() -> Net:
    """The activation of a sum is a separate node, whose input is a separate value."""
    net = Net()
    source = net.input(IMAGE)
    return net.returns(net.add(source, source, activation=1))


def clamped_and_kept() -> Net:
    net = Net()
    source = net.input(IMAGE)
    middle = net.add(net.conv(source), source, activation=3)
    return net.returns(net.add(middle, net.conv(middle), activation=1))


def fused() -> Net:
    """Activations are fused into a convolution, even two of them and a pool of one pixel."""
    net = Net()
    value = net.node("RELU", [net.conv(net.input(IMAGE))])
    value = net.node("RELU6", [value])
    value = net.pool(value, IMAGE, "MAX_POOL_2D", filterWidth=1, filterHeight=1)
    return net.returns(value)


def padded(*, same: bool = False, stride: int = 1, channels: tuple[int, int] = (0, 0)) -> Callable[[], Net]:
    """A padding with zeros is fused into a convolution, unless that computes its own padding."""

    def made() -> Net:
        net = Net()
        after = (1, 8, 8, 4) if not any(channels) else (1, 8, 8, 4 + sum(channels))
        value = net.pad(net.conv(net.input(IMAGE)), channels, after)
        sides = -(-8 // stride) if same else (8 - 3) // stride + 1
        return net.returns(net.conv(value, (1, sides, sides, 4), same=same, stride=stride))

    return made


def padded_integers(point: int) -> Callable[[], Net]:
    """A padding of int8 with the zero point is fused, whatever its sign."""

    def made() -> Net:
        net = Net()
        quant: Quant = (0.5, point)
        source = net.input(IMAGE, "int8", quant=quant)
        paddings = net.const([[0, 0], [1, 1], [1, 1], [0, 0]], "int32")
        value = net.node("PAD", [source, paddings], (1, 8, 8, 4), "Pad", dtype="int8", quant=quant)
        weights = net.const(np.ones((4, 3, 3, 4)), "int8", quant=(0.01, 0))
        bias = net.const(np.zeros(4), "int32", quant=(0.005, 0))
        result = net.node(
            "CONV_2D",
            [value, weights, bias],
            IMAGE,
            "Conv2D",
            dtype="int8",
            quant=quant,
            padding=1,
            strideW=1,
            strideH=1,
            dilationWFactor=1,
            dilationHFactor=1,
        )
        return net.returns(result)

    return made


def averaged(*, same: bool, size: int = 4) -> Callable[[], Net]:
    """Averages keep nothing in the workspace."""

    def made() -> Net:
        net = Net()
        source = net.input((1, 6, 6, 40))
        sides = 6 if same else 7 - size
        shape = (1, sides, sides, 40)
        more: dict[str, Any] = {"padding": 0 if same else 1, "filterWidth": size, "filterHeight": size}
        return net.returns(net.pool(source, shape, **more))

    return made


def reduced() -> Net:
    """Sums of integers are kept in 32 bits."""
    net = Net()
    source = net.input((1, 6, 6, 40), "int8", quant=HALF)
    mean = net.node(
        "MEAN",
        [source, net.const([1, 2], "int32")],
        (1, 40),
        "Reducer",
        dtype="int8",
        quant=HALF,
        keepDims=False,
    )
    return net.returns(mean)


def connected(*, computed: bool) -> Callable[[], Net]:
    """Weights that are not constant are packed in each run; the input is copied into a matrix."""

    def made() -> Net:
        net = Net()
        weights = net.input((10, 37)) if computed else net.const(np.zeros((10, 37)))
        result = net.node(
            "FULLY_CONNECTED",
            [net.input((2, 37)), weights, -1],
            (2, 10),
            "FullyConnected",
            fusedActivationFunction=0,
            keepNumDims=False,
        )
        return net.returns(result)

    return made


def quantised() -> Net:
    """Values of different sizes do not reuse each other's memory in place."""
    net = Net()
    value = net.node("QUANTIZE", [net.conv(net.input(IMAGE))], dtype="int8", quant=HALF)
    return net.returns(net.conv(net.node("DEQUANTIZE", [value])))


def split_and_joined() -> Net:
    """One of the four parts is not used."""
    net = Net()
    parts = [net.tensor((1, 6, 6, 1), "float32") for _ in range(4)]
    source = net.conv(net.input(IMAGE))
    net.op("SPLIT", [net.const(3, "int32"), source], parts, "Split", numSplits=4)
    joined = [net.node("ABS", [part], (1, 6, 6, 1)) for part in parts[:3]]
    return net.returns(net.node("CONCATENATION", joined, (1, 6, 6, 3), "Concatenation", axis=3))


def unused_result() -> Net:
    """An unused result takes no memory."""
    net = Net()
    source = net.input(IMAGE)
    net.node("ABS", [source])
    return net.returns(net.node("NEG", [source]))


def partitions() -> Net:
    """All partitions share the workspace; the first needs less than the second."""
    net = Net()
    value = net.node("ABS", [net.conv(net.conv(net.input(IMAGE)))])
    value = net.node("COS", [value])
    wide = (1, 6, 6, 16)
    joined = net.node("CONCATENATION", [net.conv(value)] * 4, wide, "Concatenation", axis=3)
    taken = net.node(
        "SLICE", [joined, net.const([0, 0, 0, 0], "int32"), net.const(IMAGE, "int32")], IMAGE, "Slice"
    )
    return net.returns(net.conv(taken))


def gaps() -> Net:
    """Values of different sizes and lifetimes: each goes into the smallest gap."""
    net = Net()
    value = net.conv(net.input((1, 16, 16, 4)), (1, 16, 16, 4))
    kept = [value]
    for side in (7, 3):
        value = net.conv(value, (1, side, side, 4), same=False, stride=2)
        kept.append(value)
    means = [
        net.node("MEAN", [one, net.const([1, 2], "int32")], (1, 4), "Reducer", keepDims=False)
        for one in (*kept, *kept)
    ]
    joined = [net.node("CONCATENATION", means[i : i + 3], (1, 12), "Concatenation", axis=1) for i in (0, 3)]
    return net.returns(net.node("CONCATENATION", joined, (1, 24), "Concatenation", axis=1))


def many_alike(steps: int) -> Callable[[], Net]:
    """So many values of a few sizes that C libraries order them differently."""

    def made() -> Net:
        net = Net()
        values = [net.conv(net.input(IMAGE))]
        small, read = [], set[int]()
        for step in range(steps):
            source = values[-1 - step * step * 7 % min(5, len(values))]
            read.add(source)
            if step % 4 == 1:
                shape = (1, 6, 6, 3)
                begin, size = net.const([0, 0, 0, 0], "int32"), net.const(shape, "int32")
                small.append(net.node("SLICE", [source, begin, size], shape, "Slice"))
            elif step % 4 == 2:
                values.append(net.add(source, values[-1], activation=step % 3))
                read.add(values[-2])
            else:
                values.append(net.conv(source))
        joined = [
            net.node("CONCATENATION", small[i : i + 2], (1, 6, 6, 6), "Concatenation", axis=3)
            for i in range(0, len(small) - 1, 2)
        ]
        return net.returns(*joined, *(one for one in [*values, *small[-1:]] if one not in read))

    return made


def unpacked() -> Net:
    """Weights that are stored as float16 are constants."""
    net = Net()
    half = net.const(np.zeros((4, 3, 3, 4)), "float16")
    weights = net.node("DEQUANTIZE", [half], (4, 3, 3, 4))
    options: dict[str, Any] = {
        "padding": 0,
        "strideW": 1,
        "strideH": 1,
        "dilationWFactor": 1,
        "dilationHFactor": 1,
    }
    for_both = [weights, net.const(np.zeros(4))]
    first = net.node("CONV_2D", [net.input(IMAGE), *for_both], IMAGE, "Conv2D", **options)
    return net.returns(net.node("CONV_2D", [first, *for_both], IMAGE, "Conv2D", **options))


def branches() -> Net:
    """Each subgraph has its own workspace, whether it runs or not."""
    net = Net()
    main, condition, source = net.current, net.input((1,), "bool"), net.input(IMAGE)
    for name in ("then", "else"):
        net.subgraph(name)
        image = net.input(IMAGE)
        net.returns(net.add(image, image, activation=1))
    net.current = main
    chosen = net.node("IF", [condition, source], kind="If", thenSubgraphIndex=1, elseSubgraphIndex=2)
    return net.returns(chosen)


PRINTED: dict[str, tuple[Callable[[], Net], int, int]] = {
    "chain": (chain, 608, 608),
    "reshaped": (reshaped, 608, 608),
    "read twice": (read_twice, 1184, 1184),
    "two readers": (two_readers, 1760, 1760),
    "transposed": (transposed, 1184, 1184),
    "clamped": (clamped, 608, 608),
    "clamped and kept": (clamped_and_kept, 1760, 1760),
    "fused": (fused, 0, 0),
    "padded": (padded(), 608, 608),
    "padded, with padding of its own": (padded(same=True), 608, 608),
    "padded, with padding that needs the size": (padded(same=True, stride=2), 1632, 1632),
    "padded channels": (padded(channels=(0, 4)), 2656, 2656),
    "padded integers, below zero": (padded_integers(-3), 0, 0),
    "padded integers": (padded_integers(3), 0, 0),
    "averaged": (averaged(same=False), 0, 0),
    "averaged with padding": (averaged(same=True), 0, 0),
    "averaged at once": (averaged(same=False, size=3), 0, 0),
    "reduced": (reduced, 224, 208),
    "computed weights": (connected(computed=True), 5216, 2768),
    "constant weights": (connected(computed=False), 352, 336),
    "quantised": (quantised, 800, 752),
    "split and joined": (split_and_joined, 1184, 1040),
    "unused_result": (unused_result, 0, 0),
    "partitions": (partitions, 2912, 2912),
    "gaps": (gaps, 5664, 5120),
    "a few alike": (many_alike(30), 7200, 7088),
    "some alike": (many_alike(28), 6304, 6224),
    "many alike": (many_alike(160), 20640, 20048),
    "unpacked": (unpacked, 608, 608),
    "branches": (branches, 1216, 1216),
}
"""Sizes printed by programs built with zig: on an x86_64 CPU with VNNI, and on an aarch64 CPU."""


def prepared(net: Net) -> Delegation:
    content = net.content()
    return delegation.prepare(contents.analyse_bytes(content, "made.tflite"), content)


@pytest.mark.parametrize("name", PRINTED)
def test_workspaces_have_the_sizes_that_programs_print(name: str) -> None:
    make, x86_64, aarch64 = PRINTED[name]
    found = prepared(make())
    assert any(one.nodes for one in found.subgraphs)
    assert workspace_bytes(found, "x86_64", ["avx512vnni"]) == x86_64
    assert workspace_bytes(found, "aarch64") == aarch64


def test_32_bit_arm_has_the_same_alignment_as_64_bit_arm() -> None:
    assert [workspace_bytes(prepared(make()), "armv7") for make in (gaps, reduced)] == [5120, 208]


@pytest.mark.parametrize(
    ("architecture", "levels", "size"),
    [
        ("x86_64", ["sse4.1", "avx2"], 2784),
        ("x86_64", ["sse4.1", "avx2", "avx512"], 5216),
        ("x86_64", [], 5216),
    ],
)
def test_the_maximum_of_all_instruction_sets_counts(
    architecture: Architecture, levels: Sequence[str], size: int
) -> None:
    assert workspace_bytes(prepared(connected(computed=True)()), architecture, levels) == size
