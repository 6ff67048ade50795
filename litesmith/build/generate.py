"""Selection + profile + toolchain → :class:`Project`: the glue and build files from ``templates/``."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from litesmith import __version__
from litesmith.base import paths
from litesmith.model.options_schema import SWITCH
from litesmith.runtime.op_registry import Runtime
from litesmith.runtime.pins import XNNPACK
from litesmith.runtime.pruning import NOTHING, Pruning, prune, watched
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import substitutes as xnnpack_runtime
from litesmith.runtime.xnnpack.program import HARDWARE, Delegates, XnnProgram
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import OWN_SOURCE_FLAGS, Toolchain

if TYPE_CHECKING:
    from jinja2 import Environment

OWN_SOURCES = (
    "registration.cc",
    "selected_ops.cc",
    "main.cc",
    "model_check.cc",
    "flatbuffer_check.cc",
    "op_options.cc",
    "cpuinfo.cc",
    "apply_multiplier.cc",
    "libc_replacements.cc",
)
"""The C++ files of a project, in the order in which they are compiled and linked."""

REGISTRATION = "registration.cc"
REGISTRATION_SYMBOL = "_Z19RegisterSelectedOpsPN6tflite17MutableOpResolverE"
"""The file that defines ``RegisterSelectedOps``, and that function's symbol (Itanium C++ ABI)."""

_MODEL_CHECKS = frozenset({"model_check.cc", "flatbuffer_check.cc"})
_NO_MODEL_CHECK = "LITESMITH_NO_MODEL_CHECK"

SELECTED_OPS = "selected_ops.cc"
"""The file that says what the program was built for."""

MODEL_FILE = "model.tflite"
"""Name of an embedded model inside of the project."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A generated project: its files, and the upstream sources that go with them.

    ``files`` maps names to content.  ``sources`` are ``component/path`` names in link order.
    ``embedded`` is the model that goes into the binary, if any.  ``pruning`` says what the files
    are compiled without, ``xnnpack`` what is in it for nodes that XNNPACK runs.
    """

    name: str
    selection: Selection
    files: Mapping[str, str]
    sources: tuple[str, ...]
    runtime: Runtime
    embedded: Path | None
    model_check: bool
    pruning: Pruning
    xnnpack: XnnProgram | None = None

    @property
    def defines(self) -> tuple[str, ...]:
        """Defines of all files, pruned or not."""
        return self.runtime.defines

    @property
    def own_sources(self) -> tuple[str, ...]:
        """Our C++ files that are compiled, in link order."""
        ours = tuple(name for name in OWN_SOURCES if self.model_check or name not in _MODEL_CHECKS)
        return ours + (self.xnnpack.own_sources() if self.xnnpack else ())

    @property
    def group(self) -> str:
        """The group of components that our files see."""
        return XNNPACK if self.xnnpack else ""

    @property
    def own_defines(self) -> tuple[str, ...]:
        """Defines for our own files, on top of those of the runtime."""
        check = () if self.model_check else (_NO_MODEL_CHECK,)
        xnnpack = self.xnnpack.own_defines() if self.xnnpack else ()
        return (*self.pruning.everywhere, *self.pruning.own, *check, *xnnpack)

    def defines_of(self, name: str) -> tuple[str, ...]:
        """Those of them that one file of ours depends on."""
        if self.xnnpack and name in self.xnnpack.own_sources():
            return (*self.pruning.everywhere, *self.xnnpack.defines)
        return self.own_defines

    def source_defines(self, source: str) -> tuple[str, ...]:
        """Defines of one upstream file, on top of those of the runtime."""
        pruned = (*self.pruning.everywhere, *self.pruning.by_source.get(source, ()))
        return (*pruned, *(self.xnnpack.source_defines(source) if self.xnnpack else ()))

    def own_flags(self, name: str) -> tuple[str, ...]:
        """Flags of one file of ours, on every toolchain: those that it needs, and of what it stands for."""
        original = xnnpack_runtime.ORIGINALS.get(name, "")
        own = self.xnnpack.file_flags(name) if self.xnnpack else ()
        defines = (f"-D{define}" for define in self.pruning.by_source.get(original, ()))
        return (*OWN_SOURCE_FLAGS.get(name, ()), *defines, *own)

    def source_flags(self, source: str, toolchain: str) -> tuple[str, ...]:
        """Flags of one upstream file beyond those of the profile."""
        return self.xnnpack.source_flags(source, toolchain) if self.xnnpack else ()

    def unchecked(self) -> Project:
        """The same project without the check of the model before it is loaded."""
        return dataclasses.replace(self, model_check=False)

    def reduced(self, smaller: Selection) -> Project:
        """The same project for fewer of its ops, all but the registration.

        It is linked with a function of :func:`registration_variants` in the registration's place.
        What all files are compiled with stays: else nothing of the whole project could be used.
        """
        size = self.embedded.stat().st_size if self.embedded else 0
        xnnpack = self.xnnpack.for_ops(smaller) if self.xnnpack else None
        return dataclasses.replace(
            self,
            selection=smaller,
            files={
                **self.files,
                SELECTED_OPS: _selected_ops(smaller, size),
                **(_xnnpack_files(xnnpack) if xnnpack else {}),
            },
            sources=upstream_sources(smaller, self.runtime, xnnpack),
            pruning=self._pruning_of(smaller),
            xnnpack=xnnpack,
        )

    def _pruning_of(self, smaller: Selection) -> Pruning:
        if self.pruning is NOTHING:
            return NOTHING
        return dataclasses.replace(prune(smaller, self.runtime), everywhere=self.pruning.everywhere)

    def bare(self) -> Project:
        """The same project with no op at all: what the runtime alone weighs."""
        return self.reduced(self.selection.none())

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


