"""A resolved request → :class:`Session`: sources, registry, selection and builder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import console
from litesmith.build.builder import Builder, workshop
from litesmith.build.project import Project, ProjectOptions
from litesmith.build.request import Request, ResolvedRequest
from litesmith.model.model_file import Model, joint_name
from litesmith.predict.xnnpack import kernel_choice
from litesmith.predict.xnnpack.kernel_choice import KernelChoice
from litesmith.runtime import custom_ops, op_registry, selection, source_tree
from litesmith.runtime.op_registry import Registry
from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
from litesmith.runtime.selection import Selection
from litesmith.runtime.source_tree import SourceTree
from litesmith.runtime.xnnpack.delegated_ops import DelegatedOps
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain


@dataclass(frozen=True, kw_only=True)
class Session:
    """An opened request, valid until the toolchain's session ends.

    ``name`` is the name of the program, ``selection`` that of the request's models.  ``kernels`` says which
    kernels run the models' nodes.
    """

    request: Request
    name: str
    profile: Profile
    toolchain: Toolchain
    tree: SourceTree
    registry: Registry
    models: tuple[Model, ...]
    selection: Selection
    builder: Builder
    kernels: KernelChoice

    def project(
        self,
        chosen: Selection | None = None,
        *,
        pruned: bool | None = None,
        profiling: bool = False,
        node_check: bool = False,
        delegated_ops: DelegatedOps | None = None,
    ) -> Project:
        """The project of a selection, by default that of the request, with its delegated ops."""
        options = ProjectOptions(
            name=self.name,
            embedded=self.models[0].path if self.request.embed_model else None,
            pruned=self.request.prune if pruned is None else pruned,
            profiling=profiling,
            node_check=node_check,
            delegated_ops=delegated_ops or self.kernels.delegated_ops,
        )
        return Project.of(
            self.selection if chosen is None else chosen,
            options,
            profile=self.profile,
            tree=self.tree,
            runtime=self.registry.runtime,
        )


@contextmanager
def opened(resolved: ResolvedRequest) -> Iterator[Session]:
    """Opens a request: loads the registry, fetches sources, selects ops, and starts the toolchain's session.

    Raises:
        LitesmithError: the runtime cannot run a model, or the toolchain is missing.
    """
    request, profile, toolchain = resolved.request, resolved.profile, resolved.toolchain
    registry = op_registry.load()
    if request.custom_ops is None:
        for model in resolved.models:
            op_registry.require_supported(registry, model.analysis)
    # A missing compiler is reported before anything is fetched.
    toolchain.version(profile)
    kernels = kernel_choice.choose(profile, resolved.models, registry, request.choice)
    for line in kernels.notes:
        console.note(line)
    more = XNNPACK_COMPONENTS if kernels.delegated_ops else ()
    tree = source_tree.source_tree((*COMPONENTS, *more))
    if request.custom_ops is not None:
        extension = custom_ops.extend(Path(request.custom_ops), registry, tree)
        registry, tree = extension.registry, extension.tree
    document = selection.select([model.analysis for model in resolved.models], registry).to_json()
    # From here on, the content of selection.json is all that the build knows of the models' ops.
    chosen = Selection.from_json(document, registry)
    with workshop(profile, toolchain, tree) as builder:
        yield Session(
            request=request,
            name=joint_name(resolved.models),
            profile=profile,
            toolchain=toolchain,
            tree=tree,
            registry=registry,
            models=resolved.models,
            selection=chosen,
            builder=builder,
            kernels=kernels,
        )
