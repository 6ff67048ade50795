"""What a program has of XNNPACK, for the ops of a selection: sources, files of ours, defines, flags."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from litesmith.runtime.pins import XNNPACK
from litesmith.runtime.selection import Selection
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import library, patched_sources, requirements, source_index, wrappers
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.library import XnnpackLibrary
from litesmith.target import instruction_sets
from litesmith.target.profiles import Profile

HARDWARE = "xnnpack_hardware.c"
"""The file that a template of ``templates/project`` makes."""


@dataclass(frozen=True, kw_only=True)
class XnnpackFiles:
    """XNNPACK in a program: for which ops, and for which CPUs."""

    delegated_ops: DelegatedOps
    library: XnnpackLibrary
    profile: Profile
    tree: SourceTree
    codes: tuple[int, ...]

    @classmethod
    def of(
        cls, delegated_ops: DelegatedOps, chosen: Selection, profile: Profile, tree: SourceTree
    ) -> XnnpackFiles | None:
        """The library for the ops of a selection; None when XNNPACK runs none of them."""
        delegated = [op for op in chosen.ops if op.name in delegated_ops.requirements and not op.custom]
        if not delegated:
            return None
        required = requirements.joined(one for op in delegated for one in delegated_ops.requirements[op.name])
        return cls(
            delegated_ops=delegated_ops,
            library=library.select(required, profile.architecture, profile.instruction_sets),
            profile=profile,
            tree=tree,
            codes=tuple(op.code for op in delegated),
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """Upstream's files that are compiled as they are."""
        return (*self.library.sources, *patched_sources.BESIDE)

    def for_ops(self, chosen: Selection) -> XnnpackFiles | None:
        """The same for fewer ops."""
        return XnnpackFiles.of(self.delegated_ops, chosen, self.profile, self.tree)

    def own_sources(self) -> tuple[str, ...]:
        """Files of ours that are compiled, in the order in which they are linked."""
        return ("delegation.cc", *patched_sources.ORIGINALS, HARDWARE, *self.wrapping)

    @functools.cached_property
    def wrapping(self) -> tuple[str, ...]:
        """Those of them that include one of XNNPACK's files."""
        return tuple(wrappers.name_of(path) for path in self.library.wrapped)

    def files(self) -> dict[str, str]:
        """Our files, by name, without those of ``templates``."""
        root = self.tree.root / self.tree.sources["xnnpack"].folder
        return {**wrappers.files(self.library, root), **patched_sources.files(self.tree)}

    @property
    def defines(self) -> tuple[str, ...]:
        """Defines of XNNPACK's files and of those of ours that stand for one of upstream's."""
        return source_index.DEFINES

    def own_defines(self) -> tuple[str, ...]:
        """Defines of all files of ours in such a program."""
        fixed = ("LITESMITH_FIXED_SHAPES",) if self.delegated_ops.fully_delegated else ()
        return ("LITESMITH_XNNPACK", *self.defines, *fixed)

    def file_flags(self, name: str) -> tuple[str, ...]:
        """Flags of one file of ours."""
        if name in self.wrapping:
            return source_index.FLAGS
        if name != patched_sources.DELEGATE:
            return ()
        return (f"-DLITESMITH_DELEGATED_OPS={','.join(map(str, self.codes))}",)

    def source_defines(self, source: str) -> tuple[str, ...]:
        """Defines of one of upstream's files."""
        return self.defines if self.tree.group_of(source) == XNNPACK else ()

    def source_flags(self, source: str, toolchain: str) -> tuple[str, ...]:
        """Flags of one of upstream's files; a micro-kernel's come last: speed is what it is there for."""
        if source.removeprefix("xnnpack/") not in self.kernel_files:
            return source_index.FLAGS if source.startswith("xnnpack/") else ()
        cpu = self.profile.toolchains[toolchain].cpu  # type: ignore[index]
        # Weights are packed once.
        level = "-Os" if "packw" in source else "-O2"
        return (level, *instruction_sets.flags_of(source, toolchain, cpu))

    @functools.cached_property
    def kernel_files(self) -> frozenset[str]:
        """Files of micro-kernels, in XNNPACK's folder."""
        return frozenset(kernel.source for kernel in self.library.kernels)

    def template_values(self) -> dict[str, object]:
        """What the template of ``templates/project`` wants to know."""
        architecture = self.profile.architecture
        return {
            "architecture": architecture,
            "sets": [
                {
                    "identifier": "k" + "".join(c for c in name.title() if c.isalnum()),
                    "feature": name,
                    "hardware": instruction_sets.hardware(architecture, [name]),
                }
                for name in self.library.sets
            ],
        }
