"""Files on a board, each named by its digest: a file that is already there is not sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from litesmith.base import units
from litesmith.base.errors import BoardError
from litesmith.board.deploy.inventory import Board
from litesmith.board.deploy.probe import kibibytes
from litesmith.board.deploy.remote import Remote, run_checked, script

# Space for links, folders, release.json, and the file system's own overhead.
_SPARE_BYTES = 256 * 1024
_SLOWEST_BYTES_PER_SECOND = 20_000

Progress = Callable[[str], None]
"""Is called with the name of each step as it begins."""


def remote_path(board: Board, digest: str) -> str:
    """The path of an uploaded file on a board."""
    return f"{board.folder}/files/{digest}"


def upload(
    remote: Remote, content: Mapping[str, Path], token: str, report: Progress, sent: list[str]
) -> None:
    """Sends those files of ``content`` (by digest) that the board does not have.

    The digest of each is added to ``sent`` before it is sent, so that a caller can clean up after a failure.

    Raises:
        BoardError: there is not enough space, or a file did not arrive intact.
    """
    board = remote.board
    result = run_checked(remote, "compare", script("present"), board.folder, token, *content)
    pairs = [line.partition("=") for line in result.stdout.decode(errors="replace").splitlines()]
    present = {value for key, _, value in pairs if key == "have"}
    free = next((kibibytes(value) for key, _, value in pairs if key == "free"), None)
    missing = [digest for digest in content if digest not in present]
    need = sum(content[digest].stat().st_size for digest in missing) + _SPARE_BYTES
    # Where the free space is unknown, an upload that runs out of it does no harm.
    if free is not None and free < need:
        raise BoardError(
            board.name,
            "space",
            f"{board.folder} has {units.human_size(free)} free, and {units.human_size(need)} are needed",
            "free some, or set a smaller 'keep' or another 'folder' in the inventory",
        )
    for number, digest in enumerate(missing, start=1):
        report(f"upload {number} of {len(missing)}")
        path = content[digest]
        sent.append(digest)
        size = path.stat().st_size
        result = remote.run(
            "upload",
            script("receive"),
            *(board.folder, token, digest),
            stdin=path,
            seconds=board.timeout + size / _SLOWEST_BYTES_PER_SECOND,
        )
        if result.code != 0:
            raise BoardError(
                board.name,
                "upload",
                f"{path.name} did not arrive intact: {result.last_line()}",
                "the board still runs its previous release; free some space on it, and deploy again",
            )
