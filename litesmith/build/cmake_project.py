"""Compile units → the files that are needed to build a project by hand: CMake's, and a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litesmith import __version__
from litesmith.base import console, templates
from litesmith.build.compile_units import CompileUnit, compile_units
from litesmith.build.project import Project
from litesmith.runtime.source_tree import SourceTree
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain


def cmake_files(project: Project, profile: Profile, toolchain: Toolchain, tree: SourceTree) -> dict[str, str]:
    """``CMakeLists.txt``, ``README.md``, and the toolchain's own files, by name."""
    flags = toolchain.compile_flags(profile)
    values: dict[str, object] = {
        "version": __version__,
        "name": project.name,
        # In a comment of CMake's, the rest of a name after a line break would be commands.
        "models": [console.one_line(model.path) for model in project.selection.models],
        "target": profile.name,
        "architecture": profile.architecture,
        "compiler": profile.toolchains[toolchain.name].target,
        "toolchain": toolchain.describe(profile),
        "target_flags": (*flags.target, flags.optimisation),
    }
    listed = {
        **values,
        "flags": flags.common,
        "cxx_flags": flags.cxx,
        "link_options": toolchain.driver_link_flags(profile),
        "tensorflow": tree.sources["tensorflow"].folder,
        **_units(compile_units(project, profile, toolchain, tree), tree),
        "embedded": project.embedded is not None,
    }
    described = {
        **values,
        "requirement": toolchain.cmake_requirement(profile),
        "own_sources": project.own_sources,
        "ops": project.selection.ops,
    }
    return {
        "CMakeLists.txt": templates.render("CMakeLists.txt", listed),
        **toolchain.cmake_files(profile, values),
        "README.md": templates.render("README.md", described),
    }


def _units(units: Sequence[CompileUnit], tree: SourceTree) -> dict[str, object]:
    """Template values for the settings that all units share, and for those of single units."""
    paths = {
        unit.source: unit.source if unit.own else f"${{SOURCES}}/{tree.locate(unit.source)}" for unit in units
    }
    defines = {paths[unit.source]: dict.fromkeys(unit.defines) for unit in units}
    shared = [define for define in next(iter(defines.values())) if all(define in d for d in defines.values())]
    own_defines = {
        path: tuple(define for define in given if define not in shared) for path, given in defines.items()
    }
    return {
        "sources": list(paths.values()),
        "include_folders": list(dict.fromkeys(folder for unit in units for folder in unit.include)),
        "prefixes": list(dict.fromkeys(folder for unit in units for folder in unit.prefixes)),
        "defines": shared,
        "source_defines": _files_by_setting(own_defines),
        "source_flags": _files_by_setting({paths[unit.source]: unit.flags for unit in units}),
    }


def _files_by_setting(settings: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """The files that share a setting, by the setting; files without one are left out."""
    found: dict[tuple[str, ...], list[str]] = {}
    for path, setting in settings.items():
        if setting:
            found.setdefault(setting, []).append(path)
    return found
