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


def show_debug_output(enabled: bool) -> None:
    """Turns the output of ``--debug`` on or off: tracebacks, and the commands that run."""
    global _debug
    _debug = enabled


def debugging() -> bool:
    """Whether the output of ``--debug`` is on, by that option or by LITESMITH_DEBUG."""
    return _debug or bool(os.environ.get("LITESMITH_DEBUG"))


def trace(line: str) -> None:
    """Prints a command before it runs, but only with ``--debug``."""
    if debugging():
        print(f"+ {line}", file=sys.stderr)


def note(line: str) -> None:
    """Prints one line about progress; it is never part of a result."""
    print(line, file=sys.stderr, flush=True)


def stdout() -> Console:
    """The rich console for tables; it has a large fixed width if standard output is a file or a pipe."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def error_line(message: str, next_step: str) -> None:
    """Prints an error as one line: what is wrong and where, then what to do next."""
    text = f"error: {message}"
    if next_step:
        text += f"; {next_step}"
    print(" ".join(text.split()), file=sys.stderr, flush=True)


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Advance]:
    """Shows a progress bar on a terminal, and a few lines elsewhere.

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
