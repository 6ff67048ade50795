"""Inference time of x86_64 programs and of the LiteRT wheel, measured in turns on the same input.

They take turns within one run, so that the ratio of their times holds although the machine's speed drifts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litesmith.base.errors import UsageError
from litesmith.measure.verify import reference
from litesmith.measure.verify.executor import find_executor
from litesmith.model import samples
from litesmith.model.model_file import Model
from litesmith.study.bench.execution import run_program
from litesmith.study.bench.models import short_name
from litesmith.target import profiles

ROUNDS = 15
"""Turns of each program and of the wheel; the lowest of their medians counts.

Other work on the machine only adds to times, and lasts for several turns.
"""

_WARM_UP = 10


@dataclass(frozen=True, kw_only=True)
class WheelTime:
    """Milliseconds of one inference in the wheel, without delegates and with XNNPACK; one thread."""

    model: str
    ms: float
    xnnpack_ms: float


@dataclass(frozen=True, kw_only=True)
class Times:
    """Milliseconds of one inference: of each program, and of the wheel in the same run."""

    programs: Mapping[Path, float]
    wheel: WheelTime


def require_runs(runs: int) -> None:
    """Checks that there is an inference for each round.

    Raises:
        UsageError: there are fewer.
    """
    if runs < ROUNDS:
        raise UsageError(f"--runs {runs} is too few", f"measure at least {ROUNDS}")


def time_in_turns(model: Model, programs: Sequence[Path], runs: int) -> Times:
    """Times ``runs`` inferences of each program and of the wheel on the model's first sample.

    Raises:
        VerificationError: a program failed.
    """
    executor = find_executor(profiles.load("x86_64"))
    _, _, sample = samples.for_measuring(model.analysis, model.path)
    wheel = _Wheel(model.path, sample.inputs, delegates=False)
    xnnpack = _Wheel(model.path, sample.inputs, delegates=True)
    medians: dict[Path, list[float]] = {program: [] for program in programs}
    each = runs // ROUNDS
    for _ in range(ROUNDS):
        for program, found in medians.items():
            done = run_program(executor, program, model, ("--runs", str(each), "--json"), sample.inputs)
            found.append(float(json.loads(done.stdout)["latency_ms"]["median"]))
        wheel.measure(each)
        xnnpack.measure(each)
    return Times(
        programs={program: min(found) for program, found in medians.items()},
        wheel=WheelTime(
            model=short_name(model),
            ms=min(wheel.medians),
            xnnpack_ms=min(xnnpack.medians),
        ),
    )


class _Wheel:
    """The LiteRT interpreter, warmed up, with its inputs set."""

    def __init__(self, model: Path, inputs: Sequence[NDArray[Any]], *, delegates: bool) -> None:
        self._interpreter = reference.interpreter(model, delegates=delegates)
        self._interpreter.allocate_tensors()
        for detail, value in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], value)
        for _ in range(_WARM_UP):
            self._interpreter.invoke()
        self.medians: list[float] = []

    def measure(self, count: int) -> None:
        """Appends the median milliseconds of ``count`` inferences to ``medians``."""
        seconds = np.empty(count)
        for i in range(count):
            start = time.perf_counter()
            self._interpreter.invoke()
            seconds[i] = time.perf_counter() - start
        self.medians.append(float(np.median(seconds)) * 1e3)
