"""A lock on the board: one deployment at a time, with its owner's name.

A shell on the board (``templates/board/lock.sh``) holds the lock while the connection is open.  The client
sends it a heartbeat, an empty line, every few seconds; the shell records each one and answers.  When the
client or the network dies, either the shell reads the end of its input, or the heartbeats stop and the next
deployment takes the lock over.  When the board hangs, or another deployment has taken the lock, the answers
stop or say so, and the client closes the connection.  Every script that changes something checks the lock
first.
"""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from litesmith.base.errors import BoardError
from litesmith.board.deploy.remote import HeldCommand, Remote, script

_HEARTBEAT_SECONDS = 3
# An owner that has sent no heartbeat for this long is considered dead.
_DEAD_SECONDS = 20
# How long to wait for a live owner: more than two heartbeats, so at least one is seen.
_WAIT_SECONDS = 8
# How soon the heartbeat thread notices the end of a deployment while it waits for an answer.
_LISTEN_SECONDS = 0.5
# The first word of what lock.sh prints.
_BUSY, _TAKEN, _LOST = "busy", "taken", "lost"


def new_token() -> str:
    """A random name for the temporary files of one deployment."""
    return secrets.token_hex(6)


def owner() -> str:
    """User, host and process of this deployment, shown to others that wait for the lock."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # In a container the user ID may have no name.
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}, process {os.getpid()}"


@contextmanager
def locked(remote: Remote, token: str) -> Iterator[None]:
    """Holds the lock of a board's install folder.

    Waits for the current owner when it has stopped sending heartbeats, until it is taken for dead.

    Raises:
        BoardError: another deployment holds the lock, or the folder cannot be written.
    """
    board = remote.board
    limits = (str(_DEAD_SECONDS), str(_WAIT_SECONDS))
    with remote.hold("lock", script("lock"), board.folder, token, owner(), *limits) as held:
        try:
            state = held.read_line(board.timeout + _DEAD_SECONDS + _WAIT_SECONDS)
        except TimeoutError:
            raise BoardError(
                board.name, "lock", f"no answer within {board.timeout:g} s", "check whether the board hangs"
            ) from None
        except OSError as error:
            raise BoardError(board.name, "lock", f"the connection broke: {error}", "deploy again") from None
        if state == _TAKEN:
            with _heartbeat(remote, held):
                yield
            return
        reason = held.error_line()
    if state.startswith(_BUSY):
        age, _, other = state.removeprefix(_BUSY).strip().partition(" ")
        raise BoardError(
            board.name,
            "lock",
            f"{other or 'another user'} has been deploying to it for {age} s",
            "wait until that deployment has ended",
        )
    raise BoardError(
        board.name,
        "lock",
        f"{board.folder} cannot be written: {reason or state or 'the board gave no reason'}",
        "give the user write permission, free some space, or set another 'folder' in the inventory",
    )


@contextmanager
def _heartbeat(remote: Remote, held: HeldCommand) -> Iterator[None]:
    """Sends heartbeats from a thread until the context ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_send_heartbeats, args=(remote, held, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _send_heartbeats(remote: Remote, held: HeldCommand, stop: threading.Event) -> None:
    board = remote.board
    last_answer = time.monotonic()
    while not stop.wait(_HEARTBEAT_SECONDS):
        try:
            held.write_line()
            answer = _answer(held, stop, board.timeout)
        except TimeoutError:
            answer = ""
        except OSError:
            # The connection is closed; the next call that uses it raises the error.
            return
        if answer == _LOST:
            remote.abort("another deployment took the lock: this machine sent no heartbeat for too long")
            return
        # On a slow line an upload delays the heartbeats; it has a time limit of its own.
        if answer or remote.sending:
            last_answer = time.monotonic()
        elif not stop.is_set() and time.monotonic() - last_answer > board.timeout:
            remote.abort(f"the board did not answer for {board.timeout:g} s")
            return


def _answer(held: HeldCommand, stop: threading.Event, seconds: float) -> str:
    """The board's answer to a heartbeat; empty when there is none within ``seconds``."""
    end = time.monotonic() + min(seconds, _DEAD_SECONDS)
    while not stop.is_set() and time.monotonic() < end:
        try:
            line = held.read_line(_LISTEN_SECONDS)
        except TimeoutError:
            continue
        if not line:
            raise ConnectionError("the shell that holds the lock has ended")
        return line
    return ""
