"""The order in which C++ libraries visit a hash set of integers, and in which they sort equal elements.

The runtime collects the tensors of a node in a ``std::unordered_set`` and sorts them with ``std::sort``,
which is not stable.  Both orders depend on the library, and decide how large an arena gets when a node has
several tensors of one size.  These are libc++ (LLVM 22) and libstdc++ (GCC 12), without their heap sort for
inputs on which quicksort is slow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from litesmith.toolchain.protocol import CxxLibrary

Key = Callable[[int], Any]
"""The sort key of a number."""


class Library(Protocol):
    """A C++ standard library."""

    def visited(self, numbers: Iterable[int]) -> list[int]:
        """The iteration order of a hash set into which the numbers were inserted one by one."""

    def sort(self, numbers: list[int], key: Key) -> None:
        """``std::sort``, in place."""


class _Buckets:
    """A hash set as one list in which the numbers of a bucket are adjacent."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.groups: dict[int, list[int]] = {}
        self.order: list[int] = []

    def insert(self, number: int) -> None:
        """Inserts at the front of the bucket; a new bucket goes to the front of the list."""
        bucket = number % self.count
        if bucket in self.groups:
            self.groups[bucket].insert(0, number)
        else:
            self.groups[bucket] = [number]
            self.order.insert(0, bucket)

    def visited(self) -> list[int]:
        return [number for bucket in self.order for number in self.groups[bucket]]


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


class Libcxx:
    """LLVM's library: ``__hash_table`` and ``__algorithm/sort.h``."""

    def visited(self, numbers: Iterable[int]) -> list[int]:
        """See :class:`Library`."""
        table = _Buckets(0)
        for size, number in enumerate(dict.fromkeys(numbers)):
            if size + 1 > table.count:
                power_of_two = table.count > 2 and not table.count & (table.count - 1)
                table = self._rehashed(table, max(2 * table.count + (not power_of_two), size + 1))
            table.insert(number)
        return table.visited()

    @staticmethod
    def _rehashed(table: _Buckets, count: int) -> _Buckets:
        if count == 1:
            count = 2
        while count & (count - 1) and not _is_prime(count):
            count += 1
        made = _Buckets(count)
        before = -1
        for number in table.visited():
            bucket = number % count
            if bucket not in made.groups:
                made.groups[bucket] = [number]
                made.order.append(bucket)
                before = bucket
            elif bucket == before:
                made.groups[bucket].append(number)
            else:
                made.groups[bucket].insert(0, number)
        return made

    def sort(self, numbers: list[int], key: Key) -> None:
        """See :class:`Library`."""
        if numbers:
            depth = 2 * (len(numbers).bit_length() - 1)
            _LlvmSort(numbers, key).sort(0, len(numbers), depth, leftmost=True)


