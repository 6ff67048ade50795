"""How many dimensions kernels broadcast.

Where shapes are equal, kernels work element by element, at any rank.
"""

from __future__ import annotations

import itertools

from litesmith.runtime.kernel_limits.limit import Limit
from litesmith.runtime.kernel_limits.node import KernelNode, Operand

Shape = tuple[int, ...]

_ADVICE = "give both inputs the same shape (tf.broadcast_to), or reshape them to fewer dimensions"


def broadcast(
    where: str,
    most: int,
    *,
    fivefold: tuple[str, ...] = (),
    ones_lead: bool = False,
    positions: Shape = (0, 1),
) -> Limit:
    """At most ``most`` dimensions where the shapes differ: ``RuntimeShape::ExtendedShape`` aborts above.

    Inputs of the dtypes ``fivefold`` go another way if ``ProcessBroadcastShapes`` finds five loops for them,
    which have no such limit.  With ``ones_lead``, shapes that differ only in leading ones count as equal.
    """

    def check(node: KernelNode) -> str | None:
        found = _operands(node, positions)
        largest = max(found, key=lambda one: one.rank or 0, default=None)
        if largest is None or (largest.rank or 0) <= most or not _differ(found):
            return None
        if ones_lead and not _differ_in_more_than_ones(found):
            return None
        if largest.dtype in fivefold and _differ_in_more_than_ones(found) and not _is_generic(found):
            return None
        return (
            f"{largest.name} has {largest.rank} dimensions and is combined with another shape; "
            f"the kernel broadcasts at most {most}"
        )

    return Limit(where=where, check=check, advice=_ADVICE)


def broadcast_groups(where: str, most: int, *, fivefold: tuple[str, ...] = ()) -> Limit:
    """At most ``most`` groups of neighbouring dimensions that broadcast alike.

    ``ReduceDimensionsForBroadcast`` makes one dimension of each group, and writes past the end of its arrays
    where there are more.
    """

    def check(node: KernelNode) -> str | None:
        found = _operands(node, (0, 1))
        shapes = [one.shape for one in found if one.shape is not None]
        if len(shapes) < 2 or not _differ(found) or any(min(shape, default=1) < 1 for shape in shapes):
            return None
        groups = _groups(*shapes)
        if groups <= most or (found[0].dtype in fivefold and not _is_generic(found)):
            return None
        return (
            f"{found[0].name} and {found[1].name} alternate {groups} times between dimensions that broadcast "
            f"and dimensions that do not; the kernel takes at most {most}"
        )

    return Limit(where=where, check=check, advice=_ADVICE)


def no_broadcast(where: str, *positions: int) -> Limit:
    """Inputs whose shapes must be equal."""

    def check(node: KernelNode) -> str | None:
        found = _operands(node, positions)
        if _differ(found):
            shapes = " and ".join(str(list(one.shape or ())) for one in found)
            return f"{found[0].name} and the others have the shapes {shapes}; the kernel does not broadcast"
        return None

    return Limit(where=where, check=check, advice=_ADVICE)


def certainly_broadcasts(node: KernelNode) -> bool:
    """Whether the first two inputs of a node certainly have different shapes."""
    return _differ(_operands(node, (0, 1)))


def _operands(node: KernelNode, positions: Shape) -> list[Operand]:
    return [one for one in map(node.at, positions) if one is not None and one.shape is not None]


def _differ(operands: list[Operand]) -> bool:
    """Whether two shapes certainly differ: in their ranks, or in a dimension that both know."""
    for one, other in itertools.combinations([operand.shape or () for operand in operands], 2):
        if len(one) != len(other):
            return True
        if any(a != b and a >= 0 and b >= 0 for a, b in zip(one, other, strict=True)):
            return True
    return False


def _extended(operands: list[Operand]) -> list[Shape]:
    """The shapes with as many leading ones as the longest needs: ``ExtendedShape``."""
    shapes = [operand.shape or () for operand in operands]
    rank = max(map(len, shapes))
    return [(1,) * (rank - len(shape)) + shape for shape in shapes]


def _differ_in_more_than_ones(operands: list[Operand]) -> bool:
    """Whether the shapes certainly differ in more than leading ones."""
    first, second = _extended(operands)
    return any(a != b and a >= 0 and b >= 0 for a, b in zip(first, second, strict=True))


def _is_generic(operands: list[Operand]) -> bool:
    """Whether ``ProcessBroadcastShapes`` certainly finds no five loops."""
    first, second = _extended(operands)
    if min((*first, *second), default=0) < 0:
        return False
    pairs = list(zip(reversed(first), reversed(second), strict=True))
    fast = next((pair for pair in pairs if pair[0] != pair[1]), None)
    if fast is None:
        return False
    if fast[0] != 1:
        if fast[1] != 1:
            return True
        pairs = [(b, a) for a, b in pairs]
    place = 0
    for holds in (_equal, _first_is_one, _equal, _second_is_one, _equal):
        while place < len(pairs) and holds(pairs[place]):
            place += 1
    return place < len(pairs)


def _equal(pair: tuple[int, int]) -> bool:
    return pair[0] == pair[1]


def _first_is_one(pair: tuple[int, int]) -> bool:
    return pair[0] == 1


def _second_is_one(pair: tuple[int, int]) -> bool:
    return pair[1] == 1


def _groups(first: Shape, second: Shape) -> int:
    """The dimensions that ``ReduceDimensionsForBroadcast`` leaves; no dimension is 0."""
    kinds = [
        "first" if a == 1 else "second" if b == 1 else "none"
        for a, b in zip(reversed(first), reversed(second), strict=False)
        if (a, b) != (1, 1)
    ]
    groups = [kind for kind, _ in itertools.groupby(kinds)]
    if len(first) != len(second):
        longer = "second" if len(first) > len(second) else "first"
        if groups[-1:] != [longer]:
            groups.append(longer)
    return len(groups)
