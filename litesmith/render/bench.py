"""Measurements as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from litesmith import console
from litesmith.profiles import OPTIMISATIONS
from litesmith.pruning import STEPS
from litesmith.render.common import add_row, bar, table

if TYPE_CHECKING:
    from litesmith.bench.op_costs import CostsReport
    from litesmith.bench.optimise import OptimiseReport
    from litesmith.bench.pruning import StepsReport
    from litesmith.bench.speed import SpeedReport


def speed(report: SpeedReport) -> None:
    """The benchmark as tables."""
    out = console.stdout()
    shown = Table(title="x86_64, one thread, median ms", title_justify="left")
    for column in ("model", "program", "wheel, no delegates", "ratio", "wheel, XNNPACK", "ratio"):
        shown.add_column(column, justify="left" if column == "model" else "right")
    for row in report.speeds:
        add_row(
            shown,
            row.model,
            f"{row.program_ms:.3f}",
            f"{row.wheel_ms:.3f}",
            f"{row.program_ms / row.wheel_ms:.2f}",
            f"{row.xnnpack_ms:.3f}",
            f"{row.program_ms / row.xnnpack_ms:.2f}",
        )
    out.print(shown)
    if report.kernels:
        title = "ruy's kernels that one inference executed, under the emulator"
        shown = table("target", "CPU", "model", "kernels", "answers", title=title)
        for kernel in report.kernels:
            add_row(shown, kernel.target, kernel.cpu, kernel.model, ", ".join(kernel.kernels), kernel.verdict)
        out.print(shown)
    for line in report.made_with:
        out.print(line, markup=False)


def optimise(report: OptimiseReport) -> None:
    """What each optimisation costs, as a table: pruned, and in brackets stock."""
    out = console.stdout()
    shown = Table(title="x86_64, one thread: pruned (stock)", title_justify="left")
    columns = ("model", "optimise", "code bytes", "instructions", "ratio", "ms", "to wheel", "to XNNPACK")
    for column in columns:
        shown.add_column(column, justify="left" if column in {"model", "optimise"} else "right")
    for wheel in report.wheels:
        for optimise in OPTIMISATIONS:
            ours, stock = (report.of(wheel.model, optimise, pruned=pruned) for pruned in (True, False))
            add_row(
                shown,
                wheel.model,
                optimise,
                f"{ours.code:,} ({stock.code:,})",
                f"{ours.instructions:,} ({stock.instructions:,})",
                f"{ours.instructions / stock.instructions:.3f}",
                f"{ours.ms:.3f} ({stock.ms:.3f})",
                f"{ours.ms / wheel.ms:.2f}",
                f"{ours.ms / wheel.xnnpack_ms:.2f}",
            )
        add_row(
            shown, wheel.model, "wheel", "", "", "", f"{wheel.ms:.3f}", "", f"XNNPACK {wheel.xnnpack_ms:.3f}"
        )
    out.print(shown)
    for optimise in OPTIMISATIONS:
        instructions, ms = report.medians(optimise)
        out.print(
            f"{optimise}: median of instructions to stock {instructions:.3f}, of ms to the wheel {ms:.2f}"
        )
    for line in report.made_with:
        out.print(line, markup=False)


def pruning(found: StepsReport) -> None:
    """What each step of pruning brings, as a table with bars."""
    made = f"{found.model}, {found.target}, {found.toolchain}"
    title = f"{made}: stock {found.stock:,} bytes, pruned {found.pruned:,}"
    shown = Table(title=Text(title), title_justify="left")
    shown.add_column("step")
    shown.add_column("bytes", justify="right")
    shown.add_column("")
    shown.add_column("what is left out", overflow="fold")
    most = max(found.steps.values())
    for step, saved in found.steps.items():
        add_row(shown, step, f"{saved:,}", bar(max(saved, 0), most), STEPS[step].left_out)
    console.stdout().print(shown)


def op_costs(report: CostsReport) -> None:
    """Estimates of real models beside what was measured, as a table."""
    out = console.stdout()
    shown = table("model", "estimated", "measured", "error", title=report.made_with)
    for column in shown.columns[1:]:
        column.justify = "right"
    for one in report.models:
        add_row(shown, one.model, f"{one.estimated:,}", f"{one.measured:,}", f"{100 * one.error:.1f} %")
    out.print(shown)
    found = report.accuracy
    out.print(
        f"{found.models} models: median error {100 * found.median:.2f} %, worst {100 * found.worst:.1f} % "
        f"({found.worst_model}); dtypes that were not measured: median {100 * found.unseen_median:.2f} %, "
        f"worst {100 * found.unseen:.1f} %",
        markup=False,
    )
    out.print(str(report.path), markup=False)
