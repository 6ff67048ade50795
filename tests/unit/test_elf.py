from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from litesmith.base.errors import UsageError
from litesmith.measure.size import elf
from litesmith.measure.size.elf import Elf
from tests import elves
from tests.elves import ALLOC, EXECUTE, MERGE, OBJECT, STRINGS, WRITE, Name, Part

PARTS = (
    Part(".rodata", ALLOC | MERGE | STRINGS, b"one\0two\0", 0x1000, entry=1),
    Part(".text", ALLOC | EXECUTE, bytes(64), 0x2000),
    Part(".ARM.exidx", ALLOC, bytes(8), 0x2040),
    Part(".data", ALLOC | WRITE, bytes(12), 0x3000),
    Part(".bss", ALLOC | WRITE, size=300, address=0x4000),
    Part(".comment", 0, b"made by a test"),
)
NAMES = (
    Name("thumb", 2, 0x2001, 32),
    Name("table", 1, 0x1001, 3, OBJECT),
)


@pytest.mark.parametrize("bits", [32, 64])
def test_the_size_of_a_program(tmp_path: Path, bits: int) -> None:
    path = elves.write(tmp_path / "x", PARTS, NAMES, bits=bits)
    found = elf.program_size(path)
    assert (found.text, found.rodata, found.data, found.bss) == (64, 8 + 8, 12, 300)
    assert found.code == 64 + 16 + 12
    headers = 52 + 32 if bits == 32 else 64 + 56
    assert found.loaded == found.code + headers
    assert found.file == path.stat().st_size


@pytest.mark.parametrize("bits", [32, 64])
def test_sections(tmp_path: Path, bits: int) -> None:
    file = Elf.read(elves.write(tmp_path / "x", PARTS, bits=bits))
    found = {section.name: section for section in file.sections()}
    assert file.content(found[".rodata"]) == b"one\0two\0"
    assert (found[".rodata"].merged, found[".rodata"].strings, found[".rodata"].entry) == (True, True, 1)
    assert (found[".text"].address, found[".text"].allocated) == (0x2000, True)
    assert not found[".comment"].allocated
    assert not found[".bss"].in_file
    assert file.content(found[".bss"]) == b""
    assert file.symbols() == []


def test_thumb_functions_have_even_addresses(tmp_path: Path) -> None:
    file = Elf.read(elves.write(tmp_path / "x", PARTS, NAMES))
    assert {s.name: (s.address, s.size) for s in file.symbols()} == {
        "thumb": (0x2000, 32),
        # Data may start at an odd address.
        "table": (0x1001, 3),
    }
    other = Elf.read(elves.write(tmp_path / "y", PARTS, NAMES, bits=64, machine=elves.X86_64))
    assert {s.address for s in other.symbols()} == {0x2001, 0x1001}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!/bin/sh\n" * 50, "is not an ELF program"),
        (b"", "is not an ELF program"),
        (b"\x7fELF", "is not an ELF program"),
        (b"\x7fELF\x01\x02" + bytes(100), "is a big-endian ELF file"),
        (b"\x7fELF\x07\x01" + bytes(100), "is not an ELF program"),
    ],
)
def test_files_that_are_not_little_endian_elf(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        elf.program_size(tmp_path / "x")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        elf.program_size(tmp_path / "x")


def test_a_truncated_file(tmp_path: Path) -> None:
    path = elves.write(tmp_path / "x", PARTS, NAMES)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UsageError, match="damaged: a table ends beyond the end of the file"):
        elf.program_size(path)


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    """Each file has random bytes changed; it is read, or refused with a one-line UsageError that names it."""
    random = Random(20261126)
    path = tmp_path / "x"
    originals = [elves.write(path, PARTS, NAMES, bits=bits).read_bytes() for bits in (32, 64)]
    read, messages = 0, []
    for _ in range(1000):
        data = bytearray(random.choice(originals))
        for _ in range(random.randint(1, 12)):
            data[random.randrange(8, len(data))] = random.randrange(256)
        path.write_bytes(data)
        try:
            assert elf.program_size(path).file == len(data)
            Elf.read(path).symbols()
            read += 1
        except UsageError as error:
            messages.append(error.message)
    assert min(read, len(messages)) > 100, (read, len(messages))
    assert not [message for message in messages if str(path) not in message or "\n" in message]


def test_members_of_a_library(tmp_path: Path) -> None:
    one = elves.write(tmp_path / "one.o", PARTS, NAMES).read_bytes()
    odd = b"odd"
    library = b"!<arch>\n"
    for content in (odd, one):
        library += f"{'name/':16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode() + content
        library += b"\n" * (len(content) % 2)
    (tmp_path / "x.a").write_bytes(library)
    assert [len(member.symbols()) for member in elf.elf_members(tmp_path / "x.a")] == [2]
    assert len(list(elf.elf_members(tmp_path / "one.o"))) == 1
    (tmp_path / "text").write_text("GROUP ( libc.so.6 )")
    assert list(elf.elf_members(tmp_path / "text")) == []
