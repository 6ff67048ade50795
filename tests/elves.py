"""Small ELF files for the tests, written byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ALLOC, WRITE, EXECUTE, MERGE, STRINGS = 2, 1, 4, 0x10, 0x20
PROGBITS, SYMTAB, STRTAB, NOBITS = 1, 2, 3, 8
FUNCTION, OBJECT = 2, 1
ARM, X86_64 = 40, 62


@dataclass(frozen=True)
class Part:
    """A section.  One that takes no bytes in the file has a ``size`` instead of ``content``."""

    name: str
    flags: int
    content: bytes = b""
    address: int = 0
    size: int = 0
    entry: int = 0


@dataclass(frozen=True)
class Name:
    """A symbol; ``section`` is the number of its section, from 1."""

    name: str
    section: int
    address: int
    size: int
    kind: int = FUNCTION


def write(
    path: Path, parts: Sequence[Part], names: Sequence[Name] = (), *, bits: int = 32, machine: int = ARM
) -> Path:
    """Writes a file with one segment, from the start of the file to the end of the last allocated section."""
    header = 52 if bits == 32 else 64
    program_header = 32 if bits == 32 else 56
    data = bytearray(header + program_header)
    texts = bytearray(b"\0")

    def text(value: str) -> int:
        texts.extend(value.encode() + b"\0")
        return len(texts) - len(value.encode()) - 1

    rows = [(0,) * 10]
    loaded = 0
    for part in parts:
        content = b"" if part.size else part.content
        kind = NOBITS if part.size else PROGBITS
        size = part.size or len(content)
        rows.append((text(part.name), kind, part.flags, part.address, len(data), size, 0, 0, 1, part.entry))
        data += content
        if part.flags & ALLOC:
            loaded = len(data)
    if names:
        symbols = bytearray(16 if bits == 32 else 24)
        for one in names:
            place = text(one.name)
            if bits == 32:
                symbols += struct.pack("<IIIBBH", place, one.address, one.size, one.kind, 0, one.section)
            else:
                symbols += struct.pack("<IBBHQQ", place, one.kind, 0, one.section, one.address, one.size)
        rows.append((text(".symtab"), SYMTAB, 0, 0, len(data), len(symbols), len(rows) + 1, 0, 4, 0))
        data += symbols
    rows.append((text(".strtab"), STRTAB, 0, 0, len(data), 0, 0, 0, 1, 0))
    rows[-1] = (*rows[-1][:5], len(texts), *rows[-1][6:])
    data += texts
    start = len(data)
    for row in rows:
        data += struct.pack("<10I" if bits == 32 else "<IIQQQQIIQQ", *row)
    if bits == 32:
        data[:header] = struct.pack(
            "<4sBBB9xHHIIIIIHHHHHH",
            *(b"\x7fELF", 1, 1, 1, 2, machine, 1, 0, header, start, 0, header),
            *(program_header, 1, 40, len(rows), len(rows) - 1),
        )
        segment = struct.pack("<8I", 1, 0, 0, 0, loaded, loaded, 5, 1)
    else:
        data[:header] = struct.pack(
            "<4sBBB9xHHIQQQIHHHHHH",
            *(b"\x7fELF", 2, 1, 1, 2, machine, 1, 0, header, start, 0, header),
            *(program_header, 1, 64, len(rows), len(rows) - 1),
        )
        segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, loaded, loaded, 1)
    data[header : header + program_header] = segment
    path.write_bytes(data)
    return path
