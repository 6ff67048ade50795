"""Which part of a program the bytes of objects, symbols and merged entries belong to: :class:`Owners`.

An object belongs to the ops that compile its source, or to the bucket of its folder.  Several
objects may define the same inline function, of which the linker keeps one: it belongs to all of
them.  The same holds for identical functions that the linker folds, and for merged strings and
constants, which are found again by their content.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from litesmith.base.errors import BuildError
from litesmith.build import cache
from litesmith.build.cache import located
from litesmith.measure.size.anatomy import (
    C_LIBRARY,
    COMPILER_LIBRARY,
    CORE,
    CXX_LIBRARY,
    DELEGATE,
    GLUE,
    MICROKERNELS,
    OP,
    RUY,
    SHARED,
    UNATTRIBUTED,
    XNNPACK,
    Owner,
)
from litesmith.measure.size.elf import Elf, elf_members
from litesmith.measure.size.merged_sections import merged_entries
from litesmith.runtime.selection import Selection, upstream_path
from litesmith.runtime.xnnpack import patched_sources
from litesmith.runtime.xnnpack.wrappers import PREFIX
from litesmith.target.instruction_sets import instruction_set_of

# A program without ops has these too, so what an op shares with them costs the op nothing.
_BEFORE_OPS = (CORE, GLUE, RUY, DELEGATE, XNNPACK)

_CXX_FILES = ("libc++", "libstdc++", "libsupc++")
_COMPILER_FILES = (
    *("libgcc", "libcompiler_rt", "libatomic", "libunwind", "compiler_rt", "crtbegin", "crtend", "crtn"),
)

# crt1.o, and its forms for other kinds of programs: Scrt1.o, rcrt1.o, gcrt1.o.
_START_FILES = ("crt", "Scrt", "rcrt", "gcrt")

_CORE_FILES = frozenset({patched_sources.GRAPH})
_DELEGATE_FILES = frozenset({"delegation.cc", patched_sources.DELEGATE, *patched_sources.BESIDE[:1]})
_XNNPACK_FILES = ("xnnpack/", "pthreadpool-sources/", PREFIX)
# The folders of XNNPACK's src/ without micro-kernels; every other one is named after an operator.
_NO_KERNELS = frozenset({"configs", "enums", "operators", "reference", "subgraph", "tables"})


class Owners:
    """The owners of everything in one program.

    ``objects`` maps the paths of the program's objects, relative to the cache, to their sources, ``linked``
    are all files in the linker's map, and ``core`` are the sources of the runtime.

    Raises:
        BuildError: a file is neither an object of the program nor a library or start file.
    """

    def __init__(
        self,
        objects: Mapping[str, str],
        linked: Iterable[str],
        selection: Selection,
        core: frozenset[str],
    ) -> None:
        self._sources = objects
        self._libraries = sorted(set(linked) - set(objects))
        for path in self._libraries:
            _require_library(path)
        users = _users(selection)
        self._owners = {path: _owner_of_source(source, core, users) for path, source in objects.items()}
        self._owners |= {path: Owner(bucket=_library_bucket(_file_name(path))) for path in self._libraries}
        self._definitions: dict[str, set[str]] = defaultdict(set)
        self._entries: dict[bytes, set[str]] = defaultdict(set)
        for path in objects:
            names, entries = _content(path)
            for name in names:
                self._definitions[name].add(path)
            for content in entries:
                self._entries[content].add(path)

    def source(self, path: str, member: str) -> str:
        """The source of an object, or the name of a library with the member: ``libc.a(memcpy.o)``."""
        source = self._sources.get(path)
        if source is not None:
            return upstream_path(source)
        library = _file_name(path)
        return f"{library}({_file_name(member)})" if member else library

    def of_symbols(self, path: str, names: Iterable[str]) -> Owner:
        """The owner of the input section of a file that has these symbols."""
        owner = self._owners.get(path, Owner(bucket=UNATTRIBUTED))
        if path not in self._sources:
            return owner
        others = {other for name in names for other in self._definitions.get(name, ())}
        return _joint_owner({owner, *(self._owners[other] for other in others)})

    def of_entry(self, content: bytes) -> Owner | None:
        """The owner of a merged string or constant; None when no file of the program has it."""
        paths = self._entries.get(content)
        if paths:
            return _joint_owner({self._owners[path] for path in paths})
        library = self._library_entries.get(content)
        return self._owners[library] if library else None

    @functools.cached_property
    def _library_entries(self) -> Mapping[bytes, str]:
        """The library of each mergeable entry; read only when the objects do not have an entry."""
        return {content: path for path in self._libraries for content in _entries_of_library(located(path))}


def _entries_of_library(path: Path) -> frozenset[bytes]:
    return _read_entries_of_library(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _read_entries_of_library(path: Path, _modified: int) -> frozenset[bytes]:
    """The merged entries of a library; all programs of a toolchain have the same libraries."""
    return frozenset(content for elf in elf_members(path) for content in merged_entries(elf))


@functools.lru_cache(maxsize=2048)
def _content(path: str) -> tuple[frozenset[str], frozenset[bytes]]:
    """The symbols and the merged entries of an object in the cache, which never changes."""
    elf = Elf.read(located(path))
    return frozenset(symbol.name for symbol in elf.symbols()), frozenset(merged_entries(elf))


def _users(selection: Selection) -> Mapping[str, list[str]]:
    """The names of the ops that need each source."""
    users: dict[str, list[str]] = defaultdict(list)
    for op in selection.ops:
        for source in op.sources:
            users[source].append(op.name)
    return users


def _owner_of_source(source: str, core: frozenset[str], users: Mapping[str, list[str]]) -> Owner:
    if source in core or source in _CORE_FILES:
        return Owner(bucket=CORE)
    if source.startswith("ruy/"):
        return Owner(bucket=RUY)
    if source in _DELEGATE_FILES:
        return Owner(bucket=DELEGATE)
    if source.startswith(_XNNPACK_FILES):
        return Owner(bucket=_xnnpack_bucket(source))
    return _owner_of_ops(users.get(source, ()))


def _owner_of_ops(names: Iterable[str]) -> Owner:
    """The owner of what these ops share; without an op it is the project's own code."""
    ops = tuple(sorted(set(names)))
    if not ops:
        return Owner(bucket=GLUE)
    return Owner(bucket=OP if len(ops) == 1 else SHARED, ops=ops)


