"""Limits of ops that copy, cut, join, repeat and reorder tensors."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.runtime.kernel_limits.dtypes import EIGHT_BITS, SIXTEEN_BITS, SIZED, THIRTY_TWO_BITS
from litesmith.runtime.kernel_limits.limit import (
    Limit,
    activations,
    dtypes,
    equal_scales,
    ranks,
    same_dtype,
    signatures,
    when,
    zero_points,
)
from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode, Operand

_ENDS = (0, OUTPUT)
_SIZED = " ".join(SIZED)
_QUANTISED = "uint8 int8 int16"


def _kept(where: str, *kinds: str) -> Limit:
    """The dtypes of an input and an output that must be the same."""
    return signatures(where, _ENDS, *(f"{kind} {kind}" for kind in kinds))


def _inputs(node: KernelNode) -> list[Operand]:
    return [one for one in (node.at(position) for position in range(node.inputs)) if one is not None]


def _all_alike(where: str, dtypes_of: str) -> Limit:
    """All inputs must have the output's scale and zero point."""
    kinds = dtypes_of.split()

    def check(node: KernelNode) -> str | None:
        for operand in _inputs(node) if node.at(OUTPUT) is not None else ():
            positions = (OUTPUT, operand.position)
            reason = (
                equal_scales(where, dtypes_of, *positions).check(node) if operand.dtype in kinds else None
            )
            if reason is not None:
                return reason
        return None

    return Limit(where=where, check=check, advice="quantise the model again, with TensorFlow's converter")


def _one_dtype(where: str) -> Limit:
    """All inputs and the output must have one dtype."""

    def check(node: KernelNode) -> str | None:
        positions = [operand.position for operand in _inputs(node)]
        return same_dtype(where, *positions, OUTPUT).check(node)

    return Limit(where=where, check=check, advice="convert the model with other dtypes for this op")


_CONCATENATION = (
    dtypes(
        "concatenation.cc: Prepare",
        0,
        "float32 float16 bfloat16 uint8 int8 int16 int32 int64 bool uint32 int4",
    ),
    _one_dtype("concatenation.cc: Prepare"),
    activations("concatenation.cc: Prepare", "ConcatenationOptions", "NONE"),
    _all_alike("concatenation.cc: Prepare", "int8"),
)

