"""The files that XNNPACK adds to a project, and their defines and flags."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from litesmith.runtime.pins import XNNPACK
from litesmith.runtime.selection import Selection
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import library, patched_sources, wrappers
from litesmith.runtime.xnnpack.defines import FLAGS, defines
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.library import XnnpackLibrary
from litesmith.runtime.xnnpack.required import joined
from litesmith.target import instruction_sets
from litesmith.target.profiles import Profile

HARDWARE = "xnnpack_hardware.c"
"""The file that detects the CPU's instruction sets, from a template of ``templates/project``."""


@dataclass(frozen=True, kw_only=True)
class XnnpackFiles:
    """The files that XNNPACK adds to a project.

    ``codes`` are the builtin operators (``BuiltinOperator``) of which the delegate takes nodes.
    """

    delegated_ops: DelegatedOps
    library: XnnpackLibrary
    profile: Profile
    tree: SourceTree
    codes: tuple[int, ...]

    @classmethod
    def of(
        cls, delegated_ops: DelegatedOps, chosen: Selection, profile: Profile, tree: SourceTree
    ) -> XnnpackFiles | None:
        """The files for the ops of a selection; None where XNNPACK runs none of them."""
        delegated = [op for op in chosen.ops if op.name in delegated_ops.requirements and not op.custom]
        if not delegated:
            return None
        required = joined(one for op in delegated for one in delegated_ops.requirements[op.name])
        return cls(
            delegated_ops=delegated_ops,
            library=library.select(required, profile.architecture, profile.instruction_sets),
            profile=profile,
            tree=tree,
            codes=tuple(op.code for op in delegated),
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The upstream files that are compiled as they are, as ``component/path``."""
        return (*self.library.sources, *patched_sources.BESIDE)

    def for_ops(self, chosen: Selection) -> XnnpackFiles | None:
        """The same for a selection of fewer ops."""
        return XnnpackFiles.of(self.delegated_ops, chosen, self.profile, self.tree)

    def own_sources(self) -> tuple[str, ...]:
        """The project's own files that are compiled, in link order."""
        return ("delegation.cc", *patched_sources.ORIGINALS, HARDWARE, *self.wrappers)

    @functools.cached_property
    def wrappers(self) -> tuple[str, ...]:
        """Those of them that are wrappers of XNNPACK's files."""
        return tuple(wrappers.file_name(path) for path in self.library.wrapped)

    def files(self) -> dict[str, str]:
        """The generated files: name → content, without those that come from templates."""
        root = self.tree.root / self.tree.sources["xnnpack"].folder
        return {**wrappers.files(self.library, root), **patched_sources.files(self.tree)}

    @property
    def defines(self) -> tuple[str, ...]:
        """Defines of XNNPACK's files, of their wrappers, and of the patched files."""
        return defines(self.profile.architecture)

    def own_defines(self) -> tuple[str, ...]:
        """Defines of the project's other files in a program with XNNPACK."""
        fixed = ("LITESMITH_FIXED_SHAPES",) if self.delegated_ops.fully_delegated else ()
        return ("LITESMITH_XNNPACK", *self.defines, *fixed)

    def file_flags(self, name: str) -> tuple[str, ...]:
        """Flags of one of the project's own files."""
        if name in self.wrappers:
            return FLAGS
        if name != patched_sources.DELEGATE:
            return ()
        return (f"-DLITESMITH_DELEGATED_OPS={','.join(map(str, self.codes))}",)

    def source_defines(self, source: str) -> tuple[str, ...]:
        """Defines of one upstream file."""
        return self.defines if self.tree.group_of(source) == XNNPACK else ()

    def source_flags(self, source: str, extensions: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Flags of one upstream file: micro-kernels are compiled for speed, and for their instruction set.

        ``extensions`` are the toolchain's own flags for instruction sets.
        """
        if source.removeprefix("xnnpack/") not in self._microkernel_files:
            return FLAGS if source.startswith("xnnpack/") else ()
        # Weights are packed only once.
        level = "-Os" if "packw" in source else "-O2"
        return (level, *instruction_sets.flags_of(source, extensions))

    @functools.cached_property
    def _microkernel_files(self) -> frozenset[str]:
        return frozenset(kernel.source for kernel in self.library.microkernels)

    def template_values(self) -> dict[str, object]:
        """The values for the template of :data:`HARDWARE`."""
        architecture = self.profile.architecture
        return {
            "architecture": architecture,
            "sets": [
                {
                    "identifier": "k" + "".join(c for c in name.title() if c.isalnum()),
                    "feature": name.replace("-", "_"),
                    "hardware": instruction_sets.hardware(architecture, [name]),
                    "core": instruction_sets.core(architecture, name),
                }
                for name in self.library.sets
            ],
        }
