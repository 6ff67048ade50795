"""The error that ends a conversion with a message for the user, and helpers for its text."""

from __future__ import annotations

import re
from collections.abc import Iterable

BAD_INPUT, UNSUPPORTED, FAILED = 2, 3, 1
_LONGEST_LINE = 300

_MESSAGES = (
    # A function that TensorFlow traces: "in user code:", a traceback, and "    ValueError: …" at its end.
    r"\Ain user code:\n.*^ +\w+(?:Error|Exception)?: (.+)\Z",
    # MLIR: "<unknown>:0: error: loc(callsite(fused[…], "Call"]))): 'tf.Op' op …", then notes.
    r"^<unknown>:0: error: loc\([^\n]*\"\]?\)+: ([^\n]+)",
)


class RefusedError(Exception):
    """A conversion that is refused: a line for the user, what to do next, and litesmith's exit code."""

    def __init__(self, message: str, next_step: str = "", code: int = BAD_INPUT) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.code = code


def one_line(error: BaseException) -> str:
    """The beginning of what an error says, in one line; the error's type if it says nothing.

    Files and lines of traced functions, and locations in the converter's intermediate form, are left out.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    for pattern in _MESSAGES:
        if found := re.search(pattern, text, re.DOTALL | re.MULTILINE):
            text = found[1]
            break
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…"


def some(names: Iterable[str], most: int = 6) -> str:
    """The first names of a list that may be long, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more
