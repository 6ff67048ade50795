"""Users' custom ops: a YAML file → ops in the registry and files in the source tree.

The files of an op are copied into the cache under a digest of their content.  Compilers and containers
therefore see them like any other source, and a file is compiled again only if its content changes.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, field_validator

from litesmith.base import files, whole_folders
from litesmith.base.errors import UsageError
from litesmith.base.yaml_files import Strict, load_yaml
from litesmith.model.analysis import CUSTOM_CODE
from litesmith.runtime.include_closure import IncludeClosure
from litesmith.runtime.op_registry import Op, Registry
from litesmith.runtime.source_tree import LocalSource, SourceTree

_COMPONENT = "custom"
_SOURCES = frozenset({".cc", ".c"})
_HEADERS = frozenset({".h", ".hh", ".hpp", ".hxx", ".inc", ".ipp"})
_UPSTREAM_INCLUDE = re.compile(r'^\s*#\s*include\s+"(tensorflow/lite/[^"]+\.h)"', re.MULTILINE)


class CustomOp(Strict):
    """One op: its name in models, the C++ function that returns its ``TfLiteRegistration*``, its files.

    Paths are relative to the YAML file.  ``versions`` are the lowest and the highest.
    """

    name: str = Field(min_length=1)
    registration: str
    sources: tuple[str, ...] = Field(min_length=1)
    include: tuple[str, ...] = ()
    versions: tuple[int, int] = (1, 1)

    @field_validator("name")
    @classmethod
    def _is_plain(cls, name: str) -> str:
        if not name.isprintable() or {'"', "\\"} & set(name):
            raise ValueError("a name without quotation marks, backslashes and control characters is expected")
        return name

    @field_validator("registration")
    @classmethod
    def _is_a_function(cls, name: str) -> str:
        if not re.fullmatch(r"(?:[A-Za-z_]\w*::)*[A-Za-z_]\w*", name):
            raise ValueError("a C++ function is expected, such as my::Register_OP")
        return name

    @field_validator("versions")
    @classmethod
    def _are_in_order(cls, versions: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= versions[0] <= versions[1]:
            raise ValueError("the lowest and the highest version are expected, such as [1, 2]")
        return versions


class CustomOps(Strict):
    """The content of the YAML file: one or more ops."""

    ops: tuple[CustomOp, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A registry and a source tree that custom ops were added to."""

    registry: Registry
    tree: SourceTree


def extend(path: Path, registry: Registry, tree: SourceTree) -> Extension:
    """Adds the ops of a YAML file to a registry and a source tree.

    Raises:
        UsageError: the file is invalid, a name is already used, or a source is missing.
    """
    described = load_yaml(path, CustomOps).ops
    names = [op.name for op in described]
    for name in names:
        if name in registry.customs or names.count(name) > 1:
            problem = "exists in TensorFlow Lite" if name in registry.customs else "is registered twice"
            raise UsageError(f"{path}: the custom op {name!r} {problem}", "give it another name")
    base = path.resolve().parent
    content = {name: base / name for op in described for name in _files(path, base, op)}
    digest = files.digest_of({name: files.sha256(file) for name, file in sorted(content.items())})[:12]
    local = LocalSource(
        folder=f"{_COMPONENT}-{digest}",
        origin=base,
        include=tuple(dict.fromkeys(folder for op in described for folder in op.include)),
    )
    _copy(content, tree.root / local.folder)
    closure, core = IncludeClosure(tree), frozenset(registry.runtime.core)
    added = {op.name: _registered(op, content, closure, core) for op in described}
    return Extension(
        registry=dataclasses.replace(registry, customs={**registry.customs, **added}),
        tree=dataclasses.replace(tree, local={_COMPONENT: local}),
    )


def _files(path: Path, base: Path, op: CustomOp) -> set[str]:
    """Sources and headers of an op, relative to the YAML file."""
    found: set[str] = set()
    for name in (*op.sources, *op.include):
        place = (base / name).resolve()
        if not place.is_relative_to(base):
            raise UsageError(f"{path}, {op.name}: {name} is outside {base}", "move it into that folder")
        if name in op.sources:
            if not place.is_file():
                raise UsageError(f"{path}, {op.name}: there is no source {place}", "correct 'sources'")
            if place.suffix not in _SOURCES:
                raise UsageError(f"{path}, {op.name}: {name} is not a C++ source", "name .cc or .c files")
            found.add(str(place.relative_to(base)))
        elif not place.is_dir():
            raise UsageError(f"{path}, {op.name}: there is no include folder {place}", "correct 'include'")
        else:
            headers = [file for file in place.rglob("*") if file.suffix in _HEADERS and file.is_file()]
            for header in headers:
                # A link would bring another file into the program, and into the cache.
                if not header.resolve().is_relative_to(base):
                    raise UsageError(
                        f"{path}, {op.name}: {header.relative_to(base)} is a link out of {base}",
                        "copy the header into that folder",
                    )
            found |= {str(header.relative_to(base)) for header in headers}
    return found


def _copy(content: Mapping[str, Path], folder: Path) -> None:
    if whole_folders.is_whole(folder):
        return
    whole_folders.discard(folder)
    with files.staging_folder(folder) as staged:
        for name, file in content.items():
            target = staged / "files" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        whole_folders.publish(staged / "files", folder)


def _registered(
    op: CustomOp, content: Mapping[str, Path], closure: IncludeClosure, core: frozenset[str]
) -> Op:
    """The op with all its sources: its own, and upstream's for the headers that it includes."""
    included = {
        f"tensorflow/{header}"
        for name in op.sources
        for header in _UPSTREAM_INCLUDE.findall(content[name].read_text(errors="replace"))
    }
    known = [header for header in sorted(included) if closure.has(header)]
    own = {f"{_COMPONENT}/{name}" for name in op.sources}
    return Op(
        name=op.name,
        code=CUSTOM_CODE,
        custom=True,
        registration=op.registration,
        versions=op.versions,
        sources=tuple(sorted(own | (closure.sources_of(known) - core))),
    )
