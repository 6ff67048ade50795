"""Digests and files that appear whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litesmith.base.errors import LitesmithError


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(*parts: object) -> str:
    """Hexadecimal SHA-256 of any values that JSON can hold; equal values, equal digest."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(value: Any) -> str:
    """The one form in which JSON is written: indented, unsorted, one final newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """The content of a JSON file that litesmith wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a file aside and renames it, so that no reader sees half of it.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def staging_folder(final: Path) -> Iterator[Path]:
    """A scratch folder on the same disk as ``final``, gone afterwards whatever happens.

    It lies beside ``final``, or inside of it where ``final`` is a mount point.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    mounted = final.is_dir() and final.stat().st_dev != final.parent.stat().st_dev
    place = final if mounted else final.parent
    scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.partial-", dir=place))
    # mkdtemp makes it private; what is renamed out of it must be readable as usual.
    scratch.chmod(0o755)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock that one process of the machine has at a time; ends with the process.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def publish(staged: Path, final: Path, optional: Sequence[str] = ()) -> None:
    """Moves what lies in ``staged`` over the same names in ``final``, one rename each.

    Folders replace folders of the same name; other content of ``final`` stays, but for
    ``optional`` names that an earlier build left and this one does not have.
    ``manifest.json`` goes last: where it stands, the rest is complete.

    Raises:
        LitesmithError: ``final`` is a file.
    """
    if final.exists() and not final.is_dir():
        raise LitesmithError(f"the output folder {final} is a file", "name another one with --out")
    if not final.exists():
        # The whole folder appears in one step.
        staged.rename(final)
        return
    with _uninterrupted():
        for name in optional:
            if not (staged / name).exists():
                (final / name).unlink(missing_ok=True)
        _replace_entries(staged, final)


def _replace_entries(staged: Path, final: Path) -> None:
    (final / "manifest.json").unlink(missing_ok=True)
    for entry in sorted(staged.iterdir(), key=lambda e: (e.name == "manifest.json", e.name)):
        target = final / entry.name
        if target.is_dir() and not target.is_symlink():
            old = staged / f".old-{entry.name}"
            target.rename(old)
        entry.rename(target)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until a few renames are done."""
    blocked = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
