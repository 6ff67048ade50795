"""Many boards at once, independently of each other: a live table of all, and one result."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from litesmith.base import console, process
from litesmith.base.errors import BoardError, LitesmithError
from litesmith.board.deploy.deployer import Deployment
from litesmith.board.deploy.inventory import AnyBoard
from litesmith.board.deploy.ssh_connection import abort_all
from litesmith.board.deploy.uploads import Progress

if TYPE_CHECKING:
    from rich.table import Table

_MOST_AT_ONCE = 32
_REFRESH = 8


@dataclass(frozen=True, kw_only=True)
class BoardResult:
    """The outcome on one board; ``step`` is the last step that began, ``seconds`` the time of all steps."""

    board: str
    status: Literal["done", "failed"]
    step: str
    message: str
    next_step: str
    exit_code: int
    seconds: float
    deployment: Deployment | None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class FleetResult:
    """``deploy.json``: the outcome on every board; ``interrupted`` after Ctrl-C."""

    results: tuple[BoardResult, ...]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """The exit code of the first board that failed; 0 when none did."""
        return next((result.exit_code for result in self.results if result.status == "failed"), 0)

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "done": sum(1 for result in self.results if result.status == "done"),
            "failed": [result.board for result in self.results if result.status == "failed"],
            "boards": {result.board: result.to_json() for result in self.results},
        }


Work = Callable[[AnyBoard, Progress], Deployment]


def run(boards: Sequence[AnyBoard], work: Work) -> FleetResult:
    """Does ``work`` on all boards in parallel; a failure on one does not affect the others.

    On Ctrl-C no board begins another step, and all connections are closed.
    """
    steps = _Steps([board.name for board in boards])
    workers = min(len(boards), _MOST_AT_ONCE)
    with _shown(steps), ThreadPoolExecutor(max_workers=workers) as pool:
        futures = [pool.submit(_run_one, board, work, steps) for board in boards]
        try:
            wait(futures)
        except KeyboardInterrupt:
            steps.stop()
            abort_all("interrupted")
            process.kill_children()
        return FleetResult(results=tuple(future.result() for future in futures), interrupted=steps.stopped)


def _run_one(board: AnyBoard, work: Work, steps: _Steps) -> BoardResult:
    began = time.monotonic()
    error: LitesmithError | None = None
    deployment: Deployment | None = None
    try:
        deployment = work(board, lambda step: steps.begin(board.name, step))
    except LitesmithError as raised:
        error = raised
    except Exception as raised:
        if console.debugging():
            raise
        error = LitesmithError(f"{board.name}: {type(raised).__name__}: {raised}")
    step = steps.end(board.name, "failed" if error else "done")
    return BoardResult(
        board=board.name,
        status="failed" if error else "done",
        step=error.step if isinstance(error, BoardError) else step,
        message=error.message if error else "",
        next_step=error.next_step if error else "",
        exit_code=error.exit_code if error else 0,
        seconds=round(time.monotonic() - began, 2),
        deployment=deployment,
    )


class _Steps:
    """The current step of each board; safe to use from several threads."""

    def __init__(self, boards: Sequence[str]) -> None:
        self._guard = threading.Lock()
        self._steps = dict.fromkeys(boards, "waiting")
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Makes every later :meth:`begin` fail."""
        self._stopped.set()

    def begin(self, board: str, step: str) -> None:
        """Records that a board begins a step.

        Raises:
            BoardError: :meth:`stop` was called.
        """
        if self.stopped:
            raise BoardError(board, step, "interrupted before this step", "run it again")
        with self._guard:
            self._steps[board] = step

    def end(self, board: str, status: str) -> str:
        """Replaces a board's last step with its status; returns that step."""
        with self._guard:
            step = self._steps[board]
            self._steps[board] = status
        return step

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Boards with their current steps."""
        with self._guard:
            return tuple(self._steps.items())


@contextmanager
def _shown(steps: _Steps) -> Iterator[None]:
    """Shows a live table on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.live import Live

    def table() -> Table:
        from rich.table import Table
        from rich.text import Text

        shown = Table("board", "step")
        for row in steps.rows():
            shown.add_row(*map(Text, row))
        return shown

    shown_on = console.rich_console(stderr=True)
    with Live(get_renderable=table, console=shown_on, refresh_per_second=_REFRESH, transient=True):
        yield
