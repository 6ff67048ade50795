"""A connection to one board: commands of a POSIX shell, with bytes in and out.

fabric connects and authenticates; commands run over channels of its transport, because programs
and tensors are bytes and every answer has a deadline.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from litesmith.base import paths
from litesmith.base.console import trace
from litesmith.base.errors import BoardError
from litesmith.board.deploy.inventory import Board

_CHUNK = 32 * 1024
_KEEPALIVE_SECONDS = 5
_POLL_SECONDS = 0.02
_GRACE_SECONDS = 2.0
_MOST_OUTPUT = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command on a board left behind."""

    code: int
    stdout: bytes
    stderr: str

    def last_line(self) -> str:
        """What the command said last, for an error message."""
        text = self.stderr.strip() or self.stdout.decode(errors="replace").strip()
        return text.splitlines()[-1] if text else f"exit code {self.code}"


class Held(Protocol):
    """A command that runs for as long as somebody holds it."""

    def beat(self) -> None:
        """Sends it a line; what it is for is the command's business.

        Raises:
            OSError: the connection is gone.
        """

    def line(self, seconds: float) -> str:
        """The next line that it says; empty when it has ended.

        Raises:
            TimeoutError: there is none within ``seconds``.
            OSError: the connection is gone.
        """

    def complaint(self) -> str:
        """What it said to standard error so far."""


class Remote(Protocol):
    """A board that answers."""

    @property
    def board(self) -> Board:
        """Which one."""

    @property
    def sending(self) -> bool:
        """Whether something is being sent, which other commands wait for."""

    def give_up(self, reason: str) -> None:
        """Ends the connection; whatever waits for the board fails with ``reason``."""

    def run(
        self, step: str, script: str, *arguments: str, stdin: bytes | Path = b"", seconds: float | None = None
    ) -> Answer:
        """Runs a script of the POSIX shell; ``arguments`` are its ``$1`` and so on.

        Raises:
            BoardError: the connection broke, or there was no answer within ``seconds``.
        """

    def hold(self, step: str, script: str, *arguments: str) -> contextlib.AbstractContextManager[Held]:
        """Runs a script until the context ends, which ends its standard input.

        Raises:
            BoardError: the connection broke, or it did not start in time.
        """


def command_line(script: str, arguments: Sequence[str]) -> str:
    """The line that a board's login shell gets: one command, everything quoted."""
    return shlex.join(["sh", "-c", script, "sh", *arguments])


def script(name: str) -> str:
    """A script of ``templates/board/``."""
    return (paths.data_folder("templates") / "board" / f"{name}.sh").read_text(encoding="utf-8")


def done(remote: Remote, step: str, text: str, *arguments: str, stdin: bytes = b"") -> Answer:
    """An answer that must be good.

    Raises:
        BoardError: it is not.
    """
    answer = remote.run(step, text, *arguments, stdin=stdin)
    if answer.code != 0:
        raise BoardError(
            remote.board.name, step, answer.last_line(), "the board runs what it ran before; deploy again"
        )
    return answer


