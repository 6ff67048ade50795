"""One deployer at a time: a lock on the board, with its owner.

A shell on the board holds the lock for as long as our connection stands.  It gets a line from us every few
seconds, notes that as a sign of life, and answers.  When the client or the network dies, either the shell
sees the end of its input, or the signs of life stop and the next deployer takes the lock; when the board
hangs, or the lock is somebody else's by then, the answers stop and we give up.  Every script that changes
something looks at the lock first.
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
from litesmith.board.deploy.remote import Held, Remote, script

_BEAT_SECONDS = 3
_DEAD_SECONDS = 20
# Longer than two signs of life of an owner that lives.
_PATIENCE_SECONDS = 8
# How soon the end of a deployment is noticed while the board is listened to.
_LISTEN_SECONDS = 0.5
_BUSY, _TAKEN, _LOST = "busy", "taken", "lost"


def new_token() -> str:
    """What names everything that is temporary in one deployment."""
    return secrets.token_hex(6)


def owner() -> str:
    """Who we are, for others who wait."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a number without a name.
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}, process {os.getpid()}"


@contextmanager
def locked(remote: Remote, token: str) -> Iterator[None]:
    """Holds the lock of a board's install folder.

    A lock whose owner gives no sign of life is waited for, until its owner is taken for dead.

    Raises:
        BoardError: somebody else has it, or the folder cannot be written.
    """
    board = remote.board
    limits = (str(_DEAD_SECONDS), str(_PATIENCE_SECONDS))
    with remote.hold("lock", script("lock"), board.folder, token, owner(), *limits) as held:
        try:
            said = held.line(board.timeout + _DEAD_SECONDS + _PATIENCE_SECONDS)
        except TimeoutError:
            raise BoardError(
                board.name, "lock", f"no answer within {board.timeout:g} s", "see whether the board hangs"
            ) from None
        except OSError as error:
            raise BoardError(board.name, "lock", f"the connection broke: {error}", "deploy again") from None
        if said == _TAKEN:
            with _beating(remote, held):
                yield
            return
        complaint = held.complaint()
    if said.startswith(_BUSY):
        age, _, who = said.removeprefix(_BUSY).strip().partition(" ")
        raise BoardError(
            board.name,
            "lock",
            f"{who or 'somebody'} is deploying to it, since {age} s",
            "wait until that has ended",
        )
    raise BoardError(
        board.name,
        "lock",
        f"{board.folder} cannot be written: {complaint or said or 'the board says nothing'}",
        "give the user the right to write there, free some space, or name another 'folder'",
    )


@contextmanager
def _beating(remote: Remote, held: Held) -> Iterator[None]:
    """Signs of life, for as long as the context lasts."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(remote, held, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(remote: Remote, held: Held, stop: threading.Event) -> None:
    board = remote.board
    heard = time.monotonic()
    while not stop.wait(_BEAT_SECONDS):
        try:
            held.beat()
            answered = _answer(held, stop, board.timeout)
        except TimeoutError:
            answered = ""
        except OSError:
            # The connection is gone; whoever uses it next says so.
            return
        if answered == _LOST:
            remote.give_up("somebody else took the lock meanwhile: this machine was silent for too long")
            return
        # What is sent comes first on a slow line; it has a limit of its own.
        if answered or remote.sending:
            heard = time.monotonic()
        elif not stop.is_set() and time.monotonic() - heard > board.timeout:
            remote.give_up(f"the board gave no sign of life for {board.timeout:g} s")
            return


def _answer(held: Held, stop: threading.Event, seconds: float) -> str:
    """What the board says to a sign of life; empty when it says nothing."""
    end = time.monotonic() + min(seconds, _DEAD_SECONDS)
    while not stop.is_set() and time.monotonic() < end:
        try:
            said = held.line(_LISTEN_SECONDS)
        except TimeoutError:
            continue
        if not said:
            raise ConnectionError("the shell that holds the lock has ended")
        return said
    return ""
