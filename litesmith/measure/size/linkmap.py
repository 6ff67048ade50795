"""Linker maps of ``ld.lld`` and of GNU ld → :class:`Piece`, one for each input section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LLD_LINE = re.compile(r"^\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+ ( *)(\S.*)$")
_LLD_INPUT = re.compile(r"^(.*):\(([^()]*)\)$")
_LLD_OWN = "<internal>"
_GNU_START = "Linker script and memory map"
_GNU_LINE = re.compile(
    r"^(?P<indent> ?)(?P<name>[.*_A-Za-z]\S+) +0x(?P<address>[0-9a-f]+) +0x(?P<size>[0-9a-f]+)"
    r"(?: (?P<object>\S.*))?$"
)
_MEMBER = re.compile(r"^(.*)\(([^()]*)\)$")

# GNU ld's map gives what the linker makes for the loader to the first start file.
LOADER_SECTIONS = frozenset(
    {".dynsym", ".dynstr", ".hash", ".gnu.hash", ".gnu.version", ".gnu.version_r", ".gnu.version_d"}
    | {".rel.dyn", ".rela.dyn", ".rel.plt", ".rela.plt", ".plt", ".iplt", ".plt.got", ".plt.sec"}
    | {".dynamic", ".got", ".got.plt", ".interp", ".relro_padding"}
)
"""Output sections that the linker makes for the loader."""

UNWIND_SECTIONS = frozenset({".ARM.exidx", ".ARM.extab", ".eh_frame", ".eh_frame_hdr", ".gcc_except_table"})
"""Output sections that only unwinding reads."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A contiguous part of an output section.

    ``file`` is the object or the archive that it comes from, empty for what the linker made,
    ``member`` the archive's member; ``input`` is the name of the section there.
    """

    output: str
    address: int
    size: int
    file: str
    member: str
    input: str


def pieces(text: str) -> Iterator[Piece]:
    """All pieces of a map, in its order; those of sections that are not loaded, too."""
    start = text.find(_GNU_START)
    return _lld(text) if start < 0 else _gnu(text[start:])


def symbol_names(text: str) -> dict[int, str]:
    """Names of symbols as they stand in C++, by address: ``ld.lld`` writes them, GNU ld's are not read.

    Of a Thumb function the address is the even one.
    """
    found: dict[int, str] = {}
    for line in text.splitlines() if text.find(_GNU_START) < 0 else ():
        match = _LLD_LINE.match(line)
        if match is not None and len(match[3]) == 16 and not match[4].startswith("$"):
            found.setdefault(int(match[1], 16) & ~1, match[4])
    return found


def _file(name: str) -> tuple[str, str]:
    # lib.a(member.o) → lib.a, member.o
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
            file, member = _file(section[1]) if section[1] != _LLD_OWN else ("", "")
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
    # A long name stands alone, and the numbers follow on the next line.
    for line in re.sub(r"^( ?[._A-Za-z]\S+)\n +(?=0x)", r"\1 ", text, flags=re.MULTILINE).splitlines():
        match = _GNU_LINE.match(line)
        if match is None:
            continue
        if not match["indent"]:
            output = match["name"]
        elif match["object"] and match["name"] != "*fill*":
            file, member = _file(match["object"])
            yield Piece(
                output=output,
                address=int(match["address"], 16),
                size=int(match["size"], 16),
                file=file if file != "linker stubs" else "",
                member=member,
                input=match["name"],
            )
