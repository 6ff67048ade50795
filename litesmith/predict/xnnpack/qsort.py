"""The C libraries' ``qsort``: its order of equal keys decides where XNNPACK places its values."""

from __future__ import annotations

from collections.abc import Sequence

from litesmith.predict.arena.ordering import LIBCXX, Library


def qsort(library: Library, keys: Sequence[int]) -> list[int]:
    """The indices of ``keys`` as ``qsort`` of the C library that comes with a C++ library sorts them.

    glibc's is a merge sort, which keeps the order of equal keys.
    """
    indices = list(range(len(keys)))
    if library is LIBCXX:
        _PatternDefeatingQuicksort(indices, keys).sort()
    else:
        indices.sort(key=lambda index: keys[index])
    return indices


class _PatternDefeatingQuicksort:
    """``qsort`` of zig 0.17: ``lib/std/sort/pdq.zig``, without the heap sort that it falls back to."""

    _FEW = 24
    _MANY = 50
    _STEPS = 5
    _BLOCK = 64
    _SWAPS = 12

    def __init__(self, indices: list[int], keys: Sequence[int]) -> None:
        self._v = indices
        self._keys = keys

    def _less(self, left: int, right: int) -> bool:
        return self._keys[self._v[left]] < self._keys[self._v[right]]

    def _swap(self, left: int, right: int) -> None:
        self._v[left], self._v[right] = self._v[right], self._v[left]

    def sort(self) -> None:
        """Sorts all indices."""
        self._range(0, len(self._v), balanced=True, partitioned=True)

    def _range(self, first: int, last: int, *, balanced: bool, partitioned: bool) -> None:
        while True:
            length = last - first
            if length <= self._FEW:
                self._v[first:last] = sorted(self._v[first:last], key=lambda index: self._keys[index])
                return
            if not balanced:
                self._break_patterns(first, last)
            pivot, swaps = self._choose(first, last)
            if swaps == self._SWAPS:
                self._v[first:last] = self._v[first:last][::-1]
                pivot, swaps = last - 1 - (pivot - first), 0
            if balanced and partitioned and swaps == 0 and self._finish_if_nearly_sorted(first, last):
                return
            if first > 0 and not self._less(first - 1, pivot):
                first = self._partition_equal(first, last, pivot)
                continue
            middle, partitioned = self._partition(first, last, pivot)
            left, right = (first, middle), (middle + 1, last)
            smaller, larger = (left, right) if middle - first < last - middle - 1 else (right, left)
            self._range(*smaller, balanced=True, partitioned=partitioned)
            balanced = smaller[1] - smaller[0] >= length // 8
            first, last = larger

    def _choose(self, first: int, last: int) -> tuple[int, int]:
        """The pivot's position, and the number of swaps that it took to find it."""
        quarter = (last - first) // 4
        i, j, k = first + quarter, first + 2 * quarter, first + 3 * quarter
        swaps = 0
        if last - first >= self._MANY:
            swaps = sum(self._sort3(middle - 1, middle, middle + 1) for middle in (i, j, k))
        return j, swaps + self._sort3(i, j, k)

    def _sort3(self, a: int, b: int, c: int) -> int:
        swaps = 0
        for left, right in ((a, b), (b, c), (a, b)):
            if self._less(right, left):
                swaps += 1
                self._swap(left, right)
        return swaps

    def _finish_if_nearly_sorted(self, first: int, last: int) -> bool:
        """Moves up to :data:`_STEPS` numbers that are out of order; returns whether all are sorted."""
        i = first + 1
        for _ in range(self._STEPS):
            while i < last and not self._less(i, i - 1):
                i += 1
            if i == last:
                return True
            if last - first < self._MANY:
                return False
            self._swap(i, i - 1)
            for j in range(i - 1, first, -1):
                if not self._less(j, j - 1):
                    break
                self._swap(j, j - 1)
            for j in range(i + 1, last):
                if not self._less(j, j - 1):
                    break
                self._swap(j, j - 1)
        return False

    def _break_patterns(self, first: int, last: int) -> None:
        length = last - first
        random, mask = length, (1 << (length - 1).bit_length()) - 1
        middle = first + length // 4 * 2
        for i in (middle - 1, middle, middle + 1):
            random = (random ^ random << 13) & 0xFFFF_FFFF_FFFF_FFFF
            random ^= random >> 7
            random = (random ^ random << 17) & 0xFFFF_FFFF_FFFF_FFFF
            other = random & mask
            self._swap(i, first + (other - length if other >= length else other))

    def _partition_equal(self, first: int, last: int, pivot: int) -> int:
        self._swap(first, pivot)
        i, j = first + 1, last - 1
        while True:
            while i <= j and not self._less(first, i):
                i += 1
            while i <= j and self._less(first, j):
                j -= 1
            if i > j:
                return i
            self._swap(i, j)
            i, j = i + 1, j - 1

    def _partition(self, first: int, last: int, pivot: int) -> tuple[int, bool]:
        """The pivot's new position, after the smaller keys; whether the range was partitioned already."""
        self._swap(first, pivot)
        i, j = first + 1, last - 1
        while i <= j and self._less(i, first):
            i += 1
        while i <= j and not self._less(j, first):
            j -= 1
        if i > j:
            self._swap(j, first)
            return j, True
        self._swap(i, j)
        i, j = i + 1, j - 1
        # Positions whose keys belong to the other side.
        left: list[int] = []
        right: list[int] = []
        while i <= j:
            unknown = j + 1 - i
            taken = 0 if left else min(self._BLOCK, unknown if right else unknown // 2)
            given = 0 if right else min(self._BLOCK, unknown - taken)
            left += [k for k in range(i, i + taken) if not self._less(k, first)]
            right += [k for k in range(j, j - given, -1) if self._less(k, first)]
            i, j = i + taken, j - given
            for one, other in zip(left, right, strict=False):
                self._swap(one, other)
            done = min(len(left), len(right))
            left, right = left[done:], right[done:]
        for place in reversed(left):
            self._swap(place, j)
            j -= 1
        for place in reversed(right):
            self._swap(place, i)
            i += 1
            j = i - 1
        self._swap(j, first)
        return j, False
