"""The protocol of a board connection: POSIX shell scripts, with bytes in and out.

:mod:`~litesmith.board.deploy.ssh_connection` opens one over SSH.  The scripts are those of
``templates/board/``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from litesmith.base import paths
from litesmith.base.errors import BoardError
from litesmith.board.deploy.inventory import Board

UNCHANGED = "the board still runs its previous release; deploy again"
"""The next step after a failure that left the current release alone."""

MOST_OUTPUT = 64 * 1024 * 1024
"""The most bytes that a program may print and write on a board in one run."""

MOST_ANSWER = 1024 * 1024
"""The most bytes that a script may print, and that a board may send before a script starts."""

MOST_SHOWN = 300
"""The most characters of a board's own words in a message."""


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """Exit code and output of a command that ended on a board."""

    code: int
    stdout: bytes
    stderr: str

    def last_line(self) -> str:
        """The last line of output, for an error message."""
        text = self.stderr.strip() or self.stdout.decode(errors="replace").strip()
        return text.splitlines()[-1][:MOST_SHOWN] if text else f"exit code {self.code}"


class HeldCommand(Protocol):
    """A command that runs until its standard input is closed."""

    def write_line(self) -> None:
        """Sends an empty line to the command's standard input.

        Raises:
            OSError: the connection is closed.
        """

    def read_line(self, seconds: float) -> str:
        """The next line of its standard output; empty when the command has ended.

        Raises:
            TimeoutError: no whole line arrived within ``seconds``.
            OSError: the connection is closed, or the line is longer than any that is expected.
        """

    def error_line(self) -> str:
        """The last line of its standard error so far; empty without one."""


class Remote(Protocol):
    """An open connection to a board."""

    @property
    def board(self) -> Board:
        """The board's entry in the inventory."""

    @property
    def sending(self) -> bool:
        """Whether a script's standard input is being sent, which delays other scripts of the connection."""

    def abort(self, reason: str) -> None:
        """Closes the connection; every call that waits for the board fails with ``reason``."""

    def run(
        self,
        step: str,
        script: str,
        *arguments: str,
        stdin: bytes | Path = b"",
        seconds: float | None = None,
        most: int = MOST_ANSWER,
    ) -> CommandResult:
        """Runs a POSIX shell script to its end; ``arguments`` are its ``$1`` and so on.

        ``step`` names the step in errors; without ``seconds`` the board's ``timeout`` is the limit.
        The script may print ``most`` bytes.

        Raises:
            BoardError: the connection broke, the script did not end within ``seconds``, or printed too much.
        """

    def hold(self, step: str, script: str, *arguments: str) -> AbstractContextManager[HeldCommand]:
        """Runs a script until the context ends, which closes its standard input.

        Raises:
            BoardError: the connection broke, or the script did not start in time.
        """


def command_line(script: str, arguments: Sequence[str]) -> str:
    """The line for a board's login shell: one command, with every word quoted."""
    return shlex.join(["sh", "-c", script, "sh", *arguments])


def script(name: str) -> str:
    """The text of ``templates/board/NAME.sh``."""
    return (paths.data_folder("templates") / "board" / f"{name}.sh").read_text(encoding="utf-8")


def run_checked(remote: Remote, step: str, text: str, *arguments: str, stdin: bytes = b"") -> CommandResult:
    """Runs a script that must succeed.

    Raises:
        BoardError: it failed.
    """
    result = remote.run(step, text, *arguments, stdin=stdin)
    if result.code != 0:
        raise BoardError(remote.board.name, step, result.last_line(), UNCHANGED)
    return result
