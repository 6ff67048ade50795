"""Tasks that measure programs: time, instructions and bytes, on this machine and on boards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from litesmith.cli.command import Result, command
from litesmith.cli.options import (
    BOARD,
    ENTRY,
    INVENTORY,
    MODEL,
    PROGRAM,
    RUNS,
    TOOLCHAIN,
    EntryOptions,
    ProgramOptions,
    board_over_ssh,
    required,
)

if TYPE_CHECKING:
    from litesmith.study.bench.compare import Comparison
    from litesmith.study.bench.kernels import KernelsReport
    from litesmith.study.bench.on_board import BoardReport
    from litesmith.study.bench.optimise import OptimiseReport
    from litesmith.study.bench.pruning_steps import StepsReport
    from litesmith.study.bench.speed import SpeedReport

_JSON = "print the measurements as JSON"


@command(
    name="speed",
    default=True,
    help={
        "model": f"{MODEL}; may be repeated (default: the zoo, the examples, and four of published sizes)",
        "runs": RUNS,
    },
    json=_JSON,
    repeatable=("model",),
)
def speed(model: tuple[str, ...] = (), runs: int = 300) -> Result[SpeedReport]:
    """Compare x86_64 programs with the ai-edge-litert wheel, and count kernels on other targets."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import speed as measurements

    return Result(value=measurements.run(model, runs), show=tables.speed)


@command(
    name="optimise",
    help={
        "model": f"{MODEL}; may be repeated (default: four models of the zoo and one example)",
        "runs": RUNS,
    },
    json=_JSON,
    repeatable=("model",),
)
def optimise(model: tuple[str, ...] = (), runs: int = 300) -> Result[OptimiseReport]:
    """Measure bytes, instructions and time of each --optimise, pruned and stock (x86_64)."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import optimise as measurements

    return Result(value=measurements.run(model, runs), show=tables.optimise)


@command(
    name="kernels",
    help={
        "target": "a target to build for; may be repeated (default: x86_64, aarch64 and armv7)",
        "model": f"{MODEL}; may be repeated (default: the zoo and the examples)",
        "runs": f"{RUNS} on this machine",
    },
    json=_JSON,
    repeatable=("target", "model"),
)
def kernels(
    target: tuple[str, ...] = (), model: tuple[str, ...] = (), runs: int = 500
) -> Result[KernelsReport]:
    """Compare TensorFlow Lite's built-in kernels with XNNPACK's: bytes, and time or instructions."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import kernels as measurements

    return Result(value=measurements.run(target, model, runs), show=tables.kernels)


@command(
    name="pruning",
    help={"target": "the target of the program", "model": MODEL, "toolchain": TOOLCHAIN},
    json="print the bytes as JSON",
)
def pruning(
    target: str = "armv7", model: str = "zoo:vww", toolchain: str | None = None
) -> Result[StepsReport]:
    """Measure the bytes that each step of pruning saves: the program is built without that step."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import pruning_steps

    return Result(value=pruning_steps.run(target, model, toolchain), show=tables.pruning)


@command(
    PROGRAM.only("target", "toolchain", "optimise", "kernels"),
    ENTRY,
    name="board",
    help={
        "board": BOARD,
        "model": MODEL,
        "boards": INVENTORY,
        "out": "output folder of the build (default: build/<target>/<model name>)",
        "runs": "inferences that are measured",
        "warm-up": "inferences before the first that is measured",
        "threads": "threads of the kernels",
    },
    json="print the measurement as JSON",
    letters=("board", "target", "model", "boards", "toolchain", "optimise", "kernels", "out", "runs"),
)
def on_board(
    options: ProgramOptions,
    entry: EntryOptions,
    board: str | None = None,
    model: str | None = None,
    boards: str | None = None,
    out: str | None = None,
    runs: int = 50,
    warm_up: int = 5,
    threads: int = 1,
) -> Result[BoardReport]:
    """Measure a model on a board: latency, memory, and the time of each op."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import on_board as measurements

    options.required_target()
    models = (required(model, "--model", "examples/det.tflite"),)
    request = options.request(models=models, out=out, choice=entry.choice())
    run = measurements.RunOptions(runs=runs, warm_up=warm_up, threads=threads)
    path, report = measurements.run(request, board_over_ssh(boards, board), run)
    return Result(value=report, show=lambda found: tables.board(found, path))


@command(
    name="compare",
    help={"before": "a file that bench.board wrote", "after": "another such file"},
    json="print the comparison as JSON",
)
def compare(before: str, after: str) -> Result[Comparison]:
    """Show two measurements of boards side by side."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import compare as comparisons

    return Result(value=comparisons.compare(Path(before), Path(after)), show=tables.comparison)
