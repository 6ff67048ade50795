"""What a kernel cannot do: :class:`Limit`, and the limits that many kernels have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from litesmith.runtime.kernel_limits.node import OUTPUT, KernelNode, Operand

Check = Callable[[KernelNode], str | None]
"""Why a kernel cannot run a node, None if it can.  The reason names the tensor or the option."""

_SMALL_INTEGERS = ("uint8", "int8", "int16")

_QUANTISED = "*"
_LEFT_OUT = "-"
_ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit of a kernel.

    ``where`` is the file below ``tensorflow/lite/kernels`` and the function that the limit was read in.
    ``advice`` is what a user can do about it.
    """

    where: str
    check: Check
    advice: str


MAY_BE_DAMAGED = "the model may be damaged: convert it again"
"""The advice where no converter writes such a node."""

_OTHER_DTYPES = "convert with other dtypes for this op: float32 activations, or int8 weights, for example"


def dtypes(where: str, position: int, allowed: str) -> Limit:
    """The dtypes of one tensor, written like those of :func:`signatures`."""
    return signatures(where, (position,), *allowed.split())


def signatures(where: str, positions: Sequence[int], *rows: str) -> Limit:
    """The combinations of dtypes that a kernel has code for.

    A row has the dtypes for each of ``positions``, alternatives separated by ``|``: a star marks one that
    must have scales, ``-`` says that the tensor may be left out, ``any`` stands for all.  Tensors that a
    node does not list are not checked.
    """
    table = [[cell.split("|") for cell in row.split()] for row in rows]

    def check(node: KernelNode) -> str | None:
        left = table
        for column, position in enumerate(positions):
            operand = node.at(position)
            if operand is None:
                continue
            fitting = [row for row in left if any(_fits(operand, one) for one in row[column])]
            if not fitting:
                return _no_such_dtype(node, operand, positions[:column], [row[column] for row in left])
            left = fitting
        return None

    return Limit(where=where, check=check, advice=_OTHER_DTYPES)


def _fits(operand: Operand, allowed: str) -> bool:
    if allowed == _ANY:
        return True
    if operand.dtype != allowed.rstrip(_QUANTISED):
        return False
    return not allowed.endswith(_QUANTISED) or operand.scale_count > 0 or operand.blockwise


def _no_such_dtype(
    node: KernelNode, operand: Operand, before: Sequence[int], cells: Sequence[Sequence[str]]
) -> str:
    offered = [one for one in dict.fromkeys(one for cell in cells for one in cell) if one != _LEFT_OUT]
    without_scale = f"{operand.dtype}{_QUANTISED}" in offered
    beside = [f"{one.dtype} at {one.name.rstrip(',')}" for one in map(node.at, before) if one is not None]
    return (
        f"{operand.name} is {operand.dtype}{' without a scale' if without_scale else ''}"
        f"{', beside ' + ' and '.join(beside) if beside else ''}; "
        f"the kernel takes {_listed(offered)} there"
    )


def _listed(kinds: Sequence[str]) -> str:
    names = [
        f"{one.rstrip(_QUANTISED)} with a scale" if one.endswith(_QUANTISED) else one
        for one in kinds
        if not one.endswith(_QUANTISED) or one.rstrip(_QUANTISED) not in kinds
    ]
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def ranks(where: str, position: int, least: int, most: int) -> Limit:
    """How many dimensions a tensor may have."""

    def check(node: KernelNode) -> str | None:
        operand = node.at(position)
        if operand is None or operand.rank is None or least <= operand.rank <= most:
            return None
        allowed = str(most) if least == most else f"{least} to {most}" if least else f"at most {most}"
        return f"{operand.name} has {operand.rank} dimensions; the kernel takes {allowed}"

    return Limit(where=where, check=check, advice="reshape the tensor before the op, and back after it")


def one_scale(where: str, *positions: int, first: bool = False) -> Limit:
    """Tensors whose channels must not have scales of their own: the kernel reads one scale.

    Of several, most kernels read none; those with ``first`` read that of the first channel.
    """

    def check(node: KernelNode) -> str | None:
        for operand in map(node.at, positions):
            if operand is None or (first and len(set(operand.scales)) == 1):
                continue
            if operand.per_channel:
                return f"{operand.name} has {operand.scale_count} scales; the kernel reads one"
        return None

    return Limit(where=where, check=check, advice="quantise the tensor with one scale")


