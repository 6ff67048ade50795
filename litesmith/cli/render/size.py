"""Sizes as tables with bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from litesmith.base import console
from litesmith.cli.render.table import add_row, bar
from litesmith.measure.size.anatomy import CORE
from litesmith.measure.size.diff import Change, Diff
from litesmith.measure.size.size_report import SizeReport
from litesmith.measure.size.snapshot import Snapshot

if TYPE_CHECKING:
    from litesmith.measure.size.gate import Finding
    from litesmith.predict.code_size.estimate import Estimate
    from litesmith.study.what_if import Answer

_SYMBOLS = 20
_LONGEST_NAME = 100


def report(report: SizeReport, title: str) -> None:
    """Buckets and ops, largest first; they add up to the loaded bytes."""
    binary = report.binary
    shown = _table(f"{title}: {binary.code:,} bytes of code", "part", "attributed", "marginal", "")
    rows: list[tuple[str, int, int | None]] = [(CORE, report.core, None)]
    rows += [(name, size, None) for name, size in report.buckets.items()]
    rows += [(name, size.attributed, size.marginal) for name, size in report.ops.items()]
    most = max(max(size, marginal or 0) for _, size, marginal in rows)
    for name, size, marginal in sorted(rows, key=lambda row: -row[1]):
        cost = f"{marginal:,}" if marginal is not None else ""
        add_row(shown, name, f"{size:,}", cost, bar(size, most))
    out = console.stdout()
    out.print(shown)
    out.print(
        f"text {binary.text:,}  rodata {binary.rodata:,}  data {binary.data:,}  bss {binary.bss:,}  "
        f"loaded {binary.loaded:,}  file {binary.file:,} bytes"
    )


def snapshot(found: Snapshot) -> None:
    """Where every byte of a program is."""
    report(found.report, found.title)
    out = console.stdout()
    if found.report.shared:
        shown = _table("shared by ops", "bytes", "", "ops")
        most = max(found.report.shared.values())
        for ops, size in found.report.shared.items():
            add_row(shown, f"{size:,}", bar(size, most), ", ".join(ops))
        out.print(shown)
    symbols = [part for part in found.anatomy.parts if part.loaded and part.symbol][:_SYMBOLS]
    shown = _table(f"the {len(symbols)} largest symbols", "symbol", "bytes", "owner")
    for part in symbols:
        add_row(shown, _short(part.name), f"{part.size:,}", part.owner.label)
    out.print(shown)
    out.print(f"without ops {found.report.without_ops:,} bytes; {found.made_with.line()}", markup=False)


def diff(found: Diff) -> None:
    """Before, after and delta, from the total down to symbols."""
    out = console.stdout()
    out.print(f"{found.before} -> {found.after}", markup=False, soft_wrap=True)
    for line in found.made:
        out.print(line, markup=False, soft_wrap=True)
    _changes("total", found.totals)
    _changes("bucket", [change for change in found.buckets if change.delta])
    _changes("op, marginal", [change for change in found.ops if change.delta])
    _changes("symbol", found.symbols[:_SYMBOLS])
    if len(found.symbols) > _SYMBOLS:
        out.print(f"{len(found.symbols) - _SYMBOLS} more symbols changed; --json lists them")


def _changes(head: str, changes: Sequence[Change]) -> None:
    if not changes:
        return
    shown = _table("", head, "before", "after", "delta", "")
    most = max(abs(change.delta) for change in changes)
    for change in changes:
        add_row(
            shown,
            _short(change.name),
            f"{change.before:,}",
            f"{change.after:,}",
            f"{change.delta:+,}",
            bar(abs(change.delta), most),
        )
    console.stdout().print(shown)


def finding(found: Finding) -> None:
    """A program beside its baseline, and what grew most."""
    out = console.stdout()
    out.print(
        f"{found.code.after:,} bytes of code, baseline {found.code.before:,} ({found.code.delta:+,}), "
        f"at most {found.limit:,}"
    )
    for cause in found.causes if found.reasons else ():
        out.print(f"  {cause.name}: {cause.after:,} bytes ({cause.delta:+,})", markup=False)


def answer(found: Answer) -> None:
    """What a program would weigh, edit by edit."""
    out = console.stdout()
    _deltas("change", {**found.steps, "together": found.after - found.before})
    for line in found.notes:
        out.print(line, markup=False, soft_wrap=True)
    out.print(f"{found.before:,} -> {found.after:,} bytes of code ({found.after - found.before:+,})")


def estimate(found: Estimate) -> None:
    """What a program will weigh, within which error."""
    out = console.stdout()
    if found.ops:
        _deltas("op", found.ops)
    for name in found.approximate:
        out.print(f"{name} was measured with other dtypes", markup=False)
    for line in found.notes:
        out.print(line, markup=False, soft_wrap=True)
    out.print(
        f"about {found.code:,} bytes of code, {round(found.code * (1 - found.error)):,} to "
        f"{round(found.code * (1 + found.error)):,} (±{100 * found.error:.1f} %); "
        f"without ops {found.base:,}; measured with {found.made_with}",
        markup=False,
        soft_wrap=True,
    )


def _deltas(head: str, deltas: Mapping[str, int]) -> None:
    shown = _table("", head, "bytes", "")
    most = max(abs(delta) for delta in deltas.values())
    for name, delta in sorted(deltas.items(), key=lambda item: -abs(item[1])):
        add_row(shown, name, f"{delta:+,}", bar(abs(delta), most))
    console.stdout().print(shown)


def _table(title: str, *columns: str) -> Table:
    made = Table(title=Text(title) if title else None, title_justify="left")
    for column in columns:
        number = column in {"attributed", "marginal", "bytes", "before", "after", "delta"}
        made.add_column(column, justify="right" if number else "left", overflow="fold")
    return made


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
