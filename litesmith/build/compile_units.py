"""Project + profile + toolchain → :class:`CompileUnit`: one description of everything that is compiled.

The builder compiles the units, and :mod:`.cmake_project` writes them as a CMake project.
"""

from __future__ import annotations

from dataclasses import dataclass

from litesmith.build.project import Project
from litesmith.runtime.source_tree import SourceTree
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain


@dataclass(frozen=True, kw_only=True)
class CompileUnit:
    """One file that is compiled.

    ``source`` is a ``component/path``, or the name of one of the project's own files (``own``).  ``common``
    has the flags of all files in its language, ``flags`` those of this file, which come after them;
    ``defines`` have the form ``NAME`` or ``NAME=VALUE``.  Folders are relative to the source tree:
    ``include`` lists those to search for headers, ``prefixes`` those whose names must not be in the object.
    ``group`` is the group of components whose headers the file can include.
    """

    source: str
    own: bool
    group: str
    common: tuple[str, ...]
    flags: tuple[str, ...]
    defines: tuple[str, ...]
    include: tuple[str, ...]
    prefixes: tuple[str, ...]


def compile_units(
    project: Project, profile: Profile, toolchain: Toolchain, tree: SourceTree
) -> tuple[CompileUnit, ...]:
    """Everything that is compiled for a project, in link order."""
    flags = toolchain.compile_flags(profile)
    own = (
        CompileUnit(
            source=name,
            own=True,
            group=project.group,
            common=flags.for_language(name),
            flags=(*flags.for_source(name), *project.own_flags(name)),
            defines=(*project.defines, *project.own_defines(name)),
            include=tree.include_folders(project.group),
            prefixes=tree.prefixes(project.group),
        )
        for name in project.own_sources
    )
    upstream = (
        CompileUnit(
            source=source,
            own=False,
            group=tree.group_of(source),
            common=flags.for_language(source),
            flags=(*flags.for_source(source), *project.source_flags(source, flags.extensions)),
            defines=(*project.defines, *project.source_defines(source)),
            include=tree.include_folders_of(source),
            prefixes=tree.prefixes_of(source),
        )
        for source in project.sources
    )
    return (*own, *upstream)
