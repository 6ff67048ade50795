from __future__ import annotations

import getpass
import os
import re
from pathlib import Path

import pytest

from litesmith.board.deploy import lock
from litesmith.board.deploy.inventory import Board
from litesmith.board.deploy.probe import Facts, kibibytes, misfit
from litesmith.target import profiles

DYNAMIC = b"\x7fELF" + bytes(60) + b"/lib/ld-linux-armhf.so.3\0libstdc++.so.6\0libc.so.6\0GLIBC_2.34\0"
STATIC = b"\x7fELF" + bytes(60)


def facts(**more: object) -> Facts:
    known: dict[str, object] = {
        "machine": "armv7l",
        "kernel": "Linux 6.1",
        "features": ("neon", "vfpv4"),
        "libc": "ld-linux-armhf.so.3",
        "libc_version": "2.36",
        "loaders": ("ld-linux-armhf.so.3",),
        "libraries": ("libgcc_s.so.1", "libstdc++.so.6"),
        "free": 1,
        "memory": None,
        "writable": True,
        "lacks": (),
        "current": "",
        "releases": (),
    }
    return Facts(**{**known, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("board", "target", "content", "reason"),
    [
        (facts(), "armv7", DYNAMIC, ""),
        (facts(), "armv6", STATIC, ""),
        (facts(machine="armv6l"), "armv7", STATIC, "its machine is armv6l"),
        (facts(features=("vfp",)), "armv7", STATIC, "its CPU lacks neon"),
        # A board that does not describe its CPU is tried anyway.
        (facts(features=()), "armv7", STATIC, ""),
        (facts(libc="none", loaders=()), "armv7", DYNAMIC, "it has no glibc"),
        (facts(libc_version="2.31"), "armv7", DYNAMIC, "its glibc is 2.31, and the program needs 2.34"),
        (facts(libraries=()), "armv7", DYNAMIC, r"it has no libstdc\+\+.so.6"),
        # A 64-bit kernel with a 32-bit user space.
        (facts(machine="aarch64", features=("asimd",)), "armv7", DYNAMIC, ""),
        (
            facts(machine="aarch64", loaders=("ld-linux-aarch64.so.1",)),
            "armv7",
            STATIC,
            "its machine is aarch64",
        ),
        (facts(machine="aarch64", features=("asimd",)), "aarch64", STATIC, ""),
        (facts(machine="x86_64", features=("sse4_2", "popcnt")), "x86_64", STATIC, ""),
        (facts(machine="x86_64", features=("sse2",)), "x86_64", STATIC, "lacks popcnt, sse4_2"),
    ],
)
def test_programs_that_fit_a_board(
    board: Facts, target: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_bytes(content)
    said = misfit(board, profiles.load(target), program)
    assert re.search(reason, said) if reason else said == ""


@pytest.mark.parametrize(("text", "found"), [("12", 12288), ("0", 0), ("", None), ("-", None), ("1e3", None)])
def test_sizes_of_boards(text: str, found: int | None) -> None:
    assert kibibytes(text) == found


@pytest.mark.parametrize("host", ["board.local", "10.0.0.1", "::1", "fe80::1%eth0", "2001:db8::7"])
def test_hosts(host: str) -> None:
    assert Board(host=host, user="u", key=Path("k"), target="armv7").host == host


def test_an_owner_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", fail)
    assert lock.owner().startswith(f"user {os.getuid()}@")
