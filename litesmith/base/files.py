"""Digests, JSON, locks, and files that are written completely or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litesmith.base.errors import LitesmithError

_ALMOST_FULL = 1024 * 1024


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(*parts: object) -> str:
    """Hexadecimal SHA-256 of values in JSON form; equal values have equal digests."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(value: Any) -> str:
    """A value as JSON, in the form of all output files: indented, unsorted, with a final newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a temporary file and renames it, so that no reader sees a partial file, not even after a crash.

    A device, such as a terminal, or a pipe is written to; it is not replaced.

    Raises:
        OSError: the disk is full, or the folder is not writable.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as stream:
            stream.write(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_durable(path: Path) -> None:
    """Waits until the content of a file is on the disk: after a crash, a renamed file is whole or not there.

    Raises:
        OSError: the disk is full.
    """
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def link_atomically(link: Path, target: Path) -> None:
    """Makes a symbolic link, or replaces one; another process may do so at the same moment.

    Raises:
        OSError: the folder is not writable.
    """
    with tempfile.TemporaryDirectory(prefix=f".{link.name}.", dir=link.parent) as scratch:
        aside = Path(scratch) / link.name
        aside.symlink_to(target)
        aside.replace(link)


@contextmanager
def staging_folder(final: Path) -> Iterator[Path]:
    """A scratch folder on the same file system as ``final``, always removed at the end.

    It is created next to ``final``, or inside it if ``final`` is a mount point.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    mounted = final.is_dir() and final.stat().st_dev != final.parent.stat().st_dev
    place = final if mounted else final.parent
    scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.partial-", dir=place))
    # mkdtemp creates private folders; what is renamed from here must have the usual permissions.
    scratch.chmod(0o755)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds an exclusive lock among the processes of this machine.

    The lock is released at the latest when the process ends.  ``waiting`` is called if another process
    has it.

    Raises:
        OSError: the folder is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room to speak of; False where that is unknown."""
    try:
        return shutil.disk_usage(folder).free < _ALMOST_FULL
    except OSError:
        return False


def publish(staged: Path, final: Path, optional: Sequence[str] = ()) -> None:
    """Moves the entries of ``staged`` into ``final``, with one rename each.

    Folders replace folders of the same name.  Other content of ``final`` is kept, except for the
    ``optional`` names that an earlier build wrote and this one does not have.
    ``manifest.json`` is moved last: if it exists, everything else is complete.  Two processes that publish
    into one folder do so one after the other.

    Raises:
        LitesmithError: ``final`` is a file.
    """
    if final.exists() and not final.is_dir():
        raise LitesmithError(f"the output folder {final} is a file", "name another one with --out")
    with _folder_locked(final.parent), _uninterrupted():
        if not final.exists():
            # The whole folder appears in one step.
            staged.rename(final)
            return
        for name in optional:
            if not (staged / name).exists():
                (final / name).unlink(missing_ok=True)
        _replace_entries(staged, final)


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Holds an exclusive lock on a folder, without a file of its own in it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace_entries(staged: Path, final: Path) -> None:
    (final / "manifest.json").unlink(missing_ok=True)
    for entry in sorted(staged.iterdir(), key=lambda e: (e.name == "manifest.json", e.name)):
        target = final / entry.name
        # A folder cannot replace a link to one.
        if target.is_dir() or target.is_symlink():
            old = staged / f".old-{entry.name}"
            target.rename(old)
        entry.rename(target)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Defers Ctrl-C until the block ends; the block only renames a few files."""
    blocked = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
