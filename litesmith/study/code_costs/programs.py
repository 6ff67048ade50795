"""The programs of a measurement of costs: how they are built, and the bytes of their symbols."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from litesmith.base import paths
from litesmith.build.builder import Binary
from litesmith.build.cache import located
from litesmith.build.project import Project, ProjectOptions
from litesmith.measure.size import elf
from litesmith.measure.size.anatomy import DELEGATE, HEADERS
from litesmith.measure.size.measurement import anatomise
from litesmith.model.analysis import UNKNOWN_ROW, DepthwiseRow
from litesmith.model.zoo import MODELS
from litesmith.predict.code_size.builtin_costs import Rows
from litesmith.runtime.engines.interpreter import glue
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import patched_sources
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain

DEPTHWISE_ROWS: Mapping[Rows, tuple[DepthwiseRow, ...]] = {
    "": (),
    # The kernel that most models use, whatever their number of channels.
    "usual": (DepthwiseRow(stride_width=1, input_depth=24, multiplier=1),),
    "all": (UNKNOWN_ROW,),
}
"""The kernels for rows of depthwise convolutions that are measured."""

Symbols = Mapping[str, int]
"""Bytes by symbol."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What all programs of one measurement are built with."""

    profile: Profile
    toolchain: Toolchain
    tree: SourceTree
    registry: Registry

    def project(self, chosen: Selection, delegated_ops: DelegatedOps | None = None) -> Project:
        """The project of a selection.

        Its table of ops lists all dtypes and versions of each op.  It has the same size with fewer, and
        programs that are otherwise equal are linked once.
        """
        project = Project.of(
            chosen,
            ProjectOptions(name="program", delegated_ops=delegated_ops),
            profile=self.profile,
            tree=self.tree,
            runtime=self.registry.runtime,
        )
        known = self.registry.by_name()
        ops = tuple(
            dataclasses.replace(op, dtypes=known[op.name].dtypes, versions=known[op.name].versions)
            for op in project.selection.ops
        )
        whole = dataclasses.replace(project.selection, ops=ops)
        # All other files are already made for the dtypes of the selection.
        table = glue.files_of_selection(whole, embedded_size=0, xnnpack=None)
        return dataclasses.replace(project, selection=whole, files={**project.files, **table})

    @property
    def made_with(self) -> str:
        """Target, toolchain and linkage in one line."""
        linkage = self.profile.toolchains[self.toolchain.name].linkage
        version = self.toolchain.version(self.profile)
        return f"{self.profile.name}, {self.toolchain.name} {version}, {linkage}"


def selection_of(*chosen: SelectedOp, sparse: bool = False) -> Selection:
    """A selection of ops that comes from no model."""
    return Selection(models=(), ops=chosen, sparse=sparse)


def real_models() -> list[str]:
    """Names of the zoo's models and paths of the examples."""
    examples = sorted(str(path) for path in paths.data_folder("examples").glob("*.tflite"))
    return [*(f"zoo:{name}" for name in MODELS), *examples]


def symbols(project: Project, binary: Binary) -> tuple[Symbols, int]:
    """A program's bytes by symbol, and the bytes of its code."""
    found: Counter[str] = Counter()
    for part in anatomise(project, binary).parts:
        if part.loaded and part.owner.bucket != HEADERS:
            # Without a symbol, bytes are known by where they are: strings of an op, a table of a file.
            found[part.symbol or f"{part.name} {part.source or part.owner.label}"] += part.size
    if project.xnnpack is not None:
        # The delegate's error messages: each op has its own, and some have the same.
        for text in _texts(binary, patched_sources.DELEGATE):
            found[f"text {text!r}"] = len(text) + 1
            found[f"strings {DELEGATE}"] -= len(text) + 1
    return found, elf.program_size(binary.program).code


def _texts(binary: Binary, source: str) -> set[bytes]:
    """The strings in the object of one of the project's own files."""
    objects = (elf.Elf.read(located(path)) for path, name in binary.objects.items() if name == source)
    return {
        text
        for one in objects
        for section in one.sections()
        if section.strings and section.allocated
        for text in one.content(section).split(b"\0")
        if text
    }
