"""ELF files: segments, sections, symbols, and the sizes of a program.

Sizes come from segments and from sections with ``SHF_ALLOC``, never from a list of section names,
so that ``.ARM.exidx``, ``.data.rel.ro``, ``.got`` and the flash image of ``.data`` count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litesmith.base.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

# Constants of the System V gABI under their names there; brackets name the field of each group.
_ET_EXEC = 2  # [e_type] a program for fixed addresses
_EM_ARM = 40  # [e_machine]
_PT_LOAD = 1  # [p_type]
_PT_INTERP = 3
_SHT_SYMTAB = 2  # [sh_type]
_SHT_NOBITS = 8
_SHF_WRITE = 0x1  # [sh_flags]
_SHF_ALLOC = 0x2
_SHF_EXECINSTR = 0x4
_SHF_MERGE = 0x10
_SHF_STRINGS = 0x20
_SHN_LORESERVE = 0xFF00  # [st_shndx] absolute and common symbols from here on
_SHN_XINDEX = 0xFFFF  # [e_shstrndx] the index is sh_link of the first section header
_STT_FUNC = 2  # [st_info]
_STT_SECTION = 3
_STT_FILE = 4
_STT_TLS = 6

_MAGIC = b"\x7fELF"
_SMALLEST_HEADER = 52
_ARCHIVE_MAGIC = b"!<arch>\n"
_MEMBER_HEADER = 60
_MEMBER_SIZE = slice(48, 58)


def _layout(text: str) -> list[tuple[str, str]]:
    """A numpy structure of little-endian fields, written ``name:bytes``."""
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
class ProgramSize:
    """Sizes of a program in bytes.

    ``text`` is executable, ``rodata`` is read-only, ``data`` is writable and comes from the file,
    ``bss`` is memory without content in the file.  ``code`` is text + rodata + data: what GNU
    ``size`` calls text + data.  ``loaded`` is what the program's segments take from the file: the
    code, the ELF and program headers before it, and the gaps between sections.  ``file`` is the
    size of the file.
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
    """A section.

    ``flags`` are ``sh_flags``, ``entry`` is ``sh_entsize`` in bytes.  ``in_file`` is false for
    sections without content in the file, such as ``.bss``.
    """

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
        """Whether the linker may merge equal entries of the section."""
        return bool(self.flags & _SHF_MERGE)

    @property
    def strings(self) -> bool:
        """Whether the entries are strings that end with a zero."""
        return bool(self.flags & _SHF_STRINGS)


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A symbol in a section.  The address of a Thumb function is even; ``size`` is in bytes."""

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class Elf:
    """A little-endian ELF file in memory, a program or an object.

    ``bits`` is 32 or 64, ``machine`` is ``e_machine``.
    """

    path: Path
    data: bytes
    bits: int
    machine: int

    @classmethod
    def read(cls, path: Path) -> Elf:
        """Reads a file.

        Raises:
            UsageError: the file cannot be read, or is not a little-endian ELF file.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} is not an ELF program: {error.strerror}") from None
        return cls.parse(path, data)

    @classmethod
    def parse(cls, path: Path, data: bytes) -> Elf:
        """The ELF file with the content ``data``; ``path`` is for messages.

        Raises:
            UsageError: the content is not a little-endian ELF file.
        """
        bits = {1: 32, 2: 64}.get(data[4] if len(data) > _SMALLEST_HEADER else 0)
        if not data.startswith(_MAGIC) or bits is None:
            raise UsageError(f"{path} is not an ELF program", "name a program that litesmith has built")
        if data[5] != 1:
            raise UsageError(
                f"{path} is a big-endian ELF file; all targets of litesmith are little-endian",
                "name a program that litesmith has built",
            )
        return cls(path=path, data=data, bits=bits, machine=int.from_bytes(data[18:20], "little"))

    def _number(self, offset: int, size: int) -> int:
        return int.from_bytes(self.data[offset : offset + size], "little")

    def _table(self, layout: list[tuple[str, str]], offset: int, count: int) -> np.ndarray[Any, Any]:
        import numpy as np

        row = np.dtype(layout)
        if offset + count * row.itemsize > len(self.data):
            raise self._damaged("a table ends beyond the end of the file")
        return np.frombuffer(self.data, dtype=row, count=count, offset=offset)

    def _program_headers(self) -> np.ndarray[Any, Any]:
        start, _, number, _, _ = _HEADER[self.bits]
        offset, count = self._number(start, self.bits // 8), self._number(number, 2)
        return self._table(_PROGRAM_HEADER[self.bits], offset, count)

    def _load_headers(self) -> np.ndarray[Any, Any]:
        headers = self._program_headers()
        loaded: np.ndarray[Any, Any] = headers[headers["type"] == _PT_LOAD]
        return loaded

    @property
    def needs_loader(self) -> bool:
        """Whether a loader must find libraries or an address for the program before it can run."""
        fixed = self._number(16, 2) == _ET_EXEC
        return not fixed or bool((self._program_headers()["type"] == _PT_INTERP).any())

    def segments(self) -> list[tuple[int, int]]:
        """Offset and size in the file, in bytes, of each loaded segment."""
        return [(int(row["offset"]), int(row["filesz"])) for row in self._load_headers()]

    def placed(self) -> list[tuple[int, bytes]]:
        """Physical address and content of each loaded segment, in the order of the addresses.

        Raises:
            UsageError: the file is damaged.
        """
        found: list[tuple[int, bytes]] = []
        for row in self._load_headers():
            offset, size = int(row["offset"]), int(row["filesz"])
            if offset + size > len(self.data):
                raise self._damaged("a segment ends beyond the end of the file")
            if size:
                found.append((int(row["physical"]), self.data[offset : offset + size]))
        return sorted(found, key=lambda segment: segment[0])

    def _section_headers(self) -> np.ndarray[Any, Any]:
        _, start, _, number, _ = _HEADER[self.bits]
        offset, count = self._number(start, self.bits // 8), self._number(number, 2)
        if offset and not count:
            # From 65280 sections on, the first section header holds their number.
            count = int(self._table(_SECTION_HEADER[self.bits], offset, 1)[0]["size"])
        return self._table(_SECTION_HEADER[self.bits], offset, count)

    def sections(self) -> list[Section]:
        """All sections, including the empty first one.

        Raises:
            UsageError: the file is damaged.
        """
        headers = self._section_headers()
        if not len(headers):
            return []
        index = self._number(_HEADER[self.bits][4], 2)
        if index == _SHN_XINDEX:
            index = int(headers[0]["link"])
        names = self._names_offset(headers, index)
        return [
            Section(
                name=self._text(names + name),
                address=address,
                offset=offset,
                size=size,
                flags=flags,
                in_file=kind != _SHT_NOBITS,
                entry=entry,
            )
            for name, kind, flags, address, offset, size, _, _, _, entry in headers.tolist()
        ]

    def _names_offset(self, headers: np.ndarray[Any, Any], index: int) -> int:
        if index >= len(headers):
            raise self._damaged("a table of names is missing")
        return int(headers[index]["offset"])

    def _text(self, offset: int) -> str:
        end = self.data.find(b"\0", offset)
        if end < 0:
            raise self._damaged("a name ends beyond the end of the file")
        return self.data[offset:end].decode(errors="replace")

    def _damaged(self, how: str) -> UsageError:
        return UsageError(f"{self.path} is damaged: {how}", "build it again")

    def content(self, section: Section) -> bytes:
        """The bytes of a section; empty for ``.bss``."""
        return self.data[section.offset : section.offset + section.size] if section.in_file else b""

    def symbols(self) -> list[Symbol]:
        """Named symbols in sections, without those of thread-local storage; empty for a stripped file.

        Raises:
            UsageError: the file is damaged.
        """
        headers = self._section_headers()
        found: list[Symbol] = []
        for header in headers[headers["type"] == _SHT_SYMTAB]:
            count = int(header["size"]) // (16 if self.bits == 32 else 24)
            table = self._table(_SYMBOL[self.bits], int(header["offset"]), count)
            names = self._names_offset(headers, int(header["link"]))
            types = table["info"] & 15
            kept = (table["section"] > 0) & (table["section"] < _SHN_LORESERVE) & (table["name"] > 0)
            kept &= (types != _STT_SECTION) & (types != _STT_FILE) & (types != _STT_TLS)
            for row, kind in zip(table[kept], types[kept].tolist(), strict=True):
                address = int(row["value"])
                if self.machine == _EM_ARM and kind == _STT_FUNC:
                    # Bit 0 says that the function is Thumb code.
                    address &= ~1
                name = self._text(names + int(row["name"]))
                found.append(Symbol(name=name, address=address, size=int(row["size"])))
        return found


def program_size(path: Path) -> ProgramSize:
    """The sizes of an ELF file.

    Raises:
        UsageError: the file cannot be read, or is not a little-endian ELF file.
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
    return ProgramSize(
        file=len(elf.data),
        text=text,
        rodata=rodata,
        data=data,
        bss=bss,
        code=text + rodata + data,
        loaded=sum(size for _, size in elf.segments()),
    )


def elf_members(path: Path) -> Iterator[Elf]:
    """The objects in a static library, or the file itself if it is an object.

    A library has the format of ``ar``: before each member, at an even offset, a header of 60 bytes
    gives its size as decimal text.
    """
    data = path.read_bytes()
    if not data.startswith(_ARCHIVE_MAGIC):
        if data.startswith(_MAGIC):
            yield Elf.parse(path, data)
        return
    position = len(_ARCHIVE_MAGIC)
    while position + _MEMBER_HEADER <= len(data):
        header = data[position : position + _MEMBER_HEADER]
        position += _MEMBER_HEADER
        size = int(header[_MEMBER_SIZE])
        member = data[position : position + size]
        if member.startswith(_MAGIC):
            yield Elf.parse(path, member)
        position += size + size % 2
