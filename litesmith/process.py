"""Running outside programs: argument lists, time-outs that end the whole process group."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from litesmith.console import trace
from litesmith.errors import TimeOutError, ToolError


@dataclass(frozen=True, kw_only=True)
class Completed:
    """What a program that ended left behind."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: str


class _Running:
    """The process groups that are alive, so that Ctrl-C can end all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()

    def add(self, group: int) -> None:
        with self._lock:
            self._groups.add(group)

    def discard(self, group: int) -> None:
        with self._lock:
            self._groups.discard(group)

    def kill_all(self) -> None:
        with self._lock:
            for group in self._groups:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)


_running = _Running()


def kill_children() -> None:
    """Ends every program that is running, with all its children."""
    _running.kill_all()


def _inherited(names: Sequence[str] | None) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if names is None or name in names}


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit: Sequence[str] | None = None,
    timeout: float | None = None,
) -> Completed:
    """Runs a program to its end; no shell, no standard input.

    ``timeout`` is in seconds and ends the whole process group.  ``env`` is added to our
    environment, or to the variables of it that ``inherit`` names.
    A program that exits with an error is returned, not raised: the caller knows what it means.

    Raises:
        ToolError: the program cannot be started.
        TimeOutError: it ran out of time.
    """
    words = tuple(str(word) for word in argv)
    trace(shlex.join(words))
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env={**_inherited(inherit), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{words[0]} cannot be started: {error.strerror}") from error
    _running.add(child.pid)
    try:
        stdout, stderr = child.communicate(timeout=timeout)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise TimeOutError(f"{Path(words[0]).name} did not end within {timeout:.0f} s") from error
        raise
    finally:
        _running.discard(child.pid)
    return Completed(argv=words, code=child.returncode, stdout=stdout, stderr=stderr.decode(errors="replace"))
