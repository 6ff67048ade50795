"""Linker maps of ``ld.lld`` and of GNU ld → one :class:`Piece` for each input section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LLD_LINE = re.compile(r"^\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+ ( *)(\S.*)$")
_LLD_INPUT = re.compile(r"^(.*):\(([^()]*)\)$")
_LLD_INTERNAL = "<internal>"
_GNU_START = "Linker script and memory map"
_GNU_LINE = re.compile(
    r"^(?P<indent> ?)(?P<name>[.*_A-Za-z]\S+) +0x(?P<address>[0-9a-f]+) +0x(?P<size>[0-9a-f]+)"
    r"(?: (?P<object>\S.*))?$"
)
_MEMBER = re.compile(r"^(.*)\(([^()]*)\)$")

# In GNU ld's map these belong to the first start file, so the map does not tell who made them.
LOADER_SECTIONS = frozenset(
    {".dynsym", ".dynstr", ".hash", ".gnu.hash", ".gnu.version", ".gnu.version_r", ".gnu.version_d"}
    | {".rel.dyn", ".rela.dyn", ".rel.plt", ".rela.plt", ".plt", ".iplt", ".plt.got", ".plt.sec"}
    | {".dynamic", ".got", ".got.plt", ".interp", ".relro_padding"}
)
"""Output sections that the linker makes for the loader."""

UNWIND_SECTIONS = frozenset({".ARM.exidx", ".ARM.extab", ".eh_frame", ".eh_frame_hdr", ".gcc_except_table"})
"""Output sections that are read only when exceptions unwind the stack."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A contiguous part of an output section, ``size`` bytes long.

    ``file`` is the object or archive that it comes from, empty for what the linker made;
    ``member`` is the archive's member, and ``input`` the name of the section in the object.
    """

    output: str
    address: int
    size: int
    file: str
    member: str
    input: str


def pieces(text: str) -> Iterator[Piece]:
    """All pieces of a map in the order of the map, including those of sections that are not loaded."""
    start = text.find(_GNU_START)
    return _lld(text) if start < 0 else _gnu(text[start:])


def symbol_names(text: str) -> dict[int, str]:
    """Demangled names of symbols by address; empty for a map of GNU ld.

    The address of a Thumb function is even.
    """
    found: dict[int, str] = {}
    for line in text.splitlines() if text.find(_GNU_START) < 0 else ():
        match = _LLD_LINE.match(line)
        if match is not None and len(match[3]) == 16 and not match[4].startswith("$"):
            found.setdefault(int(match[1], 16) & ~1, match[4])
    return found


def _file_and_member(name: str) -> tuple[str, str]:
    """``lib.a(member.o)`` → ``lib.a``, ``member.o``; an object has no member."""
    match = _MEMBER.match(name)
    return (match[1], match[2]) if match else (name, "")


def _lld(text: str) -> Iterator[Piece]:
    output = ""
    for line in text.splitlines():
        match = _LLD_LINE.match(line)
        if match is None:
            continue
        indent, rest = len(match[3]), match[4]
        if indent == 0:
            output = rest
        elif indent == 8:
            section = _LLD_INPUT.match(rest)
            if section is None:
                continue
            file, member = _file_and_member(section[1]) if section[1] != _LLD_INTERNAL else ("", "")
            yield Piece(
                output=output,
                address=int(match[1], 16),
                size=int(match[2], 16),
                file=file,
                member=member,
                input=section[2],
            )


def _gnu(text: str) -> Iterator[Piece]:
    output = ""
    # After a long name, the numbers follow on the next line.
    for line in re.sub(r"^( ?[._A-Za-z]\S+)\n +(?=0x)", r"\1 ", text, flags=re.MULTILINE).splitlines():
        match = _GNU_LINE.match(line)
        if match is None:
            continue
        if not match["indent"]:
            output = match["name"]
        elif match["object"] and match["name"] != "*fill*":
            file, member = _file_and_member(match["object"])
            yield Piece(
                output=output,
                address=int(match["address"], 16),
                size=int(match["size"], 16),
                file=file if file != "linker stubs" else "",
                member=member,
                input=match["name"],
            )
