"""A board with only busybox and dropbear, the minimum of embedded systems."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_LIBRARY = re.compile(r"(/\S+) \(0x")


@contextlib.contextmanager
def running(folder: Path, password: str = "") -> Iterator[dict[str, object]]:
    """Runs a board of this architecture in its own root and yields its entry of an inventory.

    With ``password``, clients log in with the password from LITESMITH_BENCH_PASSWORD instead of a key.
    """
    root = folder / "root"
    for name in ("bin", "etc", "root/.ssh", "proc", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "root").chmod(0o700)
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    applets = subprocess.run([root / "bin/busybox", "--list"], capture_output=True, text=True, check=True)
    for applet in applets.stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    dropbear = shutil.which("dropbear") or "/usr/sbin/dropbear"
    needed = subprocess.run(["ldd", dropbear], capture_output=True, text=True, check=True).stdout
    for library in (dropbear, *_LIBRARY.findall(needed)):
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "client"], check=True)
    shutil.copy(folder / "client.pub", root / "root/.ssh/authorized_keys")
    hashed = ""
    if password:
        made = subprocess.run(
            ["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True
        )
        hashed = made.stdout.strip()
    (root / "etc/passwd").write_text(f"root:{hashed or 'x'}:0:0::/root:/bin/sh\n")
    (root / "etc/shells").write_text("/bin/sh\n")
    key = folder / "host"
    argv = ["dropbearkey", "-t", "ed25519", "-f", root / "etc/host"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    public = next(line for line in said.splitlines() if line.startswith("ssh-ed25519 ")).split()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key.write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n")
    script = (
        'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && '
        f'exec chroot "$1" "$2" -F -E {"" if password else "-s"} -p "127.0.0.1:$3" -r /etc/host'
    )
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(root), dropbear, str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield {
            "host": "127.0.0.1",
            "port": port,
            "user": "root",
            **({"password_env": "LITESMITH_BENCH_PASSWORD"} if password else {"key": str(folder / "client")}),
            "known_hosts": {"file": str(key)},
            "target": "x86_64",
            "folder": "/data/litesmith",
        }
    finally:
        process.kill()
        process.wait()
