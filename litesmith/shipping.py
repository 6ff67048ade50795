"""Model → build → package → boards: what ``deploy`` and ``rollback`` do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from litesmith import files, pipeline, profiles
from litesmith.deploy import deployer, fleet, probe
from litesmith.deploy.fleet import FleetResult
from litesmith.deploy.inventory import Board
from litesmith.deploy.package import pack
from litesmith.deploy.probe import Facts
from litesmith.deploy.remote import connected
from litesmith.errors import LitesmithError
from litesmith.models import open_model
from litesmith.session import Request


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A board and what it said, or the error that kept it from saying anything.

    ``misfit`` is why programs of its profile would not run there.
    """

    board: Board
    facts: Facts | None
    misfit: str
    error: str


def deploy(request: Request, boards: Sequence[Board]) -> FleetResult:
    """Builds, and deploys to all boards; ``deploy.json`` beside the build says how each fared.

    Raises:
        LitesmithError: the build failed; no board was touched.
    """
    outcome = pipeline.build(request)
    profile = profiles.load(request.target)
    manifest = json.loads((outcome.folder / "manifest.json").read_text(encoding="utf-8"))
    made_with = {
        "toolchain": manifest["toolchain"],
        "flags": manifest["flags"]["common"],
        "litesmith": manifest["litesmith"],
        "target": manifest["target"],
    }
    models = [open_model(name) for name in request.models]
    package = pack(outcome.program, models, profile, made_with)
    result = fleet.run(boards, lambda board, report: deployer.deploy(board, package, report, request.choice))
    files.write_atomically(outcome.folder / "deploy.json", files.to_json(result.to_json()))
    return result


def rollback(boards: Sequence[Board]) -> FleetResult:
    """Switches all boards back to the release before."""
    return fleet.run(boards, deployer.rollback)


def survey(boards: Sequence[Board]) -> tuple[Seen, ...]:
    """Asks all boards in parallel what they are."""
    with ThreadPoolExecutor(max_workers=len(boards)) as pool:
        return tuple(pool.map(_seen, boards))


def _seen(board: Board) -> Seen:
    try:
        with connected(board) as remote:
            facts = probe.probe(remote)
        return Seen(
            board=board, facts=facts, misfit=probe.misfit(facts, profiles.load(board.target)), error=""
        )
    except LitesmithError as error:
        return Seen(board=board, facts=None, misfit="", error=str(error))
