"""Builds as tables: one program, its verdicts, and a matrix of programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.cli.render import size
from litesmith.cli.render.table import add_row, align_right, bar, table

if TYPE_CHECKING:
    from litesmith.measure.verify.verdict import Verdict
    from litesmith.workflow.build_and_verify import Outcome
    from litesmith.workflow.matrix import Matrix


def outcome(result: Outcome) -> None:
    """The size of a program by op, what pruning saved, and its verdicts."""
    size.report(result.size, str(result.program))
    if result.stock is not None:
        saved = result.stock - result.size.binary.code
        share = f"{100 * saved / result.stock:.1f} %"
        print(f"stock {result.stock:,} bytes, pruned {result.size.binary.code:,}, saved {saved:,} ({share})")
    verdicts(result.verdicts)


def verdicts(found: Sequence[Verdict]) -> None:
    """One line for each verification."""
    for verdict in found:
        print(verdict.line())


def matrix(found: Matrix, path: Path) -> None:
    """One row per program, then the toolchain and flags of each target."""
    out = console.stdout()
    shown = table("model", "target", "toolchain", "code, bytes", "", "verdict", "seconds")
    align_right(shown, "code, bytes", "seconds")
    most = max((cell.code or 0 for cell in found.cells), default=0)
    for cell in found.cells:
        add_row(
            shown,
            cell.model,
            cell.target,
            cell.toolchain,
            f"{cell.code:,}" if cell.code else "",
            bar(cell.code or 0, most),
            cell.verdict + (f": {cell.reason}" if cell.reason else ""),
            f"{cell.seconds:.1f}",
        )
    out.print(shown)
    for line in dict.fromkeys(f"{cell.target}: {cell.made_with}" for cell in found.cells if cell.made_with):
        out.print(line, markup=False, soft_wrap=True)
    out.print(str(path), markup=False)
