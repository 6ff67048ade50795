"""The one error hierarchy: a message, an exit code, and what to do next.

The exit codes of the command line follow those of the programs that litesmith builds
(0 ok, 2 bad arguments or files, 3 the model does not fit, 4 the run failed), and add
1 for everything that is not the user's input: network, disk, compiler, missing tools.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class LitesmithError(Exception):
    """Base of every error that a user is meant to read.

    ``message`` says in one line what is wrong and where, ``next_step`` what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}; {self.next_step}" if self.next_step else self.message


class UsageError(LitesmithError):
    """The command line, a file, or a value in a file is invalid."""

    exit_code = 2


class ModelError(UsageError):
    """A model file is damaged, or is not a TensorFlow Lite model."""


class UnsupportedModelError(LitesmithError):
    """This runtime, or this program, cannot run a valid model."""

    exit_code = 3


class VerificationError(LitesmithError):
    """The program's answers are wrong, or it failed to run."""

    exit_code = 4


class SourceError(LitesmithError):
    """A pinned source could not be fetched, did not match its digest or could not be unpacked."""


class ToolError(LitesmithError):
    """An external program is missing or failed."""


class NoExecutorError(ToolError):
    """Programs of a profile cannot run on this machine, because their emulator is not installed."""


class TimeOutError(ToolError):
    """An external program did not end in time; it was killed, with its children."""


class BuildError(ToolError):
    """The compiler or the linker failed."""


class BoardError(LitesmithError):
    """A board cannot be reached, does not match its profile, or failed in a step.

    ``board`` is the board's name, ``step`` the step that failed.
    """

    def __init__(
        self, board: str, step: str, message: str, next_step: str = "", *, exit_code: int = 1
    ) -> None:
        super().__init__(f"{board}, {step}: {message}", next_step)
        self.exit_code = exit_code
        self.board = board
        self.step = step


def nearest(word: str, known: Sequence[str]) -> str:
    """``perhaps you meant …`` with the most similar known word; empty if no word is similar."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"perhaps you meant {close[0]!r}" if close else ""
