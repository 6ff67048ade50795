"""Limits of the other ops: audio, detection, random numbers, control flow, text."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.model.custom_options import decode_options
from litesmith.runtime.kernel_limits.limit import (
    MAY_BE_DAMAGED,
    Limit,
    constant,
    dtypes,
    ranks,
    same_dtype,
    signatures,
)
from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode

_RANDOM = (
    dtypes("random_ops.cc: Prepare", 0, "int32"),
    dtypes("random_ops.cc: Eval", OUTPUT, "float32"),
)

_REDUCE_WINDOW = "bool int8 int16 int32 int64 uint8 float32 float64"


def _an_anchor_for_each_box(where: str) -> Limit:
    """As many anchors, and as many scores, as boxes: the kernel counts only the boxes."""

    def check(node: KernelNode) -> str | None:
        boxes, scores, anchors = node.at(0), node.at(1), node.at(2)
        if boxes is None or scores is None or anchors is None:
            return None
        counts = (boxes.dimension(1), scores.dimension(1), anchors.dimension(0))
        if None in counts or len(set(counts)) == 1:
            return None
        return f"{boxes.name} has {counts[0]} boxes, {scores.name} {counts[1]}, {anchors.name} {counts[2]}"

    return Limit(where=where, check=check, advice=MAY_BE_DAMAGED)


def _map_of_numbers(where: str) -> Limit:
    """The options are a map of numbers in FlexBuffers: the kernel reads it without checking it."""

    def check(node: KernelNode) -> str | None:
        options = decode_options(node.node.custom_options)
        numbers = (int, float, bool, type(None))
        if isinstance(options, dict) and all(isinstance(one, numbers) for one in options.values()):
            return None
        return "it has damaged options"

    return Limit(where=where, check=check, advice=MAY_BE_DAMAGED)


LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "RANDOM_UNIFORM": _RANDOM,
    "RANDOM_STANDARD_NORMAL": _RANDOM,
    "MULTINOMIAL": (
        dtypes("random_ops.cc: PrepareMultinomial", 0, "float32"),
        dtypes("random_ops.cc: PrepareMultinomial", 1, "int32"),
        dtypes("random_ops.cc: EvalMultinomial", OUTPUT, "int32 int64"),
    ),
    "STABLEHLO_RNG_BIT_GENERATOR": (
        dtypes("rng_bit_generator.cc: Prepare", 0, "uint64"),
        dtypes("rng_bit_generator.cc: Prepare", OUTPUT, "uint64"),
        dtypes("rng_bit_generator.cc: Prepare", OUTPUT - 1, "int32 int64 uint32 uint64"),
    ),
    "STABLEHLO_REDUCE_WINDOW": (
        dtypes("stablehlo_reduce_window.cc: DispatchReduceWindowType", 0, _REDUCE_WINDOW),
        same_dtype("stablehlo_reduce_window.cc: Check", 0, 1, OUTPUT),
        ranks("stablehlo_reduce_window.cc: Check", 0, 1, 6),
    ),
    "REDUCE_WINDOW": (
        dtypes("stablehlo_reduce_window.cc: DispatchReduceWindowType", 0, _REDUCE_WINDOW),
        same_dtype("stablehlo_reduce_window.cc: Check", 0, 1, OUTPUT),
        ranks("stablehlo_reduce_window.cc: Check", 0, 1, 6),
        *(dtypes("stablehlo_reduce_window.cc: Check", position, "int64") for position in (2, 3, 4)),
        constant("stablehlo_reduce_window.cc: Check", 2, 3, 4),
    ),
    "STABLEHLO_PAD": (same_dtype("stablehlo_pad.cc: Prepare", 0, 1, OUTPUT),),
    "STABLEHLO_CASE": (dtypes("stablehlo_case.cc: Prepare", 0, "int32"),),
    "IF": (dtypes("if.cc: Prepare", 0, "bool"),),
    "SKIP_GRAM": (signatures("skip_gram.cc: Prepare", (0, OUTPUT), "string string"),),
    "Mfcc": (
        _map_of_numbers("mfcc.cc: Init"),
        signatures("mfcc.cc: Prepare", (0, OUTPUT), "float32 float32"),
        dtypes("mfcc.cc: Prepare", 1, "int32"),
    ),
    "AudioSpectrogram": (
        _map_of_numbers("audio_spectrogram.cc: Init"),
        signatures("audio_spectrogram.cc: Prepare", (0, OUTPUT), "float32 float32"),
    ),
    "TFLite_Detection_PostProcess": (
        _map_of_numbers("detection_postprocess.cc: Init"),
        signatures(
            "detection_postprocess.cc: DecodeCenterSizeBoxes", (0, 2), "uint8* uint8*", "float32 float32"
        ),
        dtypes("detection_postprocess.cc: NonMaxSuppressionMultiClass", 1, "uint8* float32"),
        _an_anchor_for_each_box("detection_postprocess.cc: DecodeCenterSizeBoxes"),
    ),
    "NumericVerify": (
        _map_of_numbers("numeric_verify.cc: Init"),
        dtypes("numeric_verify.cc: Prepare", 0, "uint8 int8 int16 float16"),
        dtypes("numeric_verify.cc: Prepare", 1, "float32"),
    ),
    "aeq.hadamard_rotation": (dtypes("hadamard_rotation.cc: Prepare", 0, "float32 int32"),),
}
"""The limits by op."""
