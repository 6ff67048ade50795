"""Plans and menus as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.base.units import human_size
from litesmith.cli.render.table import add_row, align_right, bar, table
from litesmith.predict.plan.budget import span

if TYPE_CHECKING:
    from litesmith.predict.arena.prediction import ArenaPlan
    from litesmith.predict.plan.latency import Latency
    from litesmith.predict.plan.menu import MenuReport
    from litesmith.predict.plan.plans import Plan
    from litesmith.study.calibration import CalibrationReport

_MILLION = 1_000_000


def plan(found: Plan) -> None:
    """What a model needs, and whether the board has it."""
    out = console.stdout()
    by_op = found.work.by_op()
    shown = table("op", "MACs", "%", "", title=f"{found.model} on {found.target}")
    align_right(shown, "MACs", "%")
    most = max(by_op.values(), default=0)
    for op, macs in by_op.items():
        add_row(shown, op, f"{macs:,}", f"{100 * macs / found.work.macs:.1f}", bar(macs, most))
    out.print(shown)
    weights = ", ".join(f"{human_size(size)} {dtype}" for dtype, size in found.work.weight_bytes.items())
    low, high = found.latency.frames_per_second
    for line in (
        f"{found.work.macs / _MILLION:,.2f} million MACs, {found.work.parameters:,} parameters, "
        f"weights {weights or 'none'}",
        f"arena {human_size(found.arena.bytes)}{_bound(found.arena)}, program {_program(found)}, "
        f"model {human_size(found.model_bytes)}",
        *_xnnpack(found),
        f"latency {_milliseconds(found.latency)}, {span(low, high)} frames per second "
        f"({found.latency.basis})",
    ):
        out.print(line, markup=False, soft_wrap=True)
    lines = table("budget", "need", "have", "verdict")
    for one in found.lines:
        add_row(lines, one.name, *one.shown(), one.verdict)
    out.print(lines)


def _xnnpack(found: Plan) -> list[str]:
    if not found.kernels.delegated_ops:
        return [] if found.kernels.asked == "builtin" else [f"built-in kernels: {found.kernels.reason}"]
    (model,) = found.kernels.models
    nodes = sum(len(one.nodes) for one in model.subgraphs)
    return [
        f"XNNPACK runs {nodes} of {len(found.work.nodes)} nodes: packed weights "
        f"{human_size(found.packed_weights)}, workspace {human_size(found.workspace)}"
    ]


def _program(found: Plan) -> str:
    if found.program is None:
        return f"unknown ({found.made_with})"
    return f"{human_size(found.program)} (±{100 * found.program_error:.1f} %, {found.made_with})"


def _bound(arena: ArenaPlan) -> str:
    if arena.exact:
        return ""
    return " at most" if arena.at_most else " or more"


def menu(found: MenuReport) -> None:
    """Every variant, and the most accurate that fits."""
    out = console.stdout()
    shown = table(
        *(
            "variant",
            "arithmetic",
            "million MACs",
            "million parameters",
            "model",
            "top-1",
            "latency",
            "verdict",
        ),
        title=f"{found.menu} on {found.target}",
    )
    for choice in found.choices:
        marked = "-> " if choice is found.best else ""
        add_row(
            shown,
            f"{marked}{choice.variant}",
            choice.arithmetic,
            f"{choice.million_macs:g}",
            f"{choice.million_parameters:g}",
            human_size(choice.model_bytes),
            f"{choice.top1:.1f} %",
            _milliseconds(choice.latency),
            choice.judgement(),
        )
    out.print(shown)
    if found.best is None:
        out.print("no variant is certain to fit", markup=False)
    else:
        out.print(
            f"the most accurate that fits: {found.best.variant} as {found.best.arithmetic}, "
            f"{found.best.top1:.1f} % top-1 (published, float32)",
            markup=False,
        )


def calibration(found: CalibrationReport) -> None:
    """The rate of each op, and the error of predictions that are made from the rates."""
    out = console.stdout()
    shown = table("op", "arithmetic", "million per second", "of", title=found.throughput.measured_on)
    align_right(shown, "million per second")
    for what, rates in (("MACs", found.throughput.macs), ("elements", found.throughput.elements)):
        for op, by_kind in rates.items():
            for kind, rate in by_kind.items():
                add_row(shown, op, kind, f"{rate / _MILLION:,.1f}", what)
    out.print(shown)
    models = table("model", "measured", "predicted from the others", "error", "ops that only it has")
    align_right(models, "measured", "predicted from the others", "error")
    for one in found.models:
        error = one.predicted_ms / one.measured_ms - 1
        add_row(
            models,
            one.model,
            f"{one.measured_ms:.3f} ms",
            f"{one.predicted_ms:.3f} ms",
            f"{100 * error:+.0f} %",
            ", ".join(one.unknown),
        )
    out.print(models)
    out.print(f"./inv plan --target {found.path} predicts with it", markup=False)


def _milliseconds(latency: Latency) -> str:
    return f"{span(latency.low, latency.high)} ms"
