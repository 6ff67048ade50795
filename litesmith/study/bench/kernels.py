"""TensorFlow Lite's own kernels beside XNNPACK's: bytes, and time or instructions, on three targets.

On x86_64 both programs take turns with the LiteRT wheel on the same input in one run.  Elsewhere the
instructions of an inference are counted under emulation, which says nothing of caches and pipelines.
"""

from __future__ import annotations

import platform
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import console, files, paths, process
from litesmith.base.errors import ToolError, UsageError, VerificationError
from litesmith.build.request import Request
from litesmith.measure.verify import reference
from litesmith.measure.verify.executor import LocalExecutor, find_executor
from litesmith.model import samples
from litesmith.model.model_file import Model, open_model
from litesmith.study.bench.speed import Turns, default_models, short_name
from litesmith.target import profiles
from litesmith.workflow import build_and_verify

DEFAULT_TARGETS = ("x86_64", "aarch64", "armv7")
_COUNTED = 3
_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """A model with one choice of kernels on one target.

    ``code`` is in bytes.  ``ms`` is the median of an inference, ``instructions`` their number: one of them
    is there.  ``delegated`` of the model's ``nodes`` run in XNNPACK.
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
class WheelTime:
    """The wheel's median milliseconds, without delegates and with XNNPACK."""

    model: str
    ms: float
    xnnpack_ms: float


@dataclass(frozen=True, kw_only=True)
class KernelsReport:
    """All measurements, and what they were made with."""

    programs: tuple[Kernels, ...]
    wheels: tuple[WheelTime, ...]
    made_with: tuple[str, ...]

    def of(self, target: str, model: str, kernels: str) -> Kernels:
        """One measurement."""
        wanted = (target, model, kernels)
        return next(one for one in self.programs if (one.target, one.model, one.kernels) == wanted)

    def median_to_wheel(self) -> float | None:
        """Milliseconds of programs with XNNPACK to those of the wheel with XNNPACK: the median of models."""
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
    """Builds and measures the models with both choices.

    Raises:
        ToolError: the emulator cannot count instructions.
        LitesmithError: a build or a run failed.
    """
    programs: list[Kernels] = []
    wheels: list[WheelTime] = []
    made_with: list[str] = []
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        for target in targets or DEFAULT_TARGETS:
            for name in models or default_models():
                model = open_model(name)
                built = {kernels: _build(target, name, kernels, Path(scratch)) for kernels in _CHOICES}
                console.note(f"measuring {name} on {target}")
                times: dict[str, float] = {}
                if profiles.load(target).emulator is None:
                    taken = Turns(model, [outcome.program for outcome in built.values()]).take(runs)
                    times = {kernels: taken.programs[one.program] for kernels, one in built.items()}
                    wheel = WheelTime(model=short_name(model), ms=taken.wheel, xnnpack_ms=taken.xnnpack)
                    wheels.append(wheel)
                for kernels, outcome in built.items():
                    manifest = outcome.manifest
                    counted = None if times else instructions(outcome.program, target, model)
                    programs.append(
                        Kernels(
                            target=target,
                            model=short_name(model),
                            kernels=kernels,
                            code=outcome.size.binary.code,
                            ms=times.get(kernels),
                            instructions=counted,
                            delegated=sum(one["xnnpack"] for one in manifest.kernels["models"]),
                            nodes=sum(one["nodes"] for one in manifest.kernels["models"]),
                        )
                    )
            compiler = manifest.toolchain
            made_with.append(f"{target}: {compiler['name']} {compiler['version']}")
    made_with.append(f"wheel: {reference.describe()}, and with its default delegates; one thread")
    return KernelsReport(programs=tuple(programs), wheels=tuple(wheels), made_with=tuple(made_with))


_CHOICES = ("builtin", "xnnpack")


def _build(target: str, name: str, kernels: str, scratch: Path) -> build_and_verify.Outcome:
    folder = scratch / f"{target}-{files.digest_of(name)[:8]}-{kernels}"
    return build_and_verify.build(Request(target=target, models=(name,), out=str(folder), kernels=kernels))


def instructions(program: Path, target: str, model: Model) -> int:
    """Instructions that one inference executes under the target's emulator, on its first sample.

    Raises:
        ToolError: the emulator is missing, or takes no plugins.
        VerificationError: the program failed.
    """
    executor = find_executor(profiles.load(target))
    if not executor.argv:
        raise UsageError(f"{target} needs no emulator", "time it instead")
    more, once = (_count(executor, program, model, runs) for runs in (_COUNTED + 1, 1))
    return round((more - once) / _COUNTED)


def _count(executor: LocalExecutor, program: Path, model: Model, runs: int) -> int:
    emulator, *more = executor.argv
    counting = LocalExecutor(
        argv=(emulator, "-plugin", str(_plugin()), *more), description=executor.description
    )
    _, _, sample = samples.for_measuring(model.analysis, model.path)
    arguments = ["--model", str(model.path), "--runs", str(runs)]
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        done = counting.run(str(program), arguments, sample.inputs, Path(scratch))
    found = re.search(r"executed instructions: (\d+)", done.stderr)
    if done.code != 0 or found is None:
        raise VerificationError(f"{model.analysis.path}: the program failed: {done.stderr.strip()}")
    return int(found[1])


def _plugin() -> Path:
    """The emulator's plugin, compiled for this machine with zig."""
    source = paths.data_folder("templates") / "emulator" / "count_instructions.c"
    target = paths.cache_folder() / "emulator" / f"{files.sha256(source)[:16]}-{platform.machine()}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.staging_folder(target) as staged:
            output = staged / "plugin.so"
            words: list[str | Path] = [
                sys.executable,
                "-m",
                "ziglang",
                "cc",
                "-shared",
                "-fPIC",
                "-O2",
                "-o",
                output,
                source,
            ]
            done = process.run(words, timeout=_SECONDS)
            if done.code != 0:
                raise ToolError(
                    "the emulator's plugin does not compile", done.stderr.strip().splitlines()[-1]
                )
            output.replace(target)
    return target
