"""Host keys: reading a ``known_hosts`` file, and what happens to a key that is not in it.

The file is read line by line, and lines that cannot be parsed are skipped, as OpenSSH does.  New keys are
appended; existing lines are never rewritten.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from litesmith.base import files, paths

_REVOKED = "@revoked"


def prepare(client: Any, file: Path, *, strict: bool) -> None:
    """Gives an SSH client the known keys and a policy for others: ``strict`` refuses all of them."""
    revoked = _read(file, client.get_host_keys()) if file.is_file() else set()
    client.set_missing_host_key_policy(_Policy(file, strict=strict, revoked=revoked))


class _Policy:
    """A missing-host-key policy of paramiko's: refuses an unknown key, or records it."""

    def __init__(self, file: Path, *, strict: bool, revoked: set[str]) -> None:
        self._file, self._strict, self._revoked = file, strict, revoked

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        from paramiko import SSHException

        if key.get_base64() in self._revoked:
            raise SSHException(f"the key of {hostname} is revoked in {self._file}")
        # A host with a key of another type is not new: accept-new does not apply.
        if self._strict or client.get_host_keys().lookup(hostname):
            raise SSHException(f"Server {hostname!r} not found in known_hosts")
        _append(self._file, f"{hostname} {key.get_name()} {key.get_base64()}\n")


def _read(file: Path, into: Any) -> set[str]:
    """Adds the file's keys to ``into``; returns the revoked ones (base64)."""
    from paramiko.hostkeys import HostKeyEntry

    revoked: set[str] = set()
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == _REVOKED:
            revoked.update(words[3:4])
        if words[0].startswith("@"):
            continue
        with contextlib.suppress(Exception):
            entry = HostKeyEntry.from_line(line, number)
            for name in entry.hostnames if entry is not None else ():
                into.add(name, entry.key.get_name(), entry.key)
    for host in list(into.keys()):
        for kind, key in list((into.lookup(host) or {}).items()):
            if key.get_base64() in revoked:
                del into[host][kind]
    return revoked


def _append(file: Path, line: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(paths.cache_folder() / "locks" / "known_hosts"):
        before = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        file.touch(mode=0o600)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(line if not before or before.endswith("\n") else f"\n{line}")
