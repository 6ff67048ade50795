"""Ops that move, cut, repeat and describe elements without computing with them."""

from __future__ import annotations

from collections.abc import Callable

from litesmith.study.op_models.tensor_types import TensorType, types
from litesmith.study.op_models.writer import Graph, OpModels

COMMON = "float32 int8* uint8* int16* int32 int64"
"""The types that most kernels of this family have code for."""

_WITHOUT_KERNEL = {
    "SPACE_TO_DEPTH": {"int16*", "bool"},
    "DEPTH_TO_SPACE": {"int16*", "bool"},
    "TILE": {"int16*"},
    "PACK": {"bool"},
    "UNPACK": {"int64"},
    "SPLIT": {"bool"},
    "SPLIT_V": {"bool"},
}
"""Exceptions: types that the kernel of an op has no code for."""


def _has_kernel(op: str, kind: TensorType) -> bool:
    return kind.label not in _WITHOUT_KERNEL.get(op, ())


def _graph(kind: TensorType, shape: list[int]) -> tuple[Graph, int, int]:
    """A graph with one input and one output."""
    g = Graph()
    return g, g.input(shape, kind), g.output(kind)


def _reshape(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [2, 3, 4])
    g.op("RESHAPE", [x, g.const([4, 6], "int32")], [y], "Reshape", newShape=[4, 6])
    return g


def _expand_dims(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [2, 3])
    g.op("EXPAND_DIMS", [x, g.const([1], "int32")], [y], "ExpandDims")
    return g


def _squeeze(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [1, 3, 1, 2])
    g.op("SQUEEZE", [x], [y], "Squeeze", squeezeDims=[0])
    return g


def _transpose(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [2, 3, 4])
    g.op("TRANSPOSE", [x, g.const([2, 0, 1], "int32")], [y], "Transpose")
    return g


def _slice(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [2, 5, 3])
    g.op("SLICE", [x, g.const([0, 1, 1], "int32"), g.const([2, 3, -1], "int32")], [y], "Slice")
    return g


def _strided_slice(kind: TensorType, **masks: int) -> Graph:
    g, x, y = _graph(kind, [4, 5, 3])
    begin, end, strides = (g.const(v, "int32") for v in ([1, 0, 0], [3, 5, 3], [1, 2, 1]))
    g.op("STRIDED_SLICE", [x, begin, end, strides], [y], "StridedSlice", **masks)
    return g


def _masked_strided_slice(kind: TensorType) -> Graph:
    return _strided_slice(kind, beginMask=2, endMask=4)


def _gather(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [2, 3, 4])
    g.op("GATHER", [x, g.const([1, 0, 2], "int32")], [y], "Gather", axis=1)
    return g


def _space_to_depth(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [1, 4, 4, 2])
    g.op("SPACE_TO_DEPTH", [x], [y], "SpaceToDepth", blockSize=2)
    return g


def _depth_to_space(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [1, 2, 2, 8])
    g.op("DEPTH_TO_SPACE", [x], [y], "DepthToSpace", blockSize=2)
    return g


def _describing(kind: TensorType, op: str, options: str, **fields: int) -> Graph:
    """A graph with an int32 output.  It also has a tensor that no node uses, as converters may leave them."""
    g = Graph()
    x = g.input([2, 3], kind)
    g.tensor([], kind)
    g.op(op, [x], [g.output("int32")], options, **fields)
    return g


def _shape(kind: TensorType) -> Graph:
    return _describing(kind, "SHAPE", "Shape", outType=2)


def _rank(kind: TensorType) -> Graph:
    return _describing(kind, "RANK", "Rank")


def _broadcast_to(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [2, 3])
    g.op("BROADCAST_TO", [x, g.const([4, 2, 3], "int32")], [y], "BroadcastTo")
    return g


def _tile(kind: TensorType) -> Graph:
    g, x, y = _graph(kind, [2, 3])
    g.op("TILE", [x, g.const([2, 2], "int32")], [y], "Tile")
    return g


_PLAIN: dict[str, Callable[[TensorType], Graph]] = {
    "RESHAPE": _reshape,
    "EXPAND_DIMS": _expand_dims,
    "SQUEEZE": _squeeze,
    "TRANSPOSE": _transpose,
    "SLICE": _slice,
    "STRIDED_SLICE": _masked_strided_slice,
    "GATHER": _gather,
    "SPACE_TO_DEPTH": _space_to_depth,
    "DEPTH_TO_SPACE": _depth_to_space,
    "SHAPE": _shape,
    "RANK": _rank,
    "BROADCAST_TO": _broadcast_to,
    "TILE": _tile,
}


