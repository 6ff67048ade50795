from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.build.builder import Binary
from litesmith.measure.size import anatomy, elf
from litesmith.measure.size.anatomy import Anatomy, Owner
from litesmith.measure.size.dissection import dissect, symbols_of_build
from litesmith.runtime.selection import SelectedOp, Selection
from tests import elves
from tests.elves import ALLOC, EXECUTE, MERGE, STRINGS, WRITE, Name, Part

CORE = "tensorflow/tensorflow/lite/core/subgraph.cc"
KERNELS = "tensorflow/tensorflow/lite/kernels"
TEXT, RODATA, BSS = 0x10000, 0x20000, 0x30000


def selected(name: str, *sources: str) -> SelectedOp:
    return SelectedOp(
        name=name,
        code=0,
        custom=False,
        versions=(1, 1),
        count=1,
        dtypes=("float32",),
        registration="f",
        sources=tuple(f"{KERNELS}/{source}" for source in sources),
        options=None,
        depthwise=(),
    )


SELECTION = Selection(
    models=(),
    ops=(selected("ADD", "add.cc", "both.cc"), selected("MUL", "mul.cc", "both.cc")),
    sparse=False,
)
SOURCES = {
    "add.o": f"{KERNELS}/add.cc",
    "mul.o": f"{KERNELS}/mul.cc",
    "both.o": f"{KERNELS}/both.cc",
    "core.o": CORE,
    "ruy.o": "ruy/ruy/kernel.cc",
    "main.o": "main.cc",
}


