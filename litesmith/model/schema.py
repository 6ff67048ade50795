"""What ``schema.fbs`` declares, by name: ``ops_registry/schema.json`` → tables, enums and unions.

``./inv ops.derive`` derives the file from the pinned schema (:mod:`litesmith.model.schema_fbs`), so that
models can be read before any source has been fetched.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litesmith.base import paths
from litesmith.model.schema_fbs import SCALAR_CODES


class NotInSchemaError(Exception):
    """A name or a type that ``schema.fbs`` does not declare: a mistake in this program, not in a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a table.

    ``slot`` is its place in the vtable.  ``type`` is the scalar, ``string``, enum, union or table that it
    is declared with, or that of its elements where it is a ``vector``.  ``code`` is the :mod:`struct`
    character of its numbers, empty where it has none.
    """

    table: str
    name: str
    slot: int
    type: str
    vector: bool
    code: str
    default: float


@functools.cache
def _stored() -> Mapping[str, Any]:
    path = paths.data_folder("ops_registry") / "schema.json"
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def enum(name: str) -> Mapping[str, int]:
    """The values of an enum by name: ``enum("Padding")["SAME"]``.

    Raises:
        NotInSchemaError: there is no such enum.
    """
    values: Mapping[str, int] = _declared("enums", name)["values"]
    return values


@functools.cache
def enum_names(name: str) -> Mapping[int, str]:
    """The names of an enum's values by number.

    Raises:
        NotInSchemaError: there is no such enum.
    """
    return {number: value for value, number in enum(name).items()}


@functools.cache
def union(name: str) -> Mapping[int, str]:
    """The tables that a union may hold, by the number that a file stores: from 1, 0 is none.

    Raises:
        NotInSchemaError: there is no such union.
    """
    return dict(enumerate(_declared("unions", name), start=1))


def is_union(name: str) -> bool:
    """Whether a type is a union."""
    return name in _stored()["unions"]


def is_enum(name: str) -> bool:
    """Whether a type is an enum."""
    return name in _stored()["enums"]


@functools.cache
def fields(table: str) -> Mapping[str, Field]:
    """The fields of a table by name.

    Raises:
        NotInSchemaError: there is no such table.
    """
    return {name: _field(table, name, text) for name, text in _declared("tables", table).items()}


def _declared(kind: str, name: str) -> Any:
    try:
        return _stored()[kind][name]
    except KeyError:
        raise NotInSchemaError(f"schema.fbs has no {name} among its {kind}") from None


def _field(table: str, name: str, text: str) -> Field:
    slot, declared, *default = text.split()
    scalar = declared.strip("[]")
    stored_as = _stored()["enums"][scalar]["type"] if is_enum(scalar) else scalar
    return Field(
        table=table,
        name=name,
        slot=int(slot),
        type=scalar,
        vector=declared.startswith("["),
        code=SCALAR_CODES.get(stored_as, ""),
        default=float(default[0]) if default else 0,
    )
