"""Labelled ranges of a section: :class:`RangeMap`, after the structure of that name in bloaty.

Bloaty, a size profiler for binaries, attributes every byte of a file with one data structure
(https://github.com/google/bloaty, ``src/range_map.h``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, TypeVar

Label = TypeVar("Label")

_start = attrgetter("start")
_end = attrgetter("end")


@dataclass(frozen=True, kw_only=True)
class Range(Generic[Label]):
    """The addresses from ``start`` to ``end``, which is not part of the range, and their label."""

    start: int
    end: int
    label: Label

    @property
    def size(self) -> int:
        """Length in bytes, at least 1."""
        return self.end - self.start


class RangeMap(Generic[Label]):
    """The labels of the addresses from ``start`` to ``end``.

    Invariant: the ranges are sorted by address, do not overlap, are not empty, and lie between
    ``start`` and ``end``.  Hence every address has at most one label, and once :meth:`unlabelled`
    is empty, the sizes of the ranges add up to ``end - start``.

    An address keeps the first label that it is given, so labels are added from the most to the
    least specific: symbols, then input sections, then what fills the gaps.
    """

    def __init__(self, start: int, end: int) -> None:
        self._span = (start, end)
        self._ranges: list[Range[Label]] = []

    def __iter__(self) -> Iterator[Range[Label]]:
        """The labelled ranges in the order of their addresses."""
        return iter(self._ranges)

    def add(self, start: int, end: int, label: Label) -> None:
        """Labels those addresses from ``start`` to ``end`` that have no label yet."""
        for gap_start, gap_end in self.unlabelled(start, end):
            place = bisect_left(self._ranges, gap_start, key=_start)
            self._ranges.insert(place, Range(start=gap_start, end=gap_end, label=label))

    def unlabelled(self, start: int | None = None, end: int | None = None) -> list[tuple[int, int]]:
        """Start and end of each gap between the labels, from ``start`` to ``end`` or of the whole map."""
        first, last = self._span
        position = first if start is None else max(start, first)
        stop = last if end is None else min(end, last)
        gaps: list[tuple[int, int]] = []
        for place in range(bisect_right(self._ranges, position, key=_end), len(self._ranges)):
            labelled = self._ranges[place]
            if labelled.start >= stop:
                break
            if position < labelled.start:
                gaps.append((position, labelled.start))
            position = labelled.end
        if position < stop:
            gaps.append((position, stop))
        return gaps
