"""Convolutions, pools, matrix products, images."""

from __future__ import annotations

from typing import Any

import numpy as np

from litesmith.study.op_models.elementwise import Made, quantized
from litesmith.study.op_models.writer import Graph, Quant

_RNG = np.random.default_rng(7)
IN: dict[str, Quant] = {"int8": (0.02, 3), "uint8": (0.02, 127), "int16": (0.0005, 0)}
OUT: dict[str, Quant] = {"int8": (0.1, -4), "uint8": (0.1, 130), "int16": (0.002, 0)}


def _weights(
    shape: tuple[int, ...], word: str, channel: int
) -> tuple[Any, str, dict[str, Any], dict[str, Any]]:
    """Weights and the dtype and quantisation of weights and bias for a kind of kernel."""
    channels = shape[channel]
    if word == "float32":
        return _RNG.uniform(-1, 1, shape).astype("float32"), "float32", {}, {"dtype": "float32"}
    if word == "uint8*":
        values = _RNG.integers(0, 256, shape)
        return values, "uint8", {"quant": (0.01, 128)}, {"dtype": "int32", "quant": (0.0002, 0)}
    values = _RNG.integers(-127, 128, shape)
    scales = [0.01 + 0.001 * i for i in range(channels)]
    if word == "hybrid":
        return values, "int8", {"quant": (scales, [0] * channels, channel)}, {"dtype": "float32"}
    scale = 0.02 if word == "int8*" else 0.0005
    bias = {"dtype": "int32" if word == "int8*" else "int64"}
    return (
        values,
        "int8",
        {"quant": (scales, [0] * channels, channel)},
        {**bias, "quant": ([scale * s for s in scales], [0] * channels, 0)},
    )


