"""A textual change of one upstream file, and the usual kinds of changes: :class:`Patch`."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A textual change of one unpacked file: every match of ``find`` becomes ``replace``.

    ``find`` is a regular expression that must match at least once, ``replace`` the replacement template.
    """

    path: str
    find: str
    replace: str


def plain(text: str) -> str:
    """A replacement template that yields exactly ``text``."""
    return text.replace("\\", r"\\")


def guard(step: str) -> str:
    """The condition of one pruning step; a define for the step reverts it, to measure its effect."""
    return f"#if defined(LITESMITH_PRUNED) && !defined(LITESMITH_KEEP_{step})"


def pruned(step: str, path: str, original: str, replacement: str) -> Patch:
    """Replaces ``original`` in pruned builds; stock builds keep it."""
    return Patch(
        path=path,
        find=re.escape(original),
        replace=plain(f"{guard(step)}\n{replacement}\n#else\n{original}\n#endif"),
    )


def never(step: str, path: str, signature: str, answer: str) -> Patch:
    """Makes a function that has no effect in pruned programs return ``answer`` immediately.

    The compiler drops the rest of the function, and the linker drops what only the rest refers to.
    """
    return Patch(
        path=path,
        find=re.escape(signature),
        replace=plain(f"{signature}\n{guard(step)}\n  return {answer};\n#endif"),
    )
