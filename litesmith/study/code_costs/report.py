"""The result of a measurement of costs: estimates beside what was measured."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litesmith.predict.code_size.estimate import Accuracy


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The estimated and the measured bytes of one model's code."""

    model: str
    estimated: int
    measured: int

    @property
    def error(self) -> float:
        """The estimate's error, as a share of the measured bytes."""
        return abs(self.estimated - self.measured) / self.measured


@dataclass(frozen=True, kw_only=True)
class CostsReport:
    """The file that was written, and how the estimates of real models compare with measurements."""

    path: Path
    made_with: str
    accuracy: Accuracy
    models: tuple[Comparison, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "path": str(self.path),
            "made_with": self.made_with,
            "accuracy": dataclasses.asdict(self.accuracy),
            "models": [{**dataclasses.asdict(row), "error": row.error} for row in self.models],
        }


def accuracy(rows: Sequence[Comparison], unseen: Sequence[float]) -> Accuracy:
    """The errors of all estimates; ``unseen`` are errors where a program's own costs were left out."""
    worst = max(rows, key=lambda row: row.error)
    return Accuracy(
        models=len(rows),
        median=round(statistics.median(row.error for row in rows), 4),
        worst=round(worst.error, 4),
        worst_model=worst.model,
        unseen_median=round(statistics.median(unseen), 4),
        unseen=round(sorted(unseen)[int(0.95 * len(unseen))], 4),
    )
