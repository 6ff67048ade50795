"""``bench.optimise``: bytes, instructions and time of x86_64 programs at each optimisation level.

Pruned and stock programs are timed in turns with the LiteRT wheel; instructions are counted by valgrind.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import console, paths
from litesmith.build.request import Request
from litesmith.measure.verify import reference
from litesmith.study.bench.instruction_count import VALGRIND_INFERENCES, require_valgrind, under_valgrind
from litesmith.study.bench.models import short_name
from litesmith.study.bench.timing import WheelTime, require_runs, time_in_turns
from litesmith.target.profiles import OPTIMISATIONS, Optimise
from litesmith.workflow import build_and_verify
from litesmith.workflow.build_and_verify import Outcome

_TARGET = "x86_64"
_RUNS = 300


def default_models() -> tuple[str, ...]:
    """Int8 and float32 networks of different kinds."""
    return ("zoo:vww", "zoo:kws", "zoo:ic", "zoo:ad", str(paths.data_folder("examples") / "digits.tflite"))


@dataclass(frozen=True, kw_only=True)
class OptimisedProgram:
    """A program of one model: bytes of code, and instructions and milliseconds of one inference."""

    model: str
    optimise: str
    pruned: bool
    code: int
    instructions: int
    ms: float


@dataclass(frozen=True, kw_only=True)
class OptimiseReport:
    """The measurements of all models, and what they were made with."""

    programs: tuple[OptimisedProgram, ...]
    wheels: tuple[WheelTime, ...]
    made_with: tuple[str, ...]

    def of(self, model: str, optimise: str, *, pruned: bool) -> OptimisedProgram:
        """The measurement of one program."""
        return next(
            one for one in self.programs if (one.model, one.optimise, one.pruned) == (model, optimise, pruned)
        )

    def medians(self, optimise: str) -> tuple[float, float]:
        """Median ratios of pruned programs: instructions to the stock program's, and time to the wheel's."""
        wheels = {wheel.model: wheel.ms for wheel in self.wheels}
        pruned = [self.of(model, optimise, pruned=True) for model in wheels]
        stock = [self.of(model, optimise, pruned=False) for model in wheels]
        return (
            statistics.median(a.instructions / b.instructions for a, b in zip(pruned, stock, strict=True)),
            statistics.median(one.ms / wheels[one.model] for one in pruned),
        )

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        medians = {name: self.medians(name) for name in OPTIMISATIONS}
        return {
            **asdict(self),
            "medians": {
                name: {"instructions_to_stock": instructions, "ms_to_wheel": ms}
                for name, (instructions, ms) in medians.items()
            },
        }


def run(models: Sequence[str], runs: int = _RUNS) -> OptimiseReport:
    """Builds and measures the models at every optimisation level, pruned and stock.

    Raises:
        ToolError: valgrind is not installed.
        LitesmithError: a build or a run failed.
    """
    require_runs(runs)
    valgrind = require_valgrind()
    programs: list[OptimisedProgram] = []
    wheels: list[WheelTime] = []
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        for name in models or default_models():
            outcomes = {
                (optimise, pruned): _build(name, optimise, pruned, Path(scratch))
                for optimise in OPTIMISATIONS
                for pruned in (True, False)
            }
            measured, wheel = _measure(name, outcomes, runs)
            programs += measured
            wheels.append(wheel)
    compiler = next(reversed(outcomes.values())).manifest.toolchain
    made_with = (
        f"{_TARGET}, {compiler['name']} {compiler['version']}, one thread; wheel: {reference.describe()}",
        f"instructions: {valgrind}, the mean of {VALGRIND_INFERENCES} inferences",
    )
    return OptimiseReport(programs=tuple(programs), wheels=tuple(wheels), made_with=made_with)


def _build(name: str, optimise: str, pruned: bool, scratch: Path) -> Outcome:
    folder = scratch / f"{name.rsplit('/', 1)[-1].replace(':', '-')}-{optimise}-{pruned}"
    return build_and_verify.build(
        Request(target=_TARGET, models=(name,), out=str(folder), optimise=optimise, prune=pruned)
    )


def _measure(
    name: str, outcomes: Mapping[tuple[Optimise, bool], Outcome], runs: int
) -> tuple[list[OptimisedProgram], WheelTime]:
    """Measures the programs of one model; ``outcomes`` has them by optimisation level and pruning."""
    console.note(f"measuring {name}")
    (outcome, *_) = outcomes.values()
    (model,) = outcome.models
    times = time_in_turns(model, [outcome.program for outcome in outcomes.values()], runs)
    programs = [
        OptimisedProgram(
            model=short_name(model),
            optimise=optimise,
            pruned=pruned,
            code=outcome.size.binary.code,
            instructions=under_valgrind(outcome.program, model),
            ms=times.programs[outcome.program],
        )
        for (optimise, pruned), outcome in outcomes.items()
    ]
    return programs, times.wheel
