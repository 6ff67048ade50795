"""Reading and validating YAML and JSON files; a mistake is reported in one line."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from litesmith.base.errors import UsageError, nearest


class Strict(BaseModel):
    """Base of validated files: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


Model = TypeVar("Model", bound=Strict)


class _UniqueKeyLoader(yaml.CSafeLoader):
    """Rejects a mapping that has a key twice, instead of keeping the last value."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key_node, _value in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, Hashable) and key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} appears twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def load_yaml(path: Path, model: type[Model]) -> Model:
    """Reads and validates a YAML file.

    Raises:
        UsageError: the file is missing, is not YAML, or does not match the model; the message has the file,
            the line or key, and the nearest known key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}") from None
    try:
        # The loader is a subclass of yaml's safe loader.
        content = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or f"it is not YAML: {error}"
        raise UsageError(f"{path}{where}: {problem}", "correct the file") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a mapping of keys to values is expected", "see targets/armv7.yaml")
    return validate(content, model, str(path))


def validate(content: Any, model: type[Model], where: str) -> Model:
    """Validates ``content`` as a ``model``.

    Raises:
        UsageError: it does not match; the message has ``where``, the key, and a suggestion.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        first = problems[0]
        key, known = _place(model, first["loc"])
        if first["type"] == "extra_forbidden":
            message = f"{where}: the key {key!r} is unknown"
            advice = nearest(str(first["loc"][-1]), known) or f"known keys: {', '.join(known)}"
        elif first["type"] == "missing":
            message = f"{where}: the key {key!r} is missing"
            advice = "add it"
        else:
            reason = first["msg"].removeprefix("Value error, ")
            message = f"{where}: {key}: {reason}" if key else f"{where}: {reason}"
            given = first.get("input")
            advice = f"it is {given!r}" if isinstance(given, str | int | float | bool) else "correct the file"
        if len(problems) > 1:
            message += f" (and {len(problems) - 1} more)"
        raise UsageError(message, advice) from None


def _place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """The path of a key as it is in the file, and the known keys at the same level.

    If a value may have one of several models, pydantic's location also contains the model's name.
    """
    fields: Any = model.model_json_schema()
    definitions = fields.get("$defs", {})
    keys: list[str] = []
    known: list[str] = []
    for part in location:
        if "oneOf" in fields and part in definitions:
            fields = definitions[part]
            continue
        keys.append(str(part))
        known = sorted(fields.get("properties", {}))
        fields = fields.get("properties", {}).get(str(part), fields.get("additionalProperties", {}))
        fields = fields if isinstance(fields, dict) else {}
        for option in [fields, *fields.get("anyOf", []), *fields.get("allOf", [])]:
            if "$ref" in option:
                fields = definitions[option["$ref"].rsplit("/", 1)[1]]
    return ".".join(keys), known
