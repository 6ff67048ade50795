"""Compilers behind one Protocol; the registry of toolchains is an explicit dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from litesmith.errors import UsageError
from litesmith.profiles import Profile
from litesmith.validation import nearest

OWN_SOURCE_FLAGS: Mapping[str, tuple[str, ...]] = {
    # Else the compiler recognises the loop of memcpy and calls memcpy.
    "libc_replacements.cc": ("-fno-builtin",),
}
"""Flags that single files of ours need, on every toolchain."""


@dataclass(frozen=True, kw_only=True)
class CompileFlags:
    """Flags of one toolchain for one profile.

    ``target`` selects the CPU, ``common`` go to every file, ``cxx`` to C++ files only,
    ``by_source`` maps patterns of source names to flags that come last.
    """

    target: tuple[str, ...]
    common: tuple[str, ...]
    cxx: tuple[str, ...]
    by_source: Mapping[str, tuple[str, ...]]

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

    def for_file(self, source: str) -> tuple[str, ...]:
        """All flags for one source file, in order."""
        language = self.cxx if source.endswith(".cc") else ()
        return (*self.target, *self.common, *language, *self.for_source(source))


@dataclass(frozen=True, kw_only=True)
class License:
    """Under which licence something in the program stands, and where its text is."""

    component: str
    spdx: str
    text: Path


class Toolchain(Protocol):
    """What the rest of litesmith asks of a compiler."""

    @property
    def name(self) -> str:
        """``zig``, …"""

    @property
    def version(self) -> str:
        """Version of the compiler, part of every cache key."""

    def compile_flags(self, profile: Profile) -> CompileFlags:
        """Flags for a profile."""

    def identity(self, profile: Profile) -> str:
        """Everything but flags that compiled code depends on; part of every cache key."""

    def prepare(self, profile: Profile) -> None:
        """Makes what linking needs (the C++ library of the target); slow the first time."""

    def compile(self, source: str, flags: Sequence[str], output: Path, folder: Path) -> None:
        """Compiles ``source``, relative to ``folder``.

        Raises:
            BuildError: the compiler refused; the message has its first error.
        """

    def link_flags(self, profile: Profile) -> tuple[str, ...]:
        """Flags of the link step, for the manifest and for cache keys."""

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

    def licenses(self) -> tuple[License, ...]:
        """Licences of the libraries that the toolchain puts into a static program."""


def load(name: str | None, profile: Profile) -> Toolchain:
    """The toolchain of that name, the profile's first when None.

    Raises:
        UsageError: unknown, or not one that the profile can use.
        ToolError: the toolchain is not installed.
    """
    from litesmith.toolchains.zig import Zig

    known = {"zig": Zig}
    name = name or profile.default_toolchain
    if name not in known:
        advice = nearest(name, list(known)) or f"known toolchains: {', '.join(known)}"
        raise UsageError(f"unknown toolchain {name!r}", advice)
    if name not in profile.toolchains:
        raise UsageError(
            f"the profile {profile.name} has no toolchain {name!r}",
            f"it has {', '.join(profile.toolchains)}",
        )
    return known[name]()
