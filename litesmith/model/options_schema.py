"""``schema.fbs`` and upstream's readers of it → what the options of each op look like.

A table is written as a string with one sign for each of its fields, in order: ``1 2 4 8`` for a
number of so many bytes, ``a b d h`` for a vector of such numbers, ``s`` for a string, ``-`` for a
field that nobody reads.  ``templates/runtime/flatbuffer_check.cc`` reads the same signs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from litesmith.base.errors import SourceError

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TABLE = re.compile(r"^table (\w+)\s*\{(.*?)\}", re.DOTALL | re.MULTILINE)
_ENUM = re.compile(r"^enum (\w+)\s*:\s*(\w+)", re.MULTILINE)
_FIELD = re.compile(r"(\w+)\s*:\s*(\[?)(\w+)\]?[^;]*?(\(deprecated\))?;")
_CASE = re.compile(r"case BuiltinOperator_(\w+):")
_READS = re.compile(r"builtin_options_as_(\w+)")
_CALLS = re.compile(r"return (Parse\w+)\(")
_PARSER = re.compile(r"^TfLiteStatus (Parse\w+)\(.*?^\}", re.DOTALL | re.MULTILINE)
_BYTES = {
    "bool": 1,
    "byte": 1,
    "ubyte": 1,
    "short": 2,
    "ushort": 2,
    "int": 4,
    "uint": 4,
    "float": 4,
    "long": 8,
    "ulong": 8,
    "double": 8,
}
_VECTORS = {1: "a", 2: "b", 4: "d", 8: "h"}


@dataclass(frozen=True, kw_only=True)
class OptionsTable:
    """A member of the union ``BuiltinOptions``: its number in the union, and its fields' signs."""

    number: int
    fields: str


def options_tables(schema: str) -> dict[str, OptionsTable]:
    """All members of ``BuiltinOptions`` by name, from the text of ``schema.fbs``.

    Raises:
        SourceError: the text has no such union, or a field of an unknown type.
    """
    text = _COMMENT.sub("", schema)
    union = re.search(r"union BuiltinOptions \{(.*?)\}", text, re.DOTALL)
    if union is None:
        raise SourceError("no union BuiltinOptions in schema.fbs")
    sizes = {**_BYTES, **{name: _BYTES[kind.removesuffix("32")] for name, kind in _enums(text).items()}}
    tables = dict(_TABLE.findall(text))
    members = re.findall(r"\w+", union[1])
    return {
        name: OptionsTable(number=number, fields=_signs(name, tables[name], sizes))
        for number, name in enumerate(members, start=1)
    }


def _enums(text: str) -> dict[str, str]:
    return {name: kind.replace("int32", "int") for name, kind in _ENUM.findall(text)}


def _signs(table: str, body: str, sizes: Mapping[str, int]) -> str:
    signs = ""
    for name, vector, kind, deprecated in _FIELD.findall(body):
        if deprecated:
            signs += "-"
        elif kind == "string":
            signs += "s"
        elif kind in sizes:
            signs += _VECTORS[sizes[kind]] if vector else str(sizes[kind])
        else:
            raise SourceError(f"{table}.{name} of schema.fbs has the type {kind}")
    return signs


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
