"""Tasks that list boards, and bring programs to them and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.cli.command import Result, command
from litesmith.cli.options import (
    BOARDS,
    ENTRY,
    PROGRAM,
    VERIFY,
    BoardOptions,
    EntryOptions,
    ProgramOptions,
    VerifyOptions,
)

if TYPE_CHECKING:
    from litesmith.board.deploy.fleet import FleetResult
    from litesmith.board.deploy.inventory import AnyBoard
    from litesmith.workflow.deployment import FlashSurvey, SshSurvey

# The exit code of a survey is the most serious one of its boards.
_BY_SEVERITY = (0, 3, 1)


@command(
    BOARDS.only("boards", "board", "tag"),
    name="list",
    default=True,
    help={"probe": "ask each board for its system, resources and releases; check the flash tools"},
    json="print the boards as JSON",
    letters=("boards",),
)
def list_boards(
    boards: BoardOptions, probe: bool = False
) -> Result[tuple[AnyBoard, ...]] | Result[tuple[SshSurvey | FlashSurvey, ...]]:
    """Show the boards of the inventory."""
    from litesmith.cli.render import boards as tables
    from litesmith.workflow import deployment

    listed = boards.listed()
    if not probe:
        return Result(
            value=listed,
            show=tables.inventory,
            to_json=lambda found: [board.model_dump(mode="json") for board in found],
        )
    seen = deployment.survey(listed)
    return Result(
        value=seen,
        show=tables.survey,
        to_json=lambda found: [one.to_json() for one in found],
        exit_code=max((one.exit_code for one in seen), key=_BY_SEVERITY.index),
    )


@command(
    PROGRAM.only("target", "model", "toolchain", "optimise", "kernels"),
    BOARDS,
    ENTRY,
    VERIFY,
    help={
        "out": "output folder of the build (default: build/<target>/<model name>)",
        "unproven": "switch even where no outputs can be compared on the board",
    },
    json="print the result of each board as JSON",
    letters=("target", "model", "board", "tag", "all", "boards", "toolchain", "out"),
)
def deploy(
    options: ProgramOptions,
    boards: BoardOptions,
    entry: EntryOptions,
    checks: VerifyOptions,
    out: str | None = None,
    unproven: bool = False,
) -> Result[FleetResult]:
    """Build a program, copy it to boards, verify it there, and switch to it."""
    from litesmith.workflow import deployment

    chosen = boards.chosen()
    request = replace(options.request(out=out, choice=entry.choice()), verify=checks.mode())
    return _fleet(deployment.deploy(request, chosen, unproven=unproven))


@command(BOARDS, json="print the result of each board as JSON")
def rollback(boards: BoardOptions) -> Result[FleetResult]:
    """Switch boards back to their previous release."""
    from litesmith.workflow import deployment

    return _fleet(deployment.rollback(boards.chosen()))


def _fleet(result: FleetResult) -> Result[FleetResult]:
    from litesmith.cli.render import boards as tables

    def finish() -> None:
        for one in result.results:
            if one.status == "failed":
                console.error_line(one.message, one.next_step)

    return Result(value=result, show=tables.fleet, finish=finish, exit_code=result.exit_code)
