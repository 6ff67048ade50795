from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest

from litesmith.base import packages
from litesmith.base.errors import ToolError
from tests.conftest import ROOT


def test_every_extra_has_a_lock_file() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*packages._EXTRAS, "dev", "install"} == set(known)
    for extra in packages._EXTRAS:
        (wanted,) = known[extra]
        name = wanted.partition(">=")[0]
        assert f"{name}==" in (ROOT / "requirements" / f"{extra}.txt").read_text()


def test_installed_packages_are_not_installed_again() -> None:
    packages.require("derive")


def test_an_installed_wheel_names_the_missing_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(packages.sys, "prefix", str(tmp_path / "elsewhere"))
    with pytest.raises(ToolError, match=r"fabric, .* is not installed; .*pip install 'litesmith\[deploy\]'"):
        packages.require("deploy")
