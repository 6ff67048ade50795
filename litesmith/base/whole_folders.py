"""Folders in the cache whose files are checked before use: their digests are in a file beside the folder.

``<folder>.sha256`` has the SHA-256 of each file, by its path in the folder.  A folder without such a file was
made by an earlier version, and is taken over as it is.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import tempfile
from pathlib import Path

from litesmith.base import files, paths


def is_whole(folder: Path) -> bool:
    """Whether a folder is there with exactly the files that were sealed; it is read once in each process."""
    try:
        status = folder.stat()
    except OSError:
        return False
    return folder.is_dir() and _has_digests(folder, status.st_ino, status.st_ctime_ns)


def publish(staged: Path, final: Path) -> None:
    """Moves a finished folder into place, unless another process was faster, and keeps its digests.

    Its files need not be durable: one that a crash cuts off does not have its digest.

    Raises:
        OSError: the disk is full, or the folder around it is not writable.
    """
    digests = _digests(staged)
    with files.locked(paths.cache_folder() / "locks" / f"folder-{files.digest_of(str(final))[:16]}"):
        if not final.exists():
            files.write_atomically(_list_of(final), files.to_json(digests))
            staged.rename(final)


def discard(folder: Path) -> None:
    """Removes a folder that is not whole; programs that have files of it open keep them."""
    if folder.exists():
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
            # Another process may do the same.
            with contextlib.suppress(FileNotFoundError):
                folder.rename(Path(aside) / "folder")
            shutil.rmtree(Path(aside) / "folder", ignore_errors=True)
    _list_of(folder).unlink(missing_ok=True)


@functools.lru_cache(maxsize=1024)
def _has_digests(folder: Path, _inode: int, _changed: int) -> bool:
    found = _digests(folder)
    try:
        expected = json.loads(_list_of(folder).read_text(encoding="utf-8"))
    except FileNotFoundError:
        # A cache that cannot be written can still be used.
        with contextlib.suppress(OSError):
            files.write_atomically(_list_of(folder), files.to_json(found))
        return bool(found)
    except (ValueError, RecursionError):
        return False
    return bool(expected == found)


def _digests(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): files.sha256(path) for path in found}


def _list_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sha256")
