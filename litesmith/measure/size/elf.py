"""ELF files: what is loaded from them, and the symbols that they define.

Totals come from segments and from sections with ``SHF_ALLOC``, never from a list of section
names, so that ``.ARM.exidx``, ``.data.rel.ro``, ``.got`` and the flash image of ``.data`` count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litesmith.base.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

_SHF_WRITE = 0x1
_SHF_ALLOC = 0x2
_SHF_EXECINSTR = 0x4
_SHF_MERGE = 0x10
_SHF_STRINGS = 0x20

_NOBITS = 8
_SYMTAB = 2
_LOAD = 1
_INTERPRETER = 3
# e_type of a program for fixed addresses.
_FIXED = 2
_ARM = 40
_FUNCTION = 2
_FILE = 4
_SECTION = 3
_TLS = 6
_LAST_INDEX = 0xFF00

_MAGIC = b"\x7fELF"
_SMALLEST = 52
_ARCHIVE = b"!<arch>\n"
_MEMBER_HEADER = 60
_MEMBER_SIZE = slice(48, 58)


def _layout(text: str) -> list[tuple[str, str]]:
    """Fields ``name:bytes`` as numpy wants them, little-endian."""
    return [(name, f"<u{size}") for name, _, size in (field.partition(":") for field in text.split())]


# Elf32_Shdr and Elf64_Shdr, Elf32_Sym and Elf64_Sym, Elf32_Phdr and Elf64_Phdr of the gABI.
_SECTION_HEADER = {
    32: _layout("name:4 type:4 flags:4 address:4 offset:4 size:4 link:4 info:4 align:4 entry:4"),
    64: _layout("name:4 type:4 flags:8 address:8 offset:8 size:8 link:4 info:4 align:8 entry:8"),
}
_SYMBOL = {
    32: _layout("name:4 value:4 size:4 info:1 other:1 section:2"),
    64: _layout("name:4 info:1 other:1 section:2 value:8 size:8"),
}
_PROGRAM_HEADER = {
    32: _layout("type:4 offset:4 address:4 physical:4 filesz:4 memsz:4 flags:4 align:4"),
    64: _layout("type:4 flags:4 offset:8 address:8 physical:8 filesz:8 memsz:8 align:8"),
}
# Offsets of e_phoff and e_shoff, and of e_phnum, e_shnum and e_shstrndx.
_HEADER = {32: (28, 32, 44, 48, 50), 64: (32, 40, 56, 60, 62)}


@dataclass(frozen=True, kw_only=True)
class Sections:
    """Bytes of a program.

    ``text`` is executable, ``rodata`` is read-only, ``data`` is writable and comes from the
    file, ``bss`` is writable and does not.  ``code`` is text + rodata + data: what GNU ``size``
    calls text + data.  ``loaded`` is what the program's segments take from the file: the code,
    the ELF and program headers before it, and the gaps between sections.  ``file`` is the size of
    the file.
    """

    file: int
    text: int
    rodata: int
    data: int
    bss: int
    code: int
    loaded: int


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section.  ``flags`` are ``sh_flags``; ``in_file`` is false for ``.bss`` and its like."""

    name: str
    address: int
    offset: int
    size: int
    flags: int
    in_file: bool
    entry: int

    @property
    def allocated(self) -> bool:
        """Whether the section is part of the running program."""
        return bool(self.flags & _SHF_ALLOC)

    @property
    def merged(self) -> bool:
        """Whether the linker may merge equal pieces of it."""
        return bool(self.flags & _SHF_MERGE)

    @property
    def strings(self) -> bool:
        """Whether its pieces are strings that end with a zero."""
        return bool(self.flags & _SHF_STRINGS)


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A symbol that has a place.  Of a Thumb function the address is the even one."""

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class Elf:
    """A little-endian ELF file in memory: program or object."""

    path: Path
    data: bytes
    bits: int
    machine: int

    @classmethod
    def read(cls, path: Path) -> Elf:
        """Opens a file.

        Raises:
            UsageError: it cannot be read, or it is no ELF file that this module knows.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} is not an ELF program: {error.strerror}") from None
        return cls.parse(path, data)

    @classmethod
    def parse(cls, path: Path, data: bytes) -> Elf:
        """The same from memory; ``path`` is for messages.

        Raises:
            UsageError: it is no ELF file that this module knows.
        """
        bits = {1: 32, 2: 64}.get(data[4] if len(data) > _SMALLEST else 0)
        if not data.startswith(_MAGIC) or bits is None:
            raise UsageError(f"{path} is not an ELF program", "name a program that litesmith has built")
        if data[5] != 1:
            raise UsageError(
                f"{path} is a big-endian ELF file, which no target of litesmith has",
                "name a program that litesmith has built",
            )
        return cls(path=path, data=data, bits=bits, machine=int.from_bytes(data[18:20], "little"))

    def _number(self, offset: int, size: int) -> int:
        return int.from_bytes(self.data[offset : offset + size], "little")

    def _table(self, layout: list[tuple[str, str]], offset: int, count: int) -> np.ndarray[Any, Any]:
        import numpy as np

        kind = np.dtype(layout)
        if offset + count * kind.itemsize > len(self.data):
            raise self._damaged("its tables end beyond the file")
        return np.frombuffer(self.data, dtype=kind, count=count, offset=offset)

    def _program_headers(self) -> np.ndarray[Any, Any]:
        start, _, number, _, _ = _HEADER[self.bits]
        offset, count = self._number(start, self.bits // 8), self._number(number, 2)
        return self._table(_PROGRAM_HEADER[self.bits], offset, count)

    def _loads(self) -> np.ndarray[Any, Any]:
        headers = self._program_headers()
        loads: np.ndarray[Any, Any] = headers[headers["type"] == _LOAD]
        return loads

    @property
    def needs_loader(self) -> bool:
        """Whether somebody must find its libraries, or a place for it, before it can run."""
        fixed = self._number(16, 2) == _FIXED
        return not fixed or bool((self._program_headers()["type"] == _INTERPRETER).any())

    def segments(self) -> list[tuple[int, int]]:
        """Offset and size in the file of each segment that is loaded."""
        return [(int(row["offset"]), int(row["filesz"])) for row in self._loads()]

    def placed(self) -> list[tuple[int, bytes]]:
        """Physical address and content of each segment that is loaded, by address."""
        found: list[tuple[int, bytes]] = []
        for row in self._loads():
            offset, size = int(row["offset"]), int(row["filesz"])
            if offset + size > len(self.data):
                raise self._damaged("a segment ends beyond the file")
            if size:
                found.append((int(row["physical"]), self.data[offset : offset + size]))
        return sorted(found, key=lambda segment: segment[0])

    def _headers(self) -> np.ndarray[Any, Any]:
        _, start, _, number, _ = _HEADER[self.bits]
        offset, count = self._number(start, self.bits // 8), self._number(number, 2)
        if offset and not count:
            # More than 65279 sections: the number stands in the first header.
            count = int(self._table(_SECTION_HEADER[self.bits], offset, 1)[0]["size"])
        return self._table(_SECTION_HEADER[self.bits], offset, count)

    def sections(self) -> list[Section]:
        """All sections, the empty first one too."""
        headers = self._headers()
        if not len(headers):
            return []
        index = self._number(_HEADER[self.bits][4], 2)
        if index == 0xFFFF:
            index = int(headers[0]["link"])
        names = self._table_offset(headers, index)
        return [
            Section(
                name=self._text(names + name),
                address=address,
                offset=offset,
                size=size,
                flags=flags,
                in_file=kind != _NOBITS,
                entry=entry,
            )
            for name, kind, flags, address, offset, size, _, _, _, entry in headers.tolist()
        ]

    def _table_offset(self, headers: np.ndarray[Any, Any], index: int) -> int:
        if index >= len(headers):
            raise self._damaged("it has no such table of names")
        return int(headers[index]["offset"])

    def _text(self, offset: int) -> str:
        end = self.data.find(b"\0", offset)
        if end < 0:
            raise self._damaged("its names end beyond the file")
        return self.data[offset:end].decode(errors="replace")

    def _damaged(self, how: str) -> UsageError:
        return UsageError(f"{self.path} is damaged: {how}", "build it again")

    def content(self, section: Section) -> bytes:
        """The bytes of a section; none for ``.bss``."""
        return self.data[section.offset : section.offset + section.size] if section.in_file else b""

    def symbols(self) -> list[Symbol]:
        """Named symbols that lie in a section; empty for a stripped file."""
        headers = self._headers()
        found: list[Symbol] = []
        for header in headers[headers["type"] == _SYMTAB]:
            kind = _SYMBOL[self.bits]
            count = int(header["size"]) // (16 if self.bits == 32 else 24)
            table = self._table(kind, int(header["offset"]), count)
            names = self._table_offset(headers, int(header["link"]))
            types = table["info"] & 15
            placed = (table["section"] > 0) & (table["section"] < _LAST_INDEX) & (table["name"] > 0)
            placed &= (types != _SECTION) & (types != _FILE) & (types != _TLS)
            for row, what in zip(table[placed], types[placed].tolist(), strict=True):
                function = what == _FUNCTION
                value = int(row["value"])
                found.append(
                    Symbol(
                        name=self._text(names + int(row["name"])),
                        address=value & ~1 if function and self.machine == _ARM else value,
                        size=int(row["size"]),
                    )
                )
        return found


def sections(path: Path) -> Sections:
    """Section sizes of an ELF file.

    Raises:
        UsageError: no ELF file.
    """
    elf = Elf.read(path)
    text = rodata = data = bss = 0
    for section in elf.sections():
        if not section.allocated:
            continue
        if not section.in_file:
            bss += section.size
        elif section.flags & _SHF_EXECINSTR:
            text += section.size
        elif section.flags & _SHF_WRITE:
            data += section.size
        else:
            rodata += section.size
    return Sections(
        file=len(elf.data),
        text=text,
        rodata=rodata,
        data=data,
        bss=bss,
        code=text + rodata + data,
        loaded=sum(size for _, size in elf.segments()),
    )


def elf_members(path: Path) -> Iterator[Elf]:
    """The objects of a static library, or the one object that the file is.

    The format is that of ``ar``: headers of 60 bytes with the size in decimal, even offsets.
    """
    data = path.read_bytes()
    if not data.startswith(_ARCHIVE):
        if data.startswith(_MAGIC):
            yield Elf.parse(path, data)
        return
    position = len(_ARCHIVE)
    while position + _MEMBER_HEADER <= len(data):
        header = data[position : position + _MEMBER_HEADER]
        position += _MEMBER_HEADER
        size = int(header[_MEMBER_SIZE])
        member = data[position : position + size]
        if member.startswith(_MAGIC):
            yield Elf.parse(path, member)
        position += size + size % 2
