"""Ops that quantise, requantise and dequantise."""

from __future__ import annotations

import numpy as np

from litesmith.study.op_models.tensor_types import QUANT, Affine, TensorType
from litesmith.study.op_models.writer import Graph, OpModels

_INT32 = (0.0001, 0)

_QUANTIZE = {
    "float32": ("int8", "uint8", "int16"),
    "int8": ("int8", "uint8", "int16"),
    "uint8": ("int8", "uint8", "int16"),
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
}
"""Source → targets that the kernel has code for."""


def fake_quant() -> OpModels:
    """Floats rounded to the values that a quantised tensor can hold."""
    g = Graph()
    g.op("FAKE_QUANT", [g.input([3, 4])], [g.output()], "FakeQuant", min=-0.7, max=0.9, numBits=8)
    yield "FAKE_QUANT", "float32", g


def dequantize() -> OpModels:
    """To float32, from quantised inputs, and from a float16 constant as converters write for weights."""
    for source, quant in (("int8", (0.1, 3)), ("uint8", (0.1, 120)), ("int16", (0.001, 0))):
        g = Graph()
        g.op("DEQUANTIZE", [g.input([3, 4], source, quant=quant)], [g.output()], "Dequantize")
        yield "DEQUANTIZE", source, g
    g = Graph()
    g.op("DEQUANTIZE", [g.const(np.linspace(-2, 2, 12), "float16")], [g.output()], "Dequantize")
    yield "DEQUANTIZE", "float16", g


_CHANNELS: Affine = ([0.01, 0.02, 0.005], [0, 0, 0], 0)


def channels() -> OpModels:
    """Scales for each channel, to and from float32."""
    g = Graph()
    values = np.random.default_rng(26).integers(-127, 127, (3, 5), endpoint=True)
    g.op("DEQUANTIZE", [g.const(values, "int8", _CHANNELS)], [g.output()], "Dequantize")
    yield "DEQUANTIZE", "int8 per channel", g
    for target in ("int8", "int16"):
        g = Graph()
        g.op("QUANTIZE", [g.input([3, 5])], [g.output(target, quant=_CHANNELS)], "Quantize")
        yield "QUANTIZE", f"float32 to {target} per channel", g


def quantize() -> OpModels:
    """From float32, and between quantised dtypes; the output's scale differs from the input's."""
    for source, targets in _QUANTIZE.items():
        for target in targets:
            g = Graph()
            quant = None if source == "float32" else QUANT.get(source, _INT32)
            scale, zero_point = QUANT.get(target, _INT32)
            x = g.input([3, 4], source, quant=quant)
            y = g.output(TensorType(target, (scale * 1.7, zero_point)))
            g.op("QUANTIZE", [x], [y], "Quantize")
            yield "QUANTIZE", f"{source} to {target}", g


FAMILY = (fake_quant, dequantize, channels, quantize)
