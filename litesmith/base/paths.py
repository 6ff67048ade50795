"""The folders of litesmith's data files and of its cache."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import platformdirs

from litesmith.base.errors import UsageError

_PACKAGE = Path(__file__).resolve().parents[1]


def is_checkout() -> bool:
    """Whether this package runs from a clone of its repository, not from an installed wheel."""
    return (_PACKAGE.parent / "pyproject.toml").is_file() and (_PACKAGE.parent / "targets").is_dir()


def data_folder(name: str) -> Path:
    """A data folder of the checkout or of the installed wheel: ``targets``, ``templates`` …"""
    return (_PACKAGE.parent if is_checkout() else _PACKAGE / "data") / name


def own_files() -> list[tuple[str, int, int]]:
    """Path, size and time of each of litesmith's own files, which change when litesmith itself does."""
    found = []
    for folder in (_PACKAGE, data_folder("templates"), data_folder("ops_registry")):
        for path in sorted(folder.rglob("*.*")):
            if "__pycache__" not in path.parts and path.is_file():
                status = path.stat()
                found.append((str(path), status.st_size, status.st_mtime_ns))
    return found


def cache_folder() -> Path:
    """The cache of sources, objects and programs, keyed by content; safe to delete at any time.

    ``LITESMITH_CACHE`` overrides the platform's default folder.

    Raises:
        UsageError: it is not named, and the user has no home folder.
    """
    named = os.environ.get("LITESMITH_CACHE")
    if named:
        return Path(named).absolute()
    # Without a home folder, newer versions of platformdirs raise, and older ones give a path with "~".
    with contextlib.suppress(RuntimeError):
        folder = platformdirs.user_cache_path("litesmith")
        if folder.is_absolute():
            return folder
    raise UsageError(
        "there is no place for the cache: the home folder is unknown",
        "set HOME, or name a folder in LITESMITH_CACHE",
    )
