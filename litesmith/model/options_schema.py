"""The options table of each op: its fields' types, and upstream's function that reads it.

A table is written as a string with one sign for each field, in order: ``1 2 4 8`` for a number of that
many bytes, ``a b d h`` for a vector of such numbers, ``s`` for a string, ``-`` for a deprecated field.
``templates/runtime/flatbuffer_check.cc`` reads the same signs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from litesmith.base.errors import SourceError
from litesmith.model.schema_fbs import SCALAR_CODES, Declarations, Field

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_CASE = re.compile(r"case BuiltinOperator_(\w+):")
_READS = re.compile(r"builtin_options(?:_2)?_as_(\w+)")
_CALLS = re.compile(r"return (Parse\w+)\(")
_PARSER = re.compile(r"^TfLiteStatus (Parse\w+)\(.*?^\}", re.DOTALL | re.MULTILINE)
_VECTORS = {1: "a", 2: "b", 4: "d", 8: "h"}


UNIONS: Mapping[str, str] = {
    "BuiltinOptions": "builtin_options",
    "BuiltinOptions2": "builtin_options_2",
}
"""The unions that hold the options of builtin ops, and the field of ``Operator`` with each."""


@dataclass(frozen=True, kw_only=True)
class OptionsTable:
    """A member of one of :data:`UNIONS`: its number in the union, and its fields' signs."""

    union: str
    number: int
    fields: str


def options_tables(schema: Declarations) -> dict[str, OptionsTable]:
    """All members of :data:`UNIONS` by name.

    Raises:
        SourceError: the schema has no such union, or an option is a table.
    """
    for union in UNIONS:
        if union not in schema.unions:
            raise SourceError(f"no union {union} in schema.fbs")
    return {
        name: OptionsTable(
            union=union,
            number=number,
            fields="".join(_sign(schema, name, *item) for item in schema.tables[name].items()),
        )
        for union in UNIONS
        for number, name in enumerate(schema.unions[union], start=1)
    }


def _sign(schema: Declarations, table: str, name: str, field: Field) -> str:
    if field.deprecated:
        return "-"
    if field.type == "string":
        return "s"
    scalar = field.type.strip("[]")
    code = SCALAR_CODES.get(schema.enums[scalar].type if scalar in schema.enums else scalar)
    if code is None:
        raise SourceError(f"{table}.{name} of schema.fbs has the type {field.type}")
    size = struct.calcsize(f"<{code}")
    return _VECTORS[size] if field.type.startswith("[") else str(size)


@dataclass(frozen=True, kw_only=True)
class OptionsReader:
    """How upstream reads the options of an op.

    ``tables`` are the options tables that are read.  ``function`` is the one that reads them;
    :data:`SWITCH` where upstream's switch over all ops does it itself, empty where nothing is read.
    """

    tables: tuple[str, ...]
    function: str


SWITCH = "switch"


def readers_of_ops(conversions: str) -> dict[str, OptionsReader]:
    """How the options of each op are read, from ``flatbuffer_conversions.cc``.

    Raises:
        SourceError: the text has no switch over all ops.
    """
    text = _COMMENT.sub("", conversions)
    functions = {match[1]: match[0] for match in _PARSER.finditer(text)}
    switch = re.search(r"TfLiteStatus ParseOpDataTfLite\(.*?^\}", text, re.DOTALL | re.MULTILINE)
    if switch is None:
        raise SourceError("no ParseOpDataTfLite in flatbuffer_conversions.cc")
    found: dict[str, OptionsReader] = {}
    waiting: list[str] = []
    pieces = _CASE.split(switch[0])[1:]
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        waiting.append(name)
        if not body.strip():
            continue  # falls through to the next label
        found |= dict.fromkeys(waiting, _reader(body, functions))
        waiting = []
    return found


def _reader(body: str, functions: Mapping[str, str]) -> OptionsReader:
    """The reader behind one case of the switch."""
    call = _CALLS.search(body)
    code = functions[call[1]] if call else body
    tables = tuple(dict.fromkeys(_READS.findall(code)))
    return OptionsReader(tables=tables, function=(call[1] if call else SWITCH) if tables else "")
