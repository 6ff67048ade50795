"""A real OpenSSH server on this machine, for each test that needs a board."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass
class Server:
    """A running server; ``stop`` and ``start`` simulate a power cut of the board."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> Path:
        return self.folder / "client"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def start(self) -> None:
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        argv = [sshd, "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stderr=log)
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stops the server and all of its sessions."""
        if self.process is not None:
            subprocess.run(["pkill", "-KILL", "-P", str(self.process.pid)], check=False)
            self.process.kill()
            self.process.wait()
            self.process = None

    def board(self, folder: Path, **more: object) -> dict[str, object]:
        """The entry of an inventory for this server."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "key": str(self.key),
            "known_hosts": {"file": str(self.known_hosts)},
            "target": "x86_64",
            "folder": str(folder),
            "timeout": 10,
            **more,
        }


def write_inventory(path: Path, **boards: dict[str, object]) -> Path:
    """Writes an inventory; host keys of a server with another folder are copied beside it."""
    for name, entry in boards.items():
        known = entry.get("known_hosts")
        file = Path(str(known["file"])) if isinstance(known, dict) and "file" in known else None
        if (
            isinstance(known, dict)
            and file is not None
            and file.is_absolute()
            and not file.is_relative_to(path.parent)
        ):
            beside = path.parent / f"known_hosts-{file.parent.name}"
            shutil.copyfile(file, beside)
            boards[name] = {**entry, "known_hosts": {**known, "file": str(beside)}}
    path.write_text(yaml.safe_dump({"boards": boards}))
    return path


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server with its own keys."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    host = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")
    shutil.copy(folder / "client.pub", folder / "authorized")
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n"
    )
    server = Server(folder=folder, port=port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
