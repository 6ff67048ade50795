"""Running external programs, with argument lists, and with time-outs that end the whole process group."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from litesmith.base.console import trace
from litesmith.base.errors import TimeOutError, ToolError


@dataclass(frozen=True, kw_only=True)
class Completed:
    """The result of a program that has ended."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: str


class _Running:
    """The process groups that are running, so that Ctrl-C can end all of them."""

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
    """Kills all running programs and their children."""
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
    """Runs a program to its end, without a shell and without standard input.

    ``timeout`` is in seconds and ends the whole process group.  ``env`` is added to this process's
    environment, of which ``inherit`` keeps only the variables that it names.
    An exit code other than 0 is not an error here: the caller knows what it means.

    Raises:
        ToolError: the program cannot be started.
        TimeOutError: it ran out of time.
    """
    words = tuple(str(word) for word in argv)
    with _started(words, cwd, {**_inherited(inherit), **(env or {})}, subprocess.PIPE) as child:
        try:
            stdout, stderr = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise _late(words, timeout) from error
    return Completed(argv=words, code=child.returncode, stdout=stdout, stderr=stderr.decode(errors="replace"))


def follow(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Completed:
    """Runs a program and passes each line of its standard output to ``on_line`` as it arrives.

    Otherwise it works like :func:`run`.  The result's ``stdout`` is empty.

    Raises:
        ToolError: the program cannot be started.
        TimeOutError: it ran out of time.
    """
    words = tuple(str(word) for word in argv)
    late = threading.Event()

    def end(group: int) -> None:
        late.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)

    # Standard error goes to a file: a pipe could fill up while only standard output is read.
    with (
        tempfile.TemporaryFile() as stderr,
        _started(words, None, {**os.environ, **(env or {})}, stderr) as child,
    ):
        timer = threading.Timer(timeout, end, [child.pid]) if timeout is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            assert child.stdout is not None, "it is a pipe"  # noqa: S101
            for line in child.stdout:
                on_line(line.decode(errors="replace"))
            child.stdout.close()
            child.wait()
        finally:
            if timer is not None:
                timer.cancel()
        stderr.seek(0)
        said = stderr.read().decode(errors="replace")
    if late.is_set():
        raise _late(words, timeout)
    return Completed(argv=words, code=child.returncode, stdout=b"", stderr=said)


@contextlib.contextmanager
def _started(
    words: tuple[str, ...], cwd: Path | None, env: Mapping[str, str], stderr: IO[bytes] | int
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program in its own process group, which is killed if the block raises."""
    trace(shlex.join(words))
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{words[0]} cannot be started: {error.strerror}") from error
    _running.add(child.pid)
    try:
        yield child
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise
    finally:
        _running.discard(child.pid)


def _late(words: Sequence[str], timeout: float | None) -> TimeOutError:
    return TimeOutError(f"{Path(words[0]).name} did not end within {timeout:.0f} s")
