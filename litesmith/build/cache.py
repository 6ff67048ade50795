"""Paths of objects and programs in the cache, keyed by content, and scratch folders for making them."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from litesmith.base import files, paths

# Bump when the layout of cached programs changes.
_PROGRAM_FORMAT = 1

_IN_USE = ".in-use"
_SWEEPING = ".sweeping"


def objects_folder() -> Path:
    """The folder of all objects."""
    return paths.cache_folder() / "objects"


def object_path(*parts: object) -> Path:
    """The path of the object that is made from these parts: compiler, source, headers and flags."""
    key = files.digest_of(*parts)
    return objects_folder() / key[:2] / f"{key}.o"


def program_path(*parts: object) -> Path:
    """The path of the program that is made from these parts: linker, flags and objects."""
    key = files.digest_of(_PROGRAM_FORMAT, *parts)
    return paths.cache_folder() / "programs" / key[:2] / key / "program"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder in the cache, removed at the end; finished files are moved out by one rename."""
    work = paths.cache_folder() / "work"
    for folder in (objects_folder(), work):
        folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        # Between its creation and its lock, a new folder looks like that of a killed build.
        with files.locked(work / _SWEEPING):
            _sweep(work)
            name = held.enter_context(tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True))
            held.enter_context(files.locked(Path(name) / _IN_USE))
        yield Path(name)


def _sweep(work: Path) -> None:
    """Removes the folders of killed builds; a running build holds a lock on a file in its folder."""
    for mark in work.glob(f"*/{_IN_USE}"):
        with contextlib.suppress(OSError), mark.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)