class SshRemote:
    """A board over SSH; see :func:`connected`."""

    def __init__(self, board: Board, transport: Any) -> None:
        self.board = board
        self._transport = transport
        # A login shell may greet before our script says anything.
        self._marker = f"litesmith-{secrets.token_hex(8)}"
        self._reason = ""
        self._sender: _Sender | None = None

    @property
    def sending(self) -> bool:
        """Whether something is being sent, which other channels of the connection wait for."""
        return self._sender is not None and self._sender.busy

    def give_up(self, reason: str) -> None:
        """Ends the connection; whatever waits for the board fails with ``reason``."""
        self._reason = self._reason or reason
        self._transport.close()

    def run(
        self, step: str, script: str, *arguments: str, stdin: bytes | Path = b"", seconds: float | None = None
    ) -> Answer:
        """See :class:`Remote`."""
        deadline = _Deadline(self.board, step, self.board.timeout if seconds is None else seconds)
        with self._guarded(deadline), self._channel(script, arguments, deadline) as channel:
            self._sender = _Sender(channel, stdin, deadline)
            stdout, stderr = _received(channel, self._sender, deadline)
            code = channel.recv_exit_status() if channel.exit_status_ready() else -1
            if code == -1:
                raise deadline.broken(self._reason or "the connection ended before the answer")
        _, _, said = stdout.partition(f"{self._marker}\n".encode())
        return Answer(code=code, stdout=said, stderr=stderr.decode(errors="replace"))

    @contextmanager
    def hold(self, step: str, script: str, *arguments: str) -> Iterator[Held]:
        """See :class:`Remote`."""
        deadline = _Deadline(self.board, step, self.board.timeout)
        with ExitStack() as stack:
            with self._guarded(deadline):
                channel = stack.enter_context(self._channel(script, arguments, deadline))
                held = _HeldChannel(channel)
                while (said := held.line(deadline.left())) and said != self._marker:
                    pass
            yield held
            with contextlib.suppress(OSError, EOFError):
                channel.shutdown_write()
                channel.settimeout(self.board.timeout)
                while channel.recv(_CHUNK):
                    pass

    @contextmanager
    def _guarded(self, deadline: _Deadline) -> Iterator[None]:
        """Turns what a connection can do to us into errors of the board; nothing waits without an end."""
        from paramiko.ssh_exception import SSHException

        # Some calls of paramiko wait for the other end without a limit of their own.
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
    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._said = bytearray()

    def beat(self) -> None:
        self._channel.sendall(b"\n")

    def line(self, seconds: float) -> str:
        self._channel.settimeout(seconds)
        # What came before a time-out is kept for the next time.
        while not self._said.endswith(b"\n"):
            byte = self._channel.recv(1)
            if not byte:
                break
            self._said += byte
        line = self._said.decode(errors="replace").strip()
        self._said.clear()
        return line

    def complaint(self) -> str:
        said = b""
        while self._channel.recv_stderr_ready():
            said += self._channel.recv_stderr(_CHUNK)
        return (said.decode(errors="replace").strip().splitlines() or [""])[-1]


