"""YAML files of strangers: whatever is in them, the answer is one line."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.base.yaml_files import load_yaml
from litesmith.board.deploy.inventory import Inventory
from litesmith.predict.plan.menu import Menu
from litesmith.runtime.custom_ops import CustomOps
from litesmith.target.profiles import Profile
from tests.conftest import Cli, one_error_line

BOARD = "host: h, user: u, key: k, target: armv7"
DEEP = "is nested more than 50 levels deep"
ODD = {
    "open brackets": ("[" * 100_000, DEEP),
    "open braces": ("{" * 100_000, DEEP),
    "closed brackets": ("[" * 100_000 + "]" * 100_000, DEEP),
    "dashes": ("- " * 50_000, DEEP),
    "question marks": ("? " * 50_000, DEEP),
    "a list as a key": ("[1, 2]: 3", "line 1: a list or a mapping cannot be a key"),
    "a mapping as a key": ("x: 1\n{a: b}: 3", "line 2: a list or a mapping cannot be a key"),
    "a list as an inner key": ("a: {b: {? [c] : d}}", "a list or a mapping cannot be a key"),
    "a number as a key": ("1: 2", "is missing"),
    "a number as a key of a board": (f"boards: {{1: {{{BOARD}}}}}", ""),
    "no key": ("null: 2", "is missing"),
    "a wrong bool": ("a: !!bool foo", "does not have the type of its tag"),
    "a wrong int": ("a: !!int ''", "does not have the type of its tag"),
    "a wrong float": ("a: !!float x", "could not convert"),
    "a wrong time": ("a: !!timestamp foo", "does not have the type of its tag"),
    "a wrong date": ("a: 2001-99-99", "month must be in 1..12"),
    "a long number": ("a: " + "9" * 5000, "digits"),
    "a long value": (f"boards: {{b: {{{BOARD}, port: {'a' * 100_000}}}}}", ""),
    "a long key": (f"boards: {{b: {{{BOARD}, {'a' * 900}: 1}}}}", ""),
    "a list that contains itself": ("a: &a [*a]", "recursive"),
    "an unknown alias": ("a: *b", "undefined alias"),
    "a Python object": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "two documents": ("a: 1\n---\nb: 2", "another document"),
    "control characters": ("a\x1b[2J: 1", "control characters are not allowed"),
    "a surrogate": ('a: "\\ud800"', "invalid Unicode character"),
    "a nul": ("a: \0", "control characters are not allowed"),
    "a list": ("- 1", "a mapping of keys to values is expected"),
    "nothing": ("", "a mapping of keys to values is expected"),
    "a large file": ("a: " + "x" * 2_000_000, "has more than 1 MiB"),
}


@pytest.mark.parametrize("kind", [Inventory, Profile, CustomOps, Menu], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("text", "message"), ODD.values(), ids=ODD)
def test_odd_files(tmp_path: Path, kind: type[Inventory], text: str, message: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_yaml(path, kind)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert message in said or kind is not Inventory
    assert len(said) < 1500


def grown(level: str) -> str:
    """A document whose aliases name 9 ** 9 values."""
    lines = ["v0: &v0 {x: 1}"]
    lines += [f"v{n}: &v{n} {level.format(', '.join([f'*v{n - 1}'] * 9))}" for n in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize("level", ["[{}]", "{{<<: [{}]}}"], ids=["lists", "merge keys"])
def test_aliases_that_grow(tmp_path: Path, level: str) -> None:
    path = tmp_path / "grown.yaml"
    path.write_text(grown(level))
    tracemalloc.start()
    with pytest.raises(UsageError, match="there are more than 100,000 values"):
        load_yaml(path, Inventory)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_aliases_and_merge_keys(tmp_path: Path) -> None:
    path = tmp_path / "boards.yaml"
    path.write_text(
        f"boards:\n  a: &a {{{BOARD}}}\n  b: &b {{<<: *a, port: 2222}}\n  c: {{<<: *b, user: me}}\n"
    )
    found = load_yaml(path, Inventory).boards["c"]
    assert (found.host, found.port, found.user) == ("h", 2222, "me")  # type: ignore[union-attr]


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "boards.yaml"
    path.write_bytes(b"boards: \xff\xfe")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        load_yaml(path, Inventory)


@pytest.mark.parametrize("name", ["brackets.yaml", "key.yaml"])
def test_the_command_line(cli: Cli, tmp_path: Path, name: str) -> None:
    (tmp_path / "brackets.yaml").write_text("[" * 100_000)
    (tmp_path / "key.yaml").write_text("[1]: 2")
    for arguments in (
        ("boards", "--boards", name),
        ("estimate", "--target", f"./{name}", "--model", "m.tflite"),
    ):
        done = cli(*arguments)
        assert (done.returncode, name in one_error_line(done)) == (2, True), done.stderr
