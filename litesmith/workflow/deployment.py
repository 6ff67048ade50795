"""Model → build → package → boards: ``deploy``, ``rollback`` and ``boards --probe``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from litesmith.board.deploy.ssh_connection import connected
from litesmith.board.deploy.uploads import Progress
from litesmith.build.request import OFF, Request, ResolvedRequest, resolve
from litesmith.target import profiles
from litesmith.workflow import build_and_verify


@dataclass(frozen=True, kw_only=True)
class SshSurvey:
    """A board's facts, or the error that occurred when it was asked for them.

    ``misfit`` says why programs of its profile would not run on it; it is empty if they would.
    """

    board: Board
    facts: Facts | None
    misfit: str
    error: str

    @property
    def exit_code(self) -> int:
        """1 for a board that cannot be reached, 3 for one that cannot run its programs, else 0."""
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
class FlashSurvey:
    """A board that is written with a flash tool, and whether the tool can start."""

    board: FlashBoard
    readiness: Readiness

    @property
    def exit_code(self) -> int:
        """1 for a board whose flash tool cannot start, else 0."""
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


def deploy(request: Request, boards: Sequence[AnyBoard], *, unproven: bool = False) -> FleetResult:
    """Builds and deploys to all boards; writes the outcome for each to ``deploy.json`` in the output folder.

    A board that is written with a flash tool has no file system, so its program contains the model.  With
    both kinds of boards, that program is built in a folder of its own, ``<folder>-flash``.  ``unproven`` is
    that of :func:`litesmith.board.deploy.deployer.deploy`.

    Raises:
        UsageError: nothing is to be verified, and ``unproven`` does not allow that.
        LitesmithError: the build failed; no board was touched.
    """
    if request.verify == OFF and not unproven:
        raise UsageError(
            "--verify off switches boards to a program whose answers were not compared",
            "say so with --unproven, or leave the option out",
        )
    flash_boards = [board for board in boards if isinstance(board, FlashBoard)]
    if flash_boards and len(request.models) > 1:
        raise UsageError(
            f"{', '.join(board.name for board in flash_boards)}: a flashed program contains one model, not "
            f"{len(request.models)}",
            "deploy one model, or leave these boards out",
        )
    resolved = resolve(request)
    folder = build_and_verify.output_folder(resolved)
    # The result of an earlier deployment must not be mistaken for this one's.
    (folder / "deploy.json").unlink(missing_ok=True)
    packages: dict[type[AnyBoard], Package] = {}
    if len(flash_boards) < len(boards):
        packages[Board] = _package(resolved)
    if flash_boards:
        out = folder.parent / f"{folder.name}-flash" if packages else folder
        own = replace(request, out=str(out), embed_model=True)
        packages[FlashBoard] = _package(replace(resolved, request=own))

    def work(board: AnyBoard, report: Progress) -> Deployment:
        if isinstance(board, FlashBoard):
            return flashing.flash(board, packages[FlashBoard], report)
        return deployer.deploy(
            board, packages[Board], report, request.choice, request.verify, unproven=unproven
        )

    result = fleet.run(boards, work)
    files.write_atomically(folder / "deploy.json", files.to_json(result.to_json()))
    return _uninterrupted(result)


def _uninterrupted(result: FleetResult) -> FleetResult:
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def _package(resolved: ResolvedRequest) -> Package:
    outcome = build_and_verify.build_resolved(resolved)
    manifest = outcome.manifest
    made_with = {
        "toolchain": manifest.toolchain,
        "flags": manifest.flags["common"],
        "litesmith": manifest.litesmith,
        "target": manifest.target,
    }
    return pack(outcome.program, outcome.models, outcome.profile, made_with, outcome.verdicts)


def rollback(boards: Sequence[AnyBoard]) -> FleetResult:
    """Switches all boards back to their previous releases."""

    def work(board: AnyBoard, report: Progress) -> Deployment:
        if isinstance(board, FlashBoard):
            return flashing.refuse_rollback(board, report)
        return deployer.rollback(board, report)

    return _uninterrupted(fleet.run(boards, work))


def survey(boards: Sequence[AnyBoard]) -> tuple[SshSurvey | FlashSurvey, ...]:
    """Asks all SSH boards for their facts, in parallel; for the other boards, checks the flash tools."""
    with ThreadPoolExecutor(max_workers=len(boards)) as pool:
        return tuple(pool.map(_survey, boards))


def _survey(board: AnyBoard) -> SshSurvey | FlashSurvey:
    if isinstance(board, FlashBoard):
        return FlashSurvey(board=board, readiness=_readiness(board))
    try:
        with connected(board) as remote:
            facts = probe.probe(remote)
    except LitesmithError as error:
        return SshSurvey(board=board, facts=None, misfit="", error=str(error))
    except Exception as error:
        # An unexpected error on one board must not hide the answers of the others.
        if console.debugging():
            raise
        return SshSurvey(board=board, facts=None, misfit="", error=f"{type(error).__name__}: {error}")
    try:
        misfit = probe.misfit(facts, profiles.load(board.target))
    except LitesmithError as error:
        misfit = str(error)
    problems = [misfit] if misfit else []
    problems += [f"no {tool}" for tool in facts.lacks]
    if not facts.writable:
        problems.append(f"{board.folder} cannot be written")
    return SshSurvey(board=board, facts=facts, misfit="; ".join(problems), error="")


def _readiness(board: FlashBoard) -> Readiness:
    try:
        return flashing.examine(board, profiles.load(board.target))
    except LitesmithError as error:
        return Readiness(tool="", problem=str(error))
