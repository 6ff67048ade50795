"""Errors of a converted model's outputs against those of the original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Tally:
    """Errors of one output over all samples.

    ``not_finite`` counts elements where only one of the two values is finite, or both are different
    non-finite values.  ``rows`` and ``same_top`` count rows along the last axis, and those whose largest
    element is at the same index.
    """

    elements: int = 0
    largest: float = 0.0
    total: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    not_finite: int = 0
    rows: int = 0
    same_top: int = 0
    reshaped: str = ""

    def add(self, original: Array, converted: Array) -> None:
        """Adds one sample."""
        if original.shape != converted.shape:
            self.reshaped = f"{list(original.shape)} became {list(converted.shape)}"
            return
        wanted = original.astype(np.float64)
        got = converted.astype(np.float64)
        finite = np.isfinite(wanted) & np.isfinite(got)
        same = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
        self.not_finite += int((~finite & ~same).sum())
        self.elements += wanted.size
        error = np.abs(wanted[finite] - got[finite])
        if error.size:
            self.largest = max(self.largest, float(error.max()))
            self.total += float(error.sum())
            self.low = min(self.low, float(wanted[finite].min()))
            self.high = max(self.high, float(wanted[finite].max()))
        if wanted.ndim and wanted.shape[-1] > 1 and wanted.size:
            tops = wanted.argmax(-1) == got.argmax(-1)
            self.rows += tops.size
            self.same_top += int(tops.sum())

    def result(self) -> dict[str, Any]:
        """Absolute errors, and errors as shares of the original's range (None if that is a single value)."""
        span = self.high - self.low if self.high > self.low else None
        mean = self.total / self.elements if self.elements else 0.0
        return {
            "range": [self.low, self.high] if self.low <= self.high else None,
            "largest": self.largest,
            "mean": mean,
            "largest_of_range": self.largest / span if span else None,
            "mean_of_range": mean / span if span else None,
            "top1": self.same_top / self.rows if self.rows else None,
            "rows": self.rows,
            "not_finite": self.not_finite,
            "reshaped": self.reshaped,
        }
