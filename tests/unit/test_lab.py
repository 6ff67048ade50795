from __future__ import annotations

from pathlib import Path

import pytest

from litesmith.base.errors import UsageError
from litesmith.board.lab import binfmt, virtual_boards


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("armv7:3", [("armv7", 3)]),
        ("armv7:3,aarch64:1", [("armv7", 3), ("aarch64", 1)]),
        (" armv7:1 , riscv64:2", [("armv7", 1), ("riscv64", 2)]),
    ],
)
def test_boards_to_start(text: str, found: list[tuple[str, int]]) -> None:
    assert [(profile.name, count) for profile, count in virtual_boards.parse(text)] == found


@pytest.mark.parametrize("text", ["", "armv7", "armv7:", ":3", "armv7:x", "armv7:-1", "armv7:0", "armv7:1,"])
def test_bad_counts(text: str) -> None:
    with pytest.raises(UsageError, match="is not TARGET:COUNT"):
        virtual_boards.parse(text)


def test_too_many_boards() -> None:
    with pytest.raises(UsageError, match="too many boards"):
        virtual_boards.parse("armv7:60,aarch64:60")


def test_keys_are_stored_next_to_the_inventory() -> None:
    assert virtual_boards.folder_of(Path("there/boards.yaml")) == Path("there/boards.lab")


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("enabled\ninterpreter /usr/bin/qemu-arm-static\nflags: OPF\noffset 0\n", True),
        ("enabled\ninterpreter /usr/bin/qemu-arm-static\nflags: F\noffset 0\n", True),
        # Without F the kernel looks for the interpreter inside the container.
        ("enabled\ninterpreter /usr/bin/qemu-arm\nflags: \noffset 0\n", False),
        ("disabled\ninterpreter /usr/bin/qemu-arm-static\nflags: F\noffset 0\n", False),
    ],
)
def test_binary_formats_that_containers_can_use(
    text: str, usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binfmt, "_BINFMT", tmp_path)
    (tmp_path / "qemu-arm").write_text(text)
    assert binfmt._registered("qemu-arm") is usable
    assert not binfmt._registered("qemu-aarch64")
