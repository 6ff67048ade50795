"""Every byte of a program, with its owner: program, symbols and linker map → :class:`Anatomy`.

The linker's map says which object each piece comes from, and selection and registry whose object
that is.  An inline function is in every object that uses it, and the linker keeps one: it belongs
to all of them.  So do functions of the same instructions that the linker made one of, and merged
strings and constants, which are found again by their content.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from litesmith.base.errors import UsageError
from litesmith.measure.size import linkmap
from litesmith.measure.size.elf import Elf, Section, Symbol, elf_members
from litesmith.measure.size.linkmap import LOADER_SECTIONS, UNWIND_SECTIONS, Piece
from litesmith.runtime.selection import Selection, upstream_path
from litesmith.runtime.xnnpack import substitutes
from litesmith.runtime.xnnpack.wrappers import PREFIX
from litesmith.target.instruction_sets import instruction_set_of

CORE = "core runtime"
RUY = "ruy"
GLUE = "glue"
SHARED = "shared by ops"
OP = "op"
CXX_LIBRARY = "libc++"
C_LIBRARY = "libc"
COMPILER_LIBRARY = "compiler runtime"
UNWIND = "unwind tables"
LOADER = "loader tables"
MODEL = "model"
HEADERS = "headers"
DELEGATE = "delegate"
XNNPACK = "XNNPACK"
MICROKERNELS = "micro-kernels"
PADDING = "padding"
UNATTRIBUTED = "unattributed"

# What would still be there without any op, first: it is what others share.
_FIRST = (CORE, GLUE, RUY, DELEGATE, XNNPACK)

_CXX_FILES = ("libc++", "libstdc++", "libsupc++")
_COMPILER_FILES = (
    *("libgcc", "libcompiler_rt", "libatomic", "libunwind", "compiler_rt", "crtbegin", "crtend", "crtn"),
)

# templates/project/selected_ops.cc.j2 puts an embedded model into it.
_MODEL_SECTION = ".rodata.litesmith_model"
_STRINGS = "strings"
_CONSTANTS = "constants"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose bytes they are: a bucket, and for the buckets of ops which ops."""

    bucket: str
    ops: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``CONV_2D``, ``shared by ADD, MUL`` or the bucket's name."""
        if self.bucket == OP:
            return self.ops[0]
        return f"shared by {', '.join(self.ops)}" if self.bucket == SHARED else self.bucket


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of one owner: a symbol, or what has none.

    ``symbol`` is the linker's name, empty where there is none, ``name`` the one for people.
    ``source`` is the file or the library.  ``loaded`` is false for what takes memory only (``.bss``).
    """

    owner: Owner
    section: str
    symbol: str
    name: str
    source: str
    size: int
    loaded: bool


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """All parts of a program; the loaded ones add up to what its segments take from the file."""

    parts: tuple[Part, ...]

    def buckets(self, *, loaded: bool = True) -> dict[Owner, int]:
        """Bytes of each owner, largest first."""
        found: Counter[Owner] = Counter()
        for part in self.parts:
            if part.loaded == loaded:
                found[part.owner] += part.size
        return dict(found.most_common())

    def to_json(self) -> list[dict[str, Any]]:
        """``symbols.json``."""
        return [
            {
                "bucket": part.owner.bucket,
                "ops": part.owner.ops,
                "name": part.name,
                "symbol": part.symbol,
                "section": part.section,
                "source": part.source,
                "size": part.size,
                "loaded": part.loaded,
            }
            for part in self.parts
        ]

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> Anatomy:
        """The same again.

        Raises:
            KeyError, TypeError: the rows are of another kind.
        """
        return cls(
            parts=tuple(
                Part(
                    owner=Owner(bucket=str(row["bucket"]), ops=tuple(map(str, row["ops"]))),
                    section=str(row["section"]),
                    symbol=str(row["symbol"]),
                    name=str(row["name"]),
                    source=str(row["source"]),
                    size=int(row["size"]),
                    loaded=bool(row["loaded"]),
                )
                for row in rows
            )
        )


def require_same_build(program: Elf, debug: Elf) -> None:
    """Checks that a file with symbols belongs to a stripped program.

    Raises:
        UsageError: it has no symbols, or it is another program's.
    """

    def image(elf: Elf) -> list[tuple[str, int, int, bytes]]:
        return [(s.name, s.address, s.size, elf.content(s)) for s in elf.sections() if s.allocated]

    if program.machine != debug.machine or image(program) != image(debug):
        raise UsageError(
            f"{debug.path} belongs to another build than {program.path}", "build the program again"
        )
    if not debug.symbols():
        raise UsageError(f"{debug.path} has no symbols", "build the program again")


def dissect(
    program: Path,
    debug: Path,
    map_file: Path,
    objects: Mapping[str, str],
    selection: Selection,
    core: frozenset[str],
) -> Anatomy:
    """Gives every byte of a program an owner.

    ``debug`` is the program with its symbols, ``objects`` maps the paths of its objects to their
    sources, ``core`` are the sources of the runtime.

    Raises:
        UsageError: program and symbols are not of one build.
    """
    elf, symbols = Elf.read(program), Elf.read(debug)
    require_same_build(elf, symbols)
    text = map_file.read_text(encoding="utf-8", errors="replace")
    pieces = list(linkmap.pieces(text))
    owners = _Owners(objects, selection, core, pieces)
    found = symbols.symbols()
    reader = _Dissection(elf, found, pieces, owners)
    return Anatomy(parts=_joined(_named(reader.parts(), found, text)))


def _joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts of the same kind as one, largest first."""
    sizes: Counter[Part] = Counter()
    for part in parts:
        sizes[replace(part, size=0)] += part.size
    return tuple(replace(part, size=size) for part, size in sizes.most_common() if size)


