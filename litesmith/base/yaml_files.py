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


# The largest files of this kind have some ten KiB, and five levels.
_MOST_BYTES = 1024 * 1024
_MOST_LEVELS = 50
_MOST_NODES = 100_000
_MOST_SHOWN = 100


class _UniqueKeyLoader(yaml.CSafeLoader):
    """Rejects a mapping that has a key twice, instead of keeping the last value."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key_node, _value in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, "a list or a mapping cannot be a key", key_node.start_mark
            )
        if key in seen:
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
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}") from None
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES // 1024**2} MiB", "name another file")
    try:
        _require_plain(text)
        # The loader is a subclass of yaml's safe loader.
        content = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or f"it is not YAML: {error}"
        raise UsageError(f"{path}{where}: {problem}", "correct the file") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # A value that its tag does not allow, such as !!bool 7: yaml's constructors expect the right ones.
        raise UsageError(
            f"{path}: a value does not have the type of its tag: {error}", "correct the file"
        ) from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a mapping of keys to values is expected", "see targets/armv7.yaml")
    return validate(content, model, str(path))


def _require_plain(text: str) -> None:
    """Checks that a document is neither nested deeply nor grows by its aliases.

    The loader calls itself for each level, until the stack ends, and a merge key copies what an alias names.

    Raises:
        YAMLError: it is, or it is not YAML.
    """
    sizes: dict[str, int] = {}
    # The nodes so far of each open collection, with its anchor; the first is the document.
    collections: list[tuple[int, str | None]] = [(0, None)]

    def add(count: int, mark: Any) -> None:
        total, anchor = collections[-1]
        collections[-1] = (total + count, anchor)
        if total + count > _MOST_NODES:
            raise _refusal(f"there are more than {_MOST_NODES:,} values", mark)

    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        match event:
            case yaml.AliasEvent():
                add(sizes.get(event.anchor or "", 1), event.start_mark)
            case yaml.ScalarEvent():
                add(1, event.start_mark)
            case yaml.CollectionStartEvent():
                collections.append((1, event.anchor))
                if len(collections) > _MOST_LEVELS:
                    raise _refusal(f"it is nested more than {_MOST_LEVELS} levels deep", event.start_mark)
            case yaml.CollectionEndEvent():
                count, anchor = collections.pop()
                if anchor is not None:
                    sizes[anchor] = count
                add(count, event.start_mark)


def _refusal(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


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
            known_form = isinstance(given, str | int | float | bool)
            advice = f"it is {_shortened(repr(given))}" if known_form else "correct the file"
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
    return ".".join(map(_shortened, keys)), known


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
