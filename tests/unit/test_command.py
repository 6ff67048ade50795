"""Tasks of the command line: option groups, one-letter options, results and exit codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.program import Program

from litesmith.base.errors import UsageError
from litesmith.cli.command import Result, command, group, option
from litesmith.cli.commands import namespace
from litesmith.cli.options import ProgramOptions


@dataclass(frozen=True, kw_only=True)
class Fruit:
    name: str | None = option("what it is called")
    colour: tuple[str, ...] = option("may be repeated", repeatable=True)
    ripe: bool = option("whether it is", default=True)

    def to_json(self) -> Any:
        return {"name": self.name, "colours": list(self.colour), "ripe": self.ripe}


@command(group("fruit", Fruit).only("name", "colour"), json="as JSON", letters=("colour",))
def buy(count: str, fruit: Fruit, cash: bool = False) -> Result[Fruit]:
    """Buy fruit."""
    return Result(
        value=fruit,
        show=lambda one: print(f"{count} {one.name} {one.colour} {one.ripe} {cash}"),
        finish=lambda: print("bought"),
        exit_code=3 if cash else 0,
    )


def run(*arguments: str) -> int:
    try:
        Program(namespace=Collection(buy)).run(["test", *arguments])
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def test_an_option_group_is_passed_as_one_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("buy", "2", "--name", "plum", "--colour", "blue", "-c", "red") == 0
    assert capsys.readouterr().out == "2 plum ('blue', 'red') True False\nbought\n"


def test_a_result_is_printed_as_json_and_sets_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("buy", "2", "--cash", "--json") == 3
    assert capsys.readouterr().out == ('{\n  "name": null,\n  "colours": [],\n  "ripe": true\n}\nbought\n')


@command()
def break_off() -> None:
    """Fail."""
    raise UsageError("it is broken", "mend it")


@pytest.mark.parametrize("debug", [False, True])
def test_a_traceback_is_printed_only_with_debug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    monkeypatch.setenv("LITESMITH_DEBUG", "1" if debug else "")
    with pytest.raises(SystemExit) as ended:
        Program(namespace=Collection(break_off)).run(["test", "break-off"])
    shown = capsys.readouterr().err
    assert ended.value.code == 2
    assert shown.endswith("error: it is broken; mend it\n")
    assert ("Traceback" in shown and 'raise UsageError("it is broken"' in shown) == debug


def test_options_excluded_from_a_group_are_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("buy", "2", "--no-ripe") == 1
    assert "--no-ripe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "letters"),
    [
        ("build", "-t target -m model -o toolchain -u out -p prune -i optimise -k kernels"),
        ("deploy", "-t target -m model -b board -a tag -l all -o boards -c toolchain -u out"),
        ("plan", "-t target -m model -e menu -o toolchain -k kernels -f fps -h html"),
        ("size.what-if", "-t target -m model -a add-op -d add-model -r drop-op -o toolchain"),
        ("bench.board", "-b board -t target -m model -o boards -l toolchain -r runs"),
    ],
)
def test_one_letter_options_are_stable(task: str, letters: str) -> None:
    known = {name for one in namespace(development=True)[task].get_arguments() for name in [one.names]}
    words = letters.split()
    expected = {(name, letter[1:]) for letter, name in zip(words[::2], words[1::2], strict=True)}
    assert expected <= known


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"target": "armv7"}, "--target"),
        ({"model": ("a.tflite",)}, "--model"),
        ({"prune": False}, "--no-prune"),
        ({"embed_model": True}, "--embed-model"),
    ],
)
def test_build_options_with_a_finished_build(options: dict[str, Any], flag: str) -> None:
    ProgramOptions().refuse_with("--program")
    with pytest.raises(UsageError) as error:
        ProgramOptions(**options).refuse_with("--program")
    assert error.value.next_step == f"leave out {flag}"