def plain() -> OpModels:
    """One tensor, and constants that say what to do with it."""
    for kind in types(f"{COMMON} bool"):
        for op, make in _PLAIN.items():
            if _has_kernel(op, kind):
                yield op, kind.label, make(kind)


def unsigned() -> OpModels:
    """uint32, for the few kernels that have code for it."""
    (kind,) = types("uint32")
    yield "SLICE", kind.label, _slice(kind)
    yield "STRIDED_SLICE", kind.label, _strided_slice(kind)
    g = Graph()
    parts = [g.input([2, 3], kind) for _ in range(2)]
    g.op("CONCATENATION", parts, [g.output(kind)], "Concatenation", axis=1)
    yield "CONCATENATION", kind.label, g
    g = Graph()
    parts = [g.input([2, 3], kind) for _ in range(2)]
    g.op("PACK", parts, [g.output(kind)], "Pack", axis=0, valuesCount=2)
    yield "PACK", kind.label, g


def padding() -> OpModels:
    """Zeros, a value or a mirror image around a tensor."""
    edges = [[0, 0], [1, 2], [2, 1], [0, 0]]
    for kind in types(f"{COMMON} int8 int16 bool"):
        g, x, y = _graph(kind, [1, 3, 4, 2])
        label = f"{kind.label} plain" if f"{kind.label}*" in COMMON else kind.label
        g.op("PAD", [x, g.const(edges, "int32")], [y], "Pad")
        yield "PAD", label, g
        g, x, y = _graph(kind, [1, 3, 4, 2])
        value = g.const(1 if kind.dtype == "bool" else 3, kind)
        g.op("PADV2", [x, g.const(edges, "int32"), value], [y], "PadV2")
        yield "PADV2", label, g
    for index in ("int8", "int16", "int64"):
        (kind,) = types("float32")
        g, x, y = _graph(kind, [1, 3, 4, 2])
        g.op("PAD", [x, g.const(edges, index)], [y], "Pad")
        yield "PAD", f"float32 by {index}", g
    for kind in types(COMMON):
        g, x, y = _graph(kind, [3, 4])
        g.op("MIRROR_PAD", [x, g.const([[1, 2], [2, 1]], "int32")], [y], "MirrorPad", mode=0)
        yield "MIRROR_PAD", kind.label, g


def batches() -> OpModels:
    """Blocks of an image into the batch, and back."""
    for kind in types(COMMON):
        for op, options, shape in (
            ("SPACE_TO_BATCH_ND", "SpaceToBatchND", [1, 4, 4, 2]),
            ("BATCH_TO_SPACE_ND", "BatchToSpaceND", [4, 2, 2, 2]),
        ):
            g, x, y = _graph(kind, shape)
            edges = g.const([[0, 0], [0, 0]], "int32")
            g.op(op, [x, g.const([2, 2], "int32"), edges], [y], options)
            yield op, kind.label, g


def _concatenation(kind: TensorType) -> Graph:
    g = Graph()
    parts = [g.input([2, n, 2], kind) for n in (1, 3, 2)]
    g.op("CONCATENATION", parts, [g.output(kind)], "Concatenation", axis=1)
    return g


def _pack(kind: TensorType) -> Graph:
    g = Graph()
    parts = [g.input([2, 3], kind) for _ in range(3)]
    g.op("PACK", parts, [g.output(kind)], "Pack", axis=1, valuesCount=3)
    return g


def _unpack(kind: TensorType) -> Graph:
    g = Graph()
    x = g.input([2, 3], kind)
    g.op("UNPACK", [x], [g.output(kind) for _ in range(3)], "Unpack", axis=1, num=3)
    return g


def _split(kind: TensorType) -> Graph:
    g = Graph()
    x = g.input([2, 6], kind)
    outputs = [g.output(kind) for _ in range(3)]
    g.op("SPLIT", [g.const(1, "int32"), x], outputs, "Split", numSplits=3)
    return g


def _split_v(kind: TensorType) -> Graph:
    g = Graph()
    x = g.input([2, 6], kind)
    sizes, axis = g.const([1, 3, 2], "int32"), g.const(1, "int32")
    outputs = [g.output(kind) for _ in range(3)]
    g.op("SPLIT_V", [x, sizes, axis], outputs, "SplitV", numSplits=3)
    return g


_JOINING: dict[str, Callable[[TensorType], Graph]] = {
    "CONCATENATION": _concatenation,
    "PACK": _pack,
    "UNPACK": _unpack,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
}


def joining() -> OpModels:
    """Several tensors into one, and one into several."""
    for kind in types(f"{COMMON} bool"):
        for op, make in _JOINING.items():
            if _has_kernel(op, kind):
                yield op, kind.label, make(kind)


FAMILY = (plain, unsigned, padding, batches, joining)
