"""``boards.yaml`` → :class:`Inventory`: the boards, and how to reach them.

An inventory contains no command that runs on this machine, and no secret: keys are files or come from an
agent, a password is given by the environment variable that holds it, and a flash tool (``runner``) by a
name that the target's profile defines.

An inventory may be a stranger's.  It decides which host a password is sent to, so it can only name variables
that are meant for that, with the prefix ``LITESMITH_``.  It decides what is added to a file of host keys, so
that file is beside the inventory, or the user's own.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from litesmith.base.errors import BoardError, UsageError, nearest
from litesmith.base.yaml_files import Strict, load_yaml
from litesmith.target.flash_tools import PlaceholderValues

DEFAULT_FILE = Path("boards.yaml")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
_PASSWORD_VARIABLE = re.compile(r"LITESMITH_[A-Z_a-z0-9]+")
_OWN_KNOWN_HOSTS = "~/.ssh/known_hosts"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class KnownHosts(Strict):
    """How a board's host key is checked.

    ``strict`` refuses keys that are not in the file; ``accept-new`` adds the key of a new board, and refuses
    a changed one.  ``file`` defaults to ``~/.ssh/known_hosts``, and is otherwise in the inventory's folder or
    below it.
    """

    policy: Literal["strict", "accept-new"] = "strict"
    file: Path | None = None


class Entry(Strict):
    """Keys of all boards; ``target`` is the name of the profile that programs are built for."""

    name: str = ""
    target: str
    tags: tuple[str, ...] = ()


class Board(Entry):
    """A board that is reached over SSH.

    ``folder`` is the install folder, ``run_prefix`` words that precede a program's command line, and ``keep``
    the number of old releases to keep beside the current one.  ``timeout`` limits each answer of the board,
    ``run_timeout`` each run of a program, in seconds.
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
                raise ValueError("a host name or an address is expected; give a port with 'port'") from None
        return value

    @field_validator("folder")
    @classmethod
    def _folder(cls, value: str) -> str:
        # Two slashes at the beginning stay in a normal path.
        normal = "/" + posixpath.normpath(value).lstrip("/")
        if not value.startswith("/") or normal == "/" or ".." in value.split("/"):
            raise ValueError("an absolute folder other than / is expected")
        if _CONTROL.search(value):
            raise ValueError("a folder without line breaks and control characters is expected")
        return normal

    @field_validator("password_env")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and not _PASSWORD_VARIABLE.fullmatch(value):
            raise ValueError(
                "the name of an environment variable with the prefix LITESMITH_ is expected, not a password"
            )
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Board:
        if self.key is None and not self.agent and self.password_env is None:
            raise ValueError("give a way to log in: key, agent or password_env")
        return self


class FlashBoard(Entry, PlaceholderValues):
    """A board that a flash tool of its target's profile (``runner``) writes programs to.

    ``timeout`` limits the whole run of the tool, in seconds; it defaults to the tool's own.
    """

    runner: str
    timeout: Annotated[float | None, Field(gt=0, le=3600)] = None

    @field_validator("runner", "target")
    @classmethod
    def _no_file(cls, value: str) -> str:
        # A profile may define commands for this machine: only the command line may name its file.
        if not _PLAIN.fullmatch(value) or value.endswith((".yaml", ".yml")):
            raise ValueError("a name is expected, without a folder or suffix")
        return value

    def where(self) -> str:
        """How the flash tool reaches the board: gdb server, device or probe."""
        given = self.given()
        return ", ".join(given[name] for name in ("remote", "device", "probe") if name in given)


def _kind(entry: Any) -> str:
    flashed = "runner" in entry if isinstance(entry, dict) else isinstance(entry, FlashBoard)
    return FlashBoard.__name__ if flashed else Board.__name__


AnyBoard = Board | FlashBoard


def over_ssh(board: AnyBoard) -> Board:
    """The board itself, where one is needed that returns outputs.

    Raises:
        BoardError: the board is written with a flash tool.
    """
    if isinstance(board, FlashBoard):
        raise BoardError(
            board.name,
            "check",
            f"the flash tool {board.runner} returns no outputs",
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
            if not name.strip() or "/" in name or _CONTROL.search(name):
                raise ValueError(f"the board name {name!r} is empty, or has a slash or a control character")
        return {name: board.model_copy(update={"name": name}) for name, board in value.items()}

    def choose(self, names: Sequence[str] = (), tags: Sequence[str] = ()) -> tuple[AnyBoard, ...]:
        """The boards with one of these names or tags; all boards when neither is given.

        Raises:
            UsageError: a board or tag is unknown.
        """
        if not names and not tags:
            return tuple(self.boards.values())
        known = sorted({tag for board in self.boards.values() for tag in board.tags})
        for name in names:
            if name not in self.boards:
                hint = nearest(name, list(self.boards)) or f"known boards: {', '.join(self.boards)}"
                raise UsageError(f"there is no board {name!r}", hint)
        for tag in tags:
            if tag not in known:
                hint = nearest(tag, known) or f"known tags: {', '.join(known) or 'none'}"
                raise UsageError(f"no board has the tag {tag!r}", hint)
        return tuple(
            board
            for board in self.boards.values()
            if board.name in names or set(tags).intersection(board.tags)
        )


def expanded(file: Path) -> Path:
    """The path with the user's home folder in the place of ``~``.

    Raises:
        UsageError: the home folder is unknown.
    """
    try:
        return file.expanduser()
    except RuntimeError:
        raise UsageError(f"{file}: the home folder is unknown", "set HOME") from None


def own_known_hosts() -> Path:
    """The user's own file of host keys.

    Raises:
        UsageError: the home folder is unknown.
    """
    return expanded(Path(_OWN_KNOWN_HOSTS))


def _holds_host_keys(file: Path, inventory: Path) -> bool:
    """Whether an inventory may have host keys in a file: its own, below its folder, or the user's.

    Links are followed first.  An inventory in the home folder must not reach ``.ssh`` or ``.profile`` there.
    """
    folder, real = inventory.parent.resolve(), file.resolve()
    if real.is_relative_to(folder):
        inner = real.relative_to(folder).parts
        if inner and not any(part.startswith(".") for part in inner):
            return True
    return file.absolute() == own_known_hosts().absolute()


def load(path: Path | None = None) -> Inventory:
    """Reads an inventory; paths of keys and known hosts are relative to its folder.

    Raises:
        UsageError: the file cannot be read, or a value in it is invalid.
    """
    path = path or DEFAULT_FILE
    if not path.is_file():
        raise UsageError(
            f"there is no inventory {path}", "name one with --boards FILE, or start virtual boards: lab.up"
        )
    inventory = load_yaml(path, Inventory)

    def absolute(file: Path | None) -> Path | None:
        return None if file is None else path.parent / expanded(file)

    def with_paths(board: AnyBoard) -> AnyBoard:
        if isinstance(board, FlashBoard):
            return board
        file = absolute(board.known_hosts.file)
        if file is not None and not _holds_host_keys(file, path):
            raise UsageError(
                f"{path}: boards.{board.name}.known_hosts.file: {board.known_hosts.file} is neither in the "
                f"inventory's folder nor {_OWN_KNOWN_HOSTS}",
                "keep the file next to the inventory",
            )
        known_hosts = board.known_hosts.model_copy(update={"file": file})
        return board.model_copy(update={"key": absolute(board.key), "known_hosts": known_hosts})

    return Inventory(boards={name: with_paths(board) for name, board in inventory.boards.items()})
