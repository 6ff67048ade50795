"""Model + profile + budget → :class:`Plan`: everything about a model that decides whether it fits a board."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from litesmith.base.errors import UsageError
from litesmith.base.units import parse_size
from litesmith.model.entry_points import EVERYTHING, Choice
from litesmith.model.model_file import Model
from litesmith.predict import work
from litesmith.predict.arena import ordering, prediction
from litesmith.predict.arena.ordering import Library
from litesmith.predict.arena.prediction import ArenaPlan
from litesmith.predict.code_size.program_estimate import estimate_program
from litesmith.predict.plan import budget, latency
from litesmith.predict.plan.budget import Line, Verdict
from litesmith.predict.plan.latency import Latency
from litesmith.predict.work import Work
from litesmith.predict.xnnpack.kernel_choice import KernelChoice, choose
from litesmith.predict.xnnpack.packed_weights import most_packed_weights
from litesmith.predict.xnnpack.workspace import workspace_bytes
from litesmith.runtime import op_registry
from litesmith.runtime.op_registry import Registry
from litesmith.target.profiles import Profile
from litesmith.toolchain.protocol import Toolchain


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """A budget from the command line; None leaves the profile's value, or asks for nothing.

    Bytes, frames per second, and FLOP/s that a program reaches on the board (in place of the profile's
    arithmetic).
    """

    flash: int | None = None
    ram: int | None = None
    fps: float | None = None
    flops: float | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A model's needs on a target.

    ``program`` are bytes of code without the model, within ``program_error``; None where no costs were
    measured for the profile's flags, and ``made_with`` says so.  ``model_bytes`` those of
    the file; ``arena`` those of activations and scratch memory; ``ops`` the bytes of code that each op
    brings.  ``packed_weights`` and ``workspace`` are what XNNPACK holds beside the arena, 0 without it, and
    ``kernels`` says who runs the nodes.
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
    wishes: Wishes,
    choice: Choice = EVERYTHING,
) -> Plan:
    """Plans one model; nothing is built.

    Raises:
        UsageError: a budget that makes no sense, a shape that is unknown, or a profile without the
            numbers that a plan needs.
        UnsupportedModelError: the runtime cannot run the model.
    """
    require_sense(wishes)
    registry = op_registry.load()
    work.require_shapes(model.analysis, choice)
    kernels = _kernels(profile, model, registry, choice)
    library = ordering.BY_NAME[toolchain.cxx_library]
    placed = prediction.predict(
        model.analysis,
        model.path.read_bytes(),
        choice,
        registry=registry,
        library=library,
        delegated=kernels.plans.get(model.analysis.path, ()),
    )
    packed, between = _beside_the_arena(kernels, profile, library)
    done = work.count(model.analysis, registry, [one.shapes for one in placed.subgraphs])
    program, error, made_with, costs_of_ops = _program(profile, toolchain, model, choice)
    took = latency.of_work(done, profile, wishes.flops)
    lines = against(
        profile,
        wishes,
        took,
        flash=(program, error, model.analysis.size),
        ram=placed.peak_bytes + packed + between,
    )
    return Plan(
        model=model.analysis.path,
        model_file=str(model.path),
        target=profile.name,
        work=done,
        arena=placed,
        program=program,
        program_error=error,
        made_with=made_with,
        ops=costs_of_ops,
        model_bytes=model.analysis.size,
        latency=took,
        lines=lines,
        kernels=kernels,
        packed_weights=packed,
        workspace=between,
    )


def _kernels(profile: Profile, model: Model, registry: Registry, choice: Choice) -> KernelChoice:
    kernels = choose(profile, (model,), registry, choice)
    if kernels.delegated_ops and (choice.shapes or choice.signature):
        raise UsageError(
            "with --input-shape or --signature, plans know TensorFlow Lite's own kernels alone",
            "add --kernels builtin, or convert the model with that shape",
        )
    return kernels


def _beside_the_arena(kernels: KernelChoice, profile: Profile, library: Library) -> tuple[int, int]:
    """Bytes of packed weights and of XNNPACK's workspace, on the CPU on which they are the most."""
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
    return packed, workspace_bytes(model.delegation, architecture, levels, library)


def _program(
    profile: Profile, toolchain: Toolchain, model: Model, choice: Choice
) -> tuple[int | None, float, str, Mapping[str, int]]:
    """Bytes of code, the error of that as a share, what was measured, and bytes by op."""
    try:
        found = estimate_program(profile, toolchain, (model,), choice=choice)
    except UsageError as error:
        return None, 0.0, error.message, {}
    return found.code, found.error, found.made_with, found.ops


def parse_wishes(*, fps: str | None, flash: str | None, ram: str | None, flops: str | None) -> Wishes:
    """A budget as it is written: ``5``, ``1000KB``, ``512KiB``, ``500M``.

    Raises:
        UsageError: a value is none of that, or not more than 0.
    """
    try:
        option, value = "--flash", flash
        bytes_of_flash = None if flash is None else int(str(parse_size(flash)))
        option, value = "--ram", ram
        bytes_of_ram = None if ram is None else int(str(parse_size(ram)))
        option, value = "--fps", fps
        rate = None if fps is None else float(fps)
        option, value = "--flops", flops
        reached = None if flops is None else _scaled(flops)
    except ValueError:
        examples = {"--flash": "1000KB", "--ram": "512KB", "--fps": "5", "--flops": "500M"}
        raise UsageError(f"{option} {value} is no number", f"write for example {examples[option]}") from None
    wishes = Wishes(flash=bytes_of_flash, ram=bytes_of_ram, fps=rate, flops=reached)
    require_sense(wishes)
    return wishes


_SCALES = {"k": 1e3, "m": 1e6, "g": 1e9}


def _scaled(text: str) -> float:
    scale = _SCALES.get(text[-1:].lower())
    return float(text[:-1]) * scale if scale else float(text)


def require_sense(wishes: Wishes) -> None:
    """Budgets are positive.

    Raises:
        UsageError: one is not.
    """
    given = {"--flash": wishes.flash, "--ram": wishes.ram, "--fps": wishes.fps, "--flops": wishes.flops}
    for option, value in given.items():
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{option} {value:g} leaves nothing to plan with", "give more than 0")


def against(
    profile: Profile,
    wishes: Wishes,
    took: Latency,
    *,
    flash: tuple[int | None, float, int],
    ram: int | None,
) -> tuple[Line, ...]:
    """The lines of a budget: ``flash`` is program, its error as a share, and model; ``ram`` the arena."""
    program, error, model = flash
    resources = profile.resources
    space = wishes.flash or resources.flash
    if program is None:
        lines = [budget.at_least("flash", model, space)]
    else:
        need = program + model
        lines = [budget.fits_into("flash", need, error * program / need, space)]
    if ram is not None:
        lines.append(budget.fits_into("ram", ram, 0.0, wishes.ram or resources.ram))
    if wishes.fps is not None:
        lines.append(budget.fast_enough(took.frames_per_second, wishes.fps))
    return tuple(lines)
