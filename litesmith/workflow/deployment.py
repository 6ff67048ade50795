"""Model → build → package → boards: what ``deploy`` and ``rollback`` do."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from litesmith.base import console, files
from litesmith.base.errors import LitesmithError, UsageError
from litesmith.board.deploy import deployer, flashing, fleet, probe
from litesmith.board.deploy.deployer import Deployment
from litesmith.board.deploy.flashing import Readiness
from litesmith.board.deploy.fleet import FleetResult
from litesmith.board.deploy.inventory import AnyBoard, Board, FlashBoard
from litesmith.board.deploy.package import Package, pack
from litesmith.board.deploy.probe import Facts
from litesmith.board.deploy.remote import connected
from litesmith.board.deploy.uploads import Report
from litesmith.build.request import Request, resolve
from litesmith.target import profiles
from litesmith.workflow import build_and_verify


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A board and what it said, or the error that kept it from saying anything.

    ``misfit`` is why programs of its profile would not run there.
    """

    board: Board
    facts: Facts | None
    misfit: str
    error: str

    @property
    def exit_code(self) -> int:
        """1 for a board that cannot be reached, 3 for one that programs do not fit."""
        return 1 if self.facts is None else 3 if self.misfit else 0

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "board": self.board.name,
            "reachable": self.facts is not None,
            "error": self.error,
            "misfit": self.misfit,
            "facts": self.facts.to_json() if self.facts else None,
        }


@dataclass(frozen=True, kw_only=True)
class FlashSeen:
    """A board that is flashed, and whether its runner could start."""

    board: FlashBoard
    readiness: Readiness

    @property
    def exit_code(self) -> int:
        """1 for a board whose runner could not start."""
        return 1 if self.readiness.problem else 0

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "board": self.board.name,
            "runner": self.board.runner,
            "tool": self.readiness.tool,
            "ready": not self.readiness.problem,
            "error": self.readiness.problem,
        }


def deploy(request: Request, boards: Sequence[AnyBoard]) -> FleetResult:
    """Builds, and deploys to all boards; ``deploy.json`` beside the build says how each fared.

    Boards that are flashed have no files: their program has the model inside.  Where there are
    boards of both kinds, it is built beside the other one.

    Raises:
        LitesmithError: the build failed; no board was touched.
    """
    flashed = [board.name for board in boards if isinstance(board, FlashBoard)]
    if flashed and len(request.models) > 1:
        raise UsageError(
            f"{', '.join(flashed)}: what is flashed has one model inside, not {len(request.models)}",
            "deploy one model, or leave these boards out",
        )
    resolved = resolve(request)
    folder = (
        Path(request.out)
        if request.out
        else build_and_verify.default_folder(resolved.profile, resolved.models)
    )
    # That of an earlier deployment says nothing of this one.
    (folder / "deploy.json").unlink(missing_ok=True)
    packages: dict[bool, Package] = {}
    if len(flashed) < len(boards):
        packages[False] = _package(replace(request, out=str(folder)))
    if flashed:
        own = folder.parent / f"{folder.name}-flash" if packages else folder
        packages[True] = _package(replace(request, out=str(own), embed_model=True))

    def work(board: AnyBoard, report: Report) -> Deployment:
        if isinstance(board, FlashBoard):
            return flashing.flash(board, packages[True], report)
        return deployer.deploy(board, packages[False], report, request.choice)

    return _told(folder, fleet.run(boards, work))


def _told(folder: Path, result: FleetResult) -> FleetResult:
    files.write_atomically(folder / "deploy.json", files.to_json(result.to_json()))
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def _package(request: Request) -> Package:
    outcome = build_and_verify.build(request)
    manifest = outcome.manifest
    made_with = {
        "toolchain": manifest.toolchain,
        "flags": manifest.flags["common"],
        "litesmith": manifest.litesmith,
        "target": manifest.target,
    }
    return pack(outcome.program, outcome.models, outcome.profile, made_with)


def rollback(boards: Sequence[AnyBoard]) -> FleetResult:
    """Switches all boards back to the release before."""

    def work(board: AnyBoard, report: Report) -> Deployment:
        if isinstance(board, FlashBoard):
            return flashing.refuse_rollback(board, report)
        return deployer.rollback(board, report)

    result = fleet.run(boards, work)
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def survey(boards: Sequence[AnyBoard]) -> tuple[Seen | FlashSeen, ...]:
    """Asks all boards in parallel what they are; those that are flashed are not touched."""
    with ThreadPoolExecutor(max_workers=len(boards)) as pool:
        return tuple(pool.map(_seen, boards))


def _seen(board: AnyBoard) -> Seen | FlashSeen:
    if isinstance(board, FlashBoard):
        return FlashSeen(board=board, readiness=_readiness(board))
    try:
        with connected(board) as remote:
            facts = probe.probe(remote)
    except LitesmithError as error:
        return Seen(board=board, facts=None, misfit="", error=str(error))
    except Exception as error:
        # One board's trouble is no other's.
        if console.debugging():
            raise
        return Seen(board=board, facts=None, misfit="", error=f"{type(error).__name__}: {error}")
    try:
        misfit = probe.misfit(facts, profiles.load(board.target))
    except LitesmithError as error:
        misfit = str(error)
    lacks = [f"no {tool}" for tool in facts.lacks]
    if not facts.writable:
        lacks.append(f"{board.folder} cannot be written")
    return Seen(board=board, facts=facts, misfit="; ".join([*([misfit] if misfit else []), *lacks]), error="")


def _readiness(board: FlashBoard) -> Readiness:
    try:
        return flashing.examine(board, profiles.load(board.target))
    except LitesmithError as error:
        return Readiness(tool="", problem=str(error))
