"""Program, symbols and linker map → :class:`Anatomy`: every byte with its owner.

Each section is a :class:`RangeMap` of its addresses, and attribution takes three steps:

1. Label: symbols, then what is left of the input sections that they come from, then what the
   linker made.
2. Fill: what has no label yet is padding, or unattributed.
3. Sum: sizes are added up by label.  What the segments take beyond the sections is headers.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from litesmith.base.errors import UsageError
from litesmith.build import cache
from litesmith.build.builder import Binary
from litesmith.measure.size import linkmap
from litesmith.measure.size.anatomy import (
    HEADERS,
    LOADER,
    MODEL,
    PADDING,
    UNATTRIBUTED,
    UNWIND,
    Anatomy,
    Owner,
    Part,
)
from litesmith.measure.size.elf import Elf, Section, Symbol
from litesmith.measure.size.linkmap import LOADER_SECTIONS, UNWIND_SECTIONS, Piece
from litesmith.measure.size.merged_sections import MergedKind
from litesmith.measure.size.owners import Owners
from litesmith.measure.size.range_map import Range, RangeMap
from litesmith.runtime.selection import Selection

# templates/project/selected_ops.cc.j2 puts an embedded model into it.
_MODEL_SECTION = ".rodata.litesmith_model"
# -ffunction-sections and -fdata-sections append the name of the function or object to these.
_NAMED_SECTIONS = (".text.", ".rodata.", ".data.rel.ro.", ".data.", ".bss.")
_STRINGS = "strings"
_CONSTANTS = "constants"

# Code and constants are aligned to at most 64 bytes; padding up to the next page is zeros.
_ALIGNMENT = 64
_PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class _Label:
    """What is known about a range: the fields of :class:`Part` that its section does not determine."""

    owner: Owner
    name: str
    symbol: str = ""
    source: str = ""


def dissect(binary: Binary, selection: Selection, core: frozenset[str]) -> Anatomy:
    """Gives every byte of a program an owner; ``core`` are the sources of the runtime.

    Raises:
        UsageError: the program and the file with its symbols are from different builds.
        BuildError: the linker's map names an object that is not one of the program's.
    """
    elf = Elf.read(binary.program)
    debug = elf if binary.debug == binary.program else Elf.read(binary.debug)
    symbols = symbols_of_build(elf, debug)
    map_text = cache.without_place(binary.map_file.read_text(encoding="utf-8", errors="replace"))
    pieces = list(linkmap.pieces(map_text))
    linked = {piece.file for piece in pieces if piece.file}
    labeller = _Labeller(pieces, symbols, Owners(binary.objects, linked, selection, core))
    names = _newer_names(symbols, map_text)
    return Anatomy(
        parts=tuple(
            Part(
                owner=label.owner,
                section=section,
                symbol=label.symbol,
                name=_demangled(label.symbol, names) if label.symbol else label.name,
                source=label.source,
                size=size,
                loaded=loaded,
            )
            for (section, loaded, label), size in _sizes(elf, labeller).most_common()
            if size
        )
    )


def symbols_of_build(program: Elf, debug: Elf) -> list[Symbol]:
    """The symbols of a program, from the file that has them beside the stripped one.

    Raises:
        UsageError: the file has no symbols, or they are another program's.
    """

    def image(elf: Elf) -> list[tuple[str, int, int, bytes]]:
        return [(s.name, s.address, s.size, elf.content(s)) for s in elf.sections() if s.allocated]

    same = program.path == debug.path or (program.machine == debug.machine and image(program) == image(debug))
    if not same:
        raise UsageError(
            f"{debug.path} and {program.path} are from different builds", "build the program again"
        )
    symbols = debug.symbols()
    if not symbols:
        raise UsageError(f"{debug.path} has no symbols", "build the program again")
    return symbols


def _sizes(elf: Elf, labeller: _Labeller) -> Counter[tuple[str, bool, _Label]]:
    """Bytes by section, whether the section is loaded from the file, and label."""
    sizes: Counter[tuple[str, bool, _Label]] = Counter()
    headers = sum(size for _, size in elf.segments())
    for section in elf.sections():
        if section.allocated and section.size:
            for labelled in labeller.label(section, elf.content(section)):
                sizes[section.name, section.in_file, labelled.label] += labelled.size
            headers -= section.size if section.in_file else 0
    label = _Label(owner=Owner(bucket=HEADERS), name="ELF header, program headers, gaps")
    sizes["", True, label] = headers
    return sizes


class _Labeller:
    """Labels the addresses of sections."""

    def __init__(self, pieces: Iterable[Piece], symbols: Iterable[Symbol], owners: Owners) -> None:
        self._owners = owners
        self._pieces: dict[str, list[Piece]] = defaultdict(list)
        for piece in sorted(pieces, key=lambda piece: (piece.address, piece.size)):
            self._pieces[piece.output].append(piece)
        # Of the symbols at one address the largest comes first, and gives the bytes its name.
        self._symbols = sorted((s for s in symbols if s.size), key=lambda s: (s.address, -s.size))
        self._addresses = [symbol.address for symbol in self._symbols]

    def label(self, section: Section, content: bytes) -> RangeMap[_Label]:
        """The labels of a section; no address is left without one."""
        end = section.address + section.size
        labels: RangeMap[_Label] = RangeMap(section.address, end)
        bucket = _bucket_of_section(section.name)
        if bucket:
            labels.add(section.address, end, _Label(owner=Owner(bucket=bucket), name=section.name))
            return labels
        # Pieces overlap in the maps of GNU ld, which give merged strings the size before merging.
        pieces: RangeMap[Piece] = RangeMap(section.address, end)
        for piece in self._pieces.get(section.name, ()):
            pieces.add(piece.address, piece.address + piece.size, piece)
        for part in pieces:
            if part.label.file:
                self._label_input_section(labels, part)
            else:
                inside = content[part.start - section.address : part.end - section.address]
                self._label_made_by_linker(labels, part, inside)
        for start, stop in labels.unlabelled():
            gap = content[start - section.address : stop - section.address]
            bucket = PADDING if _is_padding(stop - start, gap) else UNATTRIBUTED
            labels.add(start, stop, _Label(owner=Owner(bucket=bucket), name=bucket))
        return labels

    def _label_input_section(self, labels: RangeMap[_Label], part: Range[Piece]) -> None:
        """Labels what comes from an object or a library: the symbols, then the bytes beside them."""
        piece = part.label
        symbols = self._symbols_between(part.start, part.end)
        owner = self._owners.of_symbols(piece.file, (symbol.name for symbol in symbols))
        if piece.input == _MODEL_SECTION:
            owner = Owner(bucket=MODEL)
        source = self._owners.source(piece.file, piece.member)
        for symbol in symbols:
            label = _Label(owner=owner, name=symbol.name, symbol=symbol.name, source=source)
            labels.add(symbol.address, min(symbol.address + symbol.size, part.end), label)
        # Alignment, and constants without a name.
        name, symbol_name = ("beside symbols", "") if symbols else _name_of_input_section(piece.input)
        label = _Label(owner=owner, name=name, symbol=symbol_name, source=source)
        labels.add(part.start, part.end, label)

    def _symbols_between(self, start: int, stop: int) -> Sequence[Symbol]:
        return self._symbols[bisect_left(self._addresses, start) : bisect_left(self._addresses, stop)]

    def _label_made_by_linker(self, labels: RangeMap[_Label], part: Range[Piece], content: bytes) -> None:
        """Labels merged strings and constants, each entry by the objects that have it."""
        kind = MergedKind.of(part.label.input) if content else None
        if kind is None:
            label = _Label(owner=Owner(bucket=UNATTRIBUTED), name=part.label.input)
            labels.add(part.start, part.end, label)
            return
        position = part.start
        for entry in kind.split(content):
            owner = self._owners.of_entry(entry)
            if owner is None:
                # Between aligned strings lie zeros.
                zeros = kind.strings and kind.alignment > 1 and not any(entry)
                owner = Owner(bucket=PADDING if zeros else UNATTRIBUTED)
            name = _STRINGS if kind.strings else _CONSTANTS
            labels.add(position, position + len(entry), _Label(owner=owner, name=name))
            position += len(entry)


def _bucket_of_section(name: str) -> str | None:
    """The bucket that a section of the program belongs to as a whole."""
    if name in UNWIND_SECTIONS:
        return UNWIND
    return LOADER if name in LOADER_SECTIONS or name.startswith(".note") else None


def _name_of_input_section(name: str) -> tuple[str, str]:
    """What an input section without symbols holds, and the mangled symbol if its name has one."""
    prefix = next((prefix for prefix in _NAMED_SECTIONS if name.startswith(prefix)), None)
    if prefix is None:
        return name, ""
    rest = name.removeprefix(prefix)
    if rest.startswith(("str1.", "str4.", "str8.")) or ".str1." in rest:
        return _STRINGS, ""
    if rest.startswith("cst"):
        return _CONSTANTS, ""
    return rest, rest if rest.startswith("_Z") and "." not in rest else ""


def _is_padding(size: int, content: bytes) -> bool:
    """Whether a gap is the linker's padding; larger gaps are pieces that the map does not list."""
    return size <= _ALIGNMENT or (size < _PAGE and not any(content))


def _newer_names(symbols: Iterable[Symbol], map_text: str) -> Mapping[str, str]:
    """Demangled names from the linker's map, by symbol.

    The C++ library of this machine may be older than the compiler, and then it cannot demangle all
    names that the linker can.
    """
    by_address = linkmap.symbol_names(map_text)
    found = ((symbol.name, by_address.get(symbol.address & ~1)) for symbol in symbols)
    return {symbol: name for symbol, name in found if name is not None and symbol.startswith("_Z")}


def _demangled(symbol: str, newer: Mapping[str, str]) -> str:
    name = _demangled_here(symbol)
    return newer.get(symbol, name) if name.startswith("_Z") else name


@functools.lru_cache(maxsize=1 << 16)
def _demangled_here(symbol: str) -> str:
    """The name by this machine's C++ library; the symbol where it cannot demangle it."""
    import cxxfilt

    try:
        return str(cxxfilt.demangle(symbol))
    except (cxxfilt.InvalidName, cxxfilt.InternalError):
        return symbol
