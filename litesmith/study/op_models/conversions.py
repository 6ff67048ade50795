"""Ops that convert elements to another dtype: casts, bit casts, parts of complex numbers."""

from __future__ import annotations

import numpy as np

from litesmith.study.op_models.writer import Graph, OpModels

_REAL_NUMBERS = (
    *("float32", "int32", "int64", "bool", "uint8", "int8", "int16", "uint16", "uint32", "float64"),
)
_HALVES = (("float16", "float32"), ("float32", "float16"))
_BITCASTS = (("float32", "int32"), ("int32", "float32"), ("int16", "uint16"), ("int8", "uint8"))


def casts() -> OpModels:
    """Between all real dtypes, to and from float16, and from complex numbers."""
    for source in _REAL_NUMBERS:
        for target in _REAL_NUMBERS:
            label, g = _cast([5, 3], source, target)
            # Every dtype holds these numbers; C++ leaves open what a cast makes of numbers out of range.
            g.sample("in range", np.arange(15).reshape(5, 3).astype(source))
            yield "CAST", label, g
    for source, target in _HALVES:
        yield ("CAST", *_cast([5, 3], source, target))
    yield ("CAST", *_cast([5], "complex64", "float32"))


def _cast(shape: list[int], source: str, target: str) -> tuple[str, Graph]:
    g = Graph()
    g.op("CAST", [g.input(shape, source)], [g.output(target)], "Cast")
    return f"{source} to {target}", g


def bitcasts() -> OpModels:
    """The same bits as another dtype of the same size."""
    for source, target in _BITCASTS:
        g = Graph()
        g.op("BITCAST", [g.input([2, 4], source)], [g.output(target)], "Bitcast")
        yield "BITCAST", f"{source} to {target}", g


def parts_of_complex_numbers() -> OpModels:
    """Real part, imaginary part and magnitude."""
    for op in ("REAL", "IMAG", "COMPLEX_ABS"):
        for source, target in (("complex64", "float32"), ("complex128", "float64")):
            g = Graph()
            g.op(op, [g.input([3, 4], source)], [g.output(target)])
            yield op, source, g


FAMILY = (casts, bitcasts, parts_of_complex_numbers)
