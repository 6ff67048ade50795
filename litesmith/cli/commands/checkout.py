"""Tasks that only a checkout has: tests, and everything that is generated."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from litesmith.base.errors import UsageError
from litesmith.cli.command import Result, command
from litesmith.cli.options import TOOLCHAIN, required

if TYPE_CHECKING:
    from litesmith.study.code_costs.report import CostsReport


@command()
def derive() -> None:
    """Generate ops_registry/ from the pinned sources, except for what is measured."""
    from litesmith.base import paths
    from litesmith.runtime import source_tree
    from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
    from litesmith.study import derive_ops, derive_xnnpack

    folder = paths.data_folder("ops_registry")
    registry = derive_ops.Deriver(source_tree.source_tree()).registry()
    written, removed = derive_ops.write(folder, registry)
    content = derive_xnnpack.derive(source_tree.source_tree((*COMPONENTS, *XNNPACK_COMPONENTS)))
    written += derive_xnnpack.write(folder, content)
    print(f"{len(registry) + 1} files: {written} written, {removed} removed")


TIERS = ("unit", "build", "full", "exhaustive")
"""From fast to slow; each also runs the tests of those before it (``tests/conftest.py``)."""

HOSTILE_TIER = "hostile"
"""Damaged models by the thousand, and nothing else: 15 minutes."""


@command(
    name="test",
    help={
        "arguments": "more arguments for pytest",
        "tier": "unit: no process is started, half a minute; "
        "build: programs, most of them for armv7, minutes; "
        "full: everything that CI runs (default); exhaustive: every op on four targets, hours; "
        "hostile: only 25,000 damaged models, 15 minutes",
        "integration": "--no-integration is --tier unit",
    },
)
def run_tests(ctx: Context, arguments: str = "", tier: str = "full", integration: bool = True) -> None:
    """Run the tests: --tier unit, build, full, exhaustive or hostile."""
    from litesmith.base.errors import nearest

    tier = tier if integration else "unit"
    known = (*TIERS, HOSTILE_TIER)
    if tier not in known:
        raise UsageError(f"--tier {tier} is unknown", nearest(tier, known) or f"known: {', '.join(known)}")
    # One worker more than two cores have: tests of boards and of the Docker engine wait most of their time.
    # The groups of tests and their order are those of tests/conftest.py.
    words = [sys.executable, "-m", "pytest", "--tier", tier, "-n", "3"]
    words += ["--dist", "loadfile", "--no-loadscope-reorder"]
    with ctx.cd(_checkout()):
        result = ctx.run(f"{shlex.join(words)} {arguments}", warn=True, pty=False)
    if result is None or result.failed:
        raise Exit(code=result.exited if result else 1)


@command()
def lint(ctx: Context) -> None:
    """Run ruff and mypy."""
    with ctx.cd(_checkout()):
        for tool in ("ruff check .", "ruff format --check .", "mypy"):
            result = ctx.run(f"{shlex.quote(sys.executable)} -m {tool}", warn=True)
            if result is None or result.failed:
                raise Exit(code=1)


@command(help={"name": "det, digits, words or gesture; may be repeated (default: all)"}, repeatable=("name",))
def examples(ctx: Context, name: tuple[str, ...] = ()) -> None:
    """Train and convert the example models again (needs requirements/models.txt)."""
    from litesmith.base import paths

    script = paths.data_folder("examples") / "make_models.py"
    words = [sys.executable, str(script), *(f"--name={one}" for one in name)]
    result = ctx.run(shlex.join(words), warn=True)
    if result is None or result.failed:
        raise Exit(code=1)


@command(
    name="measure",
    help={
        "target": "the target to measure on; all: each with its default toolchain and with GCC",
        "toolchain": TOOLCHAIN,
        "kernels": "xnnpack: measure XNNPACK's kernels (after the target's built-in ones)",
    },
    json="print the estimates and the measurements as JSON",
)
def measure(
    target: str | None = None, toolchain: str | None = None, kernels: str | None = None
) -> Result[tuple[CostsReport, ...]]:
    """Measure the code size of every op on a target, for 'estimate'; it takes some minutes for each."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.code_costs.measure import measure as measure_costs

    found = measure_costs(required(target, "--target", "armv7"), toolchain, kernels)
    return Result(
        value=found, show=tables.op_costs, to_json=lambda reports: [one.to_json() for one in reports]
    )


def _checkout() -> str:
    from litesmith.base import paths

    return str(paths.data_folder("tests").parent).replace(" ", "\\ ")
