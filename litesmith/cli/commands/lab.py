"""Tasks that start and remove virtual boards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from litesmith.cli.command import Result, command
from litesmith.cli.options import required

if TYPE_CHECKING:
    from litesmith.board.lab.virtual_boards import Lab


@command(
    help={
        "boards": "the targets, and how many boards of each: armv7:3,aarch64:1",
        "out": "the inventory to write (default: boards.yaml)",
    },
    json="print the boards as JSON",
)
def up(boards: str | None = None, out: str = "boards.yaml") -> Result[Lab]:
    """Start virtual boards with SSH servers, and write their inventory."""
    from litesmith.board.lab import virtual_boards
    from litesmith.cli.render import boards as tables

    wanted = virtual_boards.parse(required(boards, "--boards", "armv7:3,aarch64:1"))
    return Result(value=virtual_boards.up(wanted, Path(out)), show=tables.lab)


@command(help={"out": "the inventory that lab.up wrote (default: boards.yaml)"})
def down(out: str = "boards.yaml") -> None:
    """Remove the virtual boards and everything that belongs to them."""
    from litesmith.board.lab import virtual_boards

    print(f"{virtual_boards.down(Path(out))} boards removed")
