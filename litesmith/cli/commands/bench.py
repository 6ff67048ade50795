"""Measurements."""

from __future__ import annotations

from typing import Any

from invoke.context import Context

from litesmith.cli.commands.common import choice, command, needed, print_json


@command(
    name="speed",
    default=True,
    iterable=["model"],
    help={
        "model": "models to measure (default: zoo and examples)",
        "runs": "inferences for each measurement",
        "json": "print the measurements as JSON",
    },
)
def bench_speed(ctx: Context, model: Any = None, runs: int = 300, json: bool = False) -> None:
    """Compare the x86_64 program with the ai-edge-litert wheel, and count kernels elsewhere."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import speed

    del ctx
    found = speed.run(tuple(model or ()), runs)
    if json:
        print_json(found.to_json())
    else:
        tables.speed(found)


@command(
    name="optimise",
    iterable=["model"],
    help={
        "model": "models to measure (default: four of the zoo and one example)",
        "runs": "inferences for each measurement",
        "json": "print the measurements as JSON",
    },
)
def bench_optimise(ctx: Context, model: Any = None, runs: int = 300, json: bool = False) -> None:
    """Bytes, instructions and time for each optimisation, pruned beside stock (x86_64)."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import optimise

    del ctx
    found = optimise.run(tuple(model or ()), runs)
    if json:
        print_json(found.to_json())
    else:
        tables.optimise(found)


@command(
    name="kernels",
    iterable=["target", "model"],
    help={
        "target": "targets to build for (default: x86_64, aarch64 and armv7)",
        "model": "models to measure (default: the zoo and the examples)",
        "runs": "inferences for each measurement on this machine",
        "json": "print the measurements as JSON",
    },
)
def bench_kernels(
    ctx: Context, target: Any = None, model: Any = None, runs: int = 500, json: bool = False
) -> None:
    """TensorFlow Lite's own kernels beside XNNPACK's: bytes, and time or instructions."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import kernels

    del ctx
    found = kernels.run(tuple(target or ()), tuple(model or ()), runs)
    if json:
        print_json(found.to_json())
    else:
        tables.kernels(found)


@command(
    name="pruning",
    help={
        "target": "target of the program",
        "model": "a .tflite file or zoo:NAME",
        "toolchain": "zig, gcc or docker",
        "json": "print the bytes as JSON",
    },
)
def bench_pruning(
    ctx: Context,
    target: str = "armv7",
    model: str = "zoo:vww",
    toolchain: str | None = None,
    json: bool = False,
) -> None:
    """What each step of pruning brings, in bytes: the program without that step."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import pruning_steps

    del ctx
    found = pruning_steps.run(target, model, toolchain)
    if json:
        print_json(found.to_json())
    else:
        tables.pruning(found)


@command(
    name="board",
    iterable=["input_shape"],
    help={
        "board": "a board of the inventory",
        "target": "built-in target name or path of a profile",
        "model": "a .tflite file or zoo:NAME",
        "boards": "the inventory (default boards.yaml)",
        "toolchain": "zig, gcc or docker, with linkage if need be: gcc:static",
        "optimise": "size, balanced or speed (default: as the profile says)",
        "kernels": "builtin, xnnpack or auto: who runs the nodes (default: as the profile says)",
        "out": "output folder of the build",
        "runs": "inferences that are measured",
        "warm-up": "inferences before that",
        "threads": "threads for the kernels",
        "signature": "measure this signature",
        "input-shape": "NAME=1x224x224x3: measure with this shape of an input",
        "json": "print the measurement as JSON",
    },
)
def bench_board(
    ctx: Context,
    board: str | None = None,
    target: str | None = None,
    model: str | None = None,
    boards: str | None = None,
    toolchain: str | None = None,
    optimise: str | None = None,
    kernels: str | None = None,
    out: str | None = None,
    runs: int = 50,
    warm_up: int = 5,
    threads: int = 1,
    signature: str | None = None,
    input_shape: Any = None,
    json: bool = False,
) -> None:
    """Measure a model on a board: latency, memory, and the time of each op."""
    from pathlib import Path

    from litesmith.board.deploy import inventory
    from litesmith.build.request import Request
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import on_board as measurements

    del ctx
    request = Request(
        target=needed(target, "--target", "armv7"),
        models=(needed(model, "--model", "examples/det.tflite"),),
        toolchain=toolchain,
        out=out,
        optimise=optimise,
        kernels=kernels,
        choice=choice(signature, input_shape),
    )
    found = inventory.load(Path(boards) if boards else None)
    (chosen,) = found.choose((needed(board, "--board", next(iter(found.boards))),))
    reached = inventory.over_ssh(chosen)
    options = measurements.RunOptions(runs=runs, warm_up=warm_up, threads=threads)
    path, report = measurements.run(request, reached, options)
    if json:
        print_json(report.to_json())
    else:
        tables.board(report, path)


@command(
    name="compare",
    positional=["before", "after"],
    help={
        "before": "a file that bench.board wrote",
        "after": "another one",
        "json": "print the comparison as JSON",
    },
)
def bench_compare(ctx: Context, before: str, after: str, json: bool = False) -> None:
    """Show two measurements of boards side by side."""
    from pathlib import Path

    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import compare

    del ctx
    found = compare.compare(Path(before), Path(after))
    if json:
        print_json(found.to_json())
    else:
        tables.comparison(found)