def same_dtype(where: str, *positions: int) -> Limit:
    """Tensors whose dtypes must be equal."""

    def check(node: KernelNode) -> str | None:
        found = [one for one in map(node.at, positions) if one is not None]
        for other in found[1:]:
            if other.dtype != found[0].dtype:
                return (
                    f"{other.name} is {other.dtype}, and {found[0].name} {found[0].dtype}; "
                    "the kernel takes equal dtypes"
                )
        return None

    return Limit(where=where, check=check, advice=_OTHER_DTYPES)


def zero_points(where: str, dtype: str, value: int, *positions: int) -> Limit:
    """The zero point that quantised tensors of a dtype must have."""

    def check(node: KernelNode) -> str | None:
        for operand in map(node.at, positions):
            if operand is None or operand.dtype != dtype or not operand.scale_count:
                continue
            other = next((one for one in operand.zero_points if one != value), value)
            if other != value:
                return f"{operand.name} has the zero point {other}; the kernel takes {value} with {dtype}"
        return None

    return Limit(where=where, check=check, advice="quantise the tensor symmetrically")


def constant(where: str, *positions: int) -> Limit:
    """Inputs whose data must be in the file."""

    def check(node: KernelNode) -> str | None:
        for operand in map(node.at, positions):
            if operand is not None and not operand.constant:
                return f"{operand.name} is computed; the kernel takes a constant"
        return None

    return Limit(where=where, check=check, advice="make the tensor a constant before converting")


def when(condition: Callable[[KernelNode], bool], limit: Limit) -> Limit:
    """A limit that holds only for some nodes."""
    return Limit(
        where=limit.where,
        check=lambda node: limit.check(node) if condition(node) else None,
        advice=limit.advice,
    )


def with_dtype(position: int, *allowed: str) -> Callable[[KernelNode], bool]:
    """Nodes whose tensor at ``position`` has one of these dtypes."""

    def holds(node: KernelNode) -> bool:
        operand = node.at(position)
        return operand is not None and operand.dtype in allowed

    return holds


def quantised_output(where: str) -> Limit:
    """An output that must have a scale if the first input has one."""

    def check(node: KernelNode) -> str | None:
        source, output = node.at(0), node.at(OUTPUT)
        if source is None or output is None or source.dtype not in _SMALL_INTEGERS:
            return None
        if not source.scale_count or output.scale_count:
            return None
        return f"{output.name} has no scale, and {source.name} has one; the kernel takes both with a scale"

    return Limit(where=where, check=check, advice="quantise the model again, with TensorFlow's converter")


def output_scale(where: str, scale: float, tolerance: float, *of: str) -> Limit:
    """The scale that the output must have with these dtypes; ``tolerance`` is relative."""

    def check(node: KernelNode) -> str | None:
        output = node.at(OUTPUT)
        if output is None or output.dtype not in of or not output.scale_count:
            return None
        if abs(output.scale - scale) <= tolerance * scale:
            return None
        taken = f"1/{1 / scale:g} with {output.dtype}"
        return f"{output.name} has the scale {output.scale:g}; the kernel takes {taken}"

    return Limit(where=where, check=check, advice="quantise the model again, with TensorFlow's converter")


def equal_scales(where: str, dtypes_of: str, *positions: int) -> Limit:
    """Tensors of these dtypes that must have the scale and the zero point of the first of them."""
    kinds = dtypes_of.split()

    def check(node: KernelNode) -> str | None:
        first, *others = (one for one in map(node.at, positions) if one is not None)
        if first.dtype not in kinds:
            return None
        for other in others:
            if (other.scale, other.zero_point) != (first.scale, first.zero_point):
                return (
                    f"{other.name} has the scale {other.scale:g} and the zero point {other.zero_point}, "
                    f"and {first.name} {first.scale:g} and {first.zero_point}; the kernel takes equal ones"
                )
        return None

    return Limit(where=where, check=check, advice="quantise the model again, with TensorFlow's converter")


def activations(where: str, options: str, *allowed: str) -> Limit:
    """The activations that the kernel applies: names of ``ActivationFunctionType``."""

    def check(node: KernelNode) -> str | None:
        found = node.options(options).enum("fused_activation_function")
        if found in allowed:
            return None
        return f"its fused activation is {found}; the kernel applies {_listed(allowed)}"

    return Limit(where=where, check=check, advice="make the activation an op of its own")
