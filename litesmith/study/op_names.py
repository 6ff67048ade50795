"""The names of builtin ops for a program's messages, in half the bytes of a table of strings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from litesmith.runtime.op_registry import PackedNames

_FIRST_PART = 0x80
_MOST_PARTS = 0x100 - _FIRST_PART
_LONGEST_PART = 15


def pack(names: Mapping[int, str]) -> PackedNames:
    """Packs the names of ops by code: the part that saves most is replaced until nothing is saved.

    This is byte pair encoding (P. Gage, A New Algorithm for Data Compression, 1994) with longer parts.
    """
    codes = range(max(names) + 1)
    packed = [[*names.get(code, "").encode("ascii")] for code in codes]
    parts: list[str] = []
    while len(parts) < _MOST_PARTS:
        part = _best_part(packed)
        if part is None:
            break
        packed = [_replaced(name, part, _FIRST_PART + len(parts)) for name in packed]
        parts.append(bytes(part).decode("ascii"))
    return PackedNames(
        names="".join(chr(byte) for name in packed for byte in (*name, 0)),
        parts=tuple(parts),
        longest=max(map(len, names.values())),
    )


def _best_part(packed: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
    """The part whose replacement saves most bytes, including its own; of equal ones the first by value."""
    counts: Counter[tuple[int, ...]] = Counter()
    for name in packed:
        for length in range(2, _LONGEST_PART + 1):
            windows = (tuple(name[i : i + length]) for i in range(len(name) - length + 1))
            counts.update(window for window in windows if max(window) < _FIRST_PART)
    saved = {part: count * (len(part) - 1) - len(part) - 1 for part, count in counts.items()}
    best = max(saved, key=lambda part: (saved[part], part), default=None)
    return best if best is not None and saved[best] > 0 else None


def _replaced(name: Sequence[int], part: tuple[int, ...], code: int) -> list[int]:
    found: list[int] = []
    position = 0
    while position < len(name):
        if tuple(name[position : position + len(part)]) == part:
            found.append(code)
            position += len(part)
        else:
            found.append(name[position])
            position += 1
    return found
