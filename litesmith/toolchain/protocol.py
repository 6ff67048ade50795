"""The interface of all toolchains: :class:`Toolchain`.

To add one, write a class with these methods in a module of this package, and the template
``templates/project/toolchain.NAME.cmake.j2`` for :meth:`Toolchain.cmake_files`.  Add the class to
``registry.py``; its name to ``ToolchainName`` in ``litesmith/target/profiles.py``, where validators check its
settings; its settings to the profiles; and its name to the help of ``--toolchain`` in
``litesmith/cli/options.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from litesmith.target.profiles import Profile, ToolchainName


@dataclass(frozen=True, kw_only=True)
class CompileFlags:
    """Flags of one toolchain for one profile.

    ``target`` selects the CPU, ``common`` is for every file, ``cxx`` is for C++ files only.
    ``by_source`` maps patterns of source names to flags that come last.  ``extensions`` maps instruction
    sets, named as in XNNPACK's file names (``neondot``), to flags that allow them in addition to the CPU's.
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
        """The flags that all files in the language of ``source`` get."""
        language = self.cxx if source.endswith(".cc") else ()
        return (*self.target, *self.common, *language)


@dataclass(frozen=True, kw_only=True)
class License:
    """The licence of a component that is linked into a program, with its text."""

    component: str
    spdx: str
    text: str


class Toolchain(Protocol):
    """A compiler and linker for the targets of profiles."""

    @property
    def name(self) -> ToolchainName:
        """The toolchain's name in profiles."""

    @property
    def family(self) -> str:
        """The kind of compiler; toolchains of one family make the same programs, wherever they run."""

    def version(self, profile: Profile) -> str:
        """Version of the compiler for a profile.

        Raises:
            ToolError: the compiler is not installed.
        """

    def describe(self, profile: Profile) -> dict[str, Any]:
        """The toolchain in ``manifest.json``: at least ``name``, ``version`` and ``linkage``."""

    def compile_flags(self, profile: Profile) -> CompileFlags:
        """Flags for a profile."""

    def identity(self, profile: Profile) -> str:
        """A text for everything, except flags, that compiled code depends on; part of every cache key."""

    def session(self, readable: Sequence[Path], writable: Path) -> AbstractContextManager[None]:
        """A context for commands that read the folders ``readable`` and write into ``writable``."""

    def prepare(self, profile: Profile) -> None:
        """Builds the libraries that linking needs (the target's C++ library); slow the first time."""

    def compile(
        self, profile: Profile, source: str, flags: Sequence[str], output: Path, folder: Path
    ) -> None:
        """Compiles ``source``, relative to ``folder``.

        Raises:
            BuildError: the compiler failed; the message has its first error.
        """

    def precompile(
        self, profile: Profile, header: Path, flags: Sequence[str], folder: Path
    ) -> tuple[str, ...]:
        """Compiles a C++ header ahead, in ``folder``; the result is put next to the header.

        Returns the flags with which a file includes it.  They come before all others, and the file is
        compiled with the same flags.

        Raises:
            BuildError: the compiler failed; the message has its first error.
        """

    def link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags of the link step, for the manifest and for cache keys."""

    def driver_link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags with which the compiler itself links and strips a program, for builds by hand."""

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
        """Links a program; ``aliases`` maps symbols to those whose addresses they get.

        Raises:
            BuildError: the linker failed; the message has its first error.
        """

    def cmake_files(self, profile: Profile, values: Mapping[str, object]) -> dict[str, str]:
        """``toolchain.cmake``, which makes CMake use this compiler, and the scripts that it calls.

        ``values`` are common to all templates in ``templates/project``.
        """

    def cmake_requirement(self, profile: Profile) -> str:
        """The requirements of a build by hand, as the end of a sentence in the project's README."""

    def sysroot(self, profile: Profile, digest: str | None = None) -> Path | None:
        """A folder with the loader and shared libraries for programs of the profile; None for static ones.

        ``digest`` is the ``sha256`` that :meth:`describe` returned when the program was linked.

        Raises:
            ToolError: the program was linked with another compiler, whose libraries were not kept.
        """

    def licenses(self, profile: Profile) -> tuple[License, ...]:
        """Licences of the code that the toolchain adds to a program."""
