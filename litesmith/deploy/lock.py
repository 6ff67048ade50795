"""One deployer at a time: a lock on the board, with its owner and its age.

A shell on the board holds the lock for as long as our connection stands, and gets a line from us every
few seconds.  When the client or the network dies, either the shell sees the end of its input, or
the lines stop coming and the next deployer takes the lock.
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

from litesmith.deploy.remote import Held, Remote, script
from litesmith.errors import BoardError

_BEAT_SECONDS = 3
_DEAD_SECONDS = 20
# Longer than two signs of life of an owner that lives.
_PATIENCE_SECONDS = 8
_BUSY, _TAKEN = "busy", "taken"


def new_token() -> str:
    """What names everything that is temporary in one deployment."""
    return secrets.token_hex(6)


def owner() -> str:
    """Who we are, for others who wait."""
    return f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}"


@contextmanager
def locked(remote: Remote, token: str) -> Iterator[None]:
    """Holds the lock of a board's install folder.

    A lock whose owner gives no sign of life is waited for, until its owner is taken for dead.

    Raises:
        BoardError: somebody else has it, or the folder cannot be written.
    """
    board = remote.board
    arguments = (board.folder, token, owner(), str(_DEAD_SECONDS))
    began = time.monotonic()
    while True:
        with remote.hold("lock", script("lock"), *arguments) as held:
            said = held.line(board.timeout)
            if said == _TAKEN:
                with _beating(held):
                    yield
                return
            complaint = held.complaint()
        if not said.startswith(_BUSY):
            raise BoardError(
                board.name,
                "lock",
                f"{board.folder} cannot be written: {said or complaint or 'the board says nothing'}",
                "give the user the right to write there, free some space, or name another 'folder'",
            )
        _, seconds, silent, who = said.split(" ", 3)
        lives = int(silent) < 2 * _BEAT_SECONDS
        if time.monotonic() - began > (_PATIENCE_SECONDS if lives else _DEAD_SECONDS + _PATIENCE_SECONDS):
            raise BoardError(
                board.name,
                "lock",
                f"{who} is deploying to it, since {seconds} s",
                "wait until that has ended",
            )
        time.sleep(1)


@contextmanager
def _beating(held: Held) -> Iterator[None]:
    """Signs of life, for as long as the context lasts."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(held, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(held: Held, stop: threading.Event) -> None:
    while not stop.wait(_BEAT_SECONDS):
        try:
            held.beat()
        except OSError:
            # The connection is gone; whoever uses it next says so.
            return