def _xnnpack_bucket(source: str) -> str:
    """For a micro-kernel its operator and its instruction set: ``micro-kernels f32-gemm, fma3``."""
    folder = source.split("/")[2:-1]
    if not source.startswith("xnnpack/") or not folder or folder[0] in _NO_KERNELS:
        return XNNPACK
    return f"{MICROKERNELS} {folder[0]}, {instruction_set_of(source)}"


def _require_library(path: str) -> None:
    """Checks that a file that is not one of the program's objects belongs to the toolchain."""
    name = _file_name(path)
    if not name.endswith(".o") or name.startswith((*_COMPILER_FILES, *_START_FILES)):
        return
    raise BuildError(
        f"the linker's map names {path}, which is not an object of this program",
        f"remove {cache.located('programs')} and build again",
    )


def _library_bucket(file: str) -> str:
    if file.startswith(_CXX_FILES):
        return CXX_LIBRARY
    return COMPILER_LIBRARY if file.startswith(_COMPILER_FILES) else C_LIBRARY


def _joint_owner(owners: set[Owner]) -> Owner:
    """The owner of what several owners use."""
    buckets = {owner.bucket for owner in owners}
    for bucket in _BEFORE_OPS:
        if bucket in buckets:
            return Owner(bucket=bucket)
    kernels = [bucket for bucket in buckets if bucket.startswith(MICROKERNELS)]
    if kernels:
        return Owner(bucket=kernels[0] if len(buckets) == 1 else XNNPACK)
    return _owner_of_ops(op for owner in owners for op in owner.ops)


def _file_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
