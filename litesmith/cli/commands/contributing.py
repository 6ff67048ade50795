"""Tasks of a checkout."""

from __future__ import annotations

import shlex
import sys
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit

from litesmith.cli.commands.common import checkout, command, needed, print_json


@command()
def derive(ctx: Context) -> None:
    """Generate ops_registry/ from the pinned sources, but for what was measured."""
    from litesmith.base import paths
    from litesmith.runtime import source_tree
    from litesmith.runtime.pins import COMPONENTS, XNNPACK_COMPONENTS
    from litesmith.study import derive_ops as deriver
    from litesmith.study import derive_xnnpack as xnnpack

    del ctx
    folder = paths.data_folder("ops_registry")
    registry = deriver.Deriver(source_tree.source_tree()).registry()
    written, removed = deriver.write(folder, registry)
    content = xnnpack.derive(source_tree.source_tree((*COMPONENTS, *XNNPACK_COMPONENTS)))
    written += xnnpack.write(folder, content)
    print(f"{len(registry) + 1} files: {written} written, {removed} removed")


TIERS = ("unit", "build", "full", "exhaustive")
"""From fast to slow; each runs the tests of those before it, too (``tests/conftest.py``)."""


@command(
    name="test",
    help={
        "arguments": "more arguments for pytest",
        "tier": "unit: no process is started, half a minute; build: programs for one target, minutes; "
        "full: everything that CI runs (the default); exhaustive: every op on four targets, hours",
        "integration": "--no-integration is --tier unit",
    },
)
def run_tests(ctx: Context, arguments: str = "", tier: str = "full", integration: bool = True) -> None:
    """Run the tests: --tier unit, build, full or exhaustive."""
    from litesmith.base.errors import UsageError
    from litesmith.base.yaml_files import nearest

    tier = tier if integration else "unit"
    if tier not in TIERS:
        raise UsageError(f"--tier {tier} is unknown", nearest(tier, TIERS) or f"known: {', '.join(TIERS)}")
    words = [sys.executable, "-m", "pytest", "--tier", tier]
    with ctx.cd(checkout()):
        result = ctx.run(f"{shlex.join(words)} {arguments}", warn=True, pty=False)
    if result is None or result.failed:
        raise Exit(code=result.exited if result else 1)


@command()
def lint(ctx: Context) -> None:
    """Run ruff and mypy."""
    with ctx.cd(checkout()):
        for command in ("ruff check .", "ruff format --check .", "mypy"):
            result = ctx.run(f"{shlex.quote(sys.executable)} -m {command}", warn=True)
            if result is None or result.failed:
                raise Exit(code=1)


@command(help={"name": "det, digits, words or gesture; all when left out"}, iterable=["name"])
def examples(ctx: Context, name: Any = None) -> None:
    """Train and convert the example models again (needs requirements/models.txt)."""
    from litesmith.base import paths

    script = paths.data_folder("examples") / "make_models.py"
    result = ctx.run(f"'{sys.executable}' '{script}' {' '.join(name or ())}", warn=True)
    if result is None or result.failed:
        raise Exit(code=1)


@command(
    name="measure",
    help={
        "target": "target to measure on",
        "toolchain": "zig, gcc or docker, with linkage if need be: gcc:static",
        "kernels": "xnnpack: what its nodes cost (after the target's own kernels)",
        "json": "print the estimates beside what was measured as JSON",
    },
)
def measure(
    ctx: Context,
    target: str | None = None,
    toolchain: str | None = None,
    kernels: str | None = None,
    json: bool = False,
) -> None:
    """Measure what every op costs on a target, for estimate: a quarter of an hour."""
    from litesmith.cli.render import bench as tables
    from litesmith.study.bench import builtin_costs

    del ctx
    found = builtin_costs.run(needed(target, "--target", "armv7"), toolchain, kernels)
    if json:
        print_json(found.to_json())
    else:
        tables.op_costs(found)
