"""Running compilers, and what their errors mean to a user."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from litesmith.base.errors import BuildError, TimeOutError
from litesmith.base.process import Completed

COMPILE_SECONDS = 600
"""The longest that one file may take; linking has as much."""

Call = Callable[[Sequence[str | Path], Path, float], Completed]
"""Runs a command in a folder, for so many seconds at most."""


def first_error(text: str) -> str:
    """The first error of a compiler or a linker."""
    errors = re.findall(r"^.*?error: .*$|^.*?undefined reference to .*$", text, re.MULTILINE)
    lines = errors or text.strip().splitlines()[-1:]
    return lines[0].strip() if lines else "no message"


def run_compiler(call: Call, words: Sequence[str | Path], source: str, folder: Path) -> None:
    """Runs the command that compiles ``source``.

    Raises:
        BuildError: it refused, with its first error, or it did not end in time.
    """
    try:
        done = call(words, folder, COMPILE_SECONDS)
    except TimeOutError:
        raise BuildError(
            f"{source} took more than {COMPILE_SECONDS} s to compile, and was stopped",
            "see whether the machine is out of memory, and run this again: what is compiled already is kept",
        ) from None
    if done.code != 0:
        raise refusal(f"{source} does not compile", done.stderr)


def refusal(what: str, text: str) -> BuildError:
    """The error for a compiler or a linker that ended with ``text``."""
    if "no space left on device" in text.lower():
        return BuildError(
            f"{what}: no disk space is left for the cache",
            "free some, or move the cache with LITESMITH_CACHE",
        )
    return BuildError(f"{what}: {first_error(text)}", "run with --debug to see the command")