def _ends(word: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    if word in {"float32", "hybrid"}:
        return "float32", {}, {}
    dtype = word.rstrip("*")
    return dtype, {"quant": IN[dtype]}, {"quant": OUT[dtype]}


def _convolved(
    op: str, word: str, shape: list[int], kernel: tuple[int, ...], channel: int, kind: str, **options: Any
) -> Graph:
    g = Graph()
    dtype, first, last = _ends(word)
    values, weight_dtype, weight_quant, bias = _weights(kernel, word, channel)
    x = g.input(shape, dtype, **first)
    weights = g.const(values, weight_dtype, **weight_quant)
    biases = (
        _RNG.integers(-50, 50, kernel[channel])
        if bias["dtype"] != "float32"
        else _RNG.uniform(-1, 1, kernel[channel])
    )
    b = g.const(biases, **bias)
    g.op(op, [x, weights, b], [g.output(dtype, **last)], kind, **options)
    return g


def convolutions() -> Made:
    """Dense, pointwise, strided, dilated, with and without padding and activation."""
    for word in ("float32", "int8*", "uint8*", "int16*", "hybrid"):
        for label, kernel, options in (
            ("", (5, 3, 3, 4), {}),
            (" pointwise", (6, 1, 1, 4), {"padding": 1}),
            (" strided relu6", (5, 3, 3, 4), {"strideW": 2, "strideH": 2, "fusedActivationFunction": 3}),
            (" dilated", (3, 3, 3, 4), {"dilationWFactor": 2, "dilationHFactor": 2, "padding": 1}),
        ):
            made = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, **options}
            g = _convolved("CONV_2D", word, [1, 9, 8, 4], kernel, 0, "Conv2D", **made)
            yield "CONV_2D", word + label, g
        for label, kernel, options in (
            ("", (1, 3, 3, 8), {"depthMultiplier": 1}),
            (" 5x5 strided", (1, 5, 5, 8), {"depthMultiplier": 1, "strideW": 2, "strideH": 2}),
            (" multiplied", (1, 3, 3, 16), {"depthMultiplier": 2, "padding": 1}),
            (" dilated", (1, 3, 3, 8), {"depthMultiplier": 1, "dilationWFactor": 2, "dilationHFactor": 2}),
        ):
            made = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, **options}
            g = _convolved("DEPTHWISE_CONV_2D", word, [1, 11, 12, 8], kernel, 3, "DepthwiseConv2D", **made)
            yield "DEPTHWISE_CONV_2D", word + label, g
    for word in ("float32", "int8*", "uint8*", "int16*"):
        g = Graph()
        dtype, first, last = _ends(word)
        values, weight_dtype, weight_quant, _ = _weights((3, 3, 3, 4), word, 0)
        shape = g.const([1, 10, 10, 3], "int32")
        weights = g.const(values, weight_dtype, **weight_quant)
        x = g.input([1, 5, 5, 4], dtype, **first)
        y = g.output(dtype, **last)
        g.op("TRANSPOSE_CONV", [shape, weights, x], [y], "TransposeConv", strideW=2, strideH=2, padding=0)
        yield "TRANSPOSE_CONV", word, g
    g = Graph()
    x, w, b = (
        g.input([1, 4, 5, 6, 2]),
        g.const(_RNG.uniform(-1, 1, (2, 2, 2, 2, 3))),
        g.const([0.1, 0.2, 0.3]),
    )
    strides = {"strideD": 1, "strideW": 1, "strideH": 1}
    dilations = {"dilationDFactor": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    g.op("CONV_3D", [x, w, b], [g.output()], "Conv3D", **strides, **dilations)
    yield "CONV_3D", "float32", g
    g = Graph()
    shape, w = g.const([1, 5, 6, 7, 2], "int32"), g.const(_RNG.uniform(-1, 1, (2, 2, 2, 2, 3)))
    x = g.input([1, 4, 5, 6, 3])
    g.op("CONV_3D_TRANSPOSE", [shape, w, x], [g.output()], "Conv3D", padding=1, **strides, **dilations)
    yield "CONV_3D_TRANSPOSE", "float32", g


def four_bits() -> Made:
    """Weights of four bits, two in a byte."""
    for op, kind, shape, kernel, channel in (
        ("CONV_2D", "Conv2D", [1, 6, 6, 4], (6, 3, 3, 4), 0),
        ("DEPTHWISE_CONV_2D", "DepthwiseConv2D", [1, 6, 6, 8], (1, 3, 3, 8), 3),
        ("FULLY_CONNECTED", "FullyConnected", [2, 10], (6, 10), 0),
    ):
        g = Graph()
        channels = kernel[channel]
        packed = _RNG.integers(0, 256, int(np.prod(kernel)) // 2).astype(np.uint8)
        # -8 has no counterpart, and converters do not write it.
        packed = np.where((packed & 15) == 8, packed + 1, packed)
        packed = np.where((packed >> 4) == 8, packed + 16, packed).astype(np.uint8)
        scales = [0.05] * channels
        quant: Quant = (0.05, 0) if op == "FULLY_CONNECTED" else (scales, [0] * channels, channel)
        bias: Quant = (0.001, 0) if op == "FULLY_CONNECTED" else ([0.001] * channels, [0] * channels, 0)
        weights = g.tensor(kernel, "int4", quant=quant, data=packed)
        x = g.input(shape, "int8", quant=IN["int8"])
        b = g.const(np.arange(channels), "int32", quant=bias)
        steps = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
        options = {} if op == "FULLY_CONNECTED" else steps
        if op == "DEPTHWISE_CONV_2D":
            options = {**steps, "depthMultiplier": 1}
        g.op(op, [x, weights, b], [g.output("int8", quant=OUT["int8"])], kind, **options)
        yield op, "int8 with int4 weights", g


def products() -> Made:
    """Matrix products."""
    for word in ("float32", "int8*", "uint8*", "int16*", "hybrid"):
        for label, options in (("", {}), (" relu", {"fusedActivationFunction": 1})):
            g = Graph()
            dtype, first, last = _ends(word)
            values, weight_dtype, weight_quant, bias = _weights((6, 10), word, 0)
            if "quant" in weight_quant and word != "uint8*":
                weight_quant = {"quant": (0.01, 0)}
                bias = (
                    {**bias, "quant": (0.0002 if word == "int8*" else 0.000005, 0)}
                    if "quant" in bias
                    else bias
                )
            x = g.input([3, 10], dtype, **first)
            weights = g.const(values, weight_dtype, **weight_quant)
            b = g.const(np.arange(6), **bias)
            g.op("FULLY_CONNECTED", [x, weights, b], [g.output(dtype, **last)], "FullyConnected", **options)
            yield "FULLY_CONNECTED", word + label, g
    for word in ("float32", "int8*", "int16*"):
        for adjoint in (False, True):
            g = Graph()
            dtype, first, last = _ends(word)
            x, y = (
                g.input([2, 3, 4], dtype, **first),
                g.input([2, 5, 4] if adjoint else [2, 4, 5], dtype, **first),
            )
            g.op("BATCH_MATMUL", [x, y], [g.output(dtype, **last)], "BatchMatMul", adjY=adjoint)
            yield "BATCH_MATMUL", word + (" adjoint" if adjoint else ""), g
    g = Graph()
    x, y = g.input([2, 3, 4]), g.const(_RNG.integers(-127, 128, (2, 4, 5)), "int8", quant=(0.01, 0))
    g.op("BATCH_MATMUL", [x, y], [g.output()], "BatchMatMul", asymmetricQuantizeInputs=False)
    yield "BATCH_MATMUL", "hybrid", g


def pools() -> Made:
    """Pools and normalisations."""
    sizes = {"filterWidth": 3, "filterHeight": 2, "strideW": 2, "strideH": 1}
    for op, words in (
        ("AVERAGE_POOL_2D", "float32 int8* uint8* int16*"),
        ("MAX_POOL_2D", "float32 int8* uint8* int16*"),
        ("L2_POOL_2D", "float32"),
    ):
        for word in words.split():
            dtype, more = quantized(word)
            for padding in (0, 1):
                g = Graph()
                x, y = g.input([1, 7, 8, 3], dtype, **more), g.output(dtype, **more)
                g.op(op, [x], [y], "Pool2D", padding=padding, **sizes)
                yield op, f"{word} {'valid' if padding else 'same'}", g
    g = Graph()
    options = {"radius": 2, "bias": 1.0, "alpha": 0.5, "beta": 0.75}
    g.op(
        "LOCAL_RESPONSE_NORMALIZATION",
        [g.input([1, 2, 3, 8])],
        [g.output()],
        "LocalResponseNormalization",
        **options,
    )
    yield "LOCAL_RESPONSE_NORMALIZATION", "float32", g


def images() -> Made:
    """Resized images, and spectra."""
    for op, kind in (
        ("RESIZE_BILINEAR", "ResizeBilinear"),
        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor"),
    ):
        for word in ("float32", "int8*", "uint8*", "int16*"):
            dtype, more = quantized(word)
            for label, options in (
                ("", {}),
                (" aligned", {"alignCorners": True}),
                (" half", {"halfPixelCenters": True}),
            ):
                g = Graph()
                x, y = g.input([1, 4, 5, 3], dtype, **more), g.output(dtype, **more)
                g.op(op, [x, g.const([7, 6], "int32")], [y], kind, **options)
                yield op, word + label, g
    g = Graph()
    g.op("RFFT2D", [g.input([8, 16]), g.const([8, 16], "int32")], [g.output("complex64")], "Rfft2d")
    yield "RFFT2D", "float32", g


FAMILY = (convolutions, four_bits, products, pools, images)
