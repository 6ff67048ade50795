"""Limits of matrix products and embeddings."""

from __future__ import annotations

from collections.abc import Mapping

from litesmith.runtime.kernel_limits.dtypes import SIZED
from litesmith.runtime.kernel_limits.limit import (
    Limit,
    activations,
    dtypes,
    one_scale,
    ranks,
    signatures,
    when,
    with_dtype,
    zero_points,
)
from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode, Operand
from litesmith.runtime.kernel_limits.weights import (
    bias_scale,
    channels_of,
    is_hybrid,
    not_blockwise,
    other_bias,
)

_INPUT, _WEIGHTS, _BIAS = 0, 1, 2
_INTEGERS = ("uint8", "int8", "int16")

_PACKED_ROWS, _PACKED_COLUMNS = 4, 32
"""``FilterWidth`` and ``FilterDepth`` of ``fully_connected_4bit.h``."""


def _shuffled(node: KernelNode) -> bool:
    return node.options("FullyConnectedOptions").enum("weights_format") == "SHUFFLED4x16INT8"


def _default_format(node: KernelNode) -> bool:
    return not _shuffled(node)


def _bias_of_int16(where: str) -> Limit:
    """With int16 activations, ``quantized_bias_type`` says how the kernel reads the bias.

    Without it, a product with int16 weights reads int32; one with weights of fewer bits reads the bias's own
    dtype, unless the weights have a zero point: then int64.
    """

    def check(node: KernelNode) -> str | None:
        weights, bias = node.at(_WEIGHTS), node.at(_BIAS)
        if weights is None or bias is None:
            return None
        declared = node.options("FullyConnectedOptions").enum("quantized_bias_type").lower()
        if declared != "float32":
            read_as = declared
        elif weights.dtype == "int16":
            read_as = "int32"
        else:
            read_as = "int64" if any(weights.zero_points) else bias.dtype
        if bias.dtype == read_as:
            return None
        return other_bias(bias, declared, read_as)

    return Limit(where=where, check=check, advice="convert the model with a newer TensorFlow")


def _part_of_a_block(weights: Operand) -> str | None:
    """A reason where rows do not consist of whole blocks."""
    columns = weights.dimension(1)
    if weights.block_size > 0 and (columns is None or columns % weights.block_size == 0):
        return None
    return (
        f"{weights.name} has {columns} columns in blocks of {weights.block_size}; "
        "the kernel for blocks takes whole ones"
    )


def _blockwise(where: str) -> Limit:
    """Blocks have scales of their own in a kernel for packed int4 weights only."""

    def check(node: KernelNode) -> str | None:
        weights = node.at(_WEIGHTS)
        if weights is None or not weights.blockwise:
            return None
        kernel = "the kernel for blocks"
        if weights.dtype != "int4":
            return f"{weights.name} is {weights.dtype} in blocks; {kernel} takes int4"
        if not weights.constant:
            return f"{weights.name} is computed; {kernel} takes a constant"
        rows, columns = weights.dimension(0), weights.dimension(1)
        if rows is not None and rows < _PACKED_ROWS:
            return f"{weights.name} has {rows} rows; {kernel} takes {_PACKED_ROWS} or more"
        if columns is not None and (columns < _PACKED_COLUMNS or columns % 2):
            return (
                f"{weights.name} has {columns} columns; {kernel} takes an even number of "
                f"{_PACKED_COLUMNS} or more"
            )
        return _part_of_a_block(weights)

    return Limit(where=where, check=check, advice="quantise the weights with a scale for each channel")


def _in_blocks(node: KernelNode) -> bool:
    weights = node.at(_WEIGHTS)
    return weights is not None and weights.blockwise


_FULLY_CONNECTED = (
    ranks("fully_connected.cc: PrepareImpl", _WEIGHTS, 2, 2),
    when(
        _default_format,
        signatures(
            "fully_connected.cc: CheckTypes, EvalQuantized",
            (_INPUT, OUTPUT, _WEIGHTS, _BIAS),
            "float32 float32 float32 float32|-",
            "float32 float32 int8|uint8|int4|int2 float32|-",
            "uint8* uint8*|int16* uint8* int32|-",
            "int8* int8* int8*|int4*|int2* int32|-",
            "int16* int16* int8*|int4*|int2*|int16* int32|int64|-",
        ),
    ),
    when(
        _shuffled,
        signatures(
            "fully_connected.cc: CheckTypes",
            (_INPUT, OUTPUT, _WEIGHTS, _BIAS),
            "uint8* int16* uint8* int32|-",
        ),
    ),
    zero_points("fully_connected.cc: Prepare", "int4", 0, _WEIGHTS),
    zero_points("fully_connected.cc: Prepare", "int2", 0, _WEIGHTS),
    when(
        with_dtype(_INPUT, "int16"),
        zero_points("fully_connected.cc: PrepareImpl", "int16", 0, _INPUT, OUTPUT),
    ),
    channels_of("fully_connected.cc: PrepareImpl", _WEIGHTS, 0),
    when(with_dtype(_INPUT, "uint8"), one_scale("fully_connected.cc: PrepareImpl", _WEIGHTS)),
    when(
        with_dtype(_INPUT, *_INTEGERS),
        bias_scale("kernel_util.cc: GetQuantizedConvolutionMultipler", _INPUT, _WEIGHTS, _BIAS),
    ),
    when(with_dtype(_INPUT, *_INTEGERS), one_scale("fully_connected.cc: PrepareImpl", _INPUT, OUTPUT)),
    when(with_dtype(_INPUT, "int16"), _bias_of_int16("fully_connected.cc: EvalQuantized")),
    when(
        is_hybrid(_INPUT, _WEIGHTS),
        dtypes("fully_connected.cc: EvalHybridDense", _WEIGHTS, "int8* uint8* int4* int2*"),
    ),
    when(is_hybrid(_INPUT, _WEIGHTS), _blockwise("fully_connected.cc: PrepareImpl, EvalBlockwise4Bit")),
    when(
        lambda node: not is_hybrid(_INPUT, _WEIGHTS)(node),
        activations(
            "fully_connected.cc: Prepare", "FullyConnectedOptions", "NONE", "RELU", "RELU_N1_TO_1", "RELU6"
        ),
    ),
    when(
        _in_blocks,
        activations("fully_connected.cc: EvalBlockwise4Bit", "FullyConnectedOptions", "NONE"),
    ),
)


