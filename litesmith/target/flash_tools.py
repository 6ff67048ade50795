"""Flash tools: ``targets/runners/*.yaml``, or a profile's ``runners`` → :class:`FlashTool`.

A flash tool is an external program that writes a program to a board, with a template of its argument
list.  Templates come with litesmith or are defined in a profile, which its user trusts like a makefile.
An inventory may be untrusted: it gives plain values only, each in a form that cannot become an
option or a command of the tool.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from litesmith.base import paths
from litesmith.base.errors import UsageError, nearest
from litesmith.base.yaml_files import Strict, load_yaml

Capability = Literal["flash", "readback", "run"]
Step = Literal["connect", "flash", "readback", "run"]
STEPS: tuple[Step, ...] = ("connect", "flash", "readback", "run")

IMAGE, SCRIPT = "image", "script"
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_TOOL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class _Form:
    """The pattern of a value, and what an error says is expected."""

    pattern: re.Pattern[str]
    expected: str


_PART = r"[A-Za-z0-9_][A-Za-z0-9_.:+,@=-]*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
FORMS: Mapping[str, _Form] = {
    "device": _Form(re.compile(rf"/dev/(?:{_PART}/)*{_PART}"), "a device such as /dev/ttyUSB0"),
    "baud": _Form(re.compile(r"[1-9][0-9]{2,7}"), "a speed such as 115200"),
    "probe": _Form(re.compile(r"[A-Za-z0-9][A-Za-z0-9:_-]{0,99}"), "the serial number of a probe"),
    "chip": _Form(re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"), "the tool's name for a chip"),
    "address": _Form(re.compile(r"0x[0-9A-Fa-f]{1,16}"), "an address such as 0x08000000"),
    "remote": _Form(re.compile(rf"{_HOST}:[0-9]{{1,5}}"), "host and port of a gdb server: 127.0.0.1:3333"),
    # One of the files that OpenOCD ships: any other file may run any command.
    "config": _Form(
        re.compile(
            r"(?:board|interface|target)/(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*\.cfg"
        ),
        "one of OpenOCD's own scripts such as board/st_nucleo_f4.cfg",
    ),
}
"""The forms of the values that an inventory may give, by placeholder."""


class PlaceholderValues(Strict):
    """Values for the placeholders of a flash tool; see :data:`FORMS`."""

    device: str | None = None
    baud: str | None = None
    probe: str | None = None
    chip: str | None = None
    address: str | None = None
    remote: str | None = None
    config: str | None = None

    @field_validator(*FORMS, mode="before")
    @classmethod
    def _plain(cls, value: object, info: ValidationInfo) -> object:
        if value is None:
            return None
        name = info.field_name or ""
        if isinstance(value, int) and not isinstance(value, bool):
            # YAML reads 0x08000000 as a number.
            value = f"0x{value:08x}" if name == "address" else str(value)
        if not isinstance(value, str) or not FORMS[name].pattern.fullmatch(value):
            raise ValueError(f"{FORMS[name].expected} is expected")
        return value

    def given(self) -> dict[str, str]:
        """The values that are set, by placeholder."""
        return {name: value for name in FORMS if (value := getattr(self, name)) is not None}


def _words(value: object) -> object:
    """Turns numbers back into words: YAML reads an argument such as 0 as a number."""
    if isinstance(value, list):
        return [_words(word) for word in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class FlashTool(Strict):
    """A program that writes programs to boards.

    ``tools`` are names of its executable, of which the first that is installed is used; the arguments
    ``version`` make it print its version.  ``image`` is its input: the ELF program, or the flat image of the
    program's segments.  ``arguments`` is the template of its argument list; a nested list is left out unless
    all values of its placeholders are given.  ``script`` has the lines of a command file, whose name is
    ``{script}``.  Placeholders are ``{image}``, ``{script}`` and those of :data:`FORMS`.

    ``capabilities`` are to write (flash), to compare what was written (readback), and to run the program
    and report how it ended (run).  ``evidence`` has a pattern of the output for each step that shows that the
    step succeeded; without one the exit code decides.  ``complaint`` is a pattern of the line with the error
    message, where that is not the last line.  ``timeout`` limits the whole run, in seconds.

    To add a flash tool, write ``targets/runners/NAME.yaml`` and name it under ``runners`` in the profiles.
    """

    name: str = ""
    description: str
    tools: tuple[str, ...] = Field(min_length=1)
    install: str
    version: tuple[str, ...] = ()
    image: Literal["elf", "bin"]
    arguments: Annotated[tuple[str | tuple[str, ...], ...], BeforeValidator(_words)]
    script: tuple[str, ...] = ()
    capabilities: tuple[Capability, ...] = Field(min_length=1)
    evidence: Mapping[Step, str] = {}
    complaint: str = ""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 120

    @field_validator("tools")
    @classmethod
    def _names(cls, tools: tuple[str, ...]) -> tuple[str, ...]:
        for tool in tools:
            if not _TOOL.fullmatch(tool) and not Path(tool).is_absolute():
                raise ValueError(f"{tool!r} is neither the name of a program nor an absolute path")
        return tools

    @field_validator("evidence", "complaint")
    @classmethod
    def _patterns(cls, value: Mapping[str, str] | str) -> Mapping[str, str] | str:
        for pattern in (value,) if isinstance(value, str) else value.values():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> FlashTool:
        texts = [*self._flat(), *self.script]
        used = {name for text in texts for name in _PLACEHOLDER.findall(text)}
        for name in sorted(used - set(FORMS) - {IMAGE, SCRIPT}):
            known = (*FORMS, IMAGE, SCRIPT)
            hint = nearest(name, known) or f"known placeholders: {', '.join(known)}"
            raise ValueError(f"the placeholder {{{name}}} is unknown; {hint}")
        if IMAGE not in used:
            raise ValueError("no argument has the placeholder {image}: nothing would be written")
        if (SCRIPT in used) != bool(self.script):
            raise ValueError("'script' and the placeholder {script} need each other: give both or neither")
        if "flash" not in self.capabilities:
            raise ValueError("'capabilities' must contain flash")
        for step in self.evidence:
            if step != "connect" and step not in self.capabilities:
                raise ValueError(f"'evidence' names {step}, which is not among its capabilities")
        return self

    def _flat(self) -> Iterator[str]:
        for part in self.arguments:
            yield from (part,) if isinstance(part, str) else part

    @property
    def needs(self) -> tuple[str, ...]:
        """Placeholders whose values a board must give, in the order of :data:`FORMS`."""
        texts = (*(part for part in self.arguments if isinstance(part, str)), *self.script)
        used = {name for text in texts for name in _PLACEHOLDER.findall(text)}
        return tuple(name for name in FORMS if name in used)

    @property
    def takes(self) -> tuple[str, ...]:
        """Placeholders whose values a board may give, in the order of :data:`FORMS`."""
        used = {name for text in (*self._flat(), *self.script) for name in _PLACEHOLDER.findall(text)}
        return tuple(name for name in FORMS if name in used)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps, in order."""
        return tuple(step for step in STEPS if step == "connect" or step in self.capabilities)

    def executable(self) -> Path | None:
        """The installed executable; None when there is none of its names."""
        found = next((path for tool in self.tools if (path := shutil.which(tool))), None)
        return Path(found).absolute() if found else None

    def misfit(self, values: PlaceholderValues) -> str:
        """Why a board's values are not right for it; empty when they are."""
        given = values.given()
        missing = [name for name in self.needs if name not in given]
        if missing:
            return f"the flash tool {self.name} needs {' and '.join(missing)}: {FORMS[missing[0]].expected}"
        unknown = [name for name in given if name not in self.takes]
        if unknown:
            takes = ", ".join(self.takes) or "no values"
            return f"the flash tool {self.name} does not take {' and '.join(unknown)}; it takes {takes}"
        return ""

    def words(self, given: Mapping[str, str]) -> tuple[str, ...]:
        """The argument list; a value never splits into several words."""
        words: list[str] = []
        for part in self.arguments:
            group = (part,) if isinstance(part, str) else part
            if all(name in given for word in group for name in _PLACEHOLDER.findall(word)):
                words += [_filled(word, given) for word in group]
        return tuple(words)

    def script_text(self, given: Mapping[str, str]) -> str:
        """The command file; empty when it has none."""
        return "".join(f"{_filled(line, given)}\n" for line in self.script)


def _filled(text: str, given: Mapping[str, str]) -> str:
    # One pass: a value that looks like a placeholder is not replaced again.
    return _PLACEHOLDER.sub(lambda match: given[match[1]], text)


def available() -> dict[str, Path]:
    """The YAML files of the built-in flash tools, by name."""
    return {path.stem: path for path in sorted((paths.data_folder("targets") / "runners").glob("*.yaml"))}


def load(name: str) -> FlashTool:
    """A built-in flash tool.

    Raises:
        UsageError: the name is unknown.
    """
    known = available()
    if name not in known:
        advice = nearest(name, list(known)) or f"known flash tools: {', '.join(known)}"
        raise UsageError(f"unknown flash tool {name!r}", advice)
    return load_yaml(known[name], FlashTool).model_copy(update={"name": name})
