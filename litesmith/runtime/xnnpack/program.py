"""What a program has of XNNPACK, for the ops of a selection: sources, files of ours, defines, flags."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from litesmith.runtime.pins import XNNPACK
from litesmith.runtime.selection import SelectedOp, Selection
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import parts, source_index, substitutes, wrappers
from litesmith.runtime.xnnpack.needs import Needs
from litesmith.runtime.xnnpack.parts import Parts
from litesmith.target import instruction_sets
from litesmith.target.profiles import Profile

ONLY_DELEGATED = "litesmith::OnlyDelegated"
"""The registration of an op that has no kernel but XNNPACK's."""

HARDWARE = "xnnpack_hardware.c"
"""The file that a template of ``templates/project`` makes."""


@dataclass(frozen=True, kw_only=True)
class Delegates:
    """The delegated nodes of all models of a program.

    ``kinds`` are what different nodes of an op ask for, by its name; ``whole`` are ops that have no other
    nodes, whose kernels are left out.
    """

    kinds: Mapping[str, frozenset[Needs]]
    whole: frozenset[str]

    @functools.cached_property
    def needs(self) -> Mapping[str, Needs]:
        """What all nodes of an op ask for, by its name."""
        return {op: functools.reduce(Needs.__or__, kinds, Needs()) for op, kinds in self.kinds.items()}

    def without_kernels(self, chosen: Selection) -> Selection:
        """The selection in which ops that XNNPACK runs alone have no kernel of their own."""
        return dataclasses.replace(chosen, ops=tuple(self._without_kernel(op) for op in chosen.ops))

    def _without_kernel(self, op: SelectedOp) -> SelectedOp:
        if op.custom or op.name not in self.whole:
            return op
        return dataclasses.replace(op, registration=ONLY_DELEGATED, sources=())


@dataclass(frozen=True, kw_only=True)
class XnnProgram:
    """XNNPACK in a program: for which ops, and for which CPUs."""

    delegates: Delegates
    parts: Parts
    profile: Profile
    tree: SourceTree
    codes: tuple[int, ...]

    @classmethod
    def of(
        cls, delegates: Delegates, chosen: Selection, profile: Profile, tree: SourceTree
    ) -> XnnProgram | None:
        """The parts for the ops of a selection; None when XNNPACK runs none of them."""
        delegated = [op for op in chosen.ops if op.name in delegates.needs and not op.custom]
        if not delegated:
            return None
        needs = Needs()
        for op in delegated:
            needs |= delegates.needs[op.name]
        return cls(
            delegates=delegates,
            parts=parts.select(needs, profile.architecture, profile.instruction_sets),
            profile=profile,
            tree=tree,
            codes=tuple(op.code for op in delegated),
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """Upstream's files that are compiled as they are."""
        return (*self.parts.sources, *substitutes.BESIDE)

    def for_ops(self, chosen: Selection) -> XnnProgram | None:
        """The same for fewer ops."""
        return XnnProgram.of(self.delegates, chosen, self.profile, self.tree)

    def own_sources(self) -> tuple[str, ...]:
        """Files of ours that are compiled, in the order in which they are linked."""
        return ("delegation.cc", *substitutes.ORIGINALS, HARDWARE, *self.wrapping)

    @functools.cached_property
    def wrapping(self) -> tuple[str, ...]:
        """Those of them that include one of XNNPACK's files."""
        return tuple(wrappers.name_of(path) for path in self.parts.wrapped)

    def files(self) -> dict[str, str]:
        """Our files, by name, without those of ``templates``."""
        root = self.tree.root / self.tree.sources["xnnpack"].folder
        return {**wrappers.files(self.parts, root), **substitutes.files(self.tree)}

    @property
    def defines(self) -> tuple[str, ...]:
        """Defines of XNNPACK's files and of those of ours that stand for one of upstream's."""
        return source_index.DEFINES

    def own_defines(self) -> tuple[str, ...]:
        """Defines of all files of ours in such a program."""
        fixed = ("LITESMITH_FIXED_SHAPES",) if self.delegates.whole else ()
        return ("LITESMITH_XNNPACK", *self.defines, *fixed)

    def file_flags(self, name: str) -> tuple[str, ...]:
        """Flags of one file of ours."""
        if name in self.wrapping:
            return source_index.FLAGS
        if name != substitutes.DELEGATE:
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
        return frozenset(kernel.source for kernel in self.parts.kernels)

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
                for name in self.parts.sets
            ],
        }
