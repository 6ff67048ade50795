"""An SSH server that runs commands as a board does, but lies about one of them, or answers without end."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Behaviour = Callable[[str, Any], bool]
"""Is called with each command and its channel; returns whether it has handled the command itself."""

MARKER = "echo litesmith-"


def said_before(command: str) -> bytes:
    """The line that the client waits for before the output of its script."""
    rest = command.partition(MARKER)[2]
    return f"litesmith-{rest[:16]}\n".encode()


def drip(channel: Any, text: bytes = b"x") -> None:
    """Sends a byte now and then, until the client closes the connection."""
    with contextlib.suppress(OSError):
        while not channel.closed:
            channel.sendall(text)
            time.sleep(0.2)


def pour(channel: Any) -> None:
    """Sends as much as the connection takes."""
    with contextlib.suppress(OSError):
        while not channel.closed:
            channel.sendall(b"x" * 32768)


@contextlib.contextmanager
def running(folder: Path, behaviour: Behaviour) -> Iterator[dict[str, object]]:
    """Runs a board and yields its entry of an inventory; ``folder`` gets its keys and its install folder."""
    import paramiko

    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "client")], check=True)
    key = paramiko.RSAKey.generate(2048)

    class Board(paramiko.ServerInterface):
        def get_allowed_auths(self, *_: Any) -> str:
            return "publickey"

        def check_auth_publickey(self, *_: Any) -> int:
            return paramiko.AUTH_SUCCESSFUL

        def check_channel_request(self, *_: Any) -> int:
            return paramiko.OPEN_SUCCEEDED

        def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
            threading.Thread(target=_serve, args=(command.decode(), channel, behaviour), daemon=True).start()
            return True

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (folder / "hosts").write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")

        transports: list[Any] = []

        stop = threading.Event()

        def accept() -> None:
            listener.settimeout(0.1)
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    client, _ = listener.accept()
                    transport = paramiko.Transport(client)
                    transports.append(transport)
                    transport.add_server_key(key)
                    with contextlib.suppress(Exception):
                        transport.start_server(server=Board())

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield {
                "host": "127.0.0.1",
                "port": port,
                "user": "root",
                "key": str(folder / "client"),
                "known_hosts": {"file": str(folder / "hosts")},
                "target": "x86_64",
                "folder": str(folder / "board"),
                "timeout": 3,
                "run_timeout": 5,
            }
        finally:
            stop.set()
            thread.join()
            for transport in transports:
                transport.close()
                transport.sock.close()


def _serve(command: str, channel: Any, behaviour: Behaviour) -> None:
    with contextlib.suppress(OSError, EOFError):
        if not behaviour(command, channel):
            _run(command, channel)
    with contextlib.suppress(Exception):
        channel.close()


def _run(command: str, channel: Any) -> None:
    """Runs a command in a shell of this machine."""
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        stdin, stdout, stderr = child.stdin, child.stdout, child.stderr

        def feed() -> None:
            with contextlib.suppress(OSError):
                while chunk := channel.recv(32768):
                    stdin.write(chunk)
                    stdin.flush()
            with contextlib.suppress(OSError):
                stdin.close()

        def complain() -> None:
            with contextlib.suppress(OSError):
                while chunk := stderr.read1(32768):  # type: ignore[attr-defined]
                    channel.sendall_stderr(chunk)

        threads = [threading.Thread(target=target, daemon=True) for target in (feed, complain)]
        for thread in threads:
            thread.start()
        with contextlib.suppress(OSError):
            while chunk := stdout.read1(32768):  # type: ignore[attr-defined]
                channel.sendall(chunk)
        threads[1].join()
        channel.send_exit_status(child.wait())
        channel.close()
        threads[0].join()
