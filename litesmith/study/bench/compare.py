"""``bench.compare``: two files of ``bench.board`` side by side, and how their conditions differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base.errors import UsageError

# The state of the board during the runs, which is expected to differ.
_VOLATILE = "clock"
_FIGURES: Mapping[str, tuple[str, ...]] = {
    "latency, min": ("latency_ms", "min"),
    "latency, median": ("latency_ms", "median"),
    "latency, p90": ("latency_ms", "p90"),
    "latency, max": ("latency_ms", "max"),
    "time to first inference": ("time_to_first_inference_ms",),
    "peak RSS": ("peak_rss_bytes",),
    "arena": ("arena_bytes",),
    "program": ("made_with", "program_bytes"),
}
_MILLISECONDS = frozenset(name for name in _FIGURES if name.startswith(("latency", "time")))


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure before and after; ``unit`` is ``ms``, ``B`` or ``µs``."""

    name: str
    unit: str
    before: float
    after: float

    @property
    def ratio(self) -> float | None:
        """After divided by before; None when before is 0."""
        return self.after / self.before if self.before else None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All figures, the time of each op, and the settings that differ between the two."""

    before: str
    after: str
    figures: tuple[Change, ...]
    ops: tuple[Change, ...]
    differences: Mapping[str, tuple[str, str]]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            **asdict(self),
            "figures": [{**asdict(change), "ratio": change.ratio} for change in self.figures],
            "ops": [{**asdict(change), "ratio": change.ratio} for change in self.ops],
        }


def compare(before: Path, after: Path) -> Comparison:
    """Reads two files of ``bench.board``.

    Raises:
        UsageError: one of them is not such a file.
    """
    old, new = _read(before), _read(after)
    figures = tuple(
        Change(
            name=name,
            unit="ms" if name in _MILLISECONDS else "B",
            before=_at(old, keys, before),
            after=_at(new, keys, after),
        )
        for name, keys in _FIGURES.items()
    )
    times = [_op_times(report, path) for report, path in ((old, before), (new, after))]
    ops = tuple(
        Change(name=op, unit="µs", before=times[0].get(op, 0.0), after=times[1].get(op, 0.0))
        for op in sorted(
            {*times[0], *times[1]}, key=lambda op: -max(times[0].get(op, 0), times[1].get(op, 0))
        )
    )
    return Comparison(
        before=str(before), after=str(after), figures=figures, ops=ops, differences=_differences(old, new)
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and {"latency_ms", "ops", "made_with"} <= found.keys():
            return found
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "name a file that bench.board wrote") from None
    raise UsageError(f"{path} is not a measurement of a board", "name a file that bench.board wrote")


def _op_times(report: Mapping[str, Any], path: Path) -> dict[str, float]:
    try:
        return {str(op["op"]): float(op["us"]) for op in report["ops"]}
    except (TypeError, ValueError, KeyError):
        raise UsageError(f"{path} has no times of its ops", "measure again with bench.board") from None


def _at(report: Mapping[str, Any], keys: tuple[str, ...], path: Path) -> float:
    value: Any = report
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, int | float):
        raise UsageError(f"{path} has no {'.'.join(keys)}", "measure again with bench.board")
    return float(value)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    kept = ("board", "model", "input", "runs", "warm_up", "threads")
    words = [
        {**{key: report.get(key) for key in kept}, **report["made_with"], _VOLATILE: None}
        for report in (old, new)
    ]
    return {
        key: (_text(words[0].get(key)), _text(words[1].get(key)))
        for key in {**words[0], **words[1]}
        if words[0].get(key) != words[1].get(key)
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
