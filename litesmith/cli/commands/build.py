"""Tasks that build programs, run them, and compare their answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litesmith.cli.command import Result, command
from litesmith.cli.options import (
    ENTRY,
    PROGRAM,
    VERIFY,
    EntryOptions,
    ProgramOptions,
    VerifyOptions,
    comma_separated,
    required,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litesmith.measure.verify.verdict import Verdict
    from litesmith.workflow.build_and_verify import Outcome
    from litesmith.workflow.matrix import Matrix

_WRONG_ANSWERS = 4


@command(
    PROGRAM,
    ENTRY,
    VERIFY,
    help={
        "out": "output folder (default: build/<target>/<model name>)",
        "compare-stock": "also build the program without pruning, and report what pruning saves",
    },
    json="print the result as JSON",
    letters=("target", "model", "toolchain", "out", "prune", "compare_stock"),
)
def build(
    options: ProgramOptions,
    entry: EntryOptions,
    checks: VerifyOptions,
    out: str | None = None,
    compare_stock: bool = False,
) -> Result[Outcome]:
    """Build the smallest program that runs the model, then measure and verify it."""
    from litesmith.cli.render import build as tables
    from litesmith.workflow import build_and_verify

    request = options.request(out=out, choice=entry.choice())
    request = dataclasses.replace(request, compare_stock=compare_stock, verify=checks.mode())
    outcome = build_and_verify.build(request)

    def to_json(found: Outcome) -> Any:
        build_and_verify.warn_unverified(found.verdicts)
        return found.to_json()

    return Result(value=outcome, show=tables.outcome, to_json=to_json)


@command(
    PROGRAM.only("target", "model", "toolchain"),
    ENTRY,
    VERIFY.only("verify"),
    help={
        "program": "the program (default: where 'build' puts it)",
        "cpu": "a CPU for the emulator other than the profile's, for example max",
        "toolchain": "the toolchain of the build (default: the one in its manifest)",
        "verify": "strict: end with exit code 4 if the answers are wrong; warn: only say so",
    },
    json="print the verdicts as JSON",
    letters=("target", "model", "program", "cpu", "toolchain"),
)
def verify(
    options: ProgramOptions,
    entry: EntryOptions,
    checks: VerifyOptions,
    program: str | None = None,
    cpu: str | None = None,
) -> Result[Sequence[Verdict]]:
    """Run a built program and compare its answers with those of TensorFlow's interpreter."""
    from litesmith.build.request import STRICT
    from litesmith.cli.render import build as tables
    from litesmith.workflow import build_and_verify

    strict = checks.mode() == STRICT
    verdicts = build_and_verify.verify_build(
        options.required_target(),
        required(options.model, "--model", "examples/det.tflite"),
        program,
        cpu,
        options.toolchain,
        entry.choice(),
    )
    return Result(
        value=verdicts,
        show=tables.verdicts,
        to_json=lambda found: [verdict.to_json() for verdict in found],
        exit_code=_WRONG_ANSWERS if strict and any(verdict.fails for verdict in verdicts) else 0,
    )


@command(
    VERIFY,
    help={
        "targets": "targets or profiles, separated by commas",
        "models": "models, separated by commas",
        "toolchains": "toolchains, separated by commas: zig,gcc:static (default: each profile's first)",
        "out": "output folder (default: build/matrix)",
    },
    json="print the builds as JSON",
)
def matrix(
    checks: VerifyOptions,
    targets: str = "",
    models: str = "",
    toolchains: str = "",
    out: str = "build/matrix",
) -> Result[Matrix]:
    """Build every model for every target with every toolchain, and show one table."""
    from litesmith.cli.render import build as tables
    from litesmith.workflow import matrix as builds

    found = builds.run(
        comma_separated(required(targets, "--targets", "armv7,aarch64")),
        comma_separated(required(models, "--models", "zoo:kws,examples/det.tflite")),
        comma_separated(toolchains) or (None,),
        Path(out),
        checks.mode(),
    )
    return Result(
        value=found,
        show=lambda cells: tables.matrix(cells, Path(out) / "matrix.json"),
        exit_code=found.exit_code,
    )


@command(
    VERIFY,
    help={
        "out": "the picture to write (default: build/demo.png)",
        "target": "the target to build for",
        "seed": "the number of the scene to draw",
    },
)
def demo(checks: VerifyOptions, out: str = "build/demo.png", target: str = "armv7", seed: int = 32) -> None:
    """Build the detector, run it on a drawn scene under the emulator, and draw the boxes."""
    from litesmith.workflow import demo as detection

    print(detection.run(target, out, seed, checks.mode()).line())
