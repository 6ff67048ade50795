"""The error that ends a conversion with a message for the user, and helpers for its text."""

from __future__ import annotations

from collections.abc import Iterable

BAD_INPUT, UNSUPPORTED, FAILED = 2, 3, 1
_LONGEST_LINE = 300


class RefusedError(Exception):
    """A conversion that is refused: a line for the user, what to do next, and litesmith's exit code."""

    def __init__(self, message: str, next_step: str = "", code: int = BAD_INPUT) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.code = code


def one_line(error: BaseException) -> str:
    """The beginning of an error's text, in one line; the error's type if it has no text."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…"


def some(names: Iterable[str], most: int = 6) -> str:
    """The first names of a list that may be long, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more