def upstream_sources(
    selection: Selection, runtime: Runtime, xnnpack: XnnProgram | None = None
) -> tuple[str, ...]:
    """All upstream files of the program: the ops' own, the core, ruy, and those of XNNPACK."""
    ops = {source for op in selection.ops for source in op.sources}
    listed = (*sorted(ops), *runtime.core, *runtime.ruy)
    if xnnpack is None:
        return listed
    replaced = set(xnnpack_runtime.ORIGINALS.values())
    return tuple(dict.fromkeys(s for s in (*listed, *xnnpack.sources) if s not in replaced))


def _xnnpack_files(program: XnnProgram) -> dict[str, str]:
    """All files of ours that XNNPACK brings."""
    values = {"version": __version__, **program.template_values()}
    render = _environment().get_template
    return {
        **runtime_files("xnnpack"),
        **program.files(),
        HARDWARE: render(f"{HARDWARE}.j2").render(values),
    }


def _c_string(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _registration(selection: Selection) -> str:
    """``RegisterSelectedOps``.  It names no model: models of the same ops share a program."""
    values = {"version": __version__, "namespaces": _namespaces(selection.ops), "ops": selection.ops}
    return _environment().get_template("registration.cc.j2").render(values)


def _selected_ops(selection: Selection, embedded_size: int) -> str:
    """The table of what the program was built for."""
    readers = {op.options.reader for op in selection.ops if op.options}
    values = {
        "version": __version__,
        "ops": selection.ops,
        "readers": sorted(readers - {SWITCH}),
        "switched": SWITCH in readers,
        "sparse": selection.sparse,
        "embedded": embedded_size,
    }
    return _environment().get_template("selected_ops.cc.j2").render(values)


def _namespaces(ops: Iterable[SelectedOp]) -> dict[str, list[str]]:
    """Registration functions by their C++ namespace."""
    found: dict[str, set[str]] = {}
    for op in ops:
        namespace, _, function = op.registration.rpartition("::")
        found.setdefault(namespace, set()).add(function)
    return {namespace: sorted(functions) for namespace, functions in sorted(found.items())}


def registration_variants(selections: Mapping[str, Selection]) -> tuple[str, dict[str, str]]:
    """One C++ file with a registration for each selection: text, and function by name.

    One file, because nearly all of the time goes into the headers.
    """
    functions = {name: f"RegisterVariant{number}" for number, name in enumerate(selections)}
    variants = [{"function": functions[name], "ops": smaller.ops} for name, smaller in selections.items()]
    ops = (op for smaller in selections.values() for op in smaller.ops)
    template = _environment().get_template("registration_variants.cc.j2")
    text = template.render(version=__version__, namespaces=_namespaces(ops), variants=variants)
    return text, functions


def runtime_files(folder_name: str = "runtime") -> dict[str, str]:
    """The C++ files of a folder of ``templates``: by default those of every project."""
    folder = paths.data_folder("templates") / folder_name
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def generate(
    name: str,
    selection: Selection,
    profile: Profile,
    toolchain: Toolchain,
    tree: SourceTree,
    runtime: Runtime,
    embedded: Path | None = None,
    *,
    pruned: bool = True,
    profiling: bool = False,
    delegates: Delegates | None = None,
) -> Project:
    """Renders the project of a selection; without ``pruned`` the stock selective program.

    With ``profiling`` the program has ``--warm-up``, and tells the time of each node.  ``delegates`` are
    the nodes that XNNPACK runs.
    """
    xnnpack = None
    if delegates is not None:
        selection = delegates.without_kernels(selection)
        xnnpack = XnnProgram.of(delegates, selection, profile, tree)
    pruning = prune(selection, runtime) if pruned else NOTHING
    if profiling:
        pruning = watched(pruning)
    sources = upstream_sources(selection, runtime, xnnpack)
    project = Project(
        name=name,
        selection=selection,
        files={},
        sources=sources,
        runtime=runtime,
        embedded=embedded,
        model_check=profile.model_check,
        pruning=pruning,
        xnnpack=xnnpack,
    )
    flags = toolchain.compile_flags(profile)
    values = {
        "version": __version__,
        "name": name,
        "models": [_c_string(model.path) for model in selection.models],
        "target": profile.name,
        "architecture": profile.architecture,
        "ops": selection.ops,
        "embedded": embedded is not None,
        "own_sources": project.own_sources,
        "own_source_flags": {
            source: own
            for source in project.own_sources
            if (own := (*project.own_flags(source), *flags.for_source(source)))
        },
        "sources": [tree.locate(source) for source in sources],
        "source_folders": {
            **{n: s.folder for n, s in tree.sources.items()},
            **{n: s.folder for n, s in tree.local.items()},
        },
        "include_folders": (*tree.include_folders(project.group), *tree.local_include_folders()),
        "defines": (*runtime.defines, *project.own_defines),
        "source_defines": {
            tree.locate(source): made for source in sources if (made := pruning.by_source.get(source))
        },
        "flags": flags.common,
        "cxx_flags": flags.cxx,
        "target_flags": (*flags.target, flags.optimisation),
        "optimisation": flags.optimisation,
        "source_flags": {
            tree.locate(source): extra
            for source in sources
            if (extra := (*flags.for_source(source), *project.source_flags(source, toolchain.name)))
        },
        "toolchain": toolchain.describe(profile),
        "compiler": profile.toolchains[toolchain.name].target,
        "link_options": toolchain.driver_link_flags(profile),
    }
    render = _environment().get_template
    files = {
        **runtime_files(),
        **(runtime_files("profiling") if profiling else {}),
        **(_xnnpack_files(xnnpack) if xnnpack else {}),
        REGISTRATION: _registration(selection),
        SELECTED_OPS: _selected_ops(selection, embedded.stat().st_size if embedded else 0),
        "CMakeLists.txt": render("CMakeLists.txt.j2").render(values),
        "toolchain.cmake": render(f"toolchain.{toolchain.name}.cmake.j2").render(values),
        "README.md": render("README.md.j2").render(values),
    }
    if toolchain.name == "docker":
        files["in-container"] = render("in-container.j2").render(values)
    return dataclasses.replace(project, files=files)
