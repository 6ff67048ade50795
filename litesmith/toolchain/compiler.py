"""Running compilers, and turning their output into errors."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from litesmith.base import files, paths
from litesmith.base.errors import BuildError, TimeOutError
from litesmith.base.process import Completed

COMPILE_SECONDS = 600
"""The time limit for compiling one file, and for linking."""

ENVIRONMENT = ("PATH", "HOME", "TMPDIR")
"""The only environment variables that a compiler gets: CPATH, LIBRARY_PATH and others change programs."""

Call = Callable[[Sequence[str | Path], Path, float], Completed]
"""Runs a command in a folder, with a time limit in seconds."""


def first_error(text: str) -> str:
    """The first error in the output of a compiler or a linker."""
    errors = re.findall(r"^.*?error: .*$|^.*?undefined reference to .*$", text, re.MULTILINE)
    lines = errors or text.strip().splitlines()[-1:]
    return lines[0].strip() if lines else "no message"


def run_compiler(call: Call, words: Sequence[str | Path], source: str, folder: Path) -> None:
    """Runs the command that compiles ``source``.

    Raises:
        BuildError: the compiler failed (the message has its first error), or did not end in time.
    """
    try:
        done = call(words, folder, COMPILE_SECONDS)
    except TimeOutError:
        raise BuildError(
            f"{source} took more than {COMPILE_SECONDS} s to compile, and was stopped",
            "check whether the machine is out of memory, and run this again: compiled files are kept",
        ) from None
    if done.code != 0:
        raise refusal(f"{source} does not compile", done.stderr)


def refusal(problem: str, output: str) -> BuildError:
    """The error for a compiler or a linker that failed with this output."""
    # zig ends without a message where it cannot write its object.
    silent_and_full = not output.strip() and any(map(files.is_full, _written_folders()))
    if silent_and_full or "no space left on device" in output.lower():
        return BuildError(
            f"{problem}: no disk space is left for the cache",
            "free some, or name other folders: the cache in LITESMITH_CACHE, temporary files in TMPDIR",
        )
    return BuildError(f"{problem}: {first_error(output)}", "run with --debug to see the command")


def _written_folders() -> tuple[Path, Path]:
    return paths.cache_folder(), Path(tempfile.gettempdir())
