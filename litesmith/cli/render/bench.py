"""Measurements as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.base.units import human_size
from litesmith.cli.render.table import add_row, align_right, bar, numbers, table
from litesmith.runtime.pruning import STEPS
from litesmith.target.profiles import OPTIMISATIONS

if TYPE_CHECKING:
    from litesmith.study.bench.compare import Change, Comparison
    from litesmith.study.bench.kernels import KernelsReport
    from litesmith.study.bench.on_board import BoardReport
    from litesmith.study.bench.optimise import OptimiseReport
    from litesmith.study.bench.pruning_steps import StepsReport
    from litesmith.study.bench.speed import SpeedReport
    from litesmith.study.code_costs.report import CostsReport


def speed(report: SpeedReport) -> None:
    """Times beside those of the wheel, and the kernels that ran under the emulator."""
    out = console.stdout()
    columns = ("model", "built-in", "wheel", "ratio", "XNNPACK", "wheel with XNNPACK", "ratio")
    shown = numbers(*columns, title="x86_64, one thread, ms")
    for row in report.speeds:
        add_row(
            shown,
            row.model,
            f"{row.program_ms:.3f}",
            f"{row.wheel_ms:.3f}",
            f"{row.program_ms / row.wheel_ms:.2f}",
            f"{row.xnnpack_program_ms:.3f}",
            f"{row.xnnpack_wheel_ms:.3f}",
            f"{row.xnnpack_program_ms / row.xnnpack_wheel_ms:.2f}",
        )
    out.print(shown)
    if report.kernels:
        title = "ruy's kernels that one inference runs, under the emulator"
        shown = table("target", "CPU", "model", "kernels", "answers", title=title)
        for kernel in report.kernels:
            add_row(shown, kernel.target, kernel.cpu, kernel.model, ", ".join(kernel.kernels), kernel.verdict)
        out.print(shown)
    for line in report.made_with:
        out.print(line, markup=False)


def kernels(report: KernelsReport) -> None:
    """Built-in kernels and XNNPACK's for each target and model."""
    out = console.stdout()
    wheels = {wheel.model: wheel for wheel in report.wheels}
    columns = ("target", "model", "nodes in XNNPACK", "builtin bytes", "xnnpack bytes")
    measures = ("builtin", "xnnpack", "ratio", "wheel with XNNPACK", "ratio")
    title = "TensorFlow Lite's built-in kernels and XNNPACK's, one thread"
    shown = numbers(*columns, *measures, names=2, title=title)
    for one in report.programs:
        if one.kernels != "xnnpack":
            continue
        other = report.of(one.target, one.model, "builtin")
        timed = one.ms is not None and other.ms is not None
        before, after = (other.ms, one.ms) if timed else (other.instructions, one.instructions)
        wheel = wheels.get(one.model) if timed else None
        add_row(
            shown,
            one.target,
            one.model,
            f"{one.delegated} of {one.nodes}",
            f"{other.code:,}",
            f"{one.code:,}",
            f"{before:.3f} ms" if timed else f"{before:,}",
            f"{after:.3f} ms" if timed else f"{after:,}",
            f"{(after or 0) / (before or 1):.2f}",
            f"{wheel.xnnpack_ms:.3f} ms" if wheel else "",
            f"{(after or 0) / wheel.xnnpack_ms:.2f}" if wheel else "",
        )
    out.print(shown)
    if report.cpus:
        title = "Instructions of an inference with XNNPACK, one thread, under the emulator"
        shown = numbers("CPU", "model", "program", "wheel", "ratio", names=2, title=title)
        for row in report.cpus:
            ratio = f"{row.program / row.wheel:.3f}"
            add_row(shown, row.cpu, row.model, f"{row.program:,}", f"{row.wheel:,}", ratio)
        out.print(shown)
    median = report.median_to_wheel()
    if median is not None:
        out.print(f"median of the ratios to the wheel with XNNPACK: {median:.2f}", markup=False)
    for line in report.made_with:
        out.print(line, markup=False)


