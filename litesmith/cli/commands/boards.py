"""Boards: which there are, programs onto them, and back."""

from __future__ import annotations

from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit

from litesmith.base import console
from litesmith.base.errors import UsageError
from litesmith.cli.commands.common import choice, command, needed, print_json

_BOARDS = "the inventory (default boards.yaml)"


def _chosen(boards: str | None, board: Any, tag: Any, everything: bool) -> Any:
    from pathlib import Path

    from litesmith.board.deploy import inventory

    found = inventory.load(Path(boards) if boards else None)
    if everything and (board or tag):
        raise UsageError("--all means every board", "leave out --board and --tag")
    if not everything and not board and not tag:
        raise UsageError("no board is given", f"--board {next(iter(found.boards))}, --tag NAME or --all")
    return found.choose(tuple(board or ()), tuple(tag or ()))


@command(
    name="list",
    default=True,
    iterable=["board", "tag"],
    help={
        "boards": _BOARDS,
        "board": "this board only",
        "tag": "boards with this tag only",
        "probe": "ask each board what it is, what it has, and what is installed; look for its runner's tool",
        "json": "print it as JSON",
    },
)
def list_boards(
    ctx: Context,
    boards: str | None = None,
    board: Any = None,
    tag: Any = None,
    probe: bool = False,
    json: bool = False,
) -> None:
    """Show the boards of the inventory."""
    from pathlib import Path

    from litesmith.board.deploy import inventory
    from litesmith.cli.render import boards as tables
    from litesmith.workflow import deployment

    del ctx
    found = inventory.load(Path(boards) if boards else None).choose(tuple(board or ()), tuple(tag or ()))
    if not probe:
        if json:
            print_json([one.model_dump(mode="json") for one in found])
        else:
            tables.inventory(found)
        return
    seen = deployment.survey(found)
    if json:
        print_json([one.to_json() for one in seen])
    else:
        tables.survey(seen)
    code = max((one.exit_code for one in seen), key=(0, 3, 1).index)
    if code:
        raise Exit(code=code)


@command(
    iterable=["model", "board", "tag", "input_shape"],
    help={
        "target": "built-in target name or path of a profile",
        "model": "a .tflite file or zoo:NAME; once for each model of the program",
        "board": "a board of the inventory; may be given several times",
        "tag": "all boards with this tag",
        "all": "every board",
        "boards": _BOARDS,
        "toolchain": "zig, gcc or docker, with linkage if need be: gcc:static",
        "out": "output folder of the build",
        "optimise": "size, balanced or speed (default: as the profile says)",
        "kernels": "builtin, xnnpack or auto: who runs the nodes (default: as the profile says)",
        "signature": "prove this signature only",
        "input-shape": "NAME=1x224x224x3: prove with this shape of an input",
        "json": "print how each board fared as JSON",
    },
)
def deploy(
    ctx: Context,
    target: str | None = None,
    model: Any = None,
    board: Any = None,
    tag: Any = None,
    all: bool = False,
    boards: str | None = None,
    toolchain: str | None = None,
    out: str | None = None,
    optimise: str | None = None,
    kernels: str | None = None,
    signature: str | None = None,
    input_shape: Any = None,
    json: bool = False,
) -> None:
    """Build a program, bring it to boards, prove it there, and switch to it."""
    from litesmith.build.request import Request
    from litesmith.cli.render import boards as tables
    from litesmith.workflow import deployment

    del ctx
    chosen = _chosen(boards, board, tag, all)
    request = Request(
        target=needed(target, "--target", "armv7"),
        models=tuple(needed(model, "--model", "examples/det.tflite")),
        toolchain=toolchain,
        out=out,
        optimise=optimise,
        kernels=kernels,
        choice=choice(signature, input_shape),
    )
    _finish(deployment.deploy(request, chosen), json, tables)


@command(
    iterable=["board", "tag"],
    help={
        "board": "a board of the inventory; may be given several times",
        "tag": "all boards with this tag",
        "all": "every board",
        "boards": _BOARDS,
        "json": "print how each board fared as JSON",
    },
)
def rollback(
    ctx: Context,
    board: Any = None,
    tag: Any = None,
    all: bool = False,
    boards: str | None = None,
    json: bool = False,
) -> None:
    """Switch boards back to the release that they had before."""
    from litesmith.cli.render import boards as tables
    from litesmith.workflow import deployment

    del ctx
    _finish(deployment.rollback(_chosen(boards, board, tag, all)), json, tables)


def _finish(result: Any, json: bool, tables: Any) -> None:
    if json:
        print_json(result.to_json())
    else:
        tables.fleet(result)
    for one in result.results:
        if one.status == "failed":
            console.error_line(one.message, one.next_step)
    if result.exit_code:
        raise Exit(code=result.exit_code)