class Program:
    """A program on disk with the given sections, symbols, link map and objects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text: list[tuple[str, str, int, Sequence[str]]] = []
        self.rodata = b""
        self.rodata_pieces: list[tuple[str, str, int]] = []
        self.defined: dict[str, list[str]] = {}
        self.strings: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.more: list[Part] = []
        self.bss = 0

    def dissect(self, selection: Selection = SELECTION) -> Anatomy:
        lines = ["     VMA      LMA     Size Align Out     In      Symbol", line(TEXT, 0x1000, ".text")]
        address, names = TEXT, []
        for file, section, size, symbols in self.text:
            lines.append(line(address, size, f"        {self.folder / file}:({section})"))
            names += [Name(symbol, 1, address, self.sizes.get(symbol, size)) for symbol in symbols]
            address += size
        code = bytes(address - TEXT)
        parts = [Part(".text", ALLOC | EXECUTE, code, TEXT)]
        lines.append(line(RODATA, len(self.rodata), ".rodata"))
        place = RODATA
        for file, section, size in self.rodata_pieces:
            owner = self.folder / file if file else "<internal>"
            lines.append(line(place, size, f"        {owner}:({section})"))
            place += size
        parts.append(Part(".rodata", ALLOC, self.rodata, RODATA))
        if self.bss:
            lines.append(line(BSS, self.bss, ".bss"))
            lines.append(line(BSS, self.bss, f"        {self.folder / 'main.o'}:(.bss.buffer)"))
            parts.append(Part(".bss", ALLOC | WRITE, size=self.bss, address=BSS))
        parts += self.more
        binary = Binary(
            program=elves.write(self.folder / "program", parts),
            debug=elves.write(self.folder / "debug", parts, [*names, Name("_start", 1, TEXT, 0)]),
            map_file=self.folder / "map",
            objects=self.objects(),
        )
        binary.map_file.write_text("\n".join(lines) + "\n")
        found = dissect(binary, selection, frozenset({CORE}))
        totals = elf.program_size(binary.program)
        assert sum(found.buckets().values()) == totals.loaded
        assert sum(found.buckets(loaded=False).values()) == totals.bss
        return found

    def objects(self) -> Mapping[str, str]:
        for file in SOURCES:
            symbols = self.defined.get(file, [])
            strings = self.strings.get(file, b"")
            parts = [Part(".text", ALLOC | EXECUTE, bytes(4))]
            if strings:
                parts.append(Part(".rodata.str1.1", ALLOC | MERGE | STRINGS, strings, entry=1))
            names = [Name(symbol, 1, 0, 4) for symbol in symbols]
            elves.write(self.folder / file, parts, names or [Name("unused", 1, 0, 4)])
        return {str(self.folder / file): source for file, source in SOURCES.items()}


def line(address: int, size: int, rest: str) -> str:
    return f"{address:8x} {address:8x} {size:8x}     1 {rest}"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def bytes_of(found: Anatomy) -> dict[str, int]:
    return {
        owner.label: size
        for owner, size in found.buckets().items()
        if owner.bucket not in {anatomy.HEADERS, anatomy.PADDING}
    }


def test_every_file_has_an_owner(program: Program) -> None:
    program.text = [
        ("add.o", ".text.a", 10, ["a"]),
        ("mul.o", ".text.m", 20, ["m"]),
        ("both.o", ".text.b", 30, ["b"]),
        ("core.o", ".text.c", 40, ["c"]),
        ("ruy.o", ".text.r", 50, ["r"]),
        ("main.o", ".text.g", 60, ["g"]),
        ("libc.a(memcpy.o)", ".text", 70, ["memcpy"]),
        ("libc++.a(string.o)", ".text", 80, ["s"]),
        ("libgcc.a(div.o)", ".text", 90, ["__divdi3"]),
    ]
    assert bytes_of(program.dissect()) == {
        "compiler runtime": 90,
        "libc++": 80,
        "libc": 70,
        "glue": 60,
        "ruy": 50,
        "core runtime": 40,
        "shared by ADD, MUL": 30,
        "MUL": 20,
        "ADD": 10,
    }


def test_an_inline_function_belongs_to_all_objects_that_define_it(program: Program) -> None:
    program.text = [
        ("add.o", ".text._Z1fv", 10, ["_Z1fv"]),
        ("add.o", ".text._Z1gv", 20, ["_Z1gv"]),
        ("add.o", ".text._Z1hv", 30, ["_Z1hv"]),
    ]
    program.defined = {"add.o": ["_Z1fv", "_Z1gv", "_Z1hv"], "mul.o": ["_Z1gv"], "core.o": ["_Z1hv"]}
    # Code of the runtime itself is not charged to any op.
    assert bytes_of(program.dissect()) == {"core runtime": 30, "shared by ADD, MUL": 20, "ADD": 10}


def test_identical_functions_that_the_linker_folds_are_shared(program: Program) -> None:
    program.text = [("add.o", ".text.first", 16, ["first", "second"])]
    program.defined = {"add.o": ["first"], "mul.o": ["second"]}
    found = program.dissect()
    assert bytes_of(found) == {"shared by ADD, MUL": 16}
    assert sum(1 for part in found.parts if part.section == ".text") == 1


def test_merged_strings_are_found_by_their_content(program: Program) -> None:
    program.rodata = b"add only\0both\0core\0other!\0"
    program.rodata_pieces = [("", ".rodata.str1.1", len(program.rodata))]
    program.strings = {
        "add.o": b"add only\0both\0core\0",
        "mul.o": b"both\0",
        "core.o": b"core\0",
    }
    assert bytes_of(program.dissect()) == {
        "ADD": 9,
        "shared by ADD, MUL": 5,
        "core runtime": 5,
        "unattributed": 7,
    }


def test_symbols_are_demangled(program: Program) -> None:
    program.text = [("add.o", ".text._ZN6tflite3addEi", 8, ["_ZN6tflite3addEi"])]
    (part,) = [part for part in program.dissect().parts if part.section == ".text"]
    assert (part.symbol, part.name) == ("_ZN6tflite3addEi", "tflite::add(int)")
    assert part.source == "tensorflow/lite/kernels/add.cc"


def test_data_without_a_symbol_is_named_by_its_section(program: Program) -> None:
    program.rodata = bytes(24)
    program.rodata_pieces = [("mul.o", ".rodata.table", 24)]
    (part,) = [part for part in program.dissect().parts if part.section == ".rodata"]
    assert (part.symbol, part.name, part.owner) == ("", "table", Owner(bucket="op", ops=("MUL",)))


def test_bytes_of_a_section_outside_its_symbols(program: Program) -> None:
    """They belong to the owner of the section; the size of a symbol is the one in the symbol table."""
    program.text = [("add.o", ".text._Z1fv", 16, ["_Z1fv"])]
    program.sizes = {"_Z1fv": 14}
    parts = {part.name: part.size for part in program.dissect().parts if part.section == ".text"}
    assert parts == {"f()": 14, "beside symbols": 2}


def test_small_gaps_and_gaps_of_zeros_are_padding(program: Program) -> None:
    program.rodata = bytes(40)
    program.rodata_pieces = [("mul.o", ".rodata.table", 24)]
    assert program.dissect().buckets()[Owner(bucket="padding")] == 16
    program.rodata = bytes(24) + b"code" * 17
    assert program.dissect().buckets()[Owner(bucket="unattributed")] == 68
    program.rodata = bytes(24 + 4096)
    assert program.dissect().buckets()[Owner(bucket="unattributed")] == 4096


def test_tables_of_the_loader_and_the_unwinder(program: Program) -> None:
    program.more = [
        Part(".ARM.exidx", ALLOC, bytes(48), 0x40000),
        Part(".dynsym", ALLOC, bytes(32), 0x41000),
        Part(".got", ALLOC | WRITE, bytes(12), 0x42000),
        Part(".note.ABI-tag", ALLOC, bytes(20), 0x43000),
        Part(".comment", 0, b"not loaded"),
    ]
    found = bytes_of(program.dissect())
    assert found == {"loader tables": 32 + 12 + 20, "unwind tables": 48}


def test_an_embedded_model(program: Program) -> None:
    program.text = [("main.o", ".rodata.litesmith_model", 100, [])]
    assert bytes_of(program.dissect()) == {"model": 100}


def test_memory_is_counted_separately(program: Program) -> None:
    program.bss = 512
    assert program.dissect().buckets(loaded=False) == {Owner(bucket="glue"): 512}


def test_symbols_of_another_build(tmp_path: Path) -> None:
    parts = [Part(".text", ALLOC | EXECUTE, b"abcd", TEXT)]
    one = elf.Elf.read(elves.write(tmp_path / "one", parts))
    names = [Name("f", 1, TEXT, 4)]
    symbols_of_build(one, elf.Elf.read(elves.write(tmp_path / "same", parts, names)))
    other = [replace(parts[0], content=b"abce")]
    with pytest.raises(UsageError, match="are from different builds"):
        symbols_of_build(one, elf.Elf.read(elves.write(tmp_path / "other", other, names)))
    with pytest.raises(UsageError, match="same has no symbols"):
        symbols_of_build(one, elf.Elf.read(elves.write(tmp_path / "same", parts)))
    wide = elves.write(tmp_path / "wide", parts, names, bits=64, machine=elves.X86_64)
    with pytest.raises(UsageError, match="are from different builds"):
        symbols_of_build(one, elf.Elf.read(wide))


def test_json_round_trip(program: Program) -> None:
    program.text = [("both.o", ".text.b", 30, ["b"]), ("add.o", ".text.a", 10, ["a"])]
    program.bss = 8
    found = program.dissect()
    assert Anatomy.from_json(found.to_json()) == found
    assert [row["name"] for row in found.to_json()[:1]] == ["ELF header, program headers, gaps"]


def test_a_function_and_data_of_the_same_name_are_counted_once_each(program: Program) -> None:
    program.text = [("add.o", ".text.x", 8, ["x"])]
    program.rodata = bytes(8)
    program.rodata_pieces = [("mul.o", ".rodata.x", 8)]
    program.defined = {"add.o": ["x"]}
    assert bytes_of(program.dissect()) == {"ADD": 8, "MUL": 8}
