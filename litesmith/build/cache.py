"""Files in the cache, keyed by content, and scratch folders for making them.

An entry is a file with its digest beside it, ``<name>.sha256``.  The digest is checked whenever the entry is
used: an entry that was damaged is missing, and is made again.  An entry without a digest was written by an
earlier version; if it is an ELF file or an archive with all of its parts, or a map, it is taken over.

Nothing in an entry depends on where the cache is, so that a cache can be copied and moved.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
import zipfile
import zlib
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
    """The path of the object that is made from these parts: compiler, source, headers and flags."""
    key = files.digest_of(*parts)
    return objects_folder() / key[:2] / f"{key}.o"


def program_path(*parts: object) -> Path:
    """The path of the program that is made from these parts: linker, flags and objects."""
    key = files.digest_of(_PROGRAM_FORMAT, *parts)
    return paths.cache_folder() / "programs" / key[:2] / key / "program"


def in_cache(path: Path) -> str:
    """A path in the cache, relative to the cache; other paths stay as they are."""
    folder = paths.cache_folder()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def without_place(text: str) -> str:
    """The text of a linker map with paths that are relative to the cache."""
    return text.replace(f"{paths.cache_folder()}/", "")


def located(path: str) -> Path:
    """The file that :func:`in_cache` or :func:`without_place` gave the path of."""
    return paths.cache_folder() / path


def is_whole(path: Path) -> bool:
    """Whether an entry is there and has its digest."""
    try:
        status = path.stat()
    except OSError:
        return False
    return _has_digest(path, status.st_ino, status.st_ctime_ns, status.st_size)


@functools.lru_cache(maxsize=1 << 16)
def _has_digest(path: Path, _inode: int, _changed: int, size: int) -> bool:
    """The same for a file with these properties, which is read once in each process."""
    try:
        expected = _digest_file(path).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        if size == 0 or not _has_all_parts(path):
            return False
        # A cache that cannot be written can still be used.
        with contextlib.suppress(OSError):
            _write_digest(path, files.sha256(path))
        return True
    return expected == files.sha256(path)


def store(staged: Path, final: Path) -> None:
    """Moves a finished file into the cache.

    Raises:
        OSError: the disk is full, or the cache is not writable.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    files.make_durable(staged)
    # Where another process stores the same entry at this moment, with other bytes, it is made again later.
    _write_digest(final, files.sha256(staged))
    staged.replace(final)


def store_text(text: str, final: Path) -> None:
    """Writes a text into the cache.

    Raises:
        OSError: the disk is full, or the cache is not writable.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".text-", dir=final.parent) as name:
        staged = Path(name) / final.name
        staged.write_text(text, encoding="utf-8")
        store(staged, final)


def _write_digest(path: Path, digest: str) -> None:
    """Writes the digest of an entry; one that a crash cuts off only makes the entry be made again."""
    handle, name = tempfile.mkstemp(prefix=".digest-", dir=path.parent)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(digest)
    Path(name).chmod(0o644)
    Path(name).replace(_digest_file(path))


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _has_all_parts(path: Path) -> bool:
    """Whether an ELF file reaches to the end of its section headers, which are its last part."""
    with path.open("rb") as stream:
        head = stream.read(64)
        size = os.fstat(stream.fileno()).st_size
    if path.suffix == ".npz":
        return _is_sound_archive(path)
    if not head.startswith(b"\x7fELF"):
        # A linker map, or a packed root file system.
        return path.name == "map" or path.suffix == ".tar"
    # e_shoff, e_shentsize and e_shnum of the gABI, in files of 64 and of 32 bits.
    start, width, entry = (40, 8, 58) if head[4:5] == b"\x02" else (32, 4, 46)
    offset = int.from_bytes(head[start : start + width], "little")
    bytes_each, count = (int.from_bytes(head[at : at + 2], "little") for at in (entry, entry + 2))
    return offset + bytes_each * count <= size


def _is_sound_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, OSError):
        return False


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder in the cache, removed at the end; finished files are moved out by one rename."""
    work = paths.cache_folder() / "work"
    for folder in (objects_folder(), work):
        folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        # Between its creation and its lock, a new folder looks like that of a killed build.
        with files.locked(paths.cache_folder() / "locks" / "work"):
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
