"""Opening an SSH connection to a board: login, host key, and what went wrong in terms of the inventory.

fabric connects and authenticates; :mod:`~litesmith.board.deploy.ssh_remote` runs scripts over the result.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from litesmith.base import packages
from litesmith.base.errors import BoardError
from litesmith.board.deploy import known_hosts
from litesmith.board.deploy.inventory import Board, own_known_hosts
from litesmith.board.deploy.ssh_remote import SshRemote

_STEP = "connect"
_KEEPALIVE_SECONDS = 5

_open: set[SshRemote] = set()
_open_guard = threading.Lock()


def abort_all(reason: str) -> None:
    """Closes all connections of this process; calls that wait for a board fail with ``reason``."""
    with _open_guard:
        remotes = tuple(_open)
    for remote in remotes:
        remote.abort(reason)


@contextmanager
def connected(board: Board) -> Iterator[SshRemote]:
    """A connection to a board, closed when the context ends.

    Raises:
        BoardError: the board cannot be reached, its host key is not the known one, or the login failed.
    """
    packages.require("deploy")
    # Without a handler paramiko logs tracebacks of its threads; the BoardError says what failed.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    connection = _configured(board)
    try:
        _open_connection(board, connection)
        transport = connection.transport
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


def _configured(board: Board) -> Any:
    """A fabric connection that is set up from the inventory and not opened yet."""
    from fabric import Config, Connection

    # The user's SSH configuration may name commands to run on this machine: only the inventory counts.
    config = Config(lazy=True, overrides={"load_ssh_configs": False})
    connection = Connection(
        host=board.host,
        user=board.user,
        port=board.port,
        config=config,
        connect_timeout=int(board.timeout) or 1,
        connect_kwargs=_login(board),
    )
    strict = board.known_hosts.policy == "strict"
    file = board.known_hosts.file or own_known_hosts()
    if strict and not file.is_file():
        raise BoardError(
            board.name,
            _STEP,
            f"there is no file {file} with the key of {board.host}",
            f"create it with: ssh-keyscan -p {board.port} {board.host} >> {file}",
        )
    known_hosts.prepare(connection.client, file, strict=strict)
    return connection


def _login(board: Board) -> dict[str, Any]:
    """Arguments of paramiko's ``connect``: the ways to log in that the inventory allows."""
    arguments: dict[str, Any] = {
        "allow_agent": board.agent,
        "look_for_keys": False,
        "banner_timeout": board.timeout,
        "auth_timeout": board.timeout,
    }
    if board.key is not None:
        if not board.key.is_file():
            raise BoardError(
                board.name, _STEP, f"there is no key file {board.key}", "correct 'key' in the inventory"
            )
        arguments["key_filename"] = str(board.key)
    if board.password_env is not None:
        secret = os.environ.get(board.password_env)
        if not secret:
            raise BoardError(
                board.name,
                _STEP,
                f"the environment variable {board.password_env} with its password is not set",
                f"export {board.password_env}=…",
            )
        arguments["password"] = secret
    return arguments


def _open_connection(board: Board, connection: Any) -> None:
    from paramiko.ssh_exception import (
        AuthenticationException,
        BadHostKeyException,
        NoValidConnectionsError,
        SSHException,
    )

    where = f"{board.host}:{board.port}"

    def failed(message: str, next_step: str) -> BoardError:
        return BoardError(board.name, _STEP, message, next_step)

    try:
        connection.open()
    except BadHostKeyException:
        raise failed(
            f"the host key of {where} differs from the known one: another machine, or a new installation",
            "find out which; then remove the old key with ssh-keygen -R",
        ) from None
    except AuthenticationException:
        raise failed(
            f"{where} refused the login as {board.user}", "check user, key and password in the inventory"
        ) from None
    except NoValidConnectionsError:
        raise failed(
            f"no connection to {where}", "check that the board is on, and that its sshd runs"
        ) from None
    except TimeoutError:
        raise failed(
            f"{where} did not answer within {board.timeout:g} s", "check that the board is on"
        ) from None
    except SSHException as error:
        raise failed(*_explained(board, where, str(error))) from None
    except (OSError, EOFError, ValueError) as error:
        raise failed(f"{where} cannot be reached: {error}", "check that the board is on") from None


def _explained(board: Board, where: str, error: str) -> tuple[str, str]:
    """Message and next step for an error that paramiko tells apart by its text alone."""
    if "No authentication methods available" in error:
        return (
            f"no key to log in as {board.user}: no SSH agent answers",
            "start an agent and add a key (ssh-add), or set 'key' in the inventory",
        )
    if "not found in known_hosts" in error:
        return (
            f"the host key of {where} is unknown",
            f"verify it, then add it: ssh-keyscan -p {board.port} {board.host}",
        )
    if "banner" in error:
        return (
            f"{where} closed the connection, or sent no SSH banner within {board.timeout:g} s",
            "check whether the board hangs, and see the log of its sshd",
        )
    return f"the SSH handshake with {where} failed: {error}", "see the log of its sshd"
