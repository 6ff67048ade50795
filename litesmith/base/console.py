"""Text for people: progress and notes on standard error, results on standard output.

Names in models, inventories and profiles, and what boards and tools say, may be a stranger's.  Whatever is
printed passes :func:`printable`, so that a terminal shows it and never obeys it: :func:`filtered` has it for
standard output and standard error, and :func:`rich_console` for tables and progress, whose own escapes are
kept.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_PIPE_WIDTH = 160
_MOST_OF_AN_ERROR = 4000

# Control characters but tab and line feed; what breaks lines or changes their direction; surrogates.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

Advance = Callable[..., None]
"""``advance(amount, what)`` of a progress display."""


_debug = False


def printable(text: str) -> str:
    """The text with ``\\u001b`` in the place of an escape, and so on; JSON keeps its values."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """The same without tabs and line feeds: text for a comment, or for a cell of a table."""
    return printable(text).replace("\t", "\\u0009").replace("\n", "\\u000a")


class _Filtered:
    """A text stream that writes :func:`printable` text, and what its encoding lacks as an escape."""

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Writes text."""
        shown = printable(text)
        try:
            self.unfiltered.write(shown)
        except UnicodeEncodeError as error:
            self.unfiltered.write(shown.encode(error.encoding, "backslashreplace").decode(error.encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


@contextmanager
def filtered() -> Iterator[None]:
    """Standard output and standard error are filtered until the context ends."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", _Filtered(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def rich_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A rich console for one of the two; its own escapes pass, those of what it shows do not."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Safe(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                plain = segment.control or segment.text.isprintable()
                yield segment if plain else Segment(printable(segment.text), segment.style)

    stream = sys.stderr if stderr else sys.stdout
    file = cast("IO[str]", getattr(stream, "unfiltered", stream))
    return Safe(file=file, highlight=False, width=width)


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
    return rich_console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def error_line(message: str, next_step: str) -> None:
    """Prints an error as one line: what is wrong and where, then what to do next."""
    text = f"error: {message}"
    if len(text) > _MOST_OF_AN_ERROR:
        text = f"{text[:_MOST_OF_AN_ERROR]}…"
    if next_step:
        text += f"; {next_step}"
    print(" ".join(text.split()), file=sys.stderr, flush=True)


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Advance]:
    """Shows a progress bar on a terminal, and a few lines elsewhere.

    Yields a function ``advance(amount, what)``.
    """
    if sys.stderr.isatty():
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
            console=rich_console(stderr=True),
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
