"""Two snapshots → :class:`Diff`: what grew and what shrank, from the totals down to symbols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from litesmith.measure.size.snapshot import Snapshot

_LONGEST_NAME = 110


@dataclass(frozen=True, kw_only=True)
class Change:
    """Bytes of one total, bucket, op or symbol before and after."""

    name: str
    before: int
    after: int

    @property
    def delta(self) -> int:
        """Bytes that were added; negative when they became fewer."""
        return self.after - self.before

    def to_json(self) -> dict[str, Any]:
        """The change as JSON output gives it."""
        return {"name": self.name, "before": self.before, "after": self.after, "delta": self.delta}


@dataclass(frozen=True, kw_only=True)
class Diff:
    """The changes between two builds, largest first.

    ``before`` and ``after`` are the titles of the builds, ``made`` the differences between what
    they were made with.  ``totals`` are code, loaded bytes, memory and file.  ``buckets`` add up
    to the loaded bytes, ``ops`` are marginal costs, ``symbols`` are only those that changed.
    """

    before: str
    after: str
    made: tuple[str, ...]
    totals: tuple[Change, ...]
    buckets: tuple[Change, ...]
    ops: tuple[Change, ...]
    symbols: tuple[Change, ...]

    @property
    def code(self) -> Change:
        """The change of the code, which GNU ``size`` calls text + data."""
        return self.totals[0]

    def to_json(self) -> dict[str, Any]:
        """The diff as JSON output gives it."""
        return {
            "before": self.before,
            "after": self.after,
            "made_with": self.made,
            **{
                name: [change.to_json() for change in getattr(self, name)]
                for name in ("totals", "buckets", "ops", "symbols")
            },
        }

    def to_markdown(self, most: int = 15) -> str:
        """Tables for the description of a merge request, with at most ``most`` symbols."""
        total = self.code
        share = f", {100 * total.delta / total.before:+.2f} %" if total.before else ""
        lines = [
            f"### Code size: {total.after:,} bytes ({total.delta:+,}{share})",
            "",
            f"`{self.before}` → `{self.after}`",
        ]
        lines += [f"- {line}" for line in self.made]
        lines += _markdown("total", self.totals)
        lines += _markdown("bucket", [change for change in self.buckets if change.delta])
        lines += _markdown("op (marginal)", [change for change in self.ops if change.delta])
        lines += _markdown("symbol", self.symbols[:most])
        if len(self.symbols) > most:
            lines += ["", f"{len(self.symbols) - most} more symbols changed."]
        return "\n".join(lines) + "\n"


def _markdown(head: str, changes: Iterable[Change]) -> list[str]:
    rows = [
        f"| {_cell(change.name)} | {change.before:,} | {change.after:,} | {change.delta:+,} |"
        for change in changes
    ]
    return ["", f"| {head} | before | after | delta |", "|---|--:|--:|--:|", *rows] if rows else []


def _cell(name: str) -> str:
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return "`" + short.replace("|", "\\|").replace("`", "'") + "`"


def changes(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[Change, ...]:
    """Every entry of two tables of bytes, the largest change first."""
    found = [
        Change(name=name, before=before.get(name, 0), after=after.get(name, 0))
        for name in {**before, **after}
    ]
    return tuple(sorted(found, key=lambda change: (-abs(change.delta), -change.after, change.name)))


def compare(before: Snapshot, after: Snapshot) -> Diff:
    """The changes from one build to another."""
    first, second = before.report, after.report
    return Diff(
        before=before.title,
        after=after.title,
        made=tuple(before.made_with.differences(after.made_with)),
        totals=tuple(
            Change(name=name, before=getattr(first.binary, name), after=getattr(second.binary, name))
            for name in ("code", "loaded", "bss", "file")
        ),
        buckets=changes(first.parts(), second.parts()),
        ops=changes(
            {name: size.marginal for name, size in first.ops.items()},
            {name: size.marginal for name, size in second.ops.items()},
        ),
        symbols=tuple(change for change in changes(_symbols(before), _symbols(after)) if change.delta),
    )


def _symbols(snapshot: Snapshot) -> dict[str, int]:
    """Loaded bytes by symbol; bytes without a symbol count for their section and file."""
    found: Counter[str] = Counter()
    for part in snapshot.anatomy.parts:
        if part.loaded:
            label = part.name if part.symbol else f"{part.name} ({part.source or part.owner.label})"
            found[label] += part.size
    return dict(found)
