"""Measurements."""

from __future__ import annotations

from typing import Any

from invoke.context import Context

from litesmith.commands.common import command, print_json


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
    from litesmith.bench import speed
    from litesmith.render import bench as tables

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
    from litesmith.bench import optimise
    from litesmith.render import bench as tables

    del ctx
    found = optimise.run(tuple(model or ()), runs)
    if json:
        print_json(found.to_json())
    else:
        tables.optimise(found)


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
    from litesmith.bench import pruning
    from litesmith.render import bench as tables

    del ctx
    found = pruning.run(target, model, toolchain)
    if json:
        print_json(found.to_json())
    else:
        tables.pruning(found)
