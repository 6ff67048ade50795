"""Options that several tasks have in common, declared once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from litesmith.base.errors import UsageError, nearest
from litesmith.cli.command import group, option

if TYPE_CHECKING:
    from litesmith.board.deploy.inventory import AnyBoard, Board, Inventory
    from litesmith.build.request import Request
    from litesmith.model.entry_points import Choice

Value = TypeVar("Value")

MODEL = "a .tflite file, zoo:NAME or REVISION:PATH"
TOOLCHAIN = "zig, gcc or docker, with the linkage where needed: gcc:static (default: the profile's first)"
INVENTORY = "the inventory (default: boards.yaml)"
BOARD = "a board of the inventory"
RUNS = "inferences per measurement"


@dataclass(frozen=True, kw_only=True)
class ProgramOptions:
    """The options that decide which program is built."""

    target: str | None = option("a built-in target or the path of a profile (see 'targets')")
    model: tuple[str, ...] = option(f"{MODEL}; repeat it for each model of the program", repeatable=True)
    toolchain: str | None = option(TOOLCHAIN)
    optimise: str | None = option("size, balanced or speed (default: the profile's choice)")
    kernels: str | None = option(
        "builtin, xnnpack or auto: the kernels that run the nodes (default: the profile's choice)"
    )
    prune: bool = option(
        "leave out dtypes, kernel variants and runtime parts that the models do not need", default=True
    )
    embed_model: bool = option("put the model into the binary", default=False)
    custom_ops: str | None = option("a YAML file that describes your own custom ops")

    def request(
        self, *, models: tuple[str, ...] = (), out: str | None = None, choice: Choice | None = None
    ) -> Request:
        """The request of a build, with ``--model``'s models or these.

        Raises:
            UsageError: ``--target`` or ``--model`` is missing.
        """
        from litesmith.build.request import Request
        from litesmith.model.entry_points import EVERYTHING

        return Request(
            target=self.required_target(),
            models=required(models or self.model, "--model", "examples/det.tflite"),
            out=out,
            choice=choice or EVERYTHING,
            **self.settings(),
        )

    def required_target(self) -> str:
        """The target.

        Raises:
            UsageError: ``--target`` is missing.
        """
        return required(self.target, "--target", "armv7")

    def settings(self) -> dict[str, Any]:
        """The options besides target and models, by the names that a request has for them."""
        found = dataclasses.asdict(self)
        del found["target"], found["model"]
        return found

    def refuse_with(self, flag: str) -> None:
        """Checks that no option was given, because ``flag`` names a program that is already built.

        Raises:
            UsageError: an option was given.
        """
        for one in dataclasses.fields(self):
            if getattr(self, one.name) != one.default:
                given = ("no-" if one.default is True else "") + one.name.replace("_", "-")
                raise UsageError(f"{flag} names a finished build", f"leave out --{given}")


@dataclass(frozen=True, kw_only=True)
class EntryOptions:
    """The options that decide which part of a model runs, and with which input shapes."""

    signature: str | None = option("use this signature of the model only")
    input_shape: tuple[str, ...] = option(
        "NAME=1x224x224x3: use this shape for an input, named or by its position; may be repeated",
        repeatable=True,
    )

    def choice(self) -> Choice:
        """What of the model runs.

        Raises:
            UsageError: a shape cannot be read.
        """
        from litesmith.model import entry_points

        return entry_points.Choice(
            signature=self.signature, shapes=entry_points.parse_shapes(self.input_shape)
        )


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """The options that say what happens to a program whose answers are wrong."""

    verify: str = option(
        "strict: the program must give the reference's answers; warn: write it with the verdict; off",
        default="strict",
    )
    no_verify: bool = option("the same as --verify off", default=False)

    def mode(self) -> str:
        """``strict``, ``warn`` or ``off``.

        Raises:
            UsageError: it is another word.
        """
        from litesmith.build.request import OFF, VERIFY

        if self.verify not in VERIFY:
            advice = nearest(self.verify, list(VERIFY)) or f"it is one of {', '.join(VERIFY)}"
            raise UsageError(f"--verify {self.verify} is not known", advice)
        return OFF if self.no_verify else self.verify


@dataclass(frozen=True, kw_only=True)
class BoardOptions:
    """The options that choose boards of an inventory."""

    board: tuple[str, ...] = option(f"{BOARD}; may be repeated", repeatable=True)
    tag: tuple[str, ...] = option("every board with this tag; may be repeated", repeatable=True)
    all: bool = option("every board of the inventory", default=False)
    boards: str | None = option(INVENTORY)

    def listed(self) -> tuple[AnyBoard, ...]:
        """The boards with one of the given names or tags; every board when neither is given.

        Raises:
            UsageError: the inventory or a name is wrong.
        """
        return load_inventory(self.boards).choose(self.board, self.tag)

    def chosen(self) -> tuple[AnyBoard, ...]:
        """The boards to work on: they are named one by one, by tag, or with ``--all``.

        Raises:
            UsageError: none is named, ``--all`` comes with names, or the inventory or a name is wrong.
        """
        found = load_inventory(self.boards)
        named = bool(self.board or self.tag)
        if self.all and named:
            raise UsageError("--all means every board", "leave out --board and --tag")
        if not self.all and not named:
            raise UsageError("no board is given", f"--board {next(iter(found.boards))}, --tag NAME or --all")
        return found.choose(self.board, self.tag)


PROGRAM = group("options", ProgramOptions)
ENTRY = group("entry", EntryOptions)
BOARDS = group("boards", BoardOptions)
VERIFY = group("checks", VerifyOptions)


def load_inventory(path: str | None) -> Inventory:
    """The inventory that ``--boards`` names."""
    from litesmith.board.deploy import inventory

    return inventory.load(Path(path) if path else None)


def board_over_ssh(boards: str | None, board: str | None) -> Board:
    """The one board that ``--board`` names in the inventory ``--boards``.

    Raises:
        UsageError: ``--board`` is missing, the board is unknown, or it is not reached over SSH.
    """
    from litesmith.board.deploy import inventory

    found = load_inventory(boards)
    (named,) = found.choose((required(board, "--board", next(iter(found.boards))),))
    return inventory.over_ssh(named)


def required(value: Value | None, flag: str, example: str) -> Value:
    """The value of an option that must be given.

    Raises:
        UsageError: it was not, or is empty.
    """
    if not value:
        raise UsageError(f"{flag} is missing", f"for example {flag} {example}")
    return value


def comma_separated(text: str) -> tuple[str, ...]:
    """The words of ``a,b,c``."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
