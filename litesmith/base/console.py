"""Text for people: progress and notes on standard error, results on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_PIPE_WIDTH = 160

Advance = Callable[..., None]
"""``advance(amount, what)`` of a progress display."""


_debug = False


def show_debug_output(wanted: bool) -> None:
    """Turns on tracebacks, and the commands that run, or off again (``--debug``)."""
    global _debug
    _debug = wanted


def debugging() -> bool:
    """Whether tracebacks, and the commands that run, are shown (``--debug`` or LITESMITH_DEBUG)."""
    return _debug or bool(os.environ.get("LITESMITH_DEBUG"))


def trace(line: str) -> None:
    """Prints a command before it runs, with ``--debug`` only."""
    if debugging():
        print(f"+ {line}", file=sys.stderr)


def note(line: str) -> None:
    """Prints one line about progress, for people; it is never part of a result."""
    print(line, file=sys.stderr, flush=True)


def stdout() -> Console:
    """rich's console for tables; it is wide where standard output is a file or a pipe."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def error_line(message: str, next_step: str) -> None:
    """Prints the one line of an error: what is wrong and where, then what to do next."""
    text = f"error: {message}"
    if next_step:
        text += f"; {next_step}"
    print(" ".join(text.split()), file=sys.stderr, flush=True)


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Advance]:
    """A progress bar on a terminal, a few lines elsewhere.

    Yields a function ``advance(amount, what)``.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        bar: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[what]}"),
            console=Console(stderr=True),
            transient=True,
        )
        with bar:
            task = bar.add_task(description, total=total, what="")

            def advance(amount: float, what: str = "") -> None:
                bar.update(task, advance=amount, what=what)

            yield advance
        return

    done = 0.0
    quarters = -1

    def advance_in_lines(amount: float, _what: str = "") -> None:
        nonlocal done, quarters
        done += amount
        if total and int(4 * done / total) > quarters:
            quarters = int(4 * done / total)
            note(f"{description}: {done:.0f} of {total:.0f}")

    yield advance_in_lines
