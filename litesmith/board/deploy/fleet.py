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
    stopped = threading.Event()
    current_step: dict[str, str] = {board.name: "waiting" for board in boards}
    guard = threading.Lock()

    def work_on(board: AnyBoard) -> BoardResult:
        began = time.monotonic()

        def report(step: str) -> None:
            if stopped.is_set():
                raise BoardError(board.name, step, "interrupted before this step", "run it again")
            with guard:
                current_step[board.name] = step

        def outcome(error: LitesmithError | None, deployment: Deployment | None) -> BoardResult:
            with guard:
                step = current_step[board.name]
                current_step[board.name] = "failed" if error else "done"
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

        try:
            return outcome(None, work(board, report))
        except LitesmithError as error:
            return outcome(error, None)
        except Exception as error:
            if console.debugging():
                raise
            return outcome(LitesmithError(f"{board.name}: {type(error).__name__}: {error}"), None)

    with _shown(current_step, guard), ThreadPoolExecutor(max_workers=min(len(boards), _MOST_AT_ONCE)) as pool:
        futures = [pool.submit(work_on, board) for board in boards]
        try:
            wait(futures)
        except KeyboardInterrupt:
            stopped.set()
            abort_all("interrupted")
            process.kill_children()
        return FleetResult(results=tuple(future.result() for future in futures), interrupted=stopped.is_set())


@contextmanager
def _shown(steps: dict[str, str], guard: threading.Lock) -> Iterator[None]:
    """Shows a live table on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live

    def table() -> Table:
        from rich.table import Table
        from rich.text import Text

        made = Table("board", "step")
        with guard:
            for name, step in steps.items():
                made.add_row(Text(name), Text(step))
        return made

    with Live(
        get_renderable=table, console=Console(stderr=True), refresh_per_second=_REFRESH, transient=True
    ):
        yield
