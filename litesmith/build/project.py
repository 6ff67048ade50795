"""Selection + profile → :class:`Project`: the files of a program, with the flags and defines of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from litesmith.runtime.engines.interpreter import glue, sources
from litesmith.runtime.op_registry import Runtime
from litesmith.runtime.pins import XNNPACK
from litesmith.runtime.pruning import NOTHING, Pruning, prune, watched
from litesmith.runtime.selection import Selection
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack import patched_sources
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.runtime.xnnpack.project_files import XnnpackFiles
from litesmith.target.profiles import Profile

_NO_MODEL_CHECK = "LITESMITH_NO_MODEL_CHECK"
_NODE_CHECK = "LITESMITH_NODE_CHECK"
_WITH_NODE_CHECK = frozenset({"main.cc", "delegation.cc"})


@dataclass(frozen=True, kw_only=True)
class ProjectOptions:
    """The properties of a program that neither its selection nor its profile determines.

    ``embedded`` is the model to embed in the program, if any.  Without ``pruned``, it is the stock selective
    program.  With ``profiling``, the program has ``--warm-up`` and reports the time of each node.
    With ``node_check``, the program can run each node on given inputs: all but one or two of its files are
    the same.
    ``delegated_ops`` are the ops of which XNNPACK runs nodes.
    """

    name: str
    embedded: Path | None = None
    pruned: bool = True
    profiling: bool = False
    node_check: bool = False
    delegated_ops: DelegatedOps | None = None


@dataclass(frozen=True, kw_only=True)
class Project:
    """The files of a program, with the flags and defines of each.

    ``files`` maps the names of the project's own C++ files and headers to their content.  ``sources`` are
    the upstream files, as ``component/path`` names in link order.  ``embedded`` is the model in the
    program, if any.  ``pruning`` says what is left out of the files, ``xnnpack`` which parts of XNNPACK the
    program contains.
    """

    name: str
    selection: Selection
    files: Mapping[str, str]
    sources: tuple[str, ...]
    runtime: Runtime
    embedded: Path | None
    model_check: bool
    node_check: bool
    pruning: Pruning
    xnnpack: XnnpackFiles | None

    @classmethod
    def of(
        cls,
        selection: Selection,
        options: ProjectOptions,
        *,
        profile: Profile,
        tree: SourceTree,
        runtime: Runtime,
    ) -> Project:
        """The project of a selection."""
        xnnpack = None
        if options.delegated_ops is not None:
            selection = options.delegated_ops.without_kernels(selection)
            xnnpack = XnnpackFiles.of(options.delegated_ops, selection, profile, tree)
        pruning = prune(selection, runtime) if options.pruned else NOTHING
        return cls(
            name=options.name,
            selection=selection,
            files=glue.files(
                selection,
                runtime.op_names,
                embedded_size=_size(options.embedded),
                profiling=options.profiling,
                xnnpack=xnnpack,
            ),
            sources=sources.upstream_sources(selection, runtime, xnnpack),
            runtime=runtime,
            embedded=options.embedded,
            model_check=profile.model_check,
            node_check=options.node_check,
            pruning=watched(pruning) if options.profiling else pruning,
            xnnpack=xnnpack,
        )

    @property
    def defines(self) -> tuple[str, ...]:
        """Defines of all files, in pruned and in stock programs."""
        return self.runtime.defines

    @property
    def own_sources(self) -> tuple[str, ...]:
        """The project's own C and C++ files that are compiled, in link order."""
        xnnpack = self.xnnpack.own_sources() if self.xnnpack else ()
        return (*sources.own_sources(model_check=self.model_check), *xnnpack)

    @property
    def group(self) -> str:
        """The group of components whose headers the project's own files can include."""
        return XNNPACK if self.xnnpack else ""

    def own_defines(self, name: str) -> tuple[str, ...]:
        """Defines of one of the project's own files, beyond those of the runtime."""
        node_check = (_NODE_CHECK,) if self.node_check and name in _WITH_NODE_CHECK else ()
        if self.xnnpack and name in self.xnnpack.own_sources():
            return (*self.pruning.everywhere, *self.xnnpack.defines, *node_check)
        check = (*(() if self.model_check else (_NO_MODEL_CHECK,)), *node_check)
        xnnpack = self.xnnpack.own_defines() if self.xnnpack else ()
        return (*self.pruning.everywhere, *self.pruning.own, *check, *xnnpack)

    def own_flags(self, name: str) -> tuple[str, ...]:
        """Flags of one of the project's own files: its own, and those of the upstream file it replaces."""
        original = patched_sources.ORIGINALS.get(name, "")
        defines = (f"-D{define}" for define in self.pruning.by_source.get(original, ()))
        xnnpack = self.xnnpack.file_flags(name) if self.xnnpack else ()
        return (*sources.OWN_SOURCE_FLAGS.get(name, ()), *defines, *xnnpack)

    def source_defines(self, source: str) -> tuple[str, ...]:
        """Defines of one upstream file, beyond those of the runtime."""
        pruned = (*self.pruning.everywhere, *self.pruning.by_source.get(source, ()))
        return (*pruned, *(self.xnnpack.source_defines(source) if self.xnnpack else ()))

    def own_defines_of(self, source: str) -> tuple[str, ...]:
        """Defines of one upstream file that other files do not have."""
        return tuple(self.pruning.by_source.get(source, ()))

    def source_flags(self, source: str, extensions: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Flags of one upstream file, beyond those of the profile.

        ``extensions`` are the toolchain's flags for instruction sets (``CompileFlags.extensions``).
        """
        return self.xnnpack.source_flags(source, extensions) if self.xnnpack else ()

    def unchecked(self) -> Project:
        """The same project without the check of models before they are loaded."""
        return dataclasses.replace(self, model_check=False)

    def reduced(self, smaller: Selection) -> Project:
        """The same project with fewer ops, but still with the registration of all of them.

        When it is linked, a function of :func:`glue.registration_variants` replaces the registration.
        The defines that all files share stay the same, so that the full project's objects can be reused.
        """
        xnnpack = self.xnnpack.for_ops(smaller) if self.xnnpack else None
        changed = glue.files_of_selection(smaller, embedded_size=_size(self.embedded), xnnpack=xnnpack)
        return dataclasses.replace(
            self,
            selection=smaller,
            files={**self.files, **changed},
            sources=sources.upstream_sources(smaller, self.runtime, xnnpack),
            pruning=self._pruning_of(smaller),
            xnnpack=xnnpack,
        )

    def _pruning_of(self, smaller: Selection) -> Pruning:
        if self.pruning is NOTHING:
            return NOTHING
        return dataclasses.replace(prune(smaller, self.runtime), everywhere=self.pruning.everywhere)

    def bare(self) -> Project:
        """The same project without any op: the runtime alone."""
        return self.reduced(self.selection.none())


def _size(embedded: Path | None) -> int:
    return embedded.stat().st_size if embedded else 0
