"""Progress of transfers, in bytes: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litesmith.base import console, units

At = Callable[[int], None]
"""``at(done)``: the number of bytes that are done now."""

Begin = Callable[[str, int | None], At]
"""``begin(what, total)``: starts a transfer of ``total`` bytes (None: unknown)."""

_SECONDS_BETWEEN_LINES = 5.0
_QUARTERS = 4


@contextmanager
def transfers() -> Iterator[Begin]:
    """Yields ``begin``; transfers may run in several threads.

    On a terminal each transfer has a bar. Elsewhere it has a line when it begins, at each quarter, and after
    five seconds without a line.
    """
    if not sys.stderr.isatty():
        yield lambda what, total: _Lines(what, total).at
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console.rich_console(stderr=True),
        transient=True,
    )
    with bars:

        def begin(what: str, total: int | None) -> At:
            task = bars.add_task(what, total=total)

            def at(done: int) -> None:
                bars.update(task, completed=done)
                if done == total:
                    bars.update(task, visible=False)

            return at

        yield begin


class _Lines:
    """The lines of one transfer."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total = what, total
        self._lock = threading.Lock()
        self._quarter = 0
        self._printed = time.monotonic()
        console.note(f"{what}{f' ({units.human_size(total)})' if total else ''}")

    def at(self, done: int) -> None:
        with self._lock:
            now = time.monotonic()
            quarter = _QUARTERS * done // self._total if self._total else 0
            if quarter <= self._quarter and now < self._printed + _SECONDS_BETWEEN_LINES:
                return
            self._quarter, self._printed = max(quarter, self._quarter), now
            of = f" of {units.human_size(self._total)}" if self._total else ""
            console.note(f"{self._what}: {units.human_size(done)}{of}")
