"""A bounds-checked flatbuffer reader.

Models are untrusted input.  The Python accessors that flatc generates follow any offset in a file.  This
reader checks every table, vtable, vector and string against the size of the file, and limits the work that
a small file can cause, so that a damaged file ends in :class:`DamagedError`, never in a crash or a hang.
Format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SCALARS = {code: struct.Struct("<" + code) for code in "bBhHiIqQfd?"}
_U16 = _SCALARS["H"]
_U32 = _SCALARS["I"]
_I32 = _SCALARS["i"]

# The smallest size of a table with the offset to it.
_TABLE_BYTES = 8


class DamagedError(Exception):
    """The file is inconsistent; the message says what is wrong and at which byte."""


class _Budget:
    """How many bytes of tables and vector elements may still be read.

    In a valid file every table is reached once, so the work is limited by the size of the file.  In a
    damaged file, a million offsets can lead to one table.
    """

    def __init__(self, size: int) -> None:
        self.left = size + 4096

    def spend(self, amount: int, position: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise DamagedError(f"tables overlap at byte {position}")


@dataclass(frozen=True, slots=True)
class Span:
    """Where a vector of bytes lies in the file: ``start`` and ``size`` in bytes."""

    start: int
    size: int


class RawTable:
    """A table of the file whose fields are addressed by their slots in its vtable."""

    __slots__ = ("_budget", "_buffer", "_fields", "_inline", "_vtable", "position")

    def __init__(self, buffer: bytes, position: int, budget: _Budget) -> None:
        budget.spend(_TABLE_BYTES, position)
        self._buffer = buffer
        self._budget = budget
        self.position = position
        vtable = position - self._unpack(_I32, position)
        if not 0 <= vtable <= len(buffer) - 4 or vtable % 2:
            raise DamagedError(f"the table at byte {position} has no vtable")
        size = self._unpack(_U16, vtable)
        self._inline = self._unpack(_U16, vtable + 2)
        if size < 4 or size % 2 or vtable + size > len(buffer):
            raise DamagedError(f"the vtable at byte {vtable} has an impossible size")
        if position + self._inline > len(buffer):
            raise DamagedError(f"the table at byte {position} reaches over the end of the file")
        self._vtable = vtable
        self._fields = (size - 4) // 2

    def _unpack(self, kind: struct.Struct, position: int) -> int:
        if position < 0 or position + kind.size > len(self._buffer):
            raise DamagedError(f"an offset points to byte {position}, outside of the file")
        value: int = kind.unpack_from(self._buffer, position)[0]
        return value

    def _field(self, index: int, size: int) -> int:
        """The position of a field's inline value, 0 when the field is absent."""
        offset = self._offset(index)
        if offset == 0:
            return 0
        if offset < 4 or offset + size > self._inline:
            raise DamagedError(f"field {index} of the table at byte {self.position} lies outside")
        return self.position + offset

    def _offset(self, index: int) -> int:
        return self._unpack(_U16, self._vtable + 4 + 2 * index) if index < self._fields else 0

    def has(self, index: int) -> bool:
        """Whether the field is present."""
        return self._offset(index) != 0

    def scalar(self, index: int, code: str, default: int = 0) -> int:
        """A number; ``code`` is its :mod:`struct` character."""
        kind = _SCALARS[code]
        position = self._field(index, kind.size)
        return self._unpack(kind, position) if position else default

    def _indirect(self, index: int) -> int:
        position = self._field(index, 4)
        if not position:
            return 0
        offset = self._unpack(_U32, position)
        if offset == 0:
            raise DamagedError(f"field {index} of the table at byte {self.position} points at itself")
        return position + offset

    def table(self, index: int) -> RawTable | None:
        """A nested table, None when absent."""
        position = self._indirect(index)
        return RawTable(self._buffer, position, self._budget) if position else None

    def _vector(self, index: int, element: int) -> tuple[int, int]:
        position = self._indirect(index)
        if not position:
            return 0, 0
        length = self._unpack(_U32, position)
        if position + 4 + length * element > len(self._buffer):
            raise DamagedError(f"the vector at byte {position} reaches over the end of the file")
        return position + 4, length

    def span(self, index: int) -> Span | None:
        """Where a byte vector lies, without reading it; None when absent."""
        start, length = self._vector(index, 1)
        return Span(start, length) if start else None

    def numbers(self, index: int, code: str) -> tuple[int, ...]:
        """A vector of numbers; empty when absent."""
        start, length = self._vector(index, _SCALARS[code].size)
        self._budget.spend(length, start)
        return struct.unpack_from(f"<{length}{code}", self._buffer, start) if length else ()

    def length(self, index: int, element: int) -> int:
        """The number of elements of ``element`` bytes in a vector, without reading it."""
        return self._vector(index, element)[1]

    def text(self, index: int) -> str:
        """A string; bytes that are not UTF-8 are replaced.  Empty when absent."""
        start, length = self._vector(index, 1)
        self._budget.spend(length // 4, start)
        return self._buffer[start : start + length].decode(errors="replace") if length else ""

    def tables(self, index: int) -> Iterator[RawTable]:
        """A vector of tables."""
        start, length = self._vector(index, 4)
        for slot in range(start, start + 4 * length, 4):
            yield RawTable(self._buffer, slot + self._unpack(_U32, slot), self._budget)


def root(buffer: bytes) -> RawTable:
    """The root table.

    Raises:
        DamagedError: here and from every accessor, when the file is inconsistent.
    """
    if len(buffer) < 8:
        raise DamagedError(f"the file has only {len(buffer)} bytes")
    return RawTable(buffer, _U32.unpack_from(buffer, 0)[0], _Budget(len(buffer)))
