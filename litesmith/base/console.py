"""What people see: progress and notes on standard error, results on standard output."""

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


def debugging() -> bool:
    """Whether tracebacks and the commands that run are shown (``--debug``)."""
    return bool(os.environ.get("LITESMITH_DEBUG")) or "--debug" in sys.argv


def trace(line: str) -> None:
    """Prints a command before it runs, with ``--debug`` only."""
    if debugging():
        print(f"+ {line}", file=sys.stderr)


def note(line: str) -> None:
    """One line about what is going on, for people; never part of a result."""
    print(line, file=sys.stderr, flush=True)


def stdout() -> Console:
    """rich's console for results that are drawn; wide where it is no terminal but a file or pipe."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def error_line(message: str, next_step: str) -> None:
    """The one clear line: what is wrong and where, then what to do next."""
    text = f"error: {message}"
    if next_step:
        text += f"; {next_step}"
    print(" ".join(text.split()), file=sys.stderr, flush=True)


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Advance]:
    """A progress bar on a terminal, sparse lines elsewhere.

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
    said = -1

    def say(amount: float, _what: str = "") -> None:
        nonlocal done, said
        done += amount
        if total and int(4 * done / total) > said:
            said = int(4 * done / total)
            note(f"{description}: {done:.0f} of {total:.0f}")

    yield say
