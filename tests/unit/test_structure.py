"""The structure of the package: which package may import which."""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "litesmith"

ORDER = (
    *("base", "model", "target", "runtime", "container", "toolchain", "predict", "build", "measure"),
    *("board", "workflow", "study", "cli"),
)
"""The packages from left to right: each imports only from those to its left (``docs/architecture.md``)."""

MODULES = {
    ("litesmith", *path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")
}
Name = tuple[str, ...]


def imports(path: Path) -> set[Name]:
    """The litesmith modules that a file imports anywhere; for a package, those of its ``__init__``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = tuple((node.module or "").split("."))
            names = [(*module, alias.name) for alias in node.names]
        for name in names:
            if name[0] == "litesmith":
                candidates = (name, name[:-1], (*name, "__init__"), (*name[:-1], "__init__"))
                found |= {next(candidate for candidate in candidates if candidate in MODULES)}
    return found


IMPORTS = {module: imports(path) for module, path in MODULES.items()}


def test_every_module_is_in_an_ordered_package() -> None:
    assert {module[1] for module in MODULES} == {*ORDER, "__init__", "__main__"}
    assert {module for module in MODULES if len(module) == 2} == {
        ("litesmith", "__init__"),
        ("litesmith", "__main__"),
    }


def test_a_package_imports_only_from_packages_to_its_left() -> None:
    back = {
        f"{'.'.join(module)} imports {'.'.join(other)}"
        for module, others in IMPORTS.items()
        for other in others
        if module[1] in ORDER and other[1] in ORDER and ORDER.index(other[1]) > ORDER.index(module[1])
    }
    assert back == set()


def test_there_are_no_circular_imports() -> None:
    packages = {module[:depth] for module in MODULES for depth in range(1, len(module))}
    for package in packages:
        depth = len(package)
        inside: dict[Name, set[Name]] = {}
        for module, others in IMPORTS.items():
            if module[:depth] == package:
                known = {other[: depth + 1] for other in others if other[:depth] == package}
                inside.setdefault(module[: depth + 1], set()).update(known - {module[: depth + 1]})
        try:
            tuple(graphlib.TopologicalSorter(inside).static_order())
        except graphlib.CycleError as error:
            pytest.fail(f"a circular import in {'.'.join(package)}: {[name[-1] for name in error.args[1]]}")


def test_lock_files_have_hashes_and_no_urls() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text
        if path.name != "constraints.txt":
            pinned = re.findall(r"^[a-z0-9-]+==\S+", text, re.MULTILINE)
            assert pinned
            assert text.count("--hash=sha256:") >= len(pinned)
