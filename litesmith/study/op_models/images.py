"""Ops on neighbourhoods of images and on signals: pools, normalisation, resizing, spectra."""

from __future__ import annotations

from litesmith.study.op_models.tensor_types import TypedOp, types
from litesmith.study.op_models.writer import Graph, OpModels

_POOLS = (
    TypedOp("AVERAGE_POOL_2D", "float32 int8* uint8* int16*"),
    TypedOp("MAX_POOL_2D", "float32 int8* uint8* int16*"),
    TypedOp("L2_POOL_2D", "float32"),
)
_PADDINGS = ((0, "same"), (1, "valid"))


def pools() -> OpModels:
    """With and without padding."""
    sizes = {"filterWidth": 3, "filterHeight": 2, "strideW": 2, "strideH": 1}
    for op in _POOLS:
        for kind in types(op.types):
            for padding, label in _PADDINGS:
                g = Graph()
                x, y = g.input([1, 7, 8, 3], kind), g.output(kind)
                g.op(op.name, [x], [y], "Pool2D", padding=padding, **sizes)
                yield op.name, f"{kind.label} {label}", g


def normalisation() -> OpModels:
    """Across neighbouring channels."""
    op = "LOCAL_RESPONSE_NORMALIZATION"
    options = {"radius": 2, "bias": 1.0, "alpha": 0.5, "beta": 0.75}
    g = Graph()
    g.op(op, [g.input([1, 2, 3, 8])], [g.output()], "LocalResponseNormalization", **options)
    yield op, "float32", g


def resizing() -> OpModels:
    """With each of the ways to map pixels to positions."""
    for op, table in (
        ("RESIZE_BILINEAR", "ResizeBilinear"),
        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor"),
    ):
        for kind in types("float32 int8* uint8* int16*"):
            for label, options in (
                ("", {}),
                (" aligned", {"alignCorners": True}),
                (" half", {"halfPixelCenters": True}),
            ):
                g = Graph()
                x, y = g.input([1, 4, 5, 3], kind), g.output(kind)
                g.op(op, [x, g.const([7, 6], "int32")], [y], table, **options)
                yield op, kind.label + label, g


def spectra() -> OpModels:
    """A Fourier transform in two dimensions."""
    g = Graph()
    g.op("RFFT2D", [g.input([8, 16]), g.const([8, 16], "int32")], [g.output("complex64")], "Rfft2d")
    yield "RFFT2D", "float32", g


FAMILY = (pools, normalisation, resizing, spectra)
