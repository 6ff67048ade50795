"""The tables of a model, whose fields are read by the names of ``schema.fbs``.

:mod:`litesmith.model.flatbuffer` reads by slot, as the format does; this module adds names, declared types
and defaults.  A name that the schema does not have, or one that is read as another type than the declared
one, raises :class:`~litesmith.model.schema.NotInSchemaError`, on any file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from litesmith.model import flatbuffer, schema
from litesmith.model.flatbuffer import RawTable, Span
from litesmith.model.schema import Field, NotInSchemaError


class Table:
    """A table of the schema's type ``kind``.

    One that the file does not have (:meth:`absent`) has the default of every field.
    """

    __slots__ = ("_fields", "_raw", "kind")

    def __init__(self, kind: str, raw: RawTable | None) -> None:
        self.kind = kind
        self._raw = raw
        self._fields = schema.fields(kind) if kind else {}

    @classmethod
    def absent(cls, kind: str = "") -> Table:
        """A table that the file does not have; without ``kind``, one of an op that has no options."""
        return cls(kind, None)

    @property
    def present(self) -> bool:
        """Whether the file has the table."""
        return self._raw is not None

    @property
    def position(self) -> int:
        """Where the table lies in the file, in bytes."""
        return self._raw.position if self._raw is not None else 0

    def _field(self, name: str, *, vector: bool = False) -> Field:
        field = self._fields.get(name)
        if field is None:
            raise NotInSchemaError(f"{self.kind or 'a table without options'} has no field {name}")
        if field.vector is not vector:
            raise _mismatch(field)
        return field

    def _number(self, field: Field) -> int:
        default = int(field.default)
        return self._raw.scalar(field.slot, field.code, default) if self._raw is not None else default

    def has(self, name: str) -> bool:
        """Whether the file has the field."""
        field = self._fields.get(name)
        if field is None:
            raise NotInSchemaError(f"{self.kind} has no field {name}")
        return self._raw is not None and self._raw.has(field.slot)

    def integer(self, name: str) -> int:
        """An integer, or the number of an enum's value."""
        field = self._field(name)
        if field.code not in _INTEGERS:
            raise _mismatch(field)
        return self._number(field)

    def boolean(self, name: str) -> bool:
        """A ``bool``."""
        field = self._field(name)
        if field.code != "?":
            raise _mismatch(field)
        return bool(self._number(field))

    def real(self, name: str) -> float:
        """A ``float`` or ``double``."""
        field = self._field(name)
        if field.code not in _REALS:
            raise _mismatch(field)
        return float(self._raw.scalar(field.slot, field.code)) if self._raw is not None else field.default

    def enum(self, name: str) -> str:
        """The name of an enum's value; its number as text where the schema has no name for it."""
        field = self._field(name)
        if not schema.is_enum(field.type):
            raise _mismatch(field)
        number = self._number(field)
        return schema.enum_names(field.type).get(number, str(number))

    def text(self, name: str) -> str:
        """A string; bytes that are not UTF-8 are replaced.  Empty when absent."""
        field = self._field(name)
        if field.type != "string":
            raise _mismatch(field)
        return self._raw.text(field.slot) if self._raw is not None else ""

    def integers(self, name: str) -> tuple[int, ...]:
        """A vector of integers; empty when absent."""
        field = self._vector(name, _INTEGERS)
        return self._raw.numbers(field.slot, field.code) if self._raw is not None else ()

    def reals(self, name: str) -> tuple[float, ...]:
        """A vector of ``float``; empty when absent."""
        field = self._vector(name, _REALS)
        return self._raw.numbers(field.slot, field.code) if self._raw is not None else ()

    def length(self, name: str) -> int:
        """The number of elements of a vector of numbers, without reading it."""
        field = self._vector(name, _INTEGERS + _REALS)
        size = struct.calcsize(f"<{field.code}")
        return self._raw.length(field.slot, size) if self._raw is not None else 0

    def span(self, name: str) -> Span | None:
        """Where a vector of bytes lies, without reading it; None when absent."""
        field = self._vector(name, "B")
        return self._raw.span(field.slot) if self._raw is not None else None

    def _vector(self, name: str, codes: str) -> Field:
        field = self._field(name, vector=True)
        if not field.code or field.code not in codes:
            raise _mismatch(field)
        return field

    def table(self, name: str) -> Table | None:
        """A table within this one; None when absent."""
        field = self._field(name)
        kind = field.type
        if schema.is_union(kind) or field.code or kind == "string":
            raise _mismatch(field)
        raw = self._raw.table(field.slot) if self._raw is not None else None
        return Table(kind, raw) if raw is not None else None

    def tables(self, name: str) -> Iterator[Table]:
        """A vector of tables."""
        field = self._field(name, vector=True)
        if field.code or field.type == "string":
            raise _mismatch(field)
        return self._each(field)

    def _each(self, field: Field) -> Iterator[Table]:
        if self._raw is not None:
            for raw in self._raw.tables(field.slot):
                yield Table(field.type, raw)

    def union(self, name: str) -> Table | None:
        """The table in a union; None when it has none, or one that the schema does not know."""
        field = self._field(name)
        members = schema.union(field.type) if schema.is_union(field.type) else None
        if members is None:
            raise _mismatch(field)
        if self._raw is None:
            return None
        # The number of the member lies in the slot before that of the table.
        kind = members.get(self._raw.scalar(field.slot - 1, "B"))
        raw = self._raw.table(field.slot) if kind is not None else None
        return Table(kind, raw) if kind is not None and raw is not None else None

    def union_as(self, name: str, kind: str) -> Table:
        """The table in a union if it is a ``kind``, else an absent one: ``builtin_options_as_…`` upstream."""
        found = self.union(name)
        return found if found is not None and found.kind == kind else Table.absent(kind)


_INTEGERS = "bBhHiIqQ"
_REALS = "fd"


def _mismatch(field: Field) -> NotInSchemaError:
    declared = f"[{field.type}]" if field.vector else field.type
    return NotInSchemaError(f"{field.table}.{field.name} of schema.fbs is declared as {declared}")


def root(content: bytes) -> Table:
    """The model in a file.

    Raises:
        DamagedError: here and from every reader, when the file is inconsistent.
    """
    return Table("Model", flatbuffer.root(content))