def _units_dimension(where: str) -> Limit:
    """Scales of channels belong to the columns of the product."""

    def check(node: KernelNode) -> str | None:
        right = node.at(1)
        if right is None or not right.per_channel or right.rank is None:
            return None
        units = right.rank - (2 if node.options("BatchMatMulOptions").boolean("adj_y") else 1)
        if right.channel_dimension == units:
            return None
        return (
            f"{right.name} has scales for dimension {right.channel_dimension}; "
            f"the kernel reads them for dimension {units}"
        )

    return Limit(where=where, check=check, advice="quantise the tensor with one scale")


_BATCH_MATMUL = (
    signatures(
        "batch_matmul.cc: Prepare, EvalQuantized",
        (0, 1, OUTPUT),
        "float32 float32 float32",
        "float32 int8* float32",
        "int8* int8* int8*",
        "int8 int8 int32",
        "int16* int16*|int8* int16*",
    ),
    ranks("batch_matmul.cc: Prepare", 0, 2, 5),
    ranks("batch_matmul.cc: Prepare", 1, 2, 5),
    when(with_dtype(0, "int16"), zero_points("batch_matmul.cc: Prepare", "int16", 0, 0, 1, OUTPUT)),
    when(with_dtype(0, "int16"), zero_points("batch_matmul.cc: Prepare", "int8", 0, 1)),
    when(with_dtype(0, "int8", "int16"), one_scale("batch_matmul.cc: Prepare", 0, 1, OUTPUT)),
    when(with_dtype(0, "float32"), _units_dimension("batch_matmul.cc: EvalHybrid")),
    not_blockwise("batch_matmul.cc: EvalHybrid", 0, 1),
)


def _embedding_blocks(where: str) -> Limit:
    def check(node: KernelNode) -> str | None:
        value = node.at(1)
        if value is None or not value.blockwise:
            return None
        if value.dtype != "int4":
            return f"{value.name} is {value.dtype} in blocks; the kernel for blocks takes int4"
        if value.rank not in (None, 2):
            return f"{value.name} has {value.rank} dimensions; the kernel for blocks takes 2"
        return _part_of_a_block(value)

    return Limit(where=where, check=check, advice="quantise the embedding with a scale for each row")


LIMITS: Mapping[str, tuple[Limit, ...]] = {
    "FULLY_CONNECTED": _FULLY_CONNECTED,
    "BATCH_MATMUL": _BATCH_MATMUL,
    "EMBEDDING_LOOKUP": (
        dtypes("embedding_lookup.cc: Prepare", 0, "int32"),
        signatures(
            "embedding_lookup.cc: Eval",
            (1, OUTPUT),
            "int8*|uint8*|int4*|int2* float32|float16",
            *(f"{kind} {kind}" for kind in (*SIZED, "int4", "int2", "uint4", "complex128")),
        ),
        channels_of("embedding_lookup.cc: Prepare", 1, 0),
        *(
            when(with_dtype(OUTPUT, "float32"), zero_points("embedding_lookup.cc: Prepare", kind, 0, 1))
            for kind in ("int8", "uint8", "int4", "int2")
        ),
        _embedding_blocks("embedding_lookup.cc: EvalBlockwise"),
    ),
    "EMBEDDING_LOOKUP_SPARSE": (
        *(dtypes("embedding_lookup_sparse.cc: Prepare", position, "int32") for position in range(3)),
        dtypes("embedding_lookup_sparse.cc: Prepare", 3, "float32"),
        dtypes("embedding_lookup_sparse.cc: Eval", 4, "float32"),
        dtypes("embedding_lookup_sparse.cc: Prepare", OUTPUT, "float32"),
    ),
}
"""The limits by op."""
