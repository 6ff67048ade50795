"""Symbols of programs → classes: the symbols that occur in the same programs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Measured = TypeVar("Measured", bound=Hashable)


def compress(
    base: Mapping[str, int], programs: Mapping[Measured, Mapping[str, int]]
) -> tuple[tuple[int, ...], dict[Measured, tuple[int, ...]]]:
    """The bytes of each class, and the classes of each program.

    ``base`` and ``programs`` map symbols to bytes.  A symbol that is larger in one program than in
    another is divided: the bytes that all have, and those that the larger one adds.
    """
    users: dict[str, dict[int, list[Measured]]] = {}
    for program, symbols in programs.items():
        for symbol, size in symbols.items():
            if size > base.get(symbol, 0):
                users.setdefault(symbol, {}).setdefault(size, []).append(program)
    order = {program: number for number, program in enumerate(programs)}
    groups: dict[tuple[int, ...], int] = {}
    for symbol, by_size in users.items():
        before = base.get(symbol, 0)
        having = [program for found in by_size.values() for program in found]
        for size in sorted(by_size):
            group = tuple(sorted(order[program] for program in having))
            groups[group] = groups.get(group, 0) + size - before
            before = size
            having = [program for program in having if program not in set(by_size[size])]
    members: dict[int, list[int]] = {number: [] for number in order.values()}
    for number, group in enumerate(sorted(groups)):
        for member in group:
            members[member].append(number)
    sizes = tuple(groups[group] for group in sorted(groups))
    return sizes, {program: tuple(members[number]) for program, number in order.items()}
