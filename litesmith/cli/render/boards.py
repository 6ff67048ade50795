"""Boards and deployments as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from litesmith.base import console
from litesmith.base.units import human_size
from litesmith.board.deploy.inventory import AnyBoard, Board, FlashBoard
from litesmith.cli.render.table import add_row, table

if TYPE_CHECKING:
    from rich.table import Table

    from litesmith.board.deploy.fleet import FleetResult
    from litesmith.board.lab.virtual_boards import Lab
    from litesmith.workflow.deployment import FlashSurvey, SshSurvey


def inventory(boards: Sequence[AnyBoard]) -> None:
    """The boards of an inventory, by the way they are reached."""
    shown = table("board", "target", "where", "login", "host key", "folder", "tags")
    flashed = table("board", "target", "flash tool", "where", "tags")
    for board in boards:
        if isinstance(board, FlashBoard):
            add_row(flashed, board.name, board.target, board.runner, board.where(), ", ".join(board.tags))
            continue
        add_row(
            shown,
            board.name,
            board.target,
            f"{board.user}@{board.host}:{board.port}",
            ", ".join(_logins(board)),
            board.known_hosts.policy,
            board.folder,
            ", ".join(board.tags),
        )
    _print_filled(shown, flashed)


def _logins(board: Board) -> list[str]:
    return [
        *(["key"] if board.key else []),
        *(["agent"] if board.agent else []),
        *([f"password in {board.password_env}"] if board.password_env else []),
    ]


def _print_filled(*tables: Table) -> None:
    for one in tables:
        if one.row_count:
            console.stdout().print(one)


def survey(seen: Sequence[SshSurvey | FlashSurvey]) -> None:
    """The system of each board, and which flash tools can start."""
    shown = table(
        *("board", "fits", "machine", "CPU", "libc", "free", "memory", "current", "releases"),
        "problem",
    )
    flashed = table("board", "ready", "flash tool", "program", "where", "problem")
    for one in seen:
        if isinstance(one.board, FlashBoard):
            _flash_row(flashed, one)
        else:
            _ssh_row(shown, one)
    _print_filled(shown, flashed)


def _flash_row(shown: Table, one: FlashSurvey) -> None:
    ready = one.readiness
    add_row(
        shown,
        one.board.name,
        "no" if ready.problem else "yes",
        one.board.runner,
        ready.tool,
        one.board.where(),
        ready.problem,
    )


# The CPU features that decide which kernels run; --json lists the others, too.
_FEATURES = (
    *("neon", "vfpv4", "asimd", "asimddp", "asimdhp", "i8mm", "sve"),
    *("sse4_1", "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni"),
    *("rv64imafdc", "rv64imafdcv"),
)


def _ssh_row(shown: Table, one: SshSurvey) -> None:
    facts = one.facts
    if facts is None:
        add_row(shown, one.board.name, "not reached", "", "", "", "", "", "", "", one.error)
        return
    add_row(
        shown,
        one.board.name,
        "no" if one.misfit else "yes",
        facts.machine,
        ", ".join(name for name in _FEATURES if name in facts.features),
        f"{facts.libc} {facts.libc_version}".strip(),
        *("unknown" if size is None else human_size(size) for size in (facts.free, facts.memory)),
        facts.current,
        str(len(facts.releases)),
        one.misfit,
    )


def fleet(result: FleetResult) -> None:
    """The result of each board."""
    shown = table("board", "status", "step", "release", "before", "sent", "seconds", "verified")
    for one in result.results:
        made = one.deployment
        add_row(
            shown,
            one.board,
            one.status,
            one.step,
            made.release if made else "",
            made.before if made else "",
            human_size(made.sent) if made else "",
            f"{one.seconds:.1f}",
            "; ".join(text for text in (made.verdict, made.note) if text) if made else "",
        )
    console.stdout().print(shown)


def lab(started: Lab) -> None:
    """The virtual boards that were started."""
    for board in started.boards:
        print(f"{board.name}: {board.target} at {board.address}, container {board.container}")
    print(f"{started.inventory} lists them; './inv boards --probe' asks each of them for its system")
