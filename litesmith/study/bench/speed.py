"""``bench.speed``: x86_64 programs beside the LiteRT wheel, and the ruy kernels that run on other CPUs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litesmith.base import console
from litesmith.measure.verify import reference
from litesmith.model.model_file import Model
from litesmith.study.bench import published_models
from litesmith.study.bench.both_kernels import built_with_both
from litesmith.study.bench.models import default_models, short_name
from litesmith.study.bench.ruy_kernels import KernelRun, kernel_runs
from litesmith.study.bench.timing import ROUNDS, require_runs, time_in_turns


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Milliseconds of one inference in program and wheel, with built-in kernels and with XNNPACK."""

    model: str
    program_ms: float
    wheel_ms: float
    xnnpack_program_ms: float
    xnnpack_wheel_ms: float


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """The times of all models, the kernels of the first one, and what they were made with."""

    speeds: tuple[Speed, ...]
    kernels: tuple[KernelRun, ...]
    made_with: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def run(models: Sequence[str], runs: int) -> SpeedReport:
    """Measures the models; without any, :func:`default_models` and :mod:`.published_models`.

    Raises:
        LitesmithError: a build or a run failed.
    """
    require_runs(runs)
    speeds: list[Speed] = []
    made_with: list[str] = []
    with tempfile.TemporaryDirectory(prefix="litesmith-") as scratch:
        names = tuple(models) or (*default_models(), *published_models.write(Path(scratch)))
        for name in names:
            outcomes = built_with_both("x86_64", name, Path(scratch))
            builtin, xnnpack = outcomes["builtin"], outcomes["xnnpack"]
            console.note(f"measuring {name}")
            speeds.append(_measure(builtin.models[0], builtin.program, xnnpack.program, runs))
            manifest = builtin.manifest
            digests = [one.manifest.binary["sha256"][:12] for one in (builtin, xnnpack)]
            model = manifest.models[0]
            made_with.append(f"{name}: programs {' and '.join(digests)}, model {model.sha256[:12]}")
        kernels = kernel_runs(names[0], Path(scratch))
    manifest_flags = " ".join((*manifest.flags["target"], *manifest.flags["common"]))
    made_with += [
        f"{manifest.toolchain['name']} {manifest.toolchain['version']}: {manifest_flags}",
        f"wheel: {reference.describe()}; lowest median of {ROUNDS} rounds of {runs // ROUNDS} inferences",
    ]
    return SpeedReport(speeds=tuple(speeds), kernels=kernels, made_with=tuple(made_with))


def _measure(model: Model, builtin: Path, xnnpack: Path, runs: int) -> Speed:
    times = time_in_turns(model, [builtin, xnnpack], runs)
    return Speed(
        model=short_name(model),
        program_ms=times.programs[builtin],
        wheel_ms=times.wheel.ms,
        xnnpack_program_ms=times.programs[xnnpack],
        xnnpack_wheel_ms=times.wheel.xnnpack_ms,
    )
