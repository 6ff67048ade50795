"""Objects and programs by content: where the cache keeps them, and the folders in which they are made."""

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


def objects_folder() -> Path:
    """The folder of all objects."""
    return paths.cache_folder() / "objects"


def object_path(*parts: object) -> Path:
    """Where the object made of these parts lies: of compiler, source, headers and flags."""
    key = files.digest_of(*parts)
    return objects_folder() / key[:2] / f"{key}.o"


def program_path(*parts: object) -> Path:
    """Where the program made of these parts lies: of linker, flags and objects."""
    key = files.digest_of(_PROGRAM_FORMAT, *parts)
    return paths.cache_folder() / "programs" / key[:2] / key / "program"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder in the cache, gone at the end: what is finished moves out of it in one rename."""
    work = paths.cache_folder() / "work"
    for folder in (objects_folder(), work):
        folder.mkdir(parents=True, exist_ok=True)
    _sweep(work)
    with (
        tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as name,
        files.locked(Path(name) / _IN_USE),
    ):
        yield Path(name)


def _sweep(work: Path) -> None:
    """Removes what killed builds have left; a build that runs holds a lock on its folder's mark."""
    for mark in work.glob(f"*/{_IN_USE}"):
        with contextlib.suppress(OSError), mark.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)
