"""Boards and deployments as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from litesmith import console
from litesmith.deploy.inventory import Board
from litesmith.files import human_size
from litesmith.render.common import add_row, table

if TYPE_CHECKING:
    from litesmith.deploy.fleet import FleetResult
    from litesmith.shipping import Seen


def inventory(boards: Sequence[Board]) -> None:
    """The boards of an inventory."""
    shown = table("board", "target", "where", "login", "host key", "folder", "tags")
    for board in boards:
        ways = [
            *(["key"] if board.key else []),
            *(["agent"] if board.agent else []),
            *([f"password in {board.password_env}"] if board.password_env else []),
        ]
        add_row(
            shown,
            board.name,
            board.target,
            f"{board.user}@{board.host}:{board.port}",
            ", ".join(ways),
            board.known_hosts.policy,
            board.folder,
            ", ".join(board.tags),
        )
    console.stdout().print(shown)


def survey(seen: Sequence[Seen]) -> None:
    """What each board said."""
    shown = table(
        "board", "fits", "machine", "libc", "free", "memory", "current", "releases", "what is wrong"
    )
    for one in seen:
        facts = one.facts
        if facts is None:
            add_row(shown, one.board.name, "not reached", "", "", "", "", "", "", one.error)
            continue
        add_row(
            shown,
            one.board.name,
            "no" if one.misfit or facts.lacks else "yes",
            facts.machine,
            f"{facts.libc} {facts.libc_version}".strip(),
            *("unknown" if size is None else human_size(size) for size in (facts.free, facts.memory)),
            facts.current,
            str(len(facts.releases)),
            "; ".join([*([one.misfit] if one.misfit else []), *(f"no {tool}" for tool in facts.lacks)]),
        )
    console.stdout().print(shown)


def fleet(result: FleetResult) -> None:
    """How each board fared."""
    shown = table("board", "status", "step", "release", "before", "sent", "seconds", "what was proven")
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
