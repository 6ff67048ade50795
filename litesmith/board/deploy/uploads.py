"""Files on a board, each under the name of its digest: only what is new there travels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from litesmith.base import files
from litesmith.base.errors import BoardError
from litesmith.board.deploy.inventory import Board
from litesmith.board.deploy.probe import kibibytes
from litesmith.board.deploy.remote import Remote, done, script

# Links, folders and release.json; and what a file system keeps for itself.
_SPARE_BYTES = 256 * 1024
_SLOWEST_BYTES_PER_SECOND = 20_000

Report = Callable[[str], None]
"""Hears each step as it begins."""


def path_there(board: Board, digest: str) -> str:
    """Where a file lies on a board."""
    return f"{board.folder}/files/{digest}"


def send(remote: Remote, content: Mapping[str, Path], token: str, report: Report, new: list[str]) -> None:
    """Sends the files that the board does not have, of ``content`` by digest; ``new`` gets their digests.

    Raises:
        BoardError: there is no space, or a file did not arrive whole.
    """
    board = remote.board
    answer = done(remote, "compare", script("present"), board.folder, token, *content)
    said = [line.partition("=") for line in answer.stdout.decode(errors="replace").splitlines()]
    there = {value for key, _, value in said if key == "have"}
    free = next((kibibytes(value) for key, _, value in said if key == "free"), None)
    missing = [digest for digest in content if digest not in there]
    need = sum(content[digest].stat().st_size for digest in missing) + _SPARE_BYTES
    # Where it is not known, an upload that finds no space harms nothing.
    if free is not None and free < need:
        raise BoardError(
            board.name,
            "space",
            f"{board.folder} has {files.human_size(free)} left, and {files.human_size(need)} are needed",
            "free some, keep fewer releases ('keep' in the inventory), or name another 'folder'",
        )
    for number, digest in enumerate(missing, start=1):
        report(f"upload {number} of {len(missing)}")
        path = content[digest]
        new.append(digest)
        size = path.stat().st_size
        answer = remote.run(
            "upload",
            script("receive"),
            *(board.folder, token, digest),
            stdin=path,
            seconds=board.timeout + size / _SLOWEST_BYTES_PER_SECOND,
        )
        if answer.code != 0:
            raise BoardError(
                board.name,
                "upload",
                f"{path.name} did not arrive whole: {answer.last_line()}",
                "the board runs what it ran before; free some space there, and deploy again",
            )
