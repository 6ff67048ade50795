"""The request for a build: as the user wrote it, and resolved."""

from __future__ import annotations

from dataclasses import dataclass

from litesmith.base.errors import UsageError
from litesmith.model.entry_points import EVERYTHING, Choice, parts
from litesmith.model.model_file import Model, open_model
from litesmith.target import profiles
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain
from litesmith.toolchain.registry import load as load_toolchain

STRICT, WARN, OFF = "strict", "warn", "off"
VERIFY = (STRICT, WARN, OFF)
"""What a build does with a wrong program: it ends, it writes it with the verdict, or it does not look."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of a build, as the user wrote them.

    ``verify`` is ``STRICT``, ``WARN`` or ``OFF``: whether a program whose answers are wrong is written.
    """

    target: str
    models: tuple[str, ...]
    toolchain: str | None = None
    out: str | None = None
    embed_model: bool = False
    verify: str = STRICT
    choice: Choice = EVERYTHING
    custom_ops: str | None = None
    prune: bool = True
    compare_stock: bool = False
    optimise: str | None = None
    kernels: str | None = None


@dataclass(frozen=True, kw_only=True)
class ResolvedRequest:
    """A request with its names resolved: files are read and checked, but nothing is fetched or compiled."""

    request: Request
    profile: Profile
    toolchain: Toolchain
    models: tuple[Model, ...]


def resolve(request: Request) -> ResolvedRequest:
    """Loads the profile, the toolchain and the models of a request.

    Raises:
        LitesmithError: one of them does not exist, or does not fit the others.
    """
    profile, name = profiles.load(request.target).choose(request.toolchain)
    if request.optimise is not None:
        profile = profile.optimised(request.optimise)
    if request.kernels is not None:
        profile = profile.with_kernels(request.kernels)
    toolchain = load_toolchain(name)
    if not request.models:
        raise UsageError("no model is given", "name one with --model FILE")
    if request.embed_model and len(request.models) > 1:
        raise UsageError("--embed-model takes one model", "build one program for each model")
    models = tuple(open_model(name) for name in request.models)
    for model in models:
        parts(model.analysis, request.choice)
    return ResolvedRequest(request=request, profile=profile, toolchain=toolchain, models=models)