def _named(parts: Iterable[Part], symbols: Sequence[Symbol], map_text: str) -> Iterator[Part]:
    """Parts with names as they stand in C++."""
    # The machine's own C++ library may be older than the compiler, whose linker knows its names.
    by_address = linkmap.symbol_names(map_text)
    newer = {
        symbol.name: by_address[symbol.address & ~1]
        for symbol in symbols
        if symbol.name.startswith("_Z") and symbol.address & ~1 in by_address
    }
    for part in parts:
        name = part.name
        if part.symbol:
            name = _demangled(name)
            if name.startswith("_Z"):
                name = newer.get(part.symbol, name)
        yield replace(part, name=name)


def _demangled(name: str) -> str:
    import cxxfilt

    try:
        return str(cxxfilt.demangle(name))
    except (cxxfilt.InvalidName, cxxfilt.InternalError):
        return name


class _Owners:
    """Who owns an object, a symbol, a string."""

    def __init__(
        self,
        objects: Mapping[str, str],
        selection: Selection,
        core: frozenset[str],
        pieces: Sequence[Piece],
    ) -> None:
        users: dict[str, list[str]] = {}
        for op in selection.ops:
            for source in op.sources:
                users.setdefault(source, []).append(op.name)
        self._users = users
        self._core = core
        self._sources = objects
        linked = {piece.file for piece in pieces} | set(objects)
        self._owners = {path: self._of_object(path) for path in linked if path}
        # By symbol, and by content of pieces that the linker merges.
        self._definers: dict[str, set[str]] = defaultdict(set)
        self._content: dict[bytes, set[str]] = defaultdict(set)
        for path in objects:
            self._read(Elf.read(Path(path)), path)
        self._libraries = sorted(linked - set(objects) - {""})

    def _of_object(self, path: str) -> Owner:
        source = self._sources.get(path)
        if source is None:
            return Owner(bucket=_library(path.rsplit("/", 1)[-1]))
        if source in self._core:
            return Owner(bucket=CORE)
        if source.startswith("ruy/"):
            return Owner(bucket=RUY)
        if source in (substitutes.GRAPH, substitutes.PLANNER):
            return Owner(bucket=CORE)
        if source in _DELEGATES:
            return Owner(bucket=DELEGATE)
        if source.startswith((*_XNNPACK, PREFIX)):
            return _of_xnnpack(source)
        return _of_ops(self._users.get(source, ()))

    def _read(self, elf: Elf, path: str) -> None:
        for symbol in elf.symbols():
            self._definers[symbol.name].add(path)
        for content in _mergeable(elf):
            self._content[content].add(path)

    @functools.cached_property
    def _library_content(self) -> Mapping[bytes, str]:
        """What libraries bring to be merged; read only where a program's objects do not have it."""
        members = ((path, elf) for path in self._libraries for elf in elf_members(Path(path)))
        return {content: path for path, elf in members for content in _mergeable(elf)}

    def name(self, path: str, member: str) -> str:
        """The source of an object, or the library, for people."""
        source = self._sources.get(path)
        if source is not None:
            return upstream_path(source)
        library = path.rsplit("/", 1)[-1]
        return f"{library}({member.rsplit('/', 1)[-1]})" if member else library

    def of_piece(self, path: str, names: Iterable[str]) -> Owner:
        """The owner of a piece that has these symbols."""
        owner = self._owners.get(path, Owner(bucket=UNATTRIBUTED))
        if path not in self._sources:
            return owner
        others = {other for name in names for other in self._definers.get(name, ())}
        return _joint({owner, *(self._owners[other] for other in others)})

    def of_content(self, content: bytes) -> Owner | None:
        """The owner of a merged string or constant; None when no object has it."""
        paths = self._content.get(content)
        if paths:
            return _joint({self._owners[path] for path in paths})
        library = self._library_content.get(content)
        return self._owners[library] if library else None


