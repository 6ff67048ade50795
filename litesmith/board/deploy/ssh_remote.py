"""Shell scripts over an open SSH transport: one channel for each, and a deadline for each answer.

Scripts run over channels of paramiko's transport rather than fabric's ``run``, because programs and tensors
are bytes and no call may block without a limit.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from litesmith.base.console import trace
from litesmith.base.errors import BoardError
from litesmith.board.deploy.inventory import Board
from litesmith.board.deploy.remote import (
    MOST_ANSWER,
    MOST_SHOWN,
    UNCHANGED,
    CommandResult,
    HeldCommand,
    command_line,
    script,
)

_CHUNK = 32 * 1024
_POLL_SECONDS = 0.02
_GRACE_SECONDS = 2.0
_MOST_LINE = 4096


class SshRemote:
    """A :class:`~litesmith.board.deploy.remote.Remote` over a paramiko transport."""

    def __init__(self, board: Board, transport: Any) -> None:
        self.board = board
        self._transport = transport
        # Separates a login shell's greeting from the script's own output.
        self._marker = f"litesmith-{secrets.token_hex(8)}"
        self._reason = ""
        self._sender: _Sender | None = None

    @property
    def sending(self) -> bool:
        """See :class:`~litesmith.board.deploy.remote.Remote`."""
        return self._sender is not None and self._sender.busy

    def abort(self, reason: str) -> None:
        """See :class:`~litesmith.board.deploy.remote.Remote`."""
        self._reason = self._reason or reason
        self._transport.close()

    def run(
        self,
        step: str,
        script: str,
        *arguments: str,
        stdin: bytes | Path = b"",
        seconds: float | None = None,
        most: int = MOST_ANSWER,
    ) -> CommandResult:
        """See :class:`~litesmith.board.deploy.remote.Remote`."""
        deadline = _Deadline(self.board, step, self.board.timeout if seconds is None else seconds)
        with self._guarded(deadline), self._channel(script, arguments, deadline) as channel:
            self._sender = _Sender(channel, stdin, deadline)
            stdout, stderr = _receive(channel, self._sender, deadline, most)
            code = channel.recv_exit_status() if channel.exit_status_ready() else -1
            if code == -1 and deadline.over() and not self._reason:
                raise deadline.late()
            if code == -1:
                raise deadline.broken(self._reason or "the connection closed before the command ended")
        _, _, output = stdout.partition(f"{self._marker}\n".encode())
        return CommandResult(code=code, stdout=output, stderr=stderr.decode(errors="replace"))

    @contextmanager
    def hold(self, step: str, script: str, *arguments: str) -> Iterator[HeldCommand]:
        """See :class:`~litesmith.board.deploy.remote.Remote`."""
        deadline = _Deadline(self.board, step, self.board.timeout)
        with ExitStack() as stack:
            with self._guarded(deadline):
                channel = stack.enter_context(self._channel(script, arguments, deadline))
                held = _HeldChannel(channel)
                held.skip_to(self._marker, deadline)
            yield held
            self._end(channel, step)

    def _end(self, channel: Any, step: str) -> None:
        """Ends a held command, and gives it the board's ``timeout`` to do so."""
        deadline = _Deadline(self.board, step, self.board.timeout)
        with contextlib.suppress(OSError, EOFError):
            channel.shutdown_write()
            while not deadline.over():
                channel.settimeout(deadline.left())
                if not channel.recv(_CHUNK):
                    return

    @contextmanager
    def _guarded(self, deadline: _Deadline) -> Iterator[None]:
        """Turns errors of the connection into errors of the board, and enforces the deadline."""
        from paramiko.ssh_exception import SSHException

        # Some of paramiko's calls wait for the other side without a limit of their own.
        watchdog = threading.Timer(deadline.left(), self._transport.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            deadline.check()
            yield
        except (SSHException, EOFError, OSError) as error:
            if self._reason:
                raise deadline.broken(self._reason) from None
            if isinstance(error, TimeoutError) or deadline.over():
                raise deadline.late() from None
            raise deadline.broken(f"the connection broke: {error or type(error).__name__}") from None
        finally:
            watchdog.cancel()

    @contextmanager
    def _channel(self, script: str, arguments: Sequence[str], deadline: _Deadline) -> Iterator[Any]:
        line = command_line(f"{_prelude()}echo {self._marker}\n{script}", arguments)
        trace(f"{self.board.name}: {command_line(script, arguments)}")
        channel = self._transport.open_session(timeout=deadline.left())
        try:
            channel.settimeout(deadline.left())
            channel.exec_command(line)
            yield channel
        finally:
            with contextlib.suppress(Exception):
                channel.close()


@functools.cache
def _prelude() -> str:
    return script("prelude")


class _HeldChannel:
    """A :class:`~litesmith.board.deploy.remote.HeldCommand` over a channel."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._partial = bytearray()

    def write_line(self) -> None:
        self._channel.sendall(b"\n")

    def skip_to(self, marker: str, deadline: _Deadline) -> None:
        """Skips the lines before the marker, or all if the command ends without it."""
        read = 0
        while (line := self.read_line(deadline.left())) and line != marker:
            read += len(line)
            if read > MOST_ANSWER:
                raise ConnectionError(f"the login shell printed more than {MOST_ANSWER // 1024**2} MiB")

    def read_line(self, seconds: float) -> str:
        # The limit is that of the line: a byte now and then does not extend it.
        end = time.monotonic() + seconds
        # Part of a line that arrived before a time-out is kept for the next call.
        while not self._partial.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._channel.settimeout(left)
            byte = self._channel.recv(1)
            if not byte:
                break
            self._partial += byte
            if len(self._partial) > _MOST_LINE:
                raise ConnectionError(f"a line of its answer is longer than {_MOST_LINE} bytes")
        line = self._partial.decode(errors="replace").strip()
        self._partial.clear()
        return line

    def error_line(self) -> str:
        text = b""
        while self._channel.recv_stderr_ready() and len(text) < MOST_ANSWER:
            text += self._channel.recv_stderr(_CHUNK)
        return (text.decode(errors="replace").strip().splitlines() or [""])[-1][:MOST_SHOWN]


class _Deadline:
    """The time limit of one script, and the errors that name its board and step."""

    def __init__(self, board: Board, step: str, seconds: float) -> None:
        self._board, self._step, self._seconds = board, step, seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the deadline, always positive: a call that gets them times out by itself."""
        return max(self._end - time.monotonic(), 0.001)

    def over(self) -> bool:
        return time.monotonic() >= self._end

    def check(self) -> None:
        if self.over():
            raise self.late()

    def late(self) -> BoardError:
        return BoardError(
            self._board.name,
            self._step,
            f"no answer within {self._seconds:g} s",
            "check whether the board hangs, or raise 'timeout' in the inventory",
        )

    def broken(self, message: str) -> BoardError:
        return BoardError(self._board.name, self._step, message, UNCHANGED)


class _Sender:
    """Sends standard input from its own thread: a command that writes while it reads must not block."""

    def __init__(self, channel: Any, data: bytes | Path, deadline: _Deadline) -> None:
        self.error: BaseException | None = None
        self._channel, self._data, self._deadline = channel, data, deadline
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        return self._thread.is_alive()

    def _send(self) -> None:
        try:
            if isinstance(self._data, Path):
                with self._data.open("rb") as stream:
                    while chunk := stream.read(_CHUNK):
                        self._put(chunk)
            else:
                for start in range(0, len(self._data), _CHUNK):
                    self._put(self._data[start : start + _CHUNK])
            self._channel.shutdown_write()
        except BaseException as error:
            self.error = error

    def _put(self, chunk: bytes) -> None:
        self._channel.settimeout(self._deadline.left())
        self._channel.sendall(chunk)


def _receive(channel: Any, sender: _Sender, deadline: _Deadline, most: int) -> tuple[bytes, bytes]:
    """Standard output and standard error of a command, read until it has ended; at most ``most`` bytes."""
    out, err = bytearray(), bytearray()
    ended_at: float | None = None
    while True:
        idle = True
        # Checked before reading: everything that arrived before the end is read below.
        complete = channel.closed or channel.eof_received
        while channel.recv_ready() and len(out) <= most:
            out += channel.recv(_CHUNK)
            idle = False
        while channel.recv_stderr_ready() and len(err) <= most:
            err += channel.recv_stderr(_CHUNK)
            idle = False
        if len(out) + len(err) > most:
            raise deadline.broken(f"the command wrote more than {most // 1024**2} MiB")
        deadline.check()
        if channel.exit_status_ready() and idle:
            # Data may follow the exit status, and a background process may keep the output open.
            ended_at = ended_at or time.monotonic()
            if complete or time.monotonic() - ended_at > _GRACE_SECONDS:
                return bytes(out), bytes(err)
        elif complete and idle and (channel.closed or sender.error is not None):
            return bytes(out), bytes(err)
        if not channel.get_transport().is_active() and idle:
            raise EOFError("the transport is closed")
        if idle:
            time.sleep(_POLL_SECONDS)
