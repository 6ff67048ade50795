from __future__ import annotations

import dataclasses
import json
from datetime import date
from pathlib import Path

import pytest
import yaml

from litesmith.base.errors import UsageError
from litesmith.measure.size import gate
from litesmith.measure.size.gate import GateError
from tests.conftest import ROOT, Cli, one_error_line
from tests.unit.snapshots import MADE_WITH, build_folder, snapshot

TODAY = date(2026, 11, 23)


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    path = tmp_path / "size-baseline.json"
    gate.accept(path, snapshot(), "first", TODAY)
    return path


def test_the_same_size_passes(baseline: Path) -> None:
    found = gate.check(baseline, snapshot(), None, None)
    assert (found.reasons, found.limit, found.code.delta) == ((), 1300, 0)
    gate.enforce(found)


@pytest.mark.parametrize(
    ("growth", "max_growth", "budget", "passes"),
    [
        (1, None, None, False),
        (100, 100, None, True),
        (101, 100, None, False),
        (0, None, 1300, True),
        (0, None, 1299, False),
        # A budget alone allows growth.
        (50, None, 1400, True),
        (50, 10, 1400, False),
        (-50, 0, None, True),
    ],
)
def test_limits(
    baseline: Path, growth: int, max_growth: int | None, budget: int | None, passes: bool
) -> None:
    found = gate.check(baseline, snapshot(ops={"ADD": 100 + growth, "MUL": 200}), max_growth, budget)
    assert (not found.reasons) == passes
    if not passes:
        with pytest.raises(GateError) as caught:
            gate.enforce(found)
        assert caught.value.exit_code == 3


def test_the_largest_causes_are_named(baseline: Path) -> None:
    after = snapshot(core=1005, ops={"ADD": 140, "MUL": 150, "SUB": 30, "DIV": 10})
    found = gate.check(baseline, after, 0, None)
    assert [(cause.name, cause.delta) for cause in found.causes] == [("ADD", 40), ("SUB", 30), ("DIV", 10)]
    with pytest.raises(
        GateError, match=r"grew by 35 bytes, 0 are allowed; largest causes: ADD \+40, SUB \+30"
    ):
        gate.enforce(found)


def test_over_budget_without_growth(baseline: Path) -> None:
    found = gate.check(baseline, snapshot(), None, 1000)
    assert [cause.name for cause in found.causes] == ["core runtime", "MUL", "ADD"]
    with pytest.raises(GateError, match=r"core runtime 1,000, MUL 200, ADD 100"):
        gate.enforce(found)


def test_sizes_of_different_toolchains_are_not_compared(baseline: Path) -> None:
    other = snapshot(made_with=dataclasses.replace(MADE_WITH, version="2"))
    with pytest.raises(UsageError, match="cannot be compared with: version: 2, was 1"):
        gate.check(baseline, other, None, None)


def test_history_grows(baseline: Path) -> None:
    gate.accept(baseline, snapshot(ops={"ADD": 500}), "  the detector needs it ", date(2026, 12, 1))
    content = json.loads(baseline.read_text())
    assert content["code"] == 1500
    assert content["history"] == [
        {"date": "2026-11-23", "code": 1300, "reason": "first"},
        {"date": "2026-12-01", "code": 1500, "reason": "the detector needs it"},
    ]


@pytest.mark.parametrize("reason", ["", "   "])
def test_accepting_requires_a_reason(tmp_path: Path, reason: str) -> None:
    with pytest.raises(UsageError, match="only with a reason"):
        gate.accept(tmp_path / "b.json", snapshot(), reason, TODAY)
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 100000, '{"format": 1}', '{"format": 2}', '{"format": 1, "made_with": {"a": 1}}'],
)
def test_files_that_are_not_baselines(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(UsageError, match="baseline"):
        gate.read(tmp_path / "b.json")
    # The existing file is not overwritten.
    with pytest.raises(UsageError):
        gate.accept(tmp_path / "b.json", snapshot(), "why", TODAY)
    assert (tmp_path / "b.json").read_text() == text


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("code", "-5", "code: "),
        ("code", -5, "code: "),
        ("code", 1.5, "code: "),
        ("models", 5, "models: "),
        ("parts", {"a": None}, "parts.a: "),
        ("history", [{"date": 1, "code": 2, "reason": "r"}], "history.0.date: "),
        ("made_with", {"target": "armv7"}, "the key 'made_with.toolchain' is missing"),
        ("extra", 1, "the key 'extra' is unknown"),
    ],
)
def test_damaged_baselines(baseline: Path, key: str, value: object, message: str) -> None:
    content = {**json.loads(baseline.read_text()), key: value}
    baseline.write_text(json.dumps(content))
    with pytest.raises(UsageError) as caught:
        gate.read(baseline)
    assert f"the baseline {baseline}: {message}" in str(caught.value)


def test_a_budget_of_zero(baseline: Path) -> None:
    assert gate.check(baseline, snapshot(), None, 0).reasons


def test_the_command_line(cli: Cli, tmp_path: Path) -> None:
    build = build_folder(tmp_path / "build")
    check = ("size.check", "--baseline", "b.json", "--build", build)
    done = cli(*check)
    assert (done.returncode, "there is no baseline b.json" in one_error_line(done)) == (2, True)
    assert cli(*check, "--accept").returncode == 2
    assert cli(*check, "--accept", "--reason", "first").returncode == 0
    assert cli(*check).returncode == 0
    done = cli(*check, "--budget", "2")
    assert (done.returncode, "the budget is 2;" in one_error_line(done)) == (3, True)
    done = cli(*check, "--budget", "2", "--json")
    assert (done.returncode, json.loads(done.stdout)["passed"]) == (3, False)
    done = cli(*check, "--max-growth", "2 parsecs")
    assert (done.returncode, "--max-growth 2 parsecs: a size such as" in one_error_line(done)) == (2, True)
    for option in ("--target", "--toolchain", "--optimise"):
        done = cli(*check, option, "x")
        assert (done.returncode, f"leave out {option}" in one_error_line(done)) == (2, True)
    done = cli(*check, "--accept", "--reason", "r", "--budget", "1")
    assert (done.returncode, "--accept takes any size" in one_error_line(done)) == (2, True)
    done = cli(*check, "--reason", "no")
    assert (done.returncode, "--reason is only valid with --accept" in one_error_line(done)) == (2, True)


@pytest.mark.parametrize("fence", ["GitLab CI", "GitHub Actions"])
def test_snippets_in_the_documentation(fence: str) -> None:
    """They are valid YAML, and call size.check with existing options."""
    text = (ROOT / "docs/size-gate.md").read_text()
    snippet = text[text.index(f"## {fence}") :]
    snippet = snippet[snippet.index("```yaml\n") + 8 :]
    content = yaml.safe_load(snippet[: snippet.index("```")])
    assert content
    lines = [line for line in snippet[: snippet.index("```")].splitlines() if "size.check" in line]
    assert lines
    assert all("--baseline" in line and "--max-growth" in line for line in lines)
