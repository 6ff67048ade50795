"""Tasks that list what programs are built from and for: targets and ops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.cli.command import Result, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litesmith.runtime.op_registry import Op
    from litesmith.target.profiles import Profile


@command(help={"check": "validate your own profile file instead"}, json="print the profiles as JSON")
def targets(check: str | None = None) -> Result[Sequence[Profile]]:
    """Show the targets, or validate a profile."""
    from litesmith.cli.render import targets as tables
    from litesmith.target import profiles

    if check is not None:
        path = check if "/" in check or check.endswith((".yaml", ".yml")) else f"./{check}"
        found = [profiles.load(path)]
    else:
        found = [profiles.load(name) for name in profiles.available()]

    def finish() -> None:
        if check is not None:
            console.note(f"{check} is a valid profile")

    return Result(
        value=found,
        show=tables.profiles,
        to_json=lambda profiles: [profile.model_dump(mode="json") for profile in profiles],
        finish=finish,
    )


@command(name="list", default=True, json="print the registry as JSON")
def ops() -> Result[Sequence[Op]]:
    """Show the ops that the runtime has, with their versions and sources."""
    from litesmith.cli.render import targets as tables
    from litesmith.runtime import op_registry

    return Result(
        value=list(op_registry.load().by_name().values()),
        show=tables.ops,
        to_json=lambda found: [op.model_dump(mode="json") for op in found],
    )