class _Deadline:
    """When an answer is too late, and the errors that say so."""

    def __init__(self, board: Board, step: str, seconds: float) -> None:
        self._board, self._step, self._seconds = board, step, seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; a little is always left, so that a call with it fails by itself."""
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
            "see whether the board hangs, or give it more time: 'timeout' in the inventory",
        )

    def broken(self, message: str) -> BoardError:
        return BoardError(
            self._board.name, self._step, message, "the board runs what it ran before; deploy again"
        )


class _Sender:
    """Standard input in its own thread: a program that writes much while it reads must not block."""

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


def _received(channel: Any, sender: _Sender, deadline: _Deadline) -> tuple[bytes, bytes]:
    """Everything that a command writes, until it has ended."""
    out, err = bytearray(), bytearray()
    ended_at: float | None = None
    while True:
        idle = True
        # Asked before the data: what came until then is read below.
        complete = channel.closed or channel.eof_received
        while channel.recv_ready():
            out += channel.recv(_CHUNK)
            idle = False
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(_CHUNK)
            idle = False
        if len(out) + len(err) > _MOST_OUTPUT:
            raise deadline.broken("it answers without an end")
        if channel.exit_status_ready() and idle:
            # The last data may come after the status; what a command left running may keep its output open.
            ended_at = ended_at or time.monotonic()
            if complete or time.monotonic() - ended_at > _GRACE_SECONDS:
                return bytes(out), bytes(err)
        elif complete and idle and (channel.closed or sender.error is not None):
            return bytes(out), bytes(err)
        if not channel.get_transport().is_active() and idle:
            raise EOFError("it was cut")
        if idle:
            deadline.check()
            time.sleep(_POLL_SECONDS)


_open: set[SshRemote] = set()
_open_guard = threading.Lock()


def give_up_all(reason: str) -> None:
    """Ends all connections of this process."""
    with _open_guard:
        remotes = tuple(_open)
    for remote in remotes:
        remote.give_up(reason)


@contextmanager
def connected(board: Board) -> Iterator[SshRemote]:
    """A board over SSH, for as long as the context lasts.

    Raises:
        BoardError: it cannot be reached, its host key is not the known one, or it does not let us in.
    """
    # paramiko logs the tracebacks of its threads; what failed is in our own error.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    connection = _connection(board)
    try:
        transport = _opened(board, connection)
        transport.set_keepalive(_KEEPALIVE_SECONDS)
        remote = SshRemote(board, transport)
        with _open_guard:
            _open.add(remote)
        try:
            yield remote
        finally:
            with _open_guard:
                _open.discard(remote)
    finally:
        with contextlib.suppress(Exception):
            connection.close()


def _connection(board: Board) -> Any:
    from fabric import Config, Connection

    from litesmith.board.deploy import known_hosts

    if board.key is not None and not board.key.is_file():
        raise BoardError(
            board.name, "connect", f"there is no key file {board.key}", "correct 'key' in the inventory"
        )
    wanted: dict[str, Any] = {
        "allow_agent": board.agent,
        "look_for_keys": False,
        "banner_timeout": board.timeout,
        "auth_timeout": board.timeout,
    }
    if board.key is not None:
        wanted["key_filename"] = str(board.key)
    if board.password_env is not None:
        secret = os.environ.get(board.password_env)
        if not secret:
            raise BoardError(
                board.name,
                "connect",
                f"the environment variable {board.password_env} with its password is not set",
                f"export {board.password_env}=…",
            )
        wanted["password"] = secret
    # The user's SSH configuration may name commands to run here; what is not in the inventory is not used.
    config = Config(lazy=True, overrides={"load_ssh_configs": False})
    connection = Connection(
        host=board.host,
        user=board.user,
        port=board.port,
        config=config,
        connect_timeout=int(board.timeout) or 1,
        connect_kwargs=wanted,
    )
    strict = board.known_hosts.policy == "strict"
    file = board.known_hosts.file or Path("~/.ssh/known_hosts").expanduser()
    if strict and not file.is_file():
        raise BoardError(
            board.name,
            "connect",
            f"there is no file {file} with the key of {board.host}",
            f"write it with: ssh-keyscan -p {board.port} {board.host} >> {file}",
        )
    known_hosts.prepare(connection.client, file, strict=strict)
    return connection


def _opened(board: Board, connection: Any) -> Any:
    from paramiko.ssh_exception import (
        AuthenticationException,
        BadHostKeyException,
        NoValidConnectionsError,
        SSHException,
    )

    def failed(message: str, next_step: str) -> BoardError:
        return BoardError(board.name, "connect", message, next_step)

    where = f"{board.host}:{board.port}"
    try:
        connection.open()
    except BadHostKeyException:
        raise failed(
            f"the host key of {where} is not the known one: it is another machine, or it was set up again",
            "find out which; then remove the old key with ssh-keygen -R",
        ) from None
    except AuthenticationException:
        raise failed(
            f"{where} does not let {board.user} in", "check user, key and password in the inventory"
        ) from None
    except NoValidConnectionsError:
        raise failed(f"nothing answers at {where}", "see whether the board is on, and sshd runs") from None
    except TimeoutError:
        raise failed(f"{where} does not answer within {board.timeout:g} s", "see whether it is on") from None
    except SSHException as error:
        if "No authentication methods available" in str(error):
            raise failed(
                f"there is nothing to log {board.user} in with: no agent answers",
                "start one and add a key (ssh-add), or name 'key' in the inventory",
            ) from None
        if "not found in known_hosts" in str(error):
            raise failed(
                f"the host key of {where} is unknown",
                f"check it, and write it down: ssh-keyscan -p {board.port} {board.host}",
            ) from None
        if "banner" in str(error):
            raise failed(
                f"{where} closes the connection, or does not answer within {board.timeout:g} s",
                "see whether it hangs, and what its sshd logs",
            ) from None
        raise failed(f"{where} speaks no SSH that we understand: {error}", "see its log") from None
    except (OSError, EOFError, ValueError) as error:
        raise failed(f"{where} cannot be reached: {error}", "see whether the board is on") from None
    return connection.transport
