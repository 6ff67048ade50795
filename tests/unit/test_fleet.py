from __future__ import annotations

from pathlib import Path

import pytest

from litesmith.base.errors import BoardError
from litesmith.board.deploy import fleet
from litesmith.board.deploy.deployer import Deployment
from litesmith.board.deploy.inventory import AnyBoard, Board
from litesmith.board.deploy.uploads import Progress


def board(name: str) -> Board:
    return Board(name=name, host="h", user="u", key=Path("k"), target="armv7")


def work(board: AnyBoard, report: Progress) -> Deployment:
    report("connect")
    if board.name == "full":
        raise BoardError(board.name, "space", "no space left", "free some", exit_code=3)
    report("upload")
    if board.name == "broken":
        raise RuntimeError("unexpected")
    return Deployment(board=board.name, release="r1", before="", sent=1, verdict="verified")


def test_a_failure_does_not_affect_other_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LITESMITH_DEBUG", raising=False)
    result = fleet.run([board(name) for name in ("good", "full", "broken")], work)
    good, full, broken = result.results
    assert (good.status, good.exit_code, good.deployment is not None) == ("done", 0, True)
    assert (full.status, full.step, full.message) == ("failed", "space", "full, space: no space left")
    assert (broken.status, broken.step, broken.message) == (
        "failed",
        "upload",
        "broken: RuntimeError: unexpected",
    )
    assert (result.exit_code, result.interrupted) == (3, False)
    assert result.to_json()["failed"] == ["full", "broken"]


def test_ctrl_c_starts_no_further_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_futures: object) -> None:
        raise KeyboardInterrupt

    def waits(_board: AnyBoard, report: Progress) -> Deployment:
        while True:
            report("connect")

    monkeypatch.setattr(fleet, "wait", interrupted)
    result = fleet.run([board("one"), board("two")], waits)
    assert result.interrupted
    assert all("interrupted before this step" in one.message for one in result.results)
