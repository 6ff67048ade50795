"""Selection + profile + toolchain → :class:`Project`: the glue and build files from ``templates/``."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from litesmith import __version__, paths
from litesmith.ops import Runtime
from litesmith.profiles import Profile
from litesmith.selection import Selection
from litesmith.sources import SourceTree
from litesmith.toolchains import OWN_SOURCE_FLAGS, Toolchain

if TYPE_CHECKING:
    from jinja2 import Environment

OWN_SOURCES = (
    "registration.cc",
    "selected_ops.cc",
    "main.cc",
    "model_check.cc",
    "cpuinfo.cc",
    "apply_multiplier.cc",
    "libc_replacements.cc",
)
"""The C++ files of a project, in the order in which they are compiled and linked."""

REGISTRATION = "registration.cc"
REGISTRATION_SYMBOL = "_Z19RegisterSelectedOpsPN6tflite17MutableOpResolverE"
"""The file that defines ``RegisterSelectedOps``, and that function's symbol (Itanium C++ ABI)."""

MODEL_FILE = "model.tflite"
"""Name of an embedded model inside of the project."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A generated project: its files, and the upstream sources that go with them.

    ``files`` maps names to content.  ``sources`` are ``component/path`` names in link order.
    ``embedded`` is the model that goes into the binary, if any.
    """

    name: str
    selection: Selection
    files: Mapping[str, str]
    sources: tuple[str, ...]
    defines: tuple[str, ...]
    embedded: Path | None

    def without(self, op: str) -> Project:
        """The same project less one op: what it is compared with to find the op's cost."""
        smaller = self.selection.without(op)
        needed = {source for kept in smaller.ops for source in kept.sources}
        dropped = {source for old in self.selection.ops for source in old.sources} - needed
        size = self.embedded.stat().st_size if self.embedded else 0
        return dataclasses.replace(
            self,
            selection=smaller,
            files={**self.files, **registration_files(smaller, size)},
            sources=tuple(source for source in self.sources if source not in dropped),
        )

    def write(self, folder: Path) -> None:
        """Writes the project into an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_text(content, encoding="utf-8")
            if content.startswith("#!"):
                (folder / name).chmod(0o755)
        if self.embedded is not None:
            shutil.copyfile(self.embedded, folder / MODEL_FILE)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(paths.data_folder("templates") / "project"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # C++ and CMake, not HTML; what comes from models is checked where it enters.
        autoescape=False,  # noqa: S701
    )


def upstream_sources(selection: Selection, runtime: Runtime) -> tuple[str, ...]:
    """All upstream files of the program: the ops' own, the core, and ruy."""
    ops = {source for op in selection.ops for source in op.sources}
    return (*sorted(ops), *runtime.core, *runtime.ruy)


def _c_string(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def registration_files(selection: Selection, embedded_size: int) -> dict[str, str]:
    """The two files that depend on the selection: the registration and the table of ops.

    They name no model, so that programs for models of the same ops are the same program.
    """
    values = {
        "version": __version__,
        "namespaces": _namespaces(selection),
        "ops": selection.ops,
        "embedded": embedded_size,
    }
    render = _environment().get_template
    return {
        "registration.cc": render("registration.cc.j2").render(values),
        "selected_ops.cc": render("selected_ops.cc.j2").render(values),
    }


def _namespaces(selection: Selection) -> dict[str, list[str]]:
    """Registration functions by their C++ namespace."""
    found: dict[str, set[str]] = {}
    for op in selection.ops:
        namespace, _, function = op.registration.rpartition("::")
        found.setdefault(namespace, set()).add(function)
    return {namespace: sorted(functions) for namespace, functions in sorted(found.items())}


def registration_variants(selection: Selection) -> tuple[str, dict[str, str]]:
    """One C++ file that registers all ops but one, for each op: text, and function by op.

    One file, because nearly all of the time goes into the headers.
    """
    functions = {op.name: f"RegisterSelectedOpsWithout{n}" for n, op in enumerate(selection.ops)}
    variants = [
        {"function": function, "ops": selection.without(name).ops} for name, function in functions.items()
    ]
    template = _environment().get_template("registration_variants.cc.j2")
    text = template.render(version=__version__, namespaces=_namespaces(selection), variants=variants)
    return text, functions


def runtime_files() -> dict[str, str]:
    """The C++ files that are the same in every project."""
    folder = paths.data_folder("templates") / "runtime"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def generate(
    name: str,
    selection: Selection,
    profile: Profile,
    toolchain: Toolchain,
    tree: SourceTree,
    runtime: Runtime,
    embedded: Path | None = None,
) -> Project:
    """Renders the project of a selection."""
    sources = upstream_sources(selection, runtime)
    flags = toolchain.compile_flags(profile)
    values = {
        "version": __version__,
        "name": name,
        "models": [_c_string(model.path) for model in selection.models],
        "target": profile.name,
        "architecture": profile.architecture,
        "ops": selection.ops,
        "embedded": embedded is not None,
        "own_sources": OWN_SOURCES,
        "own_source_flags": OWN_SOURCE_FLAGS,
        "sources": [tree.locate(source) for source in sources],
        "source_folders": {n: s.folder for n, s in tree.sources.items()},
        "include_folders": tree.include_folders(),
        "defines": runtime.defines,
        "flags": flags.common,
        "cxx_flags": flags.cxx,
        "target_flags": (*flags.target, flags.optimisation),
        "optimisation": flags.optimisation,
        "source_flags": {
            tree.locate(source): extra for source in sources if (extra := flags.for_source(source))
        },
        "toolchain": toolchain.describe(profile),
        "compiler": profile.toolchains[toolchain.name].target,
        "link_options": toolchain.driver_link_flags(profile),
    }
    render = _environment().get_template
    files = {
        **runtime_files(),
        **registration_files(selection, embedded.stat().st_size if embedded else 0),
        "CMakeLists.txt": render("CMakeLists.txt.j2").render(values),
        "toolchain.cmake": render(f"toolchain.{toolchain.name}.cmake.j2").render(values),
        "README.md": render("README.md.j2").render(values),
    }
    if toolchain.name == "docker":
        files["in-container"] = render("in-container.j2").render(values)
    return Project(
        name=name,
        selection=selection,
        files=files,
        sources=sources,
        defines=runtime.defines,
        embedded=embedded,
    )
