"""What every toolchain promises: :class:`Toolchain`.

To add one: write a class with these methods in a module of this package, add it to ``registry.py``, its
name to ``ToolchainName`` of ``litesmith/target/profiles.py``, and its settings to the profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Protocol

from litesmith.target.profiles import Profile, ToolchainName

CxxLibrary = Literal["libc++", "libstdc++"]


@dataclass(frozen=True, kw_only=True)
class CompileFlags:
    """Flags of one toolchain for one profile.

    ``target`` selects the CPU, ``common`` go to every file, ``cxx`` to C++ files only,
    ``by_source`` maps patterns of source names to flags that come last.  ``extensions`` maps instruction
    sets, as the names of XNNPACK's files have them (``neondot``), to flags that allow them beyond the CPU.
    """

    target: tuple[str, ...]
    common: tuple[str, ...]
    cxx: tuple[str, ...]
    by_source: Mapping[str, tuple[str, ...]]
    extensions: Mapping[str, tuple[str, ...]]

    @property
    def optimisation(self) -> str:
        """The optimisation level, ``-Os`` for example."""
        return [flag for flag in self.common if flag.startswith("-O")][-1]

    def for_source(self, source: str) -> tuple[str, ...]:
        """Extra flags for one ``component/path``."""
        return tuple(
            flag
            for pattern, flags in self.by_source.items()
            if fnmatchcase(source, pattern)
            for flag in flags
        )

    def for_language(self, source: str) -> tuple[str, ...]:
        """The flags that all files in the language of a source file have."""
        language = self.cxx if source.endswith(".cc") else ()
        return (*self.target, *self.common, *language)


@dataclass(frozen=True, kw_only=True)
class License:
    """The licence of something that is linked into a program, and its text."""

    component: str
    spdx: str
    text: str


class Toolchain(Protocol):
    """A compiler and linker for the targets of profiles."""

    @property
    def name(self) -> ToolchainName:
        """Its name in profiles."""

    @property
    def family(self) -> str:
        """The compiler, wherever it runs: toolchains of one family make the same programs."""

    @property
    def cxx_library(self) -> CxxLibrary:
        """The C++ library that programs are linked with."""

    def version(self, profile: Profile) -> str:
        """Version of the compiler for a profile.

        Raises:
            ToolError: the compiler is not installed.
        """

    def describe(self, profile: Profile) -> dict[str, Any]:
        """The compiler in ``manifest.json``: name, version, linkage and more."""

    def compile_flags(self, profile: Profile) -> CompileFlags:
        """Flags for a profile."""

    def identity(self, profile: Profile) -> str:
        """What compiled code depends on beside flags; part of every cache key."""

    def session(self, readable: Sequence[Path], writable: Path) -> AbstractContextManager[None]:
        """A context in which commands run; they read the folders ``readable`` and write into ``writable``."""

    def prepare(self, profile: Profile) -> None:
        """Builds what linking needs (the C++ library of the target); slow the first time."""

    def compile(
        self, profile: Profile, source: str, flags: Sequence[str], output: Path, folder: Path
    ) -> None:
        """Compiles ``source``, relative to ``folder``.

        Raises:
            BuildError: the compiler refused; the message has its first error.
        """

    def link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags of the link step, for the manifest and for cache keys."""

    def driver_link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags that make the compiler link by itself, stripped, for builds by hand."""

    def link(
        self,
        profile: Profile,
        objects: Sequence[Path],
        output: Path,
        *,
        strip: bool,
        map_file: Path | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """Links a program; ``aliases`` gives symbols the address of others.

        Raises:
            BuildError: the linker refused; the message has its first error.
        """

    def cmake_files(self, profile: Profile, values: Mapping[str, object]) -> dict[str, str]:
        """``toolchain.cmake``, which makes CMake use this compiler, and the files that it calls.

        ``values`` are those that all templates of ``templates/project`` know.
        """

    def cmake_requirement(self, profile: Profile) -> str:
        """What a build by hand needs, as the end of a sentence that lists requirements."""

    def sysroot(self, profile: Profile, digest: str | None = None) -> Path | None:
        """Loader and shared libraries that programs of the profile need to run; None for static ones.

        ``digest`` is the ``sha256`` of :meth:`describe` when the program was linked.

        Raises:
            ToolError: another compiler linked it, whose libraries were not kept.
        """

    def licenses(self, profile: Profile) -> tuple[License, ...]:
        """Licences of the libraries that the toolchain puts into a program."""