def optimise(report: OptimiseReport) -> None:
    """Bytes, instructions and time of each optimisation: pruned, and stock in brackets."""
    out = console.stdout()
    columns = ("model", "optimise", "code bytes", "instructions", "ratio", "ms", "to wheel", "to XNNPACK")
    shown = numbers(*columns, names=2, title="x86_64, one thread: pruned (stock)")
    for wheel in report.wheels:
        for optimise in OPTIMISATIONS:
            pruned, stock = (report.of(wheel.model, optimise, pruned=which) for which in (True, False))
            add_row(
                shown,
                wheel.model,
                optimise,
                f"{pruned.code:,} ({stock.code:,})",
                f"{pruned.instructions:,} ({stock.instructions:,})",
                f"{pruned.instructions / stock.instructions:.3f}",
                f"{pruned.ms:.3f} ({stock.ms:.3f})",
                f"{pruned.ms / wheel.ms:.2f}",
                f"{pruned.ms / wheel.xnnpack_ms:.2f}",
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
    """The bytes that each step of pruning saves, with bars."""
    made = f"{found.model}, {found.target}, {found.toolchain}"
    title = f"{made}: stock {found.stock:,} bytes, pruned {found.pruned:,}"
    shown = table("step", "bytes", "", "what is left out", title=title)
    align_right(shown, "bytes")
    most = max(found.steps.values())
    for step, saved in found.steps.items():
        add_row(shown, step, f"{saved:,}", bar(max(saved, 0), most), STEPS[step].left_out)
    console.stdout().print(shown)


def op_costs(reports: Sequence[CostsReport]) -> None:
    """Estimates of real models beside their measured sizes, for each target and toolchain."""
    for report in reports:
        _op_costs(report)


def _op_costs(report: CostsReport) -> None:
    out = console.stdout()
    shown = numbers("model", "estimated", "measured", "error", title=report.made_with)
    for one in report.models:
        add_row(shown, one.model, f"{one.estimated:,}", f"{one.measured:,}", f"{100 * one.error:.1f} %")
    out.print(shown)
    found = report.accuracy
    out.print(
        f"{found.models} models: median error {100 * found.median:.2f} %, worst {100 * found.worst:.1f} % "
        f"({found.worst_model}); dtypes without measurements: median {100 * found.unseen_median:.2f} %, "
        f"worst {100 * found.unseen:.1f} %",
        markup=False,
    )
    out.print(str(report.path), markup=False)


_SLOWEST_NODES = 10


def board(report: BoardReport, path: Path) -> None:
    """A measurement on a board: latency and memory of an inference, and the time of each op."""
    out = console.stdout()
    took = report.latency_ms
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    shown = table("", "", title=f"{report.model} on {report.board}, {report.runs} inferences, {threads}")
    shown.show_header = False
    latencies = f"min {took.min:.3f}, median {took.median:.3f}, p90 {took.p90:.3f}, max {took.max:.3f} ms"
    add_row(shown, "latency", latencies)
    add_row(shown, "time to first inference", f"{report.time_to_first_inference_ms:.3f} ms")
    add_row(shown, "peak RSS", human_size(report.peak_rss_bytes))
    add_row(shown, "arena", human_size(report.arena_bytes))
    out.print(shown)
    ops = table("op", "nodes", "calls", "µs", "%", "", title="ops, one inference")
    slowest = max((op.us for op in report.ops), default=0.0)
    for op in report.ops:
        drawn = bar(round(op.us * 1000), round(slowest * 1000))
        add_row(ops, op.op, str(op.nodes), f"{op.calls:g}", f"{op.us:.1f}", f"{100 * op.share:.1f}", drawn)
    align_right(ops, "nodes", "calls", "µs", "%")
    out.print(ops)
    nodes = sorted(report.nodes, key=lambda node: -node.us)[:_SLOWEST_NODES]
    slow = table("node", "op", "µs", "%", "output", title="slowest nodes")
    for node in nodes:
        place = f"{node.subgraph}:{node.node}" if node.subgraph else str(node.node)
        # Converters join the names of all layers that they fused into a node.
        first, _, more = node.name.partition(";")
        add_row(slow, place, node.op, f"{node.us:.1f}", f"{100 * node.share:.1f}", f"{first}{more and ' …'}")
    out.print(slow)
    made = report.made_with
    toolchain, clock = made["toolchain"], made["clock"]["after"]
    flags = " ".join((*made["flags"]["target"], *made["flags"]["common"]))
    clock_text = ", ".join(f"{name} {value}" for name, value in clock.items()) or "unknown"
    for line in (
        f"input: {report.input}; model {made['model_sha256'][:12]}",
        f"program {made['program_sha256'][:12]}, {made['program_bytes']:,} bytes; its nodes were timed with "
        f"{made['profiling_program_sha256'][:12]}, the same program with a profiling runtime",
        f"{toolchain['name']} {toolchain['version']}: {flags}",
        f"{made['kernel']}, {made['machine']}; clock: {clock_text}",
        str(path),
    ):
        out.print(line, markup=False)


def comparison(found: Comparison) -> None:
    """Two measurements side by side."""
    out = console.stdout()
    out.print(f"{found.before} → {found.after}", markup=False)
    for title, changes in (("", found.figures), ("ops, one inference", found.ops)):
        shown = numbers("", "before", "after", "ratio", title=title or None)
        for change in changes:
            ratio = "" if change.ratio is None else f"{change.ratio:.2f}"
            before, after = (_figure(change, value) for value in (change.before, change.after))
            add_row(shown, change.name, before, after, ratio)
        out.print(shown)
    for name, (before, after) in found.differences.items():
        out.print(f"different: {name}: {before} → {after}", markup=False)


def _figure(change: Change, value: float) -> str:
    return f"{value:,.0f} B" if change.unit == "B" else f"{value:,.3f} {change.unit}"
