"""Limits of quantised weights and biases, which the kernels of convolutions and matrix products share."""

from __future__ import annotations

from collections.abc import Callable

from litesmith.runtime.kernel_limits.limit import Limit
from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode, Operand

_REQUANTISE = "quantise the model again, with TensorFlow's converter"
_LARGEST_DIFFERENCE = 0.02
"""Between the scale of a bias and that of the products, in steps of the output."""


def is_hybrid(activations: int, weights: int) -> Callable[[KernelNode], bool]:
    """Nodes with float32 activations and integer weights: ``IsHybridOp``, with int4 and int2."""

    def holds(node: KernelNode) -> bool:
        source, held = node.at(activations), node.at(weights)
        return (
            source is not None
            and held is not None
            and source.dtype == "float32"
            and held.dtype in {"int8", "uint8", "int4", "int2"}
        )

    return holds


def not_blockwise(where: str, *positions: int) -> Limit:
    """Weights whose blocks must not have scales of their own: the kernel reads no scale then."""

    def check(node: KernelNode) -> str | None:
        for operand in map(node.at, positions):
            if operand is not None and operand.blockwise:
                return (
                    f"{operand.name} has a scale for each block of {operand.block_size}; "
                    "the kernel reads scales of channels"
                )
        return None

    return Limit(where=where, check=check, advice="quantise the weights with a scale for each channel")


def channels_of(where: str, weights: int, dimension: int) -> Limit:
    """The dimension whose channels the kernel takes the scales for."""

    def check(node: KernelNode) -> str | None:
        held = node.at(weights)
        if held is None or not held.per_channel or held.channel_dimension == dimension:
            return None
        return (
            f"{held.name} has scales for dimension {held.channel_dimension}; "
            f"the kernel reads them for dimension {dimension}"
        )

    return Limit(where=where, check=check, advice=_REQUANTISE)


def scale_of_each_channel(where: str, weights: int, dimension: int) -> Limit:
    """Weights whose channels must have scales of their own: the kernel reads one for each.

    With fewer, it reads past the end of the scales.
    """

    def check(node: KernelNode) -> str | None:
        held = node.at(weights)
        channels = held.dimension(dimension) if held is not None else None
        if held is None or channels is None or held.scale_count in (0, channels):
            return None
        return (
            f"{held.name} has {held.scale_count} scale{'s' if held.scale_count > 1 else ''} "
            f"for {channels} channels; with float32 activations the kernel takes one for each channel"
        )

    return Limit(
        where=where,
        check=check,
        advice="convert without dynamic-range quantisation, or quantise the weights of each channel",
    )


def bias_scale(where: str, activations: int, weights: int, bias: int) -> Limit:
    """The scale of a bias: that of the products, up to 0.02 of a step of the output."""

    def check(node: KernelNode) -> str | None:
        source, held, offsets, output = (node.at(one) for one in (activations, weights, bias, OUTPUT))
        if source is None or held is None or offsets is None or output is None:
            return None
        if held.per_channel or not source.scale or not output.scale:
            return None
        product = source.scale * held.scale
        if abs(product - offsets.scale) / output.scale <= _LARGEST_DIFFERENCE:
            return None
        return (
            f"{offsets.name} has the scale {offsets.scale:g}; the kernel takes {product:g}, "
            "that of the input times that of the weights"
        )

    return Limit(where=where, check=check, advice=_REQUANTISE)


def other_bias(bias: Operand, declared: str, read_as: str) -> str:
    """The reason for a bias that the kernel would read as another dtype."""
    return (
        f"{bias.name} is {bias.dtype}; with quantized_bias_type {declared} the kernel reads it as {read_as}"
    )


def bias_dtype_as_declared(where: str, options: str, activations: int, bias: int) -> Limit:
    """With int16 activations, the kernel reads a bias of ``quantized_bias_type``, int64 without that."""

    def check(node: KernelNode) -> str | None:
        source, offsets = node.at(activations), node.at(bias)
        if source is None or offsets is None or source.dtype != "int16":
            return None
        declared = node.options(options).enum("quantized_bias_type").lower()
        read_as = "int64" if declared == "float32" else declared
        if offsets.dtype == read_as:
            return None
        return other_bias(offsets, declared, read_as)

    return Limit(where=where, check=check, advice="convert the model with a newer TensorFlow")
