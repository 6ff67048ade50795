"""What each optimisation costs and brings: bytes, instructions and time of x86_64 programs.

Pruned and stock programs take turns with the LiteRT wheel on the same input in one run.
Instructions are counted by valgrind's callgrind, and do not depend on what else the machine does;
its CPU has AVX2, not AVX-512.
"""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import console, paths, process
from litesmith.base.errors import ToolError, VerificationError
from litesmith.build.request import Request
from litesmith.measure.verify import reference
from litesmith.model.model_file import Model, open_model
from litesmith.study.bench.speed import Turns, short_name
from litesmith.target.profiles import OPTIMISATIONS
from litesmith.workflow import build_and_verify

_TARGET = "x86_64"
_RUNS = 300
_COUNTED = 10
_SECONDS = 900


def default_models() -> tuple[str, ...]:
    """Int8 and float32 networks of different kinds."""
    return ("zoo:vww", "zoo:kws", "zoo:ic", "zoo:ad", str(paths.data_folder("examples") / "digits.tflite"))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A program of one model: its code in bytes, instructions and median milliseconds of an inference."""

    model: str
    optimise: str
    pruned: bool
    code: int
    instructions: int
    ms: float


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """The wheel's median milliseconds for one model, in the same run."""

    model: str
    ms: float
    xnnpack_ms: float


@dataclass(frozen=True, kw_only=True)
class OptimiseReport:
    """All measurements, and what they were made with."""

    programs: tuple[Measured, ...]
    wheels: tuple[Wheel, ...]
    made_with: tuple[str, ...]

    def of(self, model: str, optimise: str, *, pruned: bool) -> Measured:
        """One measurement."""
        return next(
            one for one in self.programs if (one.model, one.optimise, one.pruned) == (model, optimise, pruned)
        )

    def medians(self, optimise: str) -> tuple[float, float]:
        """Instructions of pruned to stock programs, and milliseconds of pruned ones to the wheel's."""
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
    """Builds and measures the models with every optimisation, pruned and stock.

    Raises:
        ToolError: valgrind is not installed.
        LitesmithError: a build or a run failed.
    """
    if shutil.which("valgrind") is None:
        raise ToolError("valgrind is not installed", "on Debian: apt-get install valgrind")
    programs: list[Measured] = []
    wheels: list[Wheel] = []
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        for name in models or default_models():
            model = open_model(name)
            built = {
                (optimise, pruned): _build(name, optimise, pruned, Path(scratch))
                for optimise in OPTIMISATIONS
                for pruned in (True, False)
            }
            console.note(f"measuring {name}")
            turns = Turns(model, [outcome.program for outcome in built.values()])
            times = turns.take(runs)
            for (optimise, pruned), outcome in built.items():
                programs.append(
                    Measured(
                        model=short_name(model),
                        optimise=optimise,
                        pruned=pruned,
                        code=outcome.size.binary.code,
                        instructions=instructions(outcome.program, model),
                        ms=times.programs[outcome.program],
                    )
                )
            wheels.append(Wheel(model=short_name(model), ms=times.wheel, xnnpack_ms=times.xnnpack))
            manifest = outcome.manifest
    compiler = f"{manifest.toolchain['name']} {manifest.toolchain['version']}"
    made_with = (
        f"{_TARGET}, {compiler}, one thread; wheel: {reference.describe()}",
        f"instructions: {_valgrind()}, the mean of {_COUNTED} inferences",
    )
    return OptimiseReport(programs=tuple(programs), wheels=tuple(wheels), made_with=made_with)


def _build(name: str, optimise: str, pruned: bool, scratch: Path) -> build_and_verify.Outcome:
    folder = scratch / f"{name.rsplit('/', 1)[-1].replace(':', '-')}-{optimise}-{pruned}"
    return build_and_verify.build(
        Request(target=_TARGET, models=(name,), out=str(folder), optimise=optimise, prune=pruned)
    )


def instructions(program: Path, model: Model) -> int:
    """Instructions that one inference executes, on zeros.

    Raises:
        VerificationError: the program failed.
    """
    more, once = (_count(program, model, runs) for runs in (_COUNTED + 1, 1))
    return round((more - once) / _COUNTED)


def _count(program: Path, model: Model, runs: int) -> int:
    words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program)]
    done = process.run([*words, "--model", str(model.path), "--runs", str(runs)], timeout=_SECONDS)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.code != 0 or found is None:
        raise VerificationError(
            f"{model.analysis.path}: the program failed under valgrind: {done.stderr.strip()}"
        )
    return int(found[1])


def _valgrind() -> str:
    return process.run(["valgrind", "--version"], timeout=60).stdout.decode().strip()
