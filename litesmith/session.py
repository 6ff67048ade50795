"""What a build is asked for → everything that it needs: profile, sources, registry, selection, builder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from litesmith import custom_ops, generate, ops, profiles, selection, sources, toolchains
from litesmith.build import Builder, workshop
from litesmith.components import COMPONENTS, XNNPACK_COMPONENTS
from litesmith.errors import UsageError
from litesmith.generate import Project
from litesmith.models import Model, joint_name, open_model
from litesmith.ops import Registry
from litesmith.profiles import Profile
from litesmith.samples import EVERYTHING, Choice, parts
from litesmith.selection import Selection
from litesmith.sources import SourceTree
from litesmith.toolchains import Toolchain
from litesmith.xnnpack import choice as kernel_choice
from litesmith.xnnpack.choice import KernelChoice
from litesmith.xnnpack.program import Delegates


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for, as it was written."""

    target: str
    models: tuple[str, ...]
    toolchain: str | None = None
    out: str | None = None
    embed_model: bool = False
    verify: bool = True
    choice: Choice = EVERYTHING
    custom_ops: str | None = None
    prune: bool = True
    compare_stock: bool = False
    optimise: str | None = None
    kernels: str | None = None


@dataclass(frozen=True, kw_only=True)
class Session:
    """An opened request, for as long as commands of the toolchain run.

    ``name`` is the program's; ``selection`` is that of the request's models.  ``kernels`` says who runs
    their nodes.
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
        delegates: Delegates | None = None,
    ) -> Project:
        """The project of a selection, the request's own when none is given, with delegates of its own."""
        return generate.generate(
            self.name,
            self.selection if chosen is None else chosen,
            self.profile,
            self.toolchain,
            self.tree,
            self.registry.runtime,
            self.models[0].path if self.request.embed_model else None,
            pruned=self.request.prune if pruned is None else pruned,
            profiling=profiling,
            delegates=delegates or self.kernels.delegates,
        )


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request whose words are understood, before anything is fetched or compiled."""

    request: Request
    profile: Profile
    toolchain: Toolchain
    models: tuple[Model, ...]


def understand(request: Request) -> Question:
    """Profile, toolchain and models of a request.

    Raises:
        LitesmithError: one of them does not exist or does not fit.
    """
    profile, name = profiles.load(request.target).choose(request.toolchain)
    if request.optimise is not None:
        profile = profile.optimised(request.optimise)
    if request.kernels is not None:
        profile = profile.with_kernels(request.kernels)
    toolchain = toolchains.load(name)
    if not request.models:
        raise UsageError("no model is given", "name one with --model FILE")
    if request.embed_model and len(request.models) > 1:
        raise UsageError("--embed-model takes one model", "build one program for each model")
    models = tuple(open_model(name) for name in request.models)
    for model in models:
        parts(model.analysis, request.choice)
    return Question(request=request, profile=profile, toolchain=toolchain, models=models)


@contextmanager
def opened(question: Question) -> Iterator[Session]:
    """Sources, registry, selection and builder of a request.

    Raises:
        LitesmithError: the runtime cannot run a model, or the toolchain is missing.
    """
    request, profile, toolchain = question.request, question.profile, question.toolchain
    registry = ops.load()
    if request.custom_ops is None:
        for model in question.models:
            ops.require_supported(registry, model.analysis)
    # A compiler that is missing is said before anything is fetched.
    toolchain.version(profile)
    kernels = kernel_choice.choose(profile, question.models, registry, request.choice)
    more = XNNPACK_COMPONENTS if kernels.delegates else ()
    tree = sources.source_tree((*COMPONENTS, *more))
    if request.custom_ops is not None:
        extension = custom_ops.extend(Path(request.custom_ops), registry, tree)
        registry, tree = extension.registry, extension.tree
    chosen = selection.select([model.analysis for model in question.models], registry)
    with workshop(profile, toolchain, tree, registry.runtime.defines) as builder:
        yield Session(
            request=request,
            name=joint_name(question.models),
            profile=profile,
            toolchain=toolchain,
            tree=tree,
            registry=registry,
            models=question.models,
            selection=chosen,
            builder=builder,
            kernels=kernels,
        )