def _of_ops(names: Sequence[str]) -> Owner:
    ops = tuple(sorted(set(names)))
    if not ops:
        return Owner(bucket=GLUE)
    return Owner(bucket=OP if len(ops) == 1 else SHARED, ops=ops)


_DELEGATES = frozenset({"delegation.cc", substitutes.DELEGATE, *substitutes.BESIDE[:1]})
_XNNPACK = ("xnnpack/", "pthreadpool-sources/")


def _of_xnnpack(source: str) -> Owner:
    """A micro-kernel's bucket says which operator it serves, and with which instructions."""
    folder = source.split("/")[2:-1]
    if not source.startswith("xnnpack/") or not folder or folder[0] in _NO_KERNELS:
        return Owner(bucket=XNNPACK)
    operator = folder[0]
    return Owner(bucket=f"{MICROKERNELS} {operator}, {instruction_set_of(source)}")


_NO_KERNELS = frozenset({"configs", "enums", "operators", "reference", "subgraph", "tables"})


def _joint(owners: set[Owner]) -> Owner:
    """The owner of what several use."""
    buckets = {owner.bucket for owner in owners}
    for bucket in _FIRST:
        if bucket in buckets:
            return Owner(bucket=bucket)
    kernels = [bucket for bucket in buckets if bucket.startswith(MICROKERNELS)]
    if kernels:
        return Owner(bucket=kernels[0] if len(buckets) == 1 else XNNPACK)
    return _of_ops([op for owner in owners for op in owner.ops])


def _library(file: str) -> str:
    if file.startswith(_CXX_FILES):
        return CXX_LIBRARY
    return COMPILER_LIBRARY if file.startswith(_COMPILER_FILES) else C_LIBRARY


def _mergeable(elf: Elf) -> Iterator[bytes]:
    for section in elf.sections():
        if section.merged and section.size:
            yield from _merged_pieces(elf.content(section), section)


def _merged_pieces(content: bytes, section: Section) -> Iterator[bytes]:
    """What the linker compares: strings with their zero, or constants of one size."""
    if section.strings:
        start = 0
        width = section.entry or 1
        zero = bytes(width)
        while start < len(content):
            end = content.find(zero, start)
            while end >= 0 and (end - start) % width:
                end = content.find(zero, end + 1)
            end = len(content) if end < 0 else end + width
            yield content[start:end]
            start = end
    else:
        step = section.entry or len(content)
        for start in range(0, len(content), step):
            yield content[start : start + step]


