"""What all measurements of costs share: symbols of a program, and estimates beside what was measured."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import paths
from litesmith.build.builder import Binary
from litesmith.build.project import Project
from litesmith.measure.size import elf
from litesmith.measure.size.anatomy import DELEGATE, HEADERS
from litesmith.measure.size.measurement import anatomise
from litesmith.model.analysis import UNKNOWN_ROW, DepthwiseRow
from litesmith.model.zoo import MODELS
from litesmith.predict.code_size.costs import Accuracy, Rows
from litesmith.runtime.xnnpack import patched_sources

DEPTHWISE_ROWS: Mapping[Rows, tuple[DepthwiseRow, ...]] = {
    "": (),
    # The usual kernel of rows, which models of all widths run.
    "usual": (DepthwiseRow(stride_width=1, input_depth=24, multiplier=1),),
    "all": (UNKNOWN_ROW,),
}
"""Rows of the depthwise convolutions that are measured."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One model: estimated and measured bytes of code."""

    model: str
    estimated: int
    measured: int

    @property
    def error(self) -> float:
        """Share of the measured bytes that the estimate is off by."""
        return abs(self.estimated - self.measured) / self.measured


def real_models() -> list[str]:
    """Names of the zoo's models and paths of the examples."""
    examples = sorted(str(path) for path in paths.data_folder("examples").glob("*.tflite"))
    return [*(f"zoo:{name}" for name in MODELS), *examples]


def symbols(project: Project, binary: Binary) -> tuple[Mapping[str, int], int]:
    """Bytes of each symbol, and the code."""
    found: Counter[str] = Counter()
    for part in anatomise(project, binary).parts:
        if part.loaded and part.owner.bucket != HEADERS:
            # What has no symbol is known by where it stands: strings of an op, a table of a file.
            found[part.symbol or f"{part.name} {part.source or part.owner.label}"] += part.size
    if project.xnnpack is not None:
        # The delegate's errors: each op has its own, and some have the same.
        for text in _texts(binary, patched_sources.DELEGATE):
            found[f"text {text!r}"] = len(text) + 1
            found[f"strings {DELEGATE}"] -= len(text) + 1
    return found, elf.program_size(binary.program).code


def _texts(binary: Binary, source: str) -> set[bytes]:
    """Strings of one of our files."""
    objects = (elf.Elf.read(Path(path)) for path, name in binary.objects.items() if name == source)
    return {
        text
        for one in objects
        for section in one.sections()
        if section.strings and section.allocated
        for text in one.content(section).split(b"\0")
        if text
    }


def accuracy(rows: Sequence[Compared], unseen: Sequence[float]) -> Accuracy:
    """How far off estimates were; ``unseen`` are errors where a program's own costs were left out."""
    worst = max(rows, key=lambda row: row.error)
    return Accuracy(
        models=len(rows),
        median=round(statistics.median(row.error for row in rows), 4),
        worst=round(worst.error, 4),
        worst_model=worst.model,
        unseen_median=round(statistics.median(unseen), 4),
        unseen=round(sorted(unseen)[int(0.95 * len(unseen))], 4),
    )
