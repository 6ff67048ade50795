"""The text of ``schema.fbs`` → its enums, unions and tables.

A field keeps the slot that it has in the vtable of its table: fields count from 0 in the order of the
declaration, deprecated ones too, and a union takes two, the first for the number of its member
(https://flatbuffers.dev/internals/).  Tables, members of unions and values of enums that are deprecated keep
their numbers, and files may still have them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litesmith.base.errors import SourceError

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_ENUM = re.compile(r"^enum (\w+)\s*:\s*(\w+)\s*\{(.*?)\}", re.DOTALL | re.MULTILINE)
_UNION = re.compile(r"^union (\w+)\s*\{(.*?)\}", re.DOTALL | re.MULTILINE)
_TABLE = re.compile(r"^table (\w+)\s*(?:\(deprecated\))?\s*\{(.*?)\}", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"(\w+)\s*:\s*(\[?\w+\]?)\s*(?:=\s*([\w.-]+))?[^;]*?(\(deprecated\))?\s*;")
_VALUE = re.compile(r"(\w+)\s*(?:=\s*(-?\d+))?\s*(?:\(deprecated\))?")


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field as it is declared: ``type`` is ``int``, ``[int]``, ``Padding``; ``default`` as written."""

    slot: int
    type: str
    default: str
    deprecated: bool


@dataclass(frozen=True, kw_only=True)
class Enum:
    """An enum: the type of its numbers, and its values by name."""

    type: str
    values: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Declarations:
    """All of a schema.  The members of a union are in the order of their numbers, which begin with 1."""

    enums: Mapping[str, Enum]
    unions: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, Mapping[str, Field]]

    def to_json(self) -> dict[str, Any]:
        """What ``ops_registry/schema.json`` holds: a field is ``SLOT TYPE`` or ``SLOT TYPE DEFAULT``.

        Deprecated fields are left out: nothing may read them.
        """
        return {
            "enums": {
                name: {"type": enum.type, "values": dict(enum.values)} for name, enum in self.enums.items()
            },
            "unions": {name: list(members) for name, members in self.unions.items()},
            "tables": {
                name: {
                    label: f"{field.slot} {field.type} {self._default(field)}".rstrip()
                    for label, field in fields.items()
                    if not field.deprecated
                }
                for name, fields in self.tables.items()
            },
        }

    def _default(self, field: Field) -> str:
        """The default as a number, empty for 0."""
        enum = self.enums.get(field.type)
        named = {"true": "1", "false": "0", **({k: str(v) for k, v in enum.values.items()} if enum else {})}
        default = named.get(field.default, field.default)
        return "" if default == "0" else default


def parse(text: str) -> Declarations:
    """The declarations of a schema.

    Raises:
        SourceError: a field has a type that the schema does not declare.
    """
    text = _COMMENT.sub("", text)
    enums = {name: Enum(type=kind, values=_values(body)) for name, kind, body in _ENUM.findall(text)}
    unions = {name: tuple(_values(body)) for name, body in _UNION.findall(text)}
    bodies = dict(_TABLE.findall(text))
    declared = {*SCALAR_CODES, "string", *enums, *unions, *bodies}
    tables = {}
    for name, body in bodies.items():
        fields: dict[str, Field] = {}
        slot = 0
        for label, kind, default, deprecated in _FIELD.findall(body):
            if kind.strip("[]") not in declared:
                raise SourceError(
                    f"{name}.{label} of schema.fbs has the type {kind}, which it does not declare"
                )
            slot += kind in unions
            fields[label] = Field(slot=slot, type=kind, default=default, deprecated=bool(deprecated))
            slot += 1
        tables[name] = fields
    return Declarations(enums=enums, unions=unions, tables=tables)


def _values(body: str) -> dict[str, int]:
    found: dict[str, int] = {}
    following = 0
    for name, number in _VALUE.findall(body):
        found[name] = int(number) if number else following
        following = found[name] + 1
    return found


SCALAR_CODES: Mapping[str, str] = {
    "bool": "?",
    "byte": "b",
    "ubyte": "B",
    "short": "h",
    "ushort": "H",
    "int": "i",
    "int32": "i",
    "uint": "I",
    "float": "f",
    "long": "q",
    "ulong": "Q",
    "double": "d",
}
"""The characters of :mod:`struct` for the scalar types of a schema."""
