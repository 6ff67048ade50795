"""``bench.kernels``: TensorFlow Lite's own kernels beside XNNPACK's: bytes, and time or instructions.

Programs for x86_64 are timed in turns with the LiteRT wheel.  For other targets the instructions of an
inference are counted under the emulator, which says nothing about caches and pipelines.  For aarch64, those
of the wheel are counted, too, on several CPUs.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import console
from litesmith.measure.verify import reference
from litesmith.model import samples
from litesmith.study.bench import aarch64_wheel
from litesmith.study.bench.aarch64_wheel import Aarch64Wheel
from litesmith.study.bench.both_kernels import built_with_both
from litesmith.study.bench.instruction_count import under_emulator
from litesmith.study.bench.models import default_models, short_name
from litesmith.study.bench.timing import WheelTime, require_runs, time_in_turns
from litesmith.workflow.build_and_verify import Outcome

DEFAULT_TARGETS = ("x86_64", "aarch64", "armv7")
_WITH_WHEEL = "aarch64"


@dataclass(frozen=True, kw_only=True)
class KernelsProgram:
    """The program of a model with one choice of kernels on one target.

    ``code`` is in bytes.  One inference takes ``ms`` or ``instructions``: one of them is set.
    ``delegated`` of the model's ``nodes`` run in XNNPACK.
    """

    target: str
    model: str
    kernels: str
    code: int
    ms: float | None
    instructions: int | None
    delegated: int
    nodes: int


@dataclass(frozen=True, kw_only=True)
class CpuComparison:
    """Instructions of one inference on an emulated CPU: of the program with XNNPACK, and of the wheel."""

    target: str
    model: str
    cpu: str
    program: int
    wheel: int


@dataclass(frozen=True, kw_only=True)
class KernelsReport:
    """The measurements of all targets and models, and what they were made with."""

    programs: tuple[KernelsProgram, ...]
    wheels: tuple[WheelTime, ...]
    cpus: tuple[CpuComparison, ...]
    made_with: tuple[str, ...]

    def of(self, target: str, model: str, kernels: str) -> KernelsProgram:
        """The measurement of one program."""
        wanted = (target, model, kernels)
        return next(one for one in self.programs if (one.target, one.model, one.kernels) == wanted)

    def median_to_wheel(self) -> float | None:
        """The median ratio of a program's time to the wheel's, both with XNNPACK; None without times."""
        ratios = [
            one.ms / wheel.xnnpack_ms
            for wheel in self.wheels
            for one in self.programs
            if one.model == wheel.model and one.kernels == "xnnpack" and one.ms is not None
        ]
        return statistics.median(ratios) if ratios else None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "median_to_wheel": self.median_to_wheel()}


def run(targets: Sequence[str], models: Sequence[str], runs: int) -> KernelsReport:
    """Builds and measures the models with both choices; without any, the default targets and models.

    Raises:
        ToolError: the emulator cannot count instructions.
        LitesmithError: a build or a run failed.
    """
    require_runs(runs)
    programs: list[KernelsProgram] = []
    wheels: list[WheelTime] = []
    cpus: list[CpuComparison] = []
    made_with: list[str] = []
    emulated = _emulated_wheel(targets or DEFAULT_TARGETS)
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        for target in targets or DEFAULT_TARGETS:
            for name in models or default_models():
                outcomes = built_with_both(target, name, Path(scratch))
                measured, wheel = _measure(target, name, outcomes, runs)
                programs += measured
                wheels += [wheel] if wheel else []
                if emulated and target == _WITH_WHEEL:
                    cpus += _compared(emulated, outcomes["xnnpack"])
            compiler = next(reversed(outcomes.values())).manifest.toolchain
            made_with.append(f"{target}: {compiler['name']} {compiler['version']}")
    made_with.append(f"wheel: {reference.describe()}, and with its default delegates; one thread")
    if emulated:
        made_with.append(f"{_WITH_WHEEL}: the wheel's instructions contain those of Python's call")
    return KernelsReport(
        programs=tuple(programs), wheels=tuple(wheels), cpus=tuple(cpus), made_with=tuple(made_with)
    )


def _emulated_wheel(targets: Sequence[str]) -> Aarch64Wheel | None:
    """The wheel for aarch64, where the target is measured and the wheel can be installed."""
    if _WITH_WHEEL not in targets:
        return None
    reason = aarch64_wheel.missing()
    if reason is None:
        return aarch64_wheel.install()
    console.note(f"{reason}: without them, programs for {_WITH_WHEEL} are not compared with the wheel")
    return None


def _compared(wheel: Aarch64Wheel, outcome: Outcome) -> list[CpuComparison]:
    """The program beside the wheel on each CPU."""
    (model,) = outcome.models
    _, _, sample = samples.for_measuring(model.analysis, model.path)
    found = []
    for cpu in aarch64_wheel.CPUS:
        console.note(f"measuring {short_name(model)} and the wheel on {cpu.name}")
        found.append(
            CpuComparison(
                target=_WITH_WHEEL,
                model=short_name(model),
                cpu=cpu.name,
                program=under_emulator(outcome.program, _WITH_WHEEL, model, cpu.name),
                wheel=wheel.instructions(model.path, sample.inputs, cpu),
            )
        )
    return found


def _measure(
    target: str, name: str, outcomes: Mapping[str, Outcome], runs: int
) -> tuple[list[KernelsProgram], WheelTime | None]:
    """Measures the programs of one model, by choice of kernels; the wheel where they run on this machine."""
    console.note(f"measuring {name} on {target}")
    (outcome, *_) = outcomes.values()
    (model,) = outcome.models
    times = None
    if outcome.profile.emulator is None:
        times = time_in_turns(model, [outcome.program for outcome in outcomes.values()], runs)
    programs = [
        KernelsProgram(
            target=target,
            model=short_name(model),
            kernels=kernels,
            code=outcome.size.binary.code,
            ms=times.programs[outcome.program] if times else None,
            instructions=None if times else under_emulator(outcome.program, target, model),
            delegated=sum(one["xnnpack"] for one in outcome.manifest.kernels["models"]),
            nodes=sum(one["nodes"] for one in outcome.manifest.kernels["models"]),
        )
        for kernels, outcome in outcomes.items()
    ]
    return programs, times.wheel if times else None
