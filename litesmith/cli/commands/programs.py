"""Build, verify and look at programs and models."""

from __future__ import annotations

from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit

from litesmith.cli.commands.common import choice, command, needed, print_json, words


@command(
    iterable=["model", "input_shape"],
    help={
        "target": "built-in target name or path of a profile (see targets)",
        "model": "a .tflite file or zoo:NAME; once for each model of the program",
        "toolchain": "zig, gcc or docker, with linkage if need be: gcc:static (default: the profile's first)",
        "out": "output folder (default build/<target>/<model name>)",
        "prune": "leave out what the models do not need beyond ops: dtypes, kernel variants, runtime parts",
        "optimise": "size, balanced or speed (default: as the profile says)",
        "kernels": "builtin, xnnpack or auto: who runs the nodes (default: as the profile says)",
        "compare-stock": "build the program without pruning, too, and say what was saved",
        "embed-model": "put the model into the binary",
        "verify": "run the program and compare its answers",
        "custom-ops": "YAML file with custom ops of your own",
        "input-shape": "NAME=1x224x224x3: verify with this shape of an input",
        "signature": "verify this signature only",
        "json": "print the result as JSON",
    },
)
def build(
    ctx: Context,
    target: str | None = None,
    model: Any = None,
    toolchain: str | None = None,
    out: str | None = None,
    prune: bool = True,
    compare_stock: bool = False,
    optimise: str | None = None,
    kernels: str | None = None,
    embed_model: bool = False,
    verify: bool = True,
    custom_ops: str | None = None,
    input_shape: Any = None,
    signature: str | None = None,
    json: bool = False,
) -> None:
    """Build the smallest program that runs the model, measure and verify it."""
    from litesmith.build.request import Request
    from litesmith.cli.render import sizes
    from litesmith.workflow import build_and_verify

    del ctx
    outcome = build_and_verify.build(
        Request(
            target=needed(target, "--target", "armv7"),
            models=tuple(needed(model, "--model", "examples/det.tflite")),
            toolchain=toolchain,
            out=out,
            embed_model=embed_model,
            verify=verify,
            choice=choice(signature, input_shape),
            custom_ops=custom_ops,
            prune=prune,
            compare_stock=compare_stock,
            optimise=optimise,
            kernels=kernels,
        )
    )
    if json:
        build_and_verify.warn_unverified(outcome.verdicts)
        print_json(outcome.to_json())
    else:
        sizes.outcome(outcome)


@command(
    iterable=["model", "input_shape"],
    help={
        "target": "target of the build",
        "model": "the model that it was built for",
        "program": "the program (default: where build puts it)",
        "cpu": "another CPU for the emulator, for example max",
        "toolchain": "what it was built with (default: as its manifest says)",
        "input-shape": "NAME=1x224x224x3: the shape of an input",
        "signature": "this signature only",
        "json": "print the verdicts as JSON",
    },
)
def verify(
    ctx: Context,
    target: str | None = None,
    model: Any = None,
    program: str | None = None,
    cpu: str | None = None,
    toolchain: str | None = None,
    input_shape: Any = None,
    signature: str | None = None,
    json: bool = False,
) -> None:
    """Run a built program and compare its answers with TensorFlow's interpreter."""
    from litesmith.workflow import build_and_verify

    del ctx
    verdicts = build_and_verify.verify_build(
        needed(target, "--target", "armv7"),
        needed(model, "--model", "examples/det.tflite"),
        program,
        cpu,
        toolchain,
        choice(signature, input_shape),
    )
    if json:
        print_json([verdict.to_json() for verdict in verdicts])
    else:
        for verdict in verdicts:
            print(verdict.line())
    if any(verdict.passed is False for verdict in verdicts):
        raise Exit(code=4)


@command(
    iterable=["model"],
    help={"model": "a .tflite file or zoo:NAME", "json": "print the analysis as JSON"},
)
def analyse(ctx: Context, model: Any = None, json: bool = False) -> None:
    """Show what a model contains, and what this runtime cannot run."""
    from litesmith.model import model_file
    from litesmith.runtime import op_registry

    del ctx
    registry = op_registry.load()
    names = needed(model, "--model", "examples/det.tflite")
    opened = [model_file.open_model(name).analysis for name in names]
    reports = [op_registry.describe(analysis, registry) for analysis in opened]
    if json:
        print_json(reports[0] if len(reports) == 1 else reports)
    else:
        from litesmith.cli.render import tables

        for analysis in opened:
            tables.analysis(analysis, registry)
    if any(report["problems"] for report in reports):
        raise Exit(code=3)


@command(
    help={
        "targets": "names or profiles, separated by commas",
        "models": "models, separated by commas",
        "toolchains": "toolchains, separated by commas, for example zig,gcc:static (default: each first one)",
        "out": "output folder (default build/matrix)",
        "json": "print the cells as JSON",
    }
)
def matrix(
    ctx: Context,
    targets: str = "",
    models: str = "",
    toolchains: str = "",
    out: str = "build/matrix",
    json: bool = False,
) -> None:
    """Build every model for every target with every toolchain, and show one table."""
    from pathlib import Path

    from litesmith.cli.render import tables
    from litesmith.workflow import matrix as builds

    del ctx
    found = builds.run(
        words(needed(targets, "--targets", "armv7,aarch64")),
        words(needed(models, "--models", "zoo:kws,examples/det.tflite")),
        words(toolchains) or (None,),
        Path(out),
    )
    if json:
        print_json(found.to_json())
    else:
        tables.matrix(found, Path(out) / "matrix.json")
    if found.exit_code:
        raise Exit(code=found.exit_code)


@command(
    help={
        "out": "picture to write (default build/demo.png)",
        "target": "target to build for",
        "seed": "which scene to draw",
    }
)
def demo(ctx: Context, out: str = "build/demo.png", target: str = "armv7", seed: int = 32) -> None:
    """Build the detector, run it on a drawn scene under the emulator, and draw the boxes."""
    from litesmith.workflow import demo as show

    del ctx
    print(show.run(target, out, seed).line())
