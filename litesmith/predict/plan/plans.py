"""Model, profile and limits → :class:`Plan`: everything that decides whether a model fits a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from litesmith.base.errors import UsageError
from litesmith.model.entry_points import EVERYTHING, Choice
from litesmith.model.model_file import Model
from litesmith.predict import work
from litesmith.predict.arena import prediction
from litesmith.predict.arena.prediction import ArenaPlan
from litesmith.predict.code_size.program_estimate import estimate_program
from litesmith.predict.plan import budget, latency
from litesmith.predict.plan.budget import Line, Verdict
from litesmith.predict.plan.latency import Latency
from litesmith.predict.plan.limits import Limits, budget_lines, require_positive
from litesmith.predict.work import Work
from litesmith.predict.xnnpack.kernel_choice import KernelChoice, choose
from litesmith.predict.xnnpack.packed_weights import most_packed_weights
from litesmith.predict.xnnpack.workspace import workspace_bytes
from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Registry
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a model needs on a target.

    ``program`` are the bytes of code without the model, within ``program_error`` (a share); None where no
    costs have been measured for the profile's flags, and ``made_with`` says so.  ``model_bytes`` are those of
    the file, ``arena`` those of activations and scratch memory, ``ops`` the bytes of code that each op adds.
    ``packed_weights`` and ``workspace`` are the bytes that XNNPACK holds besides the arena, 0 without it.
    ``kernels`` says which kernels run the nodes.
    """

    model: str
    model_file: str
    target: str
    work: Work
    arena: ArenaPlan
    program: int | None
    program_error: float
    made_with: str
    ops: Mapping[str, int]
    model_bytes: int
    latency: Latency
    lines: tuple[Line, ...]
    kernels: KernelChoice
    packed_weights: int
    workspace: int

    @property
    def verdict(self) -> Verdict:
        """The worst of all lines."""
        return budget.verdict_of(self.lines)

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        slowest, fastest = self.latency.frames_per_second
        return {
            "model": self.model,
            "model_file": self.model_file,
            "target": self.target,
            "macs": self.work.macs,
            "macs_by_op": self.work.by_op(),
            "parameters": self.work.parameters,
            "weight_bytes": dict(self.work.weight_bytes),
            "kernels": self.kernels.to_json(),
            "arena_bytes": self.arena.bytes,
            "packed_weights_bytes": self.packed_weights,
            "workspace_bytes": self.workspace,
            "program_bytes": self.program,
            "program_error": self.program_error,
            "program_made_with": self.made_with,
            "model_bytes": self.model_bytes,
            "latency_ms": asdict(self.latency),
            "frames_per_second": {"low": slowest, "high": fastest},
            "budget": [line.to_json() for line in self.lines],
            "verdict": self.verdict,
            "nodes": [asdict(node) for node in self.work.nodes if node.macs],
        }


def plan(
    profile: Profile,
    toolchain: Toolchain,
    model: Model,
    limits: Limits,
    choice: Choice = EVERYTHING,
) -> Plan:
    """Plans one model; nothing is built.

    Raises:
        UsageError: a limit is not positive, a shape is unknown, or the profile lacks numbers that a plan
            needs.
        UnsupportedModelError: the runtime cannot run the model.
    """
    require_positive(limits)
    registry = op_registry.load()
    work.require_shapes(model.analysis, choice)
    kernels = _kernels(profile, model, registry, choice)
    placed = prediction.predict(
        model.analysis,
        model.content,
        choice,
        registry=registry,
        delegated=kernels.plans.get(model.analysis.path, ()),
    )
    packed, between = _xnnpack_memory(kernels, profile)
    counted = work.count(model.analysis, registry, [one.shapes for one in placed.subgraphs])
    program, error, made_with, bytes_of_ops = _program(profile, toolchain, model, choice)
    expected = latency.of_work(counted, profile, limits.flops)
    lines = budget_lines(
        profile,
        limits,
        expected,
        flash=(program, error, model.analysis.size),
        ram=placed.peak_bytes + packed + between,
    )
    return Plan(
        model=model.analysis.path,
        model_file=str(model.path),
        target=profile.name,
        work=counted,
        arena=placed,
        program=program,
        program_error=error,
        made_with=made_with,
        ops=bytes_of_ops,
        model_bytes=model.analysis.size,
        latency=expected,
        lines=lines,
        kernels=kernels,
        packed_weights=packed,
        workspace=between,
    )


def _kernels(profile: Profile, model: Model, registry: Registry, choice: Choice) -> KernelChoice:
    kernels = choose(profile, (model,), registry, choice)
    if kernels.delegated_ops and (choice.shapes or choice.signature):
        raise UsageError(
            "with --input-shape or --signature, a plan is possible for TensorFlow Lite's own kernels only",
            "add --kernels builtin, or convert the model with that shape",
        )
    return kernels


def _xnnpack_memory(kernels: KernelChoice, profile: Profile) -> tuple[int, int]:
    """Bytes of packed weights and of XNNPACK's workspace, on the CPU where they are largest."""
    if not kernels.delegated_ops:
        return 0, 0
    (model,) = kernels.models
    nodes = [
        graph.nodes[index]
        for graph, part in zip(model.delegation.graphs, model.subgraphs, strict=True)
        for index in part.nodes
        if index not in part.unpacked
    ]
    architecture, levels = profile.architecture, profile.instruction_sets
    packed = most_packed_weights(nodes, architecture, levels)
    return packed, workspace_bytes(model.delegation, architecture, levels)


def _program(
    profile: Profile, toolchain: Toolchain, model: Model, choice: Choice
) -> tuple[int | None, float, str, Mapping[str, int]]:
    """Bytes of code, their error as a share, what they were measured with, and bytes by op."""
    try:
        found = estimate_program(profile, toolchain, (model,), choice=choice)
    except UsageError as error:
        return None, 0.0, error.message, {}
    return found.code, found.error, found.made_with, found.ops
