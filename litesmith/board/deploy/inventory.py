"""``boards.yaml`` → :class:`Inventory`: which boards there are, and how to reach them.

Nothing in an inventory is ever run on this machine, and no secret stands in it: keys are files or
an agent's, a password is named by the environment variable that holds it, a runner is a name that
a profile gives a meaning to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from litesmith.base.errors import BoardError, UsageError
from litesmith.base.yaml_files import Strict, load_yaml, nearest
from litesmith.target.flash_tools import Values

DEFAULT_FILE = Path("boards.yaml")

_CONTROL = re.compile(r"[\x00-\x1f\x7f/]")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
_NAME = re.compile(r"[A-Z_a-z][A-Z_a-z0-9]*")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class KnownHosts(Strict):
    """How a board's host key is checked.

    ``strict`` refuses keys that the file does not have; ``accept-new`` takes the key of a board that
    it has never seen, and refuses a changed one.  Without ``file`` it is the user's own.
    """

    policy: Literal["strict", "accept-new"] = "strict"
    file: Path | None = None


class Entry(Strict):
    """What all boards have.  ``target`` is the name of the profile that programs are built for."""

    name: str = ""
    target: str
    tags: tuple[str, ...] = ()


class Board(Entry):
    """A board that is reached over SSH.

    ``folder`` is where releases go, ``run_prefix`` stands before a program that runs there,
    ``keep`` are the releases that stay beside the current one, ``timeout`` the seconds that one
    answer may take, ``run_timeout`` those of a run of the program.
    """

    host: str
    port: int = Field(default=22, gt=0, lt=65536)
    user: str
    key: Path | None = None
    agent: bool = False
    password_env: str | None = None
    known_hosts: KnownHosts = KnownHosts()
    folder: str = "/opt/litesmith"
    run_prefix: tuple[str, ...] = ()
    keep: Annotated[int, Field(ge=1, le=100)] = 3
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30
    run_timeout: Annotated[float, Field(gt=0, le=86400)] = 300

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        if not _HOST.fullmatch(value) or value.startswith("-"):
            raise ValueError("a host name or an address is expected")
        if ":" in value:
            try:
                ipaddress.IPv6Address(value)
            except ValueError:
                raise ValueError("a host name or an address is expected; a port goes to 'port'") from None
        return value

    @field_validator("folder")
    @classmethod
    def _folder(cls, value: str) -> str:
        if not value.startswith("/") or value.rstrip("/") == "" or "/../" in f"{value}/":
            raise ValueError("an absolute folder other than / is expected")
        if "\n" in value or "\0" in value:
            raise ValueError("it has a line break")
        return value.rstrip("/")

    @field_validator("password_env")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and not _NAME.fullmatch(value):
            raise ValueError("the name of an environment variable is expected, not a password")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Board:
        if self.key is None and not self.agent and self.password_env is None:
            raise ValueError("say how to log in: key, agent or password_env")
        return self


class FlashBoard(Entry, Values):
    """A board that a runner of its target's profile writes programs into.

    ``timeout`` are the seconds that this may take, the runner's own when there are none.
    """

    runner: str
    timeout: Annotated[float | None, Field(gt=0, le=3600)] = None

    @field_validator("runner", "target")
    @classmethod
    def _no_file(cls, value: str) -> str:
        # A profile names commands of this machine: whoever deploys names its file, not an inventory.
        if not _PLAIN.fullmatch(value) or value.endswith((".yaml", ".yml")):
            raise ValueError("a name is expected, without folders and endings")
        return value

    def where(self) -> str:
        """What the runner reaches it by."""
        given = self.given()
        return ", ".join(given[name] for name in ("remote", "device", "probe") if name in given)


def _kind(entry: Any) -> str:
    flashed = "runner" in entry if isinstance(entry, dict) else isinstance(entry, FlashBoard)
    return FlashBoard.__name__ if flashed else Board.__name__


AnyBoard = Board | FlashBoard


def over_ssh(board: AnyBoard) -> Board:
    """The same board, for what needs its answers.

    Raises:
        BoardError: it is flashed.
    """
    if isinstance(board, FlashBoard):
        raise BoardError(
            board.name,
            "check",
            f"the runner {board.runner} brings no answers back",
            "name a board that is reached over SSH",
        )
    return board


class Inventory(Strict):
    """All boards of a file, by name."""

    boards: Mapping[
        str,
        Annotated[
            Annotated[Board, Tag(Board.__name__)] | Annotated[FlashBoard, Tag(FlashBoard.__name__)],
            Discriminator(_kind),
        ],
    ] = Field(min_length=1)

    @field_validator("boards")
    @classmethod
    def _names(cls, value: Mapping[str, AnyBoard]) -> Mapping[str, AnyBoard]:
        for name in value:
            if not name.strip() or _CONTROL.search(name):
                raise ValueError(f"the board {name!r} has no name that can be shown")
        return {name: board.model_copy(update={"name": name}) for name, board in value.items()}

    def choose(self, names: Sequence[str] = (), tags: Sequence[str] = ()) -> tuple[AnyBoard, ...]:
        """The boards of these names and tags; all of them without any.

        Raises:
            UsageError: there is no such board or tag.
        """
        if not names and not tags:
            return tuple(self.boards.values())
        known = sorted({tag for board in self.boards.values() for tag in board.tags})
        for name in names:
            if name not in self.boards:
                hint = nearest(name, list(self.boards)) or f"there are {', '.join(self.boards)}"
                raise UsageError(f"there is no board {name!r}", hint)
        for tag in tags:
            if tag not in known:
                hint = nearest(tag, known) or f"there are {', '.join(known) or 'none'}"
                raise UsageError(f"no board has the tag {tag!r}", hint)
        return tuple(
            board
            for board in self.boards.values()
            if board.name in names or set(tags).intersection(board.tags)
        )


def load(path: Path | None = None) -> Inventory:
    """Reads an inventory; relative paths of keys and known hosts are relative to it.

    Raises:
        UsageError: the file cannot be read, or a value in it does not fit.
    """
    path = path or DEFAULT_FILE
    if not path.is_file():
        raise UsageError(
            f"there is no inventory {path}", "name one with --boards FILE, or make virtual boards: lab.up"
        )
    inventory = load_yaml(path, Inventory)
    here = path.parent

    def placed(file: Path | None) -> Path | None:
        return None if file is None else here / file.expanduser()

    def here_too(board: AnyBoard) -> AnyBoard:
        if isinstance(board, FlashBoard):
            return board
        known_hosts = board.known_hosts.model_copy(update={"file": placed(board.known_hosts.file)})
        return board.model_copy(update={"key": placed(board.key), "known_hosts": known_hosts})

    return Inventory(boards={name: here_too(board) for name, board in inventory.boards.items()})
