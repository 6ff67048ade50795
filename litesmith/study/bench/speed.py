"""Speed: our x86_64 program beside the LiteRT wheel, and which kernels run on which CPU.

Program and wheel take turns on the same input in one run, so that the ratio holds although
the machine's speed drifts.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litesmith.base import console, paths
from litesmith.base.errors import UsageError, VerificationError
from litesmith.build.request import Request
from litesmith.measure.verify import reference
from litesmith.measure.verify.executor import find_executor
from litesmith.model import samples
from litesmith.model.model_file import Model, open_model
from litesmith.study.bench.ruy_kernels import KernelRun, kernel_runs
from litesmith.target import profiles
from litesmith.workflow import build_and_verify

_ROUNDS = 5
_WARM_UP = 10


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Median milliseconds of one inference, one thread."""

    model: str
    program_ms: float
    wheel_ms: float
    xnnpack_ms: float


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """All measurements, and what they were made with."""

    speeds: tuple[Speed, ...]
    kernels: tuple[KernelRun, ...]
    made_with: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def default_models() -> tuple[str, ...]:
    """The zoo and the examples."""
    examples = sorted(paths.data_folder("examples").glob("*.tflite"))
    return ("zoo:vww", "zoo:kws", "zoo:ic", "zoo:ad", *(str(path) for path in examples))


def run(models: Sequence[str], runs: int) -> SpeedReport:
    """Measures the models (all of the zoo and the examples when none is named).

    Raises:
        LitesmithError: a build or a run failed.
    """
    if runs < _ROUNDS:
        raise UsageError(f"--runs {runs} is too few", f"measure at least {_ROUNDS}")
    names = tuple(models) or default_models()
    speeds: list[Speed] = []
    made_with: list[str] = []
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        for name in names:
            out = Path(scratch) / f"{len(speeds)}"
            built = build_and_verify.build(Request(target="x86_64", models=(name,), out=str(out)))
            console.note(f"measuring {name}")
            speeds.append(_measure(open_model(name), built.program, runs))
            manifest = built.manifest
            digests = manifest.binary["sha256"][:12], manifest.models[0].sha256[:12]
            made_with.append(f"{name}: program {digests[0]}, model {digests[1]}")
        kernels = kernel_runs(names[0], Path(scratch))
    manifest_flags = " ".join((*manifest.flags["target"], *manifest.flags["common"]))
    made_with += [
        f"{manifest.toolchain['name']} {manifest.toolchain['version']}: {manifest_flags}",
        f"wheel: {reference.describe()}; median of {_ROUNDS} rounds of {runs // _ROUNDS} inferences",
    ]
    return SpeedReport(speeds=tuple(speeds), kernels=kernels, made_with=tuple(made_with))


def short_name(model: Model) -> str:
    """A model in the tables: ``zoo:vww``, or the name of its file."""
    return model.analysis.path if model.analysis.path.startswith("zoo:") else model.path.name


def _measure(model: Model, program: Path, runs: int) -> Speed:
    taken = Turns(model, [program]).take(runs)
    return Speed(
        model=short_name(model),
        program_ms=taken.programs[program],
        wheel_ms=taken.wheel,
        xnnpack_ms=taken.xnnpack,
    )


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Median milliseconds of programs and of the wheel, without delegates and with XNNPACK."""

    programs: Mapping[Path, float]
    wheel: float
    xnnpack: float


class Turns:
    """Programs of one model and the wheel, which take turns on the same input."""

    def __init__(self, model: Model, programs: Sequence[Path]) -> None:
        _, _, sample = samples.for_measuring(model.analysis, model.path)
        self._inputs = sample.inputs
        self._executor = find_executor(profiles.load("x86_64"))
        self._model = model
        self._programs = programs

    def take(self, runs: int) -> Taken:
        """Measures ``runs`` inferences of each.

        Raises:
            VerificationError: a program failed.
        """
        wheel = _Wheel(self._model.path, self._inputs, delegates=False)
        xnnpack = _Wheel(self._model.path, self._inputs, delegates=True)
        ours: dict[Path, list[float]] = {program: [] for program in self._programs}
        each = runs // _ROUNDS
        for _ in range(_ROUNDS):
            for program, medians in ours.items():
                medians.append(self._program(program, each))
            wheel.measure(each)
            xnnpack.measure(each)
        return Taken(
            programs={program: statistics.median(medians) for program, medians in ours.items()},
            wheel=statistics.median(wheel.medians),
            xnnpack=statistics.median(xnnpack.medians),
        )

    def _program(self, program: Path, runs: int) -> float:
        arguments = ["--model", str(self._model.path), "--runs", str(runs), "--json"]
        with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
            done = self._executor.run(str(program), arguments, self._inputs, Path(scratch))
        if done.code != 0:
            raise VerificationError(f"{self._model.analysis.path}: the program failed: {done.stderr.strip()}")
        return float(json.loads(done.stdout)["latency_ms"]["median"])


class _Wheel:
    """The LiteRT interpreter, warm, with its inputs set."""

    def __init__(self, model: Path, inputs: Sequence[NDArray[Any]], *, delegates: bool) -> None:
        self._interpreter = reference.interpreter(model, delegates=delegates)
        self._interpreter.allocate_tensors()
        for detail, value in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], value)
        for _ in range(_WARM_UP):
            self._interpreter.invoke()
        self.medians: list[float] = []

    def measure(self, count: int) -> None:
        """Adds the median milliseconds of ``count`` inferences."""
        taken = np.empty(count)
        for i in range(count):
            start = time.perf_counter()
            self._interpreter.invoke()
            taken[i] = time.perf_counter() - start
        self.medians.append(float(np.median(taken)) * 1e3)
