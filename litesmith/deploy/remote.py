"""A connection to one board: commands of a POSIX shell, with bytes in and out.

fabric connects and authenticates; commands run over channels of its transport, because programs
and tensors are bytes and every answer has a deadline.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from litesmith import paths
from litesmith.console import trace
from litesmith.deploy.inventory import Board
from litesmith.errors import BoardError

_CHUNK = 32 * 1024
_KEEPALIVE_SECONDS = 5
_POLL_SECONDS = 0.02
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
        """Sends it a line; what it is for is the command's business."""

    def line(self, seconds: float) -> str:
        """The next line that it says; empty when it has ended."""

    def complaint(self) -> str:
        """What it said to standard error so far."""


class Remote(Protocol):
    """A board that answers."""

    @property
    def board(self) -> Board:
        """Which one."""

    def run(
        self, step: str, script: str, *arguments: str, stdin: bytes | Path = b"", seconds: float | None = None
    ) -> Answer:
        """Runs a script of the POSIX shell; ``arguments`` are its ``$1`` and so on.

        Raises:
            BoardError: the connection broke, or there was no answer within ``seconds``.
        """

    def hold(self, step: str, script: str, *arguments: str) -> contextlib.AbstractContextManager[Held]:
        """Runs a script until the context ends, which ends its standard input."""


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

    def run(
        self, step: str, script: str, *arguments: str, stdin: bytes | Path = b"", seconds: float | None = None
    ) -> Answer:
        """See :class:`Remote`."""
        trace(f"{self.board.name}: {command_line(script, arguments)}")
        deadline = _Deadline(self.board, step, self.board.timeout if seconds is None else seconds)
        with self._channel(command_line(script, arguments), deadline) as channel:
            sender = _Sender(channel, stdin, deadline)
            stdout, stderr = _received(channel, sender, deadline)
            code = channel.recv_exit_status() if channel.exit_status_ready() else -1
            if code == -1:
                raise deadline.broken("the connection ended before the answer")
            return Answer(code=code, stdout=stdout, stderr=stderr.decode(errors="replace"))

    @contextmanager
    def hold(self, step: str, script: str, *arguments: str) -> Iterator[Held]:
        """See :class:`Remote`."""
        deadline = _Deadline(self.board, step, self.board.timeout)
        with self._channel(command_line(script, arguments), deadline) as channel:
            held = _HeldChannel(channel)
            yield held
            with contextlib.suppress(OSError, EOFError):
                channel.shutdown_write()
                channel.settimeout(self.board.timeout)
                while channel.recv(_CHUNK):
                    pass

    @contextmanager
    def _channel(self, line: str, deadline: _Deadline) -> Iterator[Any]:
        from paramiko.ssh_exception import SSHException

        try:
            channel = self._transport.open_session(timeout=deadline.left())
        except (SSHException, EOFError, OSError) as error:
            raise deadline.broken(f"the connection is gone: {error}") from None
        try:
            channel.settimeout(deadline.left())
            channel.exec_command(line)
            yield channel
        except (SSHException, EOFError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise deadline.late() from None
            raise deadline.broken(f"the connection broke: {error or type(error).__name__}") from None
        finally:
            with contextlib.suppress(Exception):
                channel.close()


@dataclass(frozen=True)
class _HeldChannel:
    channel: Any

    def beat(self) -> None:
        self.channel.sendall(b"\n")

    def line(self, seconds: float) -> str:
        self.channel.settimeout(seconds)
        said = bytearray()
        while not said.endswith(b"\n"):
            byte = self.channel.recv(1)
            if not byte:
                break
            said += byte
        return said.decode(errors="replace").strip()

    def complaint(self) -> str:
        said = b""
        while self.channel.recv_stderr_ready():
            said += self.channel.recv_stderr(_CHUNK)
        return (said.decode(errors="replace").strip().splitlines() or [""])[-1]


class _Deadline:
    """When an answer is too late, and the errors that say so."""

    def __init__(self, board: Board, step: str, seconds: float) -> None:
        self._board, self._step, self._seconds = board, step, seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; a little is always left, so that a call with it fails by itself."""
        return max(self._end - time.monotonic(), 0.001)

    def check(self) -> None:
        if time.monotonic() > self._end:
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
    while True:
        idle = True
        while channel.recv_ready():
            out += channel.recv(_CHUNK)
            idle = False
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(_CHUNK)
            idle = False
        if len(out) + len(err) > _MOST_OUTPUT:
            raise deadline.broken("it answers without an end")
        ended = channel.exit_status_ready() or channel.closed or channel.eof_received
        if ended and idle and not channel.recv_ready() and not channel.recv_stderr_ready():
            if channel.exit_status_ready() or channel.closed:
                return bytes(out), bytes(err)
            if sender.error is not None and not channel.get_transport().is_active():
                return bytes(out), bytes(err)
        if not channel.get_transport().is_active():
            raise deadline.broken("the connection broke")
        if idle:
            deadline.check()
            time.sleep(_POLL_SECONDS)


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
        yield SshRemote(board, transport)
    finally:
        with contextlib.suppress(Exception):
            connection.close()


def _connection(board: Board) -> Any:
    from fabric import Config, Connection
    from paramiko import AutoAddPolicy, RejectPolicy

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
    connection.client.set_missing_host_key_policy(RejectPolicy() if strict else AutoAddPolicy())
    file = board.known_hosts.file or Path("~/.ssh/known_hosts").expanduser()
    if file.is_file():
        connection.client.load_host_keys(str(file))
    elif strict:
        raise BoardError(
            board.name,
            "connect",
            f"there is no file {file} with the key of {board.host}",
            f"write it with: ssh-keyscan -p {board.port} {board.host} >> {file}",
        )
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        connection.client.load_host_keys(str(file))
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
        if "not found in known_hosts" in str(error):
            raise failed(
                f"the host key of {where} is unknown",
                f"check it, and write it down: ssh-keyscan -p {board.port} {board.host}",
            ) from None
        if "banner" in str(error):
            raise failed(
                f"{where} does not answer within {board.timeout:g} s", "see whether it hangs"
            ) from None
        raise failed(f"{where} speaks no SSH that we understand: {error}", "see its log") from None
    except (OSError, EOFError, ValueError) as error:
        raise failed(f"{where} cannot be reached: {error}", "see whether the board is on") from None
    return connection.transport