_PAD = (
    _kept(
        "pad.cc: Eval",
        *("float32", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool"),
    ),
    dtypes("pad.cc: GetPaddings", 1, "int32 int64 int8 int16 bool"),
    ranks("pad.cc: Prepare", 0, 0, 5),
    same_dtype("pad.cc: Prepare", 0, 2),
)


def _quantised(node: KernelNode) -> bool:
    operand = node.at(0)
    return operand is not None and operand.scale_count > 0 and node.at(2) is not None


_SPLIT_DTYPES = "float32 uint8 int8 int16 int32 int64"

_SPACE_BATCH = (
    _kept("space_to_batch_nd.cc: Prepare", *SIZED),
    dtypes("space_to_batch_nd.cc: ResizeOutputTensor", 1, "int32"),
    dtypes("space_to_batch_nd.cc: ResizeOutputTensor", 2, "int32"),
    ranks("space_to_batch_nd.cc: Prepare", 0, 3, 4),
    equal_scales("space_to_batch_nd.cc: Prepare", _QUANTISED, *_ENDS),
    zero_points("space_to_batch_nd.cc: Prepare", "int16", 0, *_ENDS),
)

_BATCH_SPACE = (
    _kept("batch_to_space_nd.cc: Prepare", *SIZED),
    dtypes("batch_to_space_nd.cc: ResizeOutputTensor", 1, "int32"),
    dtypes("batch_to_space_nd.cc: ResizeOutputTensor", 2, "int32"),
    ranks("batch_to_space_nd.cc: Prepare", 0, 3, 4),
    equal_scales("batch_to_space_nd.cc: Prepare", _QUANTISED, *_ENDS),
    zero_points("batch_to_space_nd.cc: Prepare", "int16", 0, *_ENDS),
)

LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "CONCATENATION": _CONCATENATION,
    "PACK": (
        dtypes("pack.cc: Prepare", 0, "int32 float32 uint8 uint32 int8 int16 int64"),
        _one_dtype("pack.cc: Prepare"),
        _all_alike("pack.cc: Prepare", "int32 uint8 int8 int16"),
    ),
    "UNPACK": (
        _kept(
            "unpack.cc: Prepare",
            *("int32", "float32", "float16", "bfloat16", "uint8", "int8", "int16", "bool"),
        ),
        equal_scales("unpack.cc: Prepare", _QUANTISED, *_ENDS),
    ),
    "PAD": _PAD,
    "PADV2": (*_PAD, when(_quantised, equal_scales("pad.cc: EvalInt", _QUANTISED, OUTPUT, 2))),
    "MIRROR_PAD": (
        dtypes("mirror_pad.cc: Eval", OUTPUT, _SIZED),
        dtypes("mirror_pad.cc: GetPadding", 1, "int32 int64"),
    ),
    "TRANSPOSE": (
        _kept("transpose.cc: Eval", *SIZED, "int4"),
        dtypes("transpose.cc: ResizeOutputTensor", 1, "int32"),
        ranks("transpose.cc: Prepare", 0, 0, 6),
    ),
    "SLICE": (
        _kept("slice.cc: Eval", *SIZED, "string", "int4"),
        dtypes("slice.cc: Prepare", 1, "int32 int64"),
        dtypes("slice.cc: Prepare", 2, "int32 int64"),
        same_dtype("slice.cc: CalculateOutputShapeVector", 1, 2),
        ranks("slice.cc: Prepare", 0, 0, 5),
    ),
    "STRIDED_SLICE": (
        _kept("strided_slice.cc: EvalImpl", *SIZED, "string"),
        *(dtypes("strided_slice.cc: Prepare", position, "int32") for position in (1, 2, 3)),
        ranks("strided_slice.cc: Prepare", 0, 0, 5),
    ),
    "SPLIT": (
        dtypes("split.cc: ResizeOutputTensors", 0, "int32"),
        dtypes("split.cc: Prepare", 1, _SPLIT_DTYPES),
    ),
    "SPLIT_V": (
        dtypes("split_v.cc: Prepare", 0, _SPLIT_DTYPES),
        dtypes("split_v.cc: ResizeOutputTensors", 1, "int32 int64"),
        dtypes("split_v.cc: ResizeOutputTensors", 2, "int32"),
    ),
    "EXPAND_DIMS": (
        dtypes("expand_dims.cc: GetAxisValueFromTensor", 1, "int32 int64"),
        equal_scales("expand_dims.cc: Prepare", _QUANTISED, *_ENDS),
        zero_points("expand_dims.cc: Prepare", "int16", 0, 0),
    ),
    "SQUEEZE": (ranks("squeeze.cc: Prepare", 0, 0, 8),),
    "TILE": (
        _kept("tile.cc: EvalImpl", *SIZED, "string"),
        dtypes("tile.cc: Prepare", 1, "int32 int64"),
    ),
    "BROADCAST_TO": (
        _kept("broadcast_to.cc: Prepare", *SIZED, "complex128"),
        dtypes("broadcast_to.cc: Prepare", 1, "int32 int64"),
        ranks("broadcast_to.cc: Prepare", 0, 0, 8),
        ranks("broadcast_to.cc: ResizeOutputTensor", OUTPUT, 0, 8),
    ),
    "BROADCAST_ARGS": (
        signatures("broadcast_args.cc: Prepare", (0, 1, OUTPUT), "int32 int32 int32", "int64 int64 int64"),
    ),
    "FILL": (
        dtypes("fill.cc: Prepare", 0, "int32 int64"),
        dtypes("fill.cc: Eval", 1, f"{_SIZED} string"),
        equal_scales("fill.cc: Prepare", _QUANTISED, 1, OUTPUT),
    ),
    "RANGE": (
        signatures(
            "range.cc: Prepare",
            (0, 1, 2),
            "int32 int32 int32",
            "int64 int64 int64",
            "float32 float32 float32",
        ),
    ),
    "REVERSE_V2": (
        _kept(
            "reverse.cc: Prepare",
            *("int32", "float32", "uint8", "int8", "int16", "int64", "bool", "float16", "bfloat16"),
        ),
        dtypes("reverse.cc: Prepare", 1, "int32"),
        ranks("reverse.cc: Prepare", 0, 0, 8),
    ),
    "REVERSE_SEQUENCE": (
        _kept("reverse_sequence.cc: Prepare", "int32", "float32", "uint8", "int16", "int64"),
        dtypes("reverse_sequence.cc: Prepare", 1, "int32 int64"),
    ),
    "SPACE_TO_BATCH_ND": _SPACE_BATCH,
    "BATCH_TO_SPACE_ND": _BATCH_SPACE,
    "SPACE_TO_DEPTH": (
        _kept("space_to_depth.cc: Prepare", "float32", "uint8", "int8", "int32", "int64"),
        ranks("space_to_depth.cc: Prepare", 0, 4, 4),
    ),
    "DEPTH_TO_SPACE": (
        _kept("depth_to_space.cc: Prepare", "float32", "uint8", "int8", "int32", "int64"),
        ranks("depth_to_space.cc: Prepare", 0, 4, 4),
    ),
    "RESIZE_BILINEAR": (
        dtypes("resize_bilinear.cc: Eval", 0, "float32 uint8 int8 int16"),
        dtypes("resize_bilinear.cc: Prepare", 1, "int32"),
        ranks("resize_bilinear.cc: Prepare", 0, 4, 4),
    ),
    "RESIZE_NEAREST_NEIGHBOR": (
        dtypes(
            "resize_nearest_neighbor.cc: Eval", 0, " ".join((*EIGHT_BITS, *SIXTEEN_BITS, *THIRTY_TWO_BITS))
        ),
        dtypes("resize_nearest_neighbor.cc: Prepare", 1, "int32"),
        ranks("resize_nearest_neighbor.cc: Prepare", 0, 4, 4),
    ),
    "MATRIX_DIAG": (dtypes("matrix_diag.cc: FillDiagHelper", 0, "int64 int32 int16 int8 uint8 float32"),),
    "MATRIX_SET_DIAG": (
        dtypes("matrix_set_diag.cc: FillDiagHelper", 0, "int64 int32 int16 int8 uint8 float32"),
        same_dtype("matrix_set_diag.cc: FillDiagHelper", 0, 1),
    ),
    "ZEROS_LIKE": (dtypes("zeros_like.cc: Eval", 0, "int64 int32 float32"),),
    "DILATE": (
        _kept("dilate.cc: Prepare", *SIZED, "complex128"),
        dtypes("dilate.cc: Eval", 1, "int32"),
        same_dtype("dilate.cc: Prepare", 0, 2),
        ranks("dilate.cc: Prepare", 0, 1, 6),
    ),
}
"""The limits by op."""
