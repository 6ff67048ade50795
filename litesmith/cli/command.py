"""The decorator that makes a function a task: its options, its errors, and how its result is shown.

A task takes options and returns a :class:`Result`. Options that several tasks have in common are declared
once, as the fields of a dataclass (see :mod:`litesmith.cli.options`); a task names the group and takes one
value of that class.
"""

from __future__ import annotations

import dataclasses
import inspect
import json as json_module
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

from litesmith.cli.error_handling import exits_on_error

Value = TypeVar("Value")


def _own_json(value: Any) -> Any:
    return value.to_json()


def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Result(Generic[Value]):
    """What a task found, and how it is shown.

    ``show`` prints ``value`` for people, ``to_json`` turns it into what ``--json`` prints. Then ``finish``
    runs, and the task ends with ``exit_code``.
    """

    value: Value
    show: Callable[[Value], None]
    to_json: Callable[[Value], Any] = _own_json
    finish: Callable[[], None] = _nothing
    exit_code: int = 0


def option(text: str, *, default: Any = None, repeatable: bool = False) -> Any:
    """A field of a group of options, with its help text; the value of a repeatable one is a tuple."""
    metadata = {"help": text, "repeatable": repeatable, "default": default}
    return field(default=() if repeatable else default, metadata=metadata)


class _Task(Task[Any]):
    """A task of invoke whose options have letters only: ``--`` is no short form of ``--no-verify``."""

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        """See :class:`Task`."""
        return super().arg_opts(name, default, taken_names | {"-"})


@dataclass(frozen=True, kw_only=True)
class OptionGroup:
    """Options that tasks have in common: some fields of a dataclass, passed as the parameter ``name``."""

    name: str
    kind: type[Any]
    chosen: tuple[str, ...]

    def only(self, *names: str) -> OptionGroup:
        """The group with these options only; the other fields keep their defaults."""
        return dataclasses.replace(self, chosen=tuple(name for name in self.chosen if name in names))

    @property
    def fields(self) -> list[dataclasses.Field[Any]]:
        """The fields that are options of the task, in order."""
        return [one for one in dataclasses.fields(self.kind) if one.name in self.chosen]

    def take(self, given: dict[str, Any]) -> Any:
        """The value of the group; its options are removed from ``given``."""
        values = {}
        for one in self.fields:
            value = given.pop(one.name)
            values[one.name] = tuple(value or ()) if one.metadata["repeatable"] else value
        return self.kind(**values)


def group(name: str, kind: type[Any]) -> OptionGroup:
    """The group of all fields of a dataclass that :func:`option` made."""
    return OptionGroup(name=name, kind=kind, chosen=tuple(one.name for one in dataclasses.fields(kind)))


def command(
    *groups: OptionGroup,
    name: str | None = None,
    default: bool = False,
    help: Mapping[str, str] | None = None,
    json: str | None = None,
    repeatable: Iterable[str] = (),
    optional: Iterable[str] = (),
    letters: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], Any]:
    """Makes a function a task of invoke.

    Args:
        groups: Groups of options; each takes the place of the parameter that has its name.
        name: The task's name, where it is not the function's.
        default: Whether the collection's own name runs this task.
        help: Help texts of the function's own parameters, by option; a group's text is replaced.
        json: Help text of ``--json``, for a function that returns a :class:`Result`.
        repeatable: Own parameters that collect values; they come as tuples.
        optional: Own parameters whose value may be left out; they come as ``True`` then.
        letters: Options that get their one-letter form before the others, which follow in order.
    """
    by_name = {one.name: one for one in groups}
    several = set(repeatable)
    texts = {found.name.replace("_", "-"): found.metadata["help"] for one in groups for found in one.fields}
    texts |= help or {}
    if json is not None:
        texts["json"] = json

    def wrap(function: Callable[..., Any]) -> Any:
        own = inspect.signature(function).parameters

        @exits_on_error
        def run(ctx: Context, **given: Any) -> None:
            as_json = json is not None and given.pop("json")
            values = {name: one.take(given) for name, one in by_name.items()}
            values |= {name: tuple(given.pop(name) or ()) for name in several}
            if "ctx" in own:
                values["ctx"] = ctx
            result = function(**values, **given)
            if result is not None:
                _show(result, as_json)

        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        run.__module__ = function.__module__
        options = _options(own.values(), by_name, several, with_json=json is not None)
        options.sort(key=lambda one: letters.index(one.name) if one.name in letters else len(letters))
        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__signature__ = inspect.Signature([context, *options])  # type: ignore[attr-defined]
        lists = several | {
            found.name for one in groups for found in one.fields if found.metadata["repeatable"]
        }
        return task(
            name=name,
            default=default,
            help=texts,
            iterable=sorted(lists),
            optional=optional,
            klass=_Task,
        )(run)

    return wrap


def _options(
    own: Iterable[inspect.Parameter],
    groups: Mapping[str, OptionGroup],
    repeatable: set[str],
    *,
    with_json: bool,
) -> list[inspect.Parameter]:
    """The task's options as parameters; one without a default is positional on the command line."""
    found = []
    for parameter in own:
        if parameter.name in groups:
            found += [_parameter(one.name, one.metadata["default"]) for one in groups[parameter.name].fields]
        elif parameter.name in repeatable:
            found.append(_parameter(parameter.name, None))
        elif parameter.name != "ctx":
            found.append(_parameter(parameter.name, parameter.default))
    return [*found, *([_parameter("json", default=False)] if with_json else [])]


def _parameter(name: str, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)


def _show(result: Result[Any], as_json: bool) -> None:
    if as_json:
        print(json_module.dumps(result.to_json(result.value), indent=2, ensure_ascii=False))
    else:
        result.show(result.value)
    result.finish()
    if result.exit_code:
        raise Exit(code=result.exit_code)
