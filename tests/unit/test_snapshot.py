from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.measure.size import snapshot
from litesmith.measure.size.size_report import SizeReport
from tests import elves
from tests.conftest import Cli, one_error_line
from tests.unit import snapshots
from tests.unit.snapshots import MADE_WITH


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return snapshots.build_folder(tmp_path / "build")


def test_a_folder(folder: Path) -> None:
    found = snapshot.read(folder)
    assert found.report.ops["ADD"].attributed == 100
    assert found.models == {"m.tflite": "0" * 64}
    assert found.made_with.line() == "armv7, zig 1, static, -Os, pruned"
    # Pruning depends on the models.
    assert "defines" not in found.made_with.flags
    assert snapshot.read_program(folder / "bin/m") == found
    assert snapshot.read_program(folder / "bin/m.debug") == found


def test_a_report_json_round_trip() -> None:
    report = snapshots.snapshot(shared={("ADD", "MUL"): 30}).report
    assert SizeReport.from_json(json.loads(json.dumps(report.to_json()))) == report


Damage = Callable[[Path], object]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "does not contain a litesmith build: manifest.json"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda f: (f / "manifest.json").write_text("[]"), "by another version of litesmith"),
        (lambda f: (f / "manifest.json").write_text("{}"), "by another version of litesmith"),
        (lambda f: (f / "manifest.json").write_text('{"binary": "x"}'), "by another version of litesmith"),
        (lambda f: (f / "symbols.json").write_text("[]"), r"symbols\.json and .* are from different builds"),
        (lambda f: (f / "size.json").unlink(), "is incomplete: size.json"),
        (lambda f: (f / "size.json").write_text('{"binary": 1}'), "by another version of litesmith"),
        (lambda f: (f / "symbols.json").unlink(), "is incomplete: symbols.json"),
        (lambda f: (f / "symbols.json").write_text("[[]]"), "by another version of litesmith"),
        (lambda f: (f / "bin/m").unlink(), "the program is missing: "),
        (lambda f: (f / "bin/m").write_text("text" * 50), "is not an ELF program"),
        (lambda f: elves.write(f / "bin/m", ()), "is not the program that its manifest.json describes"),
        (lambda f: (f / "bin/m.debug").unlink(), "the file with its symbols is missing: "),
        (lambda f: shutil.copy(f / "bin/m", f / "bin/m.debug"), "m.debug has no symbols"),
        (
            lambda f: shutil.copy(
                snapshots.build_folder(f.parent / "other", b"else") / "bin/m.debug", f / "bin"
            ),
            "m.debug and .* are from different builds",
        ),
    ],
)
def test_damaged_folders(folder: Path, damage: Damage, message: str) -> None:
    damage(folder)
    with pytest.raises(UsageError, match=message):
        snapshot.read(folder)


def test_reports_of_another_build(folder: Path) -> None:
    report = json.loads((folder / "size.json").read_text())
    report["binary"]["text"] += 1
    (folder / "size.json").write_text(json.dumps(report))
    with pytest.raises(UsageError, match=r"size\.json and .* are from different builds"):
        snapshot.read(folder)


@pytest.mark.parametrize("text", ["[]", '"x"', '{"binary": "x"}', '{"binary": null}'])
def test_a_manifest_of_another_program(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match="by another version of litesmith"):
        snapshot.read_program(folder / "bin/m")


def test_programs_without_a_build(tmp_path: Path, folder: Path) -> None:
    stripped = elves.write(tmp_path / "foreign", [])
    with pytest.raises(UsageError, match=r"is stripped, and no manifest\.json"):
        snapshot.read_program(stripped)
    shutil.copy(folder / "bin/m.debug", tmp_path / "full")
    with pytest.raises(UsageError, match=r"has symbols, but no manifest\.json"):
        snapshot.read_program(tmp_path / "full")
    shutil.copy(stripped, folder / "bin/other")
    with pytest.raises(UsageError, match=r"is not the program that .*/manifest\.json describes"):
        snapshot.read_program(folder / "bin/other")


def test_errors_are_one_line(cli: Cli, tmp_path: Path) -> None:
    done = cli("size", "--program", elves.write(tmp_path / "foreign", []))
    assert done.returncode == 2
    assert "is stripped, and no manifest.json" in one_error_line(done)
    for option in ("--target", "--toolchain"):
        done = cli("size", "--program", "x", option, "armv7")
        assert (done.returncode, "--program names a finished build" in one_error_line(done)) == (2, True)


def test_a_page_that_cannot_be_written(cli: Cli, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("")
    for path, what in (("there", "is a folder"), ("file/x.html", "cannot be written")):
        done = cli("size", "--program", folder / "bin/m", f"--html={path}")
        assert (done.returncode, f"the page {path} {what}" in one_error_line(done)) == (2, True)


def test_changes_since_an_earlier_build(cli: Cli, folder: Path, tmp_path: Path) -> None:
    other = snapshots.build_folder(tmp_path / "other", b"longer code")
    look = ("size", "--program", folder / "bin/m", "--before", other)
    assert "longer" not in cli(*look).stdout
    assert json.loads(cli(*look, "--json").stdout)["change"]["before"] == str(other)
    assert " -> " in cli(*look).stdout


def test_differences_in_how_two_builds_were_made() -> None:
    other = dataclasses.replace(MADE_WITH, version="2", linkage="dynamic", flags={"common": ["-O3"]})
    assert MADE_WITH.differences(other) == ["version: 2, was 1", "linkage: dynamic, was static"]
    flags = {**MADE_WITH.flags, "common": ["-O2", "-g0"], "pruned": False}
    other = dataclasses.replace(MADE_WITH, flags=flags)
    assert MADE_WITH.differences(other) == [
        "common: with -O2, without -Os",
        "pruned: with False, without True",
    ]
    assert MADE_WITH.differences(MADE_WITH) == []
