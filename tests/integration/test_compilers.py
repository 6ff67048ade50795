"""Checks of the GCC commands before a build."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from litesmith.base.errors import ToolError
from litesmith.target import profiles
from litesmith.toolchain import gcc
from litesmith.toolchain.registry import load as load_toolchain

pytestmark = pytest.mark.build


def test_a_missing_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("sh", "true"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="arm-linux-gnueabihf-g\\+\\+ is not installed") as caught:
        load_toolchain("gcc").version(profiles.load("armv7"))
    assert "apt-get install g++-arm-linux-gnueabihf" in caught.value.next_step


def test_a_compiler_that_is_not_gcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "aarch64-linux-gnu-g++"
    fake.write_text("#!/bin/sh\necho 'clang version 19'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ToolError, match="is not GCC"):
        load_toolchain("gcc").version(profiles.load("aarch64"))


def test_the_environment_does_not_reach_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPATH", "LD_RUN_PATH", "LIBRARY_PATH", "GCC_EXEC_PREFIX"):
        monkeypatch.setenv(name, "/somewhere")
    found = gcc.Gcc()._ask("env").stdout.decode()
    assert "/somewhere" not in found
    assert "PATH=" in found