class _Dissection:
    """One walk over the file, from its first loaded byte to its last."""

    def __init__(self, elf: Elf, symbols: Sequence[Symbol], pieces: Iterable[Piece], owners: _Owners) -> None:
        self._elf = elf
        self._owners = owners
        by_section: dict[str, list[Piece]] = defaultdict(list)
        for piece in pieces:
            if piece.size:
                by_section[piece.output].append(piece)
        self._pieces = by_section
        self._symbols = sorted(symbols, key=lambda s: (s.address, -s.size))
        self._addresses = [symbol.address for symbol in self._symbols]

    def parts(self) -> Iterator[Part]:
        """Every byte of the loaded segments, and of memory that is only reserved, exactly once."""
        known = 0
        for section in self._elf.sections():
            if section.allocated and section.size:
                known += section.size if section.in_file else 0
                yield from self._section(section)
        rest = sum(size for _, size in self._elf.segments()) - known
        yield self._part(Owner(bucket=HEADERS), "", "ELF header, program headers, gaps", "", rest)

    @staticmethod
    def _part(
        owner: Owner,
        section: str,
        name: str,
        source: str,
        size: int,
        *,
        symbol: str = "",
        loaded: bool = True,
    ) -> Part:
        return Part(
            owner=owner,
            section=section,
            symbol=symbol,
            name=name,
            source=source,
            size=size,
            loaded=loaded,
        )

    def _section(self, section: Section) -> Iterator[Part]:
        whole = LOADER if section.name in LOADER_SECTIONS or section.name.startswith(".note") else ""
        whole = UNWIND if section.name in UNWIND_SECTIONS else whole
        if whole:
            yield self._part(
                Owner(bucket=whole), section.name, section.name, "", section.size, loaded=section.in_file
            )
            return
        position, end = section.address, section.address + section.size
        for piece in sorted(self._pieces.get(section.name, ()), key=lambda p: (p.address, p.size)):
            start = max(piece.address, position)
            stop = min(piece.address + piece.size, end)
            if stop <= start:
                continue
            yield from self._gap(section, position, start)
            yield from self._piece(section, piece, start, stop)
            position = stop
        yield from self._gap(section, position, end)

    def _gap(self, section: Section, start: int, end: int) -> Iterator[Part]:
        """What lies between pieces: fill, unless the map does not say all."""
        if end <= start:
            return
        offset = section.offset + start - section.address
        content = self._elf.data[offset : offset + end - start] if section.in_file else b""
        small = end - start <= _ALIGNMENT or (end - start < _LARGEST_ALIGNMENT and not any(content))
        bucket = PADDING if small else UNATTRIBUTED
        yield self._part(Owner(bucket=bucket), section.name, bucket, "", end - start, loaded=section.in_file)

    def _piece(self, section: Section, piece: Piece, start: int, stop: int) -> Iterator[Part]:
        if not piece.file:
            yield from self._linkers_own(section, piece, start, stop)
            return
        found = self._symbols_between(start, stop)
        owner = self._owners.of_piece(piece.file, (symbol.name for symbol in found))
        source = self._owners.name(piece.file, piece.member)
        if piece.input == _MODEL_SECTION:
            owner = Owner(bucket=MODEL)
        position = start
        for symbol in found:
            # Symbols of the same place are other names of it.
            begin, end = max(symbol.address, position), min(symbol.address + symbol.size, stop)
            if end <= begin:
                continue
            if begin > position:
                yield self._rest(section, owner, source, begin - position)
            yield self._part(
                owner,
                section.name,
                symbol.name,
                source,
                end - begin,
                symbol=symbol.name,
                loaded=section.in_file,
            )
            position = end
        if position == start:
            yield self._unnamed(section, piece, owner, source, stop - start)
        elif position < stop:
            yield self._rest(section, owner, source, stop - position)

    def _rest(self, section: Section, owner: Owner, source: str, size: int) -> Part:
        """Bytes beside symbols in one input section: alignment, constants without a name."""
        return self._part(owner, section.name, "beside symbols", source, size, loaded=section.in_file)

    def _unnamed(self, section: Section, piece: Piece, owner: Owner, source: str, size: int) -> Part:
        """Bytes without a symbol, by the section that they come from."""
        inner = piece.input
        for prefix in (".text.", ".rodata.", ".data.rel.ro.", ".data.", ".bss."):
            if inner.startswith(prefix):
                name = inner.removeprefix(prefix)
                symbol = name if name.startswith("_Z") and "." not in name else ""
                if name.startswith(("str1.", "str4.", "str8.")) or ".str1." in name:
                    name = _STRINGS
                elif name.startswith("cst"):
                    name = _CONSTANTS
                return self._part(
                    owner, section.name, name, source, size, symbol=symbol, loaded=section.in_file
                )
        return self._part(owner, section.name, inner, source, size, loaded=section.in_file)

    def _symbols_between(self, start: int, stop: int) -> list[Symbol]:
        first, last = bisect_left(self._addresses, start), bisect_left(self._addresses, stop)
        return [symbol for symbol in self._symbols[first:last] if symbol.size]

    def _linkers_own(self, section: Section, piece: Piece, start: int, stop: int) -> Iterator[Part]:
        """Merged strings and constants: each one is looked up in the objects."""
        strings = ".str" in piece.input
        width = piece.input.rsplit("cst", 1)[-1]
        if not section.in_file or not (strings or width.isdigit()):
            yield self._part(
                Owner(bucket=UNATTRIBUTED),
                section.name,
                piece.input,
                "",
                stop - start,
                loaded=section.in_file,
            )
            return
        offset = section.offset + start - section.address
        content = self._elf.data[offset : offset + stop - start]
        last = piece.input.rsplit(".", 1)[-1]
        unit = int(last) if strings and last.isdigit() else 1
        like = replace(section, flags=_MERGED_STRINGS if strings else 0, entry=1 if strings else int(width))
        name = _STRINGS if strings else _CONSTANTS
        for one in _merged_pieces(content, like):
            owner = self._owners.of_content(one)
            if owner is None:
                # Between aligned strings lie zeros.
                bucket = PADDING if strings and not any(one) and unit > 1 else UNATTRIBUTED
                owner = Owner(bucket=bucket)
            yield self._part(owner, section.name, name, "", len(one))


# Code and constants are aligned to no more; fill between sections of a page is zeros.
_ALIGNMENT = 64
_LARGEST_ALIGNMENT = 4096
_MERGED_STRINGS = 0x30
