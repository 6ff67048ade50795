"""Symbols of programs → the costs of XNNPACK, in which code that several atoms share counts once."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from litesmith.predict.code_size.builtin_costs import OpVariant
from litesmith.predict.code_size.xnnpack_costs import Atom, XnnpackCosts
from litesmith.study.code_costs.atoms import COMPANION
from litesmith.study.code_costs.programs import Symbols
from litesmith.study.code_costs.symbol_classes import compress

_LEAST_CLASS = 16
"""Bytes of the smallest class that is kept."""


def costs_of(
    base: tuple[Symbols, int],
    alone: Mapping[Atom, tuple[Symbols, int]],
    kernels: Mapping[OpVariant, Symbols],
    mixed: Sequence[tuple[frozenset[Atom], Symbols, int]],
) -> XnnpackCosts:
    """The costs, without the description of what they were measured with.

    Programs are given as their symbols and their bytes of code: ``base`` is the one without ops, ``alone``
    are those of one atom, ``mixed`` those of several.  ``kernels`` are the symbols of programs with one of
    TensorFlow Lite's own kernels.
    """
    own = {atom: found for atom, (found, _) in alone.items()}
    for atom in own:
        if not atom.needs:
            own[atom] = _on_top(own[atom], own[COMPANION], atom.op)
    programs: dict[Atom | OpVariant, Symbols] = {}
    programs.update(_added_up(own, mixed).items())
    of_atoms = {symbol for found in programs.values() for symbol in found}
    for program, found in kernels.items():
        # Only what atoms have, too: in a program with both it must not count twice.
        programs[program] = {symbol: size for symbol, size in found.items() if symbol in of_atoms}
    sizes, members = _without_small(*compress(base[0], programs))
    rests = [
        code - base[1] - sum(sizes[number] for number in {n for atom in some for n in members[atom]})
        for some, _, code in mixed
    ]
    return XnnpackCosts(
        key={},
        made_with="",
        rest=round(statistics.median(rests)),
        classes=sizes,
        atoms={atom: members[atom] for atom in alone},
        kernels={program: members[program] for program in kernels},
        accuracy=None,
    )


def _without_small(
    sizes: Sequence[int], members: Mapping[Atom | OpVariant, Sequence[int]]
) -> tuple[tuple[int, ...], dict[Atom | OpVariant, tuple[int, ...]]]:
    """Classes without those of a few bytes, which are most of them: padding, jumps of different lengths."""
    order = {
        number: place
        for place, number in enumerate(n for n, size in enumerate(sizes) if size >= _LEAST_CLASS)
    }
    return tuple(sizes[number] for number in order), {
        program: tuple(order[number] for number in numbers if number in order)
        for program, numbers in members.items()
    }


def _on_top(symbols: Symbols, beside: Symbols, op: str) -> Symbols:
    """What a program has in addition to another one."""
    return {
        symbol if symbol not in beside else _part(symbol, op): size - beside.get(symbol, 0)
        for symbol, size in symbols.items()
        if size > beside.get(symbol, 0)
    }


def _part(symbol: str, op: str) -> str:
    return f"{symbol} for {op}"


def _added_up(
    alone: Mapping[Atom, Symbols], mixed: Sequence[tuple[frozenset[Atom], Symbols, int]]
) -> Mapping[Atom, Symbols]:
    """The symbols of programs, where a function with a part for each op is one symbol for each part.

    A function has different sizes in different programs.  Usually a program that needs two of them has the
    larger one, which contains the smaller one.  Where programs of several ops have the sum instead, what
    the parts share is found from these programs.  A function that is larger in a program of one op alone,
    because the compiler inlines more there, is reduced to its size in programs of several.
    """
    found = {atom: dict(own) for atom, own in alone.items()}
    users: dict[str, dict[Atom, int]] = {}
    for atom, own in alone.items():
        for symbol, size in own.items():
            users.setdefault(symbol, {})[atom] = size
    for symbol, sizes in users.items():
        together = {some: have[symbol] for some, have, _ in mixed if symbol in have and some & set(sizes)}
        if not together or len(set(sizes.values())) == 1:
            continue
        shared = _shared(sizes, together)
        inlines = all(
            size < max(sizes[atom] for atom in some & set(sizes)) for some, size in together.items()
        )
        most = max(together.values()) if inlines else max(sizes.values())
        for atom, size in sizes.items():
            if shared is None:
                found[atom][symbol] = min(size, most)
            else:
                found[atom][symbol] = shared
                found[atom][_part(symbol, atom.op)] = size - shared
    return found


def _shared(sizes: Mapping[Atom, int], together: Mapping[frozenset[Atom], int]) -> int | None:
    """Bytes of a function that are in no part for a single op; None where it has no such parts.

    ``sizes`` are the function's in programs of one atom, ``together`` in programs of several.
    """
    by_op = {atom.op: size for atom, size in sizes.items()}
    if any(by_op[atom.op] != size for atom, size in sizes.items()):
        return None
    parts = {some: [by_op[op] for op in {atom.op for atom in some} & set(by_op)] for some in together}
    several = {some: found for some, found in parts.items() if len(found) > 1}
    if not several:
        return None
    doubles = [(sum(found) - together[some]) / (len(found) - 1) for some, found in several.items()]
    shared = max(0, min(round(statistics.median(doubles)), *by_op.values()))
    summed = {some: sum(found) - (len(found) - 1) * shared for some, found in several.items()}
    off = sum(abs(size - together[some]) for some, size in summed.items())
    return shared if off < sum(abs(max(found) - together[some]) for some, found in several.items()) else None