class _LlvmSort:
    """``__introsort``: insertion sort for short ranges, else quicksort with the pivot at the left."""

    _FEW = 24
    _MANY = 128
    _PATIENCE = 8

    def __init__(self, numbers: list[int], key: Key) -> None:
        self._v = numbers
        self._key = key

    def _less(self, left: int, right: int) -> bool:
        return bool(self._key(left) < self._key(right))

    def _stable(self, *places: int) -> None:
        """Sorts the elements at these indices, in this order; the sort is stable."""
        found = sorted((self._v[place] for place in places), key=self._key)
        for place, number in zip(places, found, strict=True):
            self._v[place] = number

    def sort(self, first: int, last: int, depth: int, *, leftmost: bool) -> None:
        """Sorts from ``first`` up to ``last``."""
        while True:
            length = last - first
            if length < self._FEW or depth == 0:
                self._v[first:last] = sorted(self._v[first:last], key=self._key)
                return
            depth -= 1
            self._choose_pivot(first, last, length)
            if not leftmost and not self._less(self._v[first - 1], self._v[first]):
                first = self._equals_left(first, last)
                continue
            middle, partitioned = self._equals_right(first, last)
            if partitioned:
                left_done = self._insert_few(first, middle)
                if self._insert_few(middle + 1, last):
                    if left_done:
                        return
                    last = middle
                    continue
                if left_done:
                    first = middle + 1
                    continue
            self.sort(first, middle, depth, leftmost=leftmost)
            leftmost = False
            first = middle + 1

    def _choose_pivot(self, first: int, last: int, length: int) -> None:
        half = first + length // 2
        if length <= self._MANY:
            self._stable(half, first, last - 1)
            return
        self._stable(first, half, last - 1)
        self._stable(first + 1, half - 1, last - 2)
        self._stable(first + 2, half + 1, last - 3)
        self._stable(half - 1, half, half + 1)
        self._v[first], self._v[half] = self._v[half], self._v[first]

    def _equals_right(self, first: int, last: int) -> tuple[int, bool]:
        """``__partition_with_equals_on_right``: the pivot's index, and whether the range was partitioned."""
        v, begin, pivot = self._v, first, self._v[first]
        first += 1
        while self._less(v[first], pivot):
            first += 1
        last -= 1
        while not self._less(v[last], pivot) and (begin != first - 1 or first < last):
            last -= 1
        partitioned = first >= last
        while first < last:
            v[first], v[last] = v[last], v[first]
            first += 1
            while self._less(v[first], pivot):
                first += 1
            last -= 1
            while not self._less(v[last], pivot):
                last -= 1
        v[begin], v[first - 1] = v[first - 1], pivot
        return first - 1, partitioned

    def _equals_left(self, first: int, last: int) -> int:
        """``__partition_with_equals_on_left``: the index of the first element larger than the pivot."""
        v, begin, end, pivot = self._v, first, last, self._v[first]
        first += 1
        while first < end and not self._less(pivot, v[first]):
            first += 1
        if first < last:
            last -= 1
            while self._less(pivot, v[last]):
                last -= 1
        while first < last:
            v[first], v[last] = v[last], v[first]
            first += 1
            while not self._less(pivot, v[first]):
                first += 1
            last -= 1
            while self._less(pivot, v[last]):
                last -= 1
        v[begin], v[first - 1] = v[first - 1], pivot
        return first

    def _insert_few(self, first: int, last: int) -> bool:
        """``__insertion_sort_incomplete``: gives up after a few insertions; whether the range is sorted."""
        v = self._v
        if last - first <= 5:
            v[first:last] = sorted(v[first:last], key=self._key)
            return True
        self._stable(first, first + 1, first + 2)
        inserted = 0
        for i in range(first + 3, last):
            number, place = v[i], i
            if not self._less(number, v[i - 1]):
                continue
            while place > first and self._less(number, v[place - 1]):
                v[place] = v[place - 1]
                place -= 1
            v[place] = number
            inserted += 1
            if inserted == self._PATIENCE:
                return i + 1 == last
        return True


class Libstdcxx:
    """GNU's library: ``hashtable.h`` and ``stl_algo.h``."""

    _FEW = 16
    _BUCKETS = (
        13, 29, 59, 127, 257, 541, 1109, 2357, 5087, 10273, 20753, 42043,
    )  # fmt: skip
    """The numbers of buckets that a growing table has."""

    def visited(self, numbers: Iterable[int]) -> list[int]:
        """See :class:`Library`."""
        table = _Buckets(self._BUCKETS[0])
        for size, number in enumerate(dict.fromkeys(numbers)):
            if size + 1 > table.count:
                count = self._BUCKETS[bisect_left(self._BUCKETS, 2 * table.count)]
                there, table = table.visited(), _Buckets(count)
                for old in there:
                    table.insert(old)
            table.insert(number)
        return table.visited()

    def sort(self, numbers: list[int], key: Key) -> None:
        """See :class:`Library`."""
        depth = 2 * (len(numbers).bit_length() - 1) if numbers else 0
        self._quick(numbers, 0, len(numbers), depth, key)
        numbers.sort(key=key)  # insertion sort, which is stable as well

    def _quick(self, v: list[int], first: int, last: int, depth: int, key: Key) -> None:
        while last - first > self._FEW and depth:
            depth -= 1
            middle = first + (last - first) // 2
            median = self._median(v, (first + 1, middle, last - 1), key)
            v[first], v[median] = v[median], v[first]
            cut = self._partition(v, first + 1, last, key(v[first]), key)
            self._quick(v, cut, last, depth, key)
            last = cut

    @staticmethod
    def _median(v: list[int], places: tuple[int, int, int], key: Key) -> int:
        """``__move_median_to_first``: the index of the median."""
        a, b, c = places
        one, two, three = (key(v[place]) for place in places)
        if one < two:
            return b if two < three else c if one < three else a
        return a if one < three else c if two < three else b

    @staticmethod
    def _partition(v: list[int], first: int, last: int, pivot: Any, key: Key) -> int:
        while True:
            while key(v[first]) < pivot:
                first += 1
            last -= 1
            while pivot < key(v[last]):
                last -= 1
            if not first < last:
                return first
            v[first], v[last] = v[last], v[first]
            first += 1


LIBCXX: Library = Libcxx()
LIBSTDCXX: Library = Libstdcxx()

BY_NAME: Mapping[CxxLibrary, Library] = {"libc++": LIBCXX, "libstdc++": LIBSTDCXX}
"""The libraries by the names that toolchains give them."""
