"""Virtual boards."""

from __future__ import annotations

from invoke.context import Context

from litesmith.cli.commands.common import command, needed, print_json


@command(
    help={
        "boards": "how many of which target: armv7:3,aarch64:1",
        "out": "the inventory that is written",
        "json": "print the boards as JSON",
    }
)
def up(ctx: Context, boards: str | None = None, out: str = "boards.yaml", json: bool = False) -> None:
    """Start virtual boards with SSH servers, and write their inventory."""
    from pathlib import Path

    from litesmith.board.lab import virtual_boards as lab

    del ctx
    started = lab.up(lab.parse(needed(boards, "--boards", "armv7:3,aarch64:1")), Path(out))
    if json:
        print_json(started.to_json())
        return
    for board in started.boards:
        print(f"{board.name}: {board.target} at {board.address}, container {board.container}")
    print(f"{started.inventory} names them; './inv boards --probe' asks them what they are")


@command(help={"out": "the inventory that lab.up wrote"})
def down(ctx: Context, out: str = "boards.yaml") -> None:
    """Remove the virtual boards and everything that belongs to them."""
    from pathlib import Path

    from litesmith.board.lab import virtual_boards as lab

    del ctx
    print(f"{lab.down(Path(out))} boards removed")
