"""What all tables are made of: columns, rows, bars."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

_BAR_CHARACTERS = 24


def bar(value: int, most: int) -> str:
    """A bar of up to 24 characters, in eighths of a character."""
    eighths = round(8 * _BAR_CHARACTERS * value / most) if most else 0
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def table(*columns: str, title: str | None = None) -> Table:
    """A table whose first column, the name, is never cut; other text is folded."""
    made = Table(title=Text(title) if title else None, title_justify="left")
    for position, column in enumerate(columns):
        made.add_column(column, no_wrap=position == 0, overflow="fold")
    return made


def numbers(*columns: str, names: int = 1, title: str | None = None) -> Table:
    """A table whose first columns, ``names`` many, are text, and all others numbers."""
    made = table(*columns, title=title)
    for column in made.columns[names:]:
        column.justify = "right"
    return made


def align_right(table: Table, *headers: str) -> None:
    """Aligns the columns with these headers to the right: they hold numbers."""
    for column in table.columns:
        if column.header in headers:
            column.justify = "right"


def add_row(into: Table, *cells: str) -> None:
    """Adds a row; names come from models and files, and may look like markup."""
    into.add_row(*(Text(cell) for cell in cells))
