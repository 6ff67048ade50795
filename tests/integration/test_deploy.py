"""Deployments to a real SSH server, with realistic faults."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLES, Cli, one_error_line
from tests.integration import small_board, sshd
from tests.integration.conftest import default_sigint, require_or_skip
from tests.integration.sshd import Server

GESTURE = EXAMPLES / "gesture.tflite"
DIGITS = EXAMPLES / "digits.tflite"
CUTS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = shutil.which("sshd") or (shutil.which("/usr/sbin/sshd"))
    require_or_skip("" if found else "sshd is not installed; apt-get install openssh-server")
    with sshd.running(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The install folder of the board bench."""
    return tmp_path / "board folder"


@pytest.fixture
def inventory(tmp_path: Path, server: Server, board: Path) -> Path:
    return sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))


def deploy(cli: Cli, model: Path = GESTURE, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return cli("deploy", "--target", "x86_64", "--model", model, "--board", "bench", *more)


def deployed(cli: Cli, model: Path = GESTURE, *more: str | Path) -> dict[str, Any]:
    done = deploy(cli, model, "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["boards"]["bench"]["deployment"]  # type: ignore[no-any-return]


def current_release(board: Path) -> str:
    """Runs the current release of the board and returns its name."""
    current = (board / "current").resolve()
    model = current / "model-0.tflite"
    done = subprocess.run(
        [current / "program", "--model", model, "--json"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return current.name


def leftovers(board: Path) -> list[str]:
    hidden = [path.name for path in board.rglob(".*")]
    return [
        name
        for name in hidden
        if name.startswith((".lock", ".beat", ".breaking", ".partial", ".new", ".current", ".scratch"))
    ]


@pytest.mark.usefixtures("inventory")
def test_a_deployment(cli: Cli, board: Path, tmp_path: Path) -> None:
    first = deployed(cli)
    assert current_release(board) == first["release"]
    assert (first["before"], first["sent"] > 200_000) == ("", True)
    assert "verified" in first["verdict"]
    assert leftovers(board) == []
    release = json.loads((board / "current/release.json").read_text())
    assert release["files"]["program"] in {path.name for path in (board / "files").iterdir()}
    stored = json.loads((tmp_path / "build/x86_64/gesture/deploy.json").read_text())
    assert stored["failed"] == []

    # Files are sent once, and only new files are sent.
    assert deployed(cli)["sent"] == 0
    second = deployed(cli, DIGITS)
    assert (second["before"], current_release(board)) == (first["release"], second["release"])
    back = cli("rollback", "--board", "bench", "--json")
    assert json.loads(back.stdout)["boards"]["bench"]["deployment"]["release"] == first["release"]
    assert current_release(board) == first["release"]
    assert leftovers(board) == []


@pytest.mark.usefixtures("inventory")
def test_only_a_new_model_is_sent(cli: Cli, tmp_path: Path) -> None:
    """The same ops, other weights: the program is already on the board."""
    deployed(cli)
    other = tmp_path / "gesture.tflite"
    content = bytearray(GESTURE.read_bytes())
    # Changing a byte of the description affects only the digest.
    content[content.index(b"MLIR")] = ord("m")
    other.write_bytes(content)
    sent = deployed(cli, other)["sent"]
    assert sent == len(content)


@pytest.mark.usefixtures("inventory")
def test_old_releases_are_removed(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board, keep=1))
    releases = []
    for letter in "abc":
        model = tmp_path / f"{letter}.tflite"
        content = bytearray(GESTURE.read_bytes())
        content[content.index(b"MLIR")] = ord(letter)
        model.write_bytes(content)
        releases.append(deployed(cli, model)["release"])
    assert {path.name for path in (board / "releases").iterdir()} == set(releases[1:])
    # One program and two models.
    assert len(list((board / "files").iterdir())) == 3
    assert cli("rollback", "--board", "bench").returncode == 0
    done = cli("rollback", "--board", "bench")
    assert done.returncode == 1
    assert "bench, switch: there is no release before" in one_error_line(done)
    assert current_release(board) == releases[1]


class Proxy:
    """A proxy between client and board that drops the connection after ``limit`` bytes from the client."""

    def __init__(self, port: int, limit: int | None, *, stall: bool = False) -> None:
        self.passed = 0
        self._target, self._limit, self._stall = port, limit, stall
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [client, there]
                self._start(self._pump, client, there, True)
                self._start(self._pump, there, client, False)

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if counted:
                    self.passed += len(data)
                    if self._limit is not None and self.passed > self._limit:
                        if not self._stall:
                            self._cut()
                            return
                        # The connection stays open, but carries no more data.
                        continue
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut(self) -> None:
        for end in (self._socket, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drops the remaining connections and closes all sockets."""
        self._cut()
        for thread in self._threads:
            thread.join()
        for end in (self._socket, *self._ends):
            end.close()


def through(
    tmp_path: Path, server: Server, board: Path, limit: int | None, *, stall: bool = False, **more: object
) -> Proxy:
    """An inventory whose board is behind a proxy."""
    proxy = Proxy(server.port, limit, stall=stall)
    host = (server.folder / "host.pub").read_text().split()
    known = tmp_path / "proxy_hosts"
    known.write_text(f"[127.0.0.1]:{proxy.port} {host[0]} {host[1]}\n")
    entry = server.board(board, known_hosts={"file": str(known)}, **more)
    sshd.write_inventory(tmp_path / "boards.yaml", bench={**entry, "port": proxy.port})
    return proxy


def test_a_connection_that_is_lost_anywhere(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    """After each lost connection the board runs its previous release, and the next deployment succeeds."""
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
    before = deployed(cli)["release"]
    after = deployed(cli, DIGITS)["release"]
    assert cli("rollback", "--board", "bench").returncode == 0
    shutil.copytree(board, tmp_path / "saved", symlinks=True)

    def restore() -> None:
        # Shells on the board notice within moments that the connection is lost.
        for _ in range(600):
            if subprocess.run(["pgrep", "-f", str(board)], capture_output=True).returncode:
                break
            time.sleep(0.05)
        shutil.rmtree(board)
        shutil.copytree(tmp_path / "saved", board, symlinks=True)
        stored = {path.name for path in (board / "files").iterdir()}
        used = {link.resolve().name for link in (board / "current").resolve().iterdir()}
        for name in stored - used:
            (board / "files" / name).unlink()

    restore()
    proxy = through(tmp_path, server, board, None)
    assert deploy(cli, DIGITS).returncode == 0
    proxy.close()
    total = proxy.passed

    steps = set()
    for number in range(CUTS):
        restore()
        proxy = through(tmp_path, server, board, (number * total) // CUTS + 40)
        done = deploy(cli, DIGITS, "--json")
        proxy.close()
        assert done.returncode == 1, f"cut {number} at {proxy.passed} of {total}: {done.stderr}"
        results = json.loads(done.stdout)["boards"]["bench"]
        assert results["status"] == "failed"
        assert one_error_line(done).startswith("error: bench, ")
        steps.add(results["step"])
        assert current_release(board) == (before if results["step"] != "switch" else current_release(board))
    # The connection was lost during connect, during transfer, and during the run.
    assert steps >= {"connect", "upload", "smoke run"}

    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
    assert deployed(cli, DIGITS)["release"] == after
    assert current_release(board) == after
    assert leftovers(board) == []


def test_a_connection_that_stalls(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    """The connection stalls without being closed: each step has a timeout."""
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
    before = deployed(cli)["release"]
    proxy = through(tmp_path, server, board, None)
    assert deploy(cli).returncode == 0
    proxy.close()
    total = proxy.passed
    for number in range(3):
        proxy = through(
            tmp_path, server, board, ((number + 1) * total) // 4, stall=True, timeout=3, run_timeout=5
        )
        began = time.monotonic()
        done = deploy(cli, GESTURE, "--json")
        took = time.monotonic() - began
        proxy.close()
        assert (done.returncode, took < 25) == (1, True), (
            f"{took} s at {proxy.passed} of {total}: {done.stderr}"
        )
        assert one_error_line(done).startswith("error: bench, ")
        assert current_release(board) == before
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
    assert deployed(cli)["release"] == before


@pytest.mark.usefixtures("inventory")
def test_a_client_that_is_killed(cli: Cli, board: Path, tmp_path: Path) -> None:
    before = deployed(cli)["release"]
    for delay in (1.5, 2.0, 2.5):
        arguments = ["deploy", "--target", "x86_64", "--model", str(DIGITS), "--board", "bench"]
        client = subprocess.Popen(
            [sys.executable, "-m", "litesmith", *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL
        )
        time.sleep(delay)
        client.send_signal(signal.SIGKILL)
        client.wait()
        assert current_release(board) in {before, (board / "current").resolve().name}
    assert deployed(cli, DIGITS)["release"] == current_release(board)
    assert leftovers(board) == []


def shell(name: str) -> str:
    """A script as it is sent to boards."""
    folder = Path(__file__).parents[2] / "templates/board"
    return "".join((folder / f"{part}.sh").read_text() for part in ("prelude", name))


def hold_lock(board: Path, owner: str, token: str = "token") -> subprocess.Popen[bytes]:
    """A shell that holds the lock as long as its input is open."""
    holder = subprocess.Popen(
        ["sh", "-c", shell("lock"), "sh", str(board), token, owner, "20", "8"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"taken\n"
    return holder


@pytest.mark.usefixtures("inventory")
def test_two_deployers_at_once(cli: Cli, board: Path) -> None:
    deployed(cli)
    # A live deployer: it holds the lock and renews its heartbeat.
    holder = hold_lock(board, "ann@desk, process 7")
    assert holder.stdout is not None
    assert holder.stdin is not None
    stop = threading.Event()

    def live() -> None:
        assert holder.stdin is not None
        while not stop.wait(1):
            holder.stdin.write(b"\n")
            holder.stdin.flush()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        done = deploy(cli, DIGITS)
        assert done.returncode == 1
        assert "bench, lock: ann@desk, process 7 has been deploying to it for " in one_error_line(done)
    finally:
        stop.set()
        thread.join()
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
    assert leftovers(board) == []
    assert deployed(cli, DIGITS)["release"] == current_release(board)


@pytest.mark.usefixtures("inventory")
def test_a_stale_lock(cli: Cli, board: Path) -> None:
    """A lock from another boot, or without a heartbeat for long, is taken over."""
    deployed(cli)
    own = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    for boot in ("00000000", own):
        (board / ".lock").symlink_to(f"token {boot} 1 bob@desk, process 1")
        assert deployed(cli)["release"] == current_release(board)
        assert leftovers(board) == []


def test_clients_take_over_a_stale_lock_one_at_a_time(tmp_path: Path) -> None:
    """Several clients wait for a lock whose owner is dead; they get it one after the other."""
    board = tmp_path / "board"
    board.mkdir()
    (board / ".lock").symlink_to("gone 00000000 1 bob")
    several = [
        subprocess.Popen(
            ["sh", "-c", shell("lock"), "sh", str(board), f"t{n}", f"waiter {n}", "20", "60"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for n in range(6)
    ]
    order: list[int] = []
    for process in several:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
    end = time.monotonic() + 60
    while len(order) < len(several) and time.monotonic() < end:
        taken = [
            n
            for n, process in enumerate(several)
            if n not in order and process.stdout is not None and process.stdout.read() == b"taken\n"
        ]
        assert len(taken) <= 1, "two at a time"
        for n in taken:
            assert str((board / ".lock").readlink()).startswith(f"t{n} ")
            order.append(n)
            several[n].communicate()
        time.sleep(0.02)
    assert sorted(order) == list(range(6))
    assert leftovers(board) == []


def test_a_deployer_that_lost_its_lock(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    """It was suspended for so long that another deployer took over: it makes no further changes."""
    slow = ["sh", "-c", 'sleep 6; exec "$@"', "sh"]
    sshd.write_inventory(
        tmp_path / "boards.yaml",
        slow=server.board(board, run_prefix=slow, keep=1),
        bench=server.board(board, keep=1),
    )
    arguments = ["deploy", "--target", "x86_64", "--model", str(DIGITS), "--board", "slow", "--json"]
    sleeper = subprocess.Popen(
        [sys.executable, "-m", "litesmith", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(board.glob(".scratch-*")):
        assert sleeper.poll() is None
        time.sleep(0.05)
    sleeper.send_signal(signal.SIGSTOP)
    release = deployed(cli)["release"]
    sleeper.send_signal(signal.SIGCONT)
    stdout, stderr = sleeper.communicate(timeout=60)
    assert sleeper.returncode == 1, stdout + stderr
    assert json.loads(stdout)["failed"] == ["slow"]
    assert current_release(board) == release
    assert leftovers(board) == []


def test_connections_that_are_refused(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    changed = tmp_path / "changed"
    key = (tmp_path / "other.pub").read_text().split()
    changed.write_text(f"[127.0.0.1]:{server.port} {key[0]} {key[1]}\n")
    (tmp_path / "empty").write_text("")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    entry = server.board(board)
    anyone = {"policy": "accept-new", "file": str(tmp_path / "e")}
    for more, message in (
        ({"key": str(other)}, "refused the login"),
        ({"key": str(tmp_path / "none")}, "there is no key file"),
        ({"known_hosts": {"file": str(changed)}}, "differs from the known one"),
        ({"known_hosts": {"file": str(tmp_path / "empty")}}, "is unknown"),
        ({"known_hosts": {"file": str(tmp_path / "none")}}, "there is no file"),
        (
            {"port": closed, "known_hosts": anyone},
            "no connection to",
        ),
        (
            {"password_env": "LITESMITH_BENCH_PASSWORD", "key": None},
            "LITESMITH_BENCH_PASSWORD with its password is not set",
        ),
    ):
        changed_entry = {name: value for name, value in {**entry, **more}.items() if value is not None}
        sshd.write_inventory(tmp_path / "boards.yaml", bench=changed_entry)
        done = deploy(cli)
        line = one_error_line(done)
        assert (done.returncode, message in line) == (1, True), line
        assert line.startswith("error: bench, connect: ")
    assert not board.exists()
    done = cli("boards", "--probe", "--json")
    assert (done.returncode, json.loads(done.stdout)[0]["reachable"]) == (1, False)


def test_a_board_that_hangs(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        entry = server.board(
            board, timeout=2, known_hosts={"policy": "accept-new", "file": str(tmp_path / "h")}
        )
        sshd.write_inventory(tmp_path / "boards.yaml", bench={**entry, "port": silent.getsockname()[1]})
        began = time.monotonic()
        done = deploy(cli)
        assert time.monotonic() - began < 30
    assert done.returncode == 1
    assert one_error_line(done).startswith("error: bench, connect: ")


@pytest.mark.usefixtures("root")
def test_a_board_that_is_full(cli: Cli, server: Server, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", disk], check=True)
    try:
        board = disk / "board"
        sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
        before = deployed(cli)["release"]
        done = deploy(cli, EXAMPLES / "det.tflite")
        assert done.returncode == 1
        assert "bench, space: " in one_error_line(done)
        assert current_release(board) == before
        # Full to the last byte, regardless of what df reports.
        with contextlib.suppress(OSError), (disk / "filler").open("wb") as filler:
            while filler.write(bytes(1024)):
                pass
        done = deploy(cli, DIGITS)
        assert (done.returncode, one_error_line(done).startswith("error: bench, ")) == (1, True)
        assert current_release(board) == before
        (disk / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        done = deploy(cli, DIGITS)
        assert (done.returncode, "bench, lock: " in one_error_line(done)) == (1, True)
        assert current_release(board) == before
        subprocess.run(["mount", "-o", "remount,rw,size=4m", disk], check=True)
        assert deployed(cli, DIGITS)["release"] == current_release(board)
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


@pytest.mark.usefixtures("inventory")
def test_a_program_for_another_architecture(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    done = cli("deploy", "--target", "armv7", "--model", GESTURE, "--board", "bench")
    assert "its target in the inventory is x86_64, and the program is for armv7" in one_error_line(done)
    # The inventory is wrong: the board reports its real architecture.
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board, target="armv7"))
    done = cli("deploy", "--target", "armv7", "--model", GESTURE, "--board", "bench")
    assert "bench, probe: its machine is x86_64, and armv7 is for armv7l, armv8l" in one_error_line(done)
    assert not board.exists()
    done = cli("boards", "--probe", "--json")
    assert (done.returncode, "its machine is x86_64" in json.loads(done.stdout)[0]["misfit"]) == (3, True)


def test_a_fleet_with_faulty_boards(cli: Cli, server: Server, tmp_path: Path) -> None:
    """Five faulty boards neither delay nor affect fifteen good ones."""
    key = str(tmp_path / "none")
    silent = socket.create_server(("127.0.0.1", 0))
    hangs = {"port": silent.getsockname()[1], "timeout": 3}
    accept = {"policy": "accept-new", "file": str(tmp_path / "h")}
    # Twenty connections at once on two cores, beside another worker's tests.
    boards = {f"good-{n}": server.board(tmp_path / f"g{n}", tags=["fleet"], timeout=60) for n in range(15)}
    boards |= {
        "bad-key": server.board(tmp_path / "b1", key=key),
        "bad-port": {**server.board(tmp_path / "b2", known_hosts=accept), "port": 1},
        "bad-hang": {**server.board(tmp_path / "b3", known_hosts=accept), **hangs},
        "bad-target": server.board(tmp_path / "b4", target="armv7"),
        "bad-folder": server.board(Path("/proc/none")),
    }
    sshd.write_inventory(tmp_path / "boards.yaml", **boards)
    done = cli("deploy", "--target", "x86_64", "--model", GESTURE, "--all", "--json", timeout=300)
    silent.close()
    assert done.returncode == 1
    results = json.loads(done.stdout)
    assert results["done"] == 15
    assert sorted(results["failed"]) == ["bad-folder", "bad-hang", "bad-key", "bad-port", "bad-target"]
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: bad-")]) == 5
    for n in range(15):
        assert current_release(tmp_path / f"g{n}") == results["boards"]["good-0"]["deployment"]["release"]


def test_a_name_that_looks_like_a_command(cli: Cli, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "a;touch PWNED $(touch PWNED2) 'b"
    sshd.write_inventory(tmp_path / "boards.yaml", **{"a;rm -rf": server.board(folder)})
    done = cli("deploy", "--target", "x86_64", "--model", GESTURE, "--board", "a;rm -rf")
    assert done.returncode == 0, done.stderr
    assert current_release(folder)
    home = Path.home()
    assert not list(tmp_path.glob("PWNED*"))
    assert not list(home.glob("PWNED*"))


def test_a_password_is_never_printed_or_stored(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    """The password from the environment is in no output and no file, even with --debug."""
    secret = "correct-horse-battery"
    entry = {**server.board(board), "password_env": "LITESMITH_BENCH_PASSWORD"}
    sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
    env = {"LITESMITH_BENCH_PASSWORD": secret, "LITESMITH_DEBUG": "1"}
    done = cli("deploy", "--target", "x86_64", "--model", GESTURE, "--board", "bench", env=env)
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            path = Path(folder, name)
            assert not path.is_file() or secret.encode() not in path.read_bytes()


@pytest.fixture
def small(tmp_path: Path, root: None) -> Path:
    """A folder for a board that has only busybox and dropbear."""
    del root
    missing = [name for name in ("busybox", "dropbear", "dropbearkey") if not shutil.which(name)]
    require_or_skip(
        f"not installed: {', '.join(missing)}; apt-get install busybox-static dropbear-bin" if missing else ""
    )
    folder = tmp_path / "small"
    folder.mkdir()
    return folder


def test_a_password(cli: Cli, small: Path, tmp_path: Path) -> None:
    """The right one, and a wrong one after which the board still runs its previous release."""
    arguments = ("deploy", "--target", "x86_64", "--board", "bench", "--json", "--model")
    with small_board.running(small, "correct-horse") as entry:
        sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
        done = cli(*arguments, GESTURE, env={"LITESMITH_BENCH_PASSWORD": "correct-horse"})
        assert done.returncode == 0, done.stderr
        before = json.loads(done.stdout)["boards"]["bench"]["deployment"]["release"]
        wrong = cli(*arguments, DIGITS, env={"LITESMITH_BENCH_PASSWORD": "wrong-horse"})
        line = one_error_line(wrong)
        assert (wrong.returncode, line.startswith("error: bench, connect: 127.0.0.1:")) == (1, True)
        assert "refused the login as root; check user, key and password" in line
        assert "horse" not in wrong.stdout + wrong.stderr
        assert current_release(small / "root/data/litesmith") == before


def test_a_board_with_busybox_and_dropbear(cli: Cli, small: Path, tmp_path: Path) -> None:
    """No coreutils, bash or OpenSSH: only a shell, sha256sum and the other tools of busybox."""
    with small_board.running(small) as entry:
        sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
        board = small / "root/data/litesmith"
        probed = cli("boards", "--probe", "--json")
        assert probed.returncode == 0, probed.stdout + probed.stderr
        first = deployed(cli)
        second = deployed(cli, DIGITS)
        assert current_release(board) == second["release"]
        assert second["before"] == first["release"]
        assert "verified" in second["verdict"]
        assert cli("rollback", "--board", "bench").returncode == 0
        assert current_release(board) == first["release"]
        assert leftovers(board) == []
        measured = cli("bench.board", "--board", "bench", "--target", "x86_64", "--model", GESTURE, "--json")
        assert measured.returncode == 0, measured.stderr
        assert leftovers(board) == []


def test_a_program_that_never_ends(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    """It is terminated on the board, which keeps its previous release."""
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
    before = deployed(cli)["release"]
    stuck = ["sh", "-c", "exec sleep 4321", "sh"]
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board, run_prefix=stuck, run_timeout=2))
    began = time.monotonic()
    done = deploy(cli, DIGITS)
    assert (done.returncode, time.monotonic() - began < 25) == (4, True), done.stderr
    assert "did not end within 2 s" in one_error_line(done)
    assert subprocess.run(["pgrep", "-f", "sleep 4321"], capture_output=True).returncode == 1
    assert current_release(board) == before
    assert leftovers(board) == []


def test_an_interrupted_deployment(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    """Ctrl-C in the smoke run stops at once, the release is not switched, and deploy.json says so."""
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
    before = deployed(cli)["release"]
    slow = ["sh", "-c", 'sleep 5; exec "$@"', "sh"]
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board, run_prefix=slow))
    arguments = ["deploy", "--target", "x86_64", "--model", str(DIGITS), "--board", "bench"]
    client = subprocess.Popen(
        [sys.executable, "-m", "litesmith", *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=default_sigint,
    )
    while not list(board.glob(".scratch-*")):
        assert client.poll() is None
        time.sleep(0.05)
    began = time.monotonic()
    client.send_signal(signal.SIGINT)
    _, stderr = client.communicate(timeout=60)
    assert (client.returncode, time.monotonic() - began < 10) == (130, True), stderr
    assert "error: interrupted" in stderr
    stored = json.loads((tmp_path / "build/x86_64/digits/deploy.json").read_text())
    assert stored["failed"] == ["bench"]
    time.sleep(2)
    assert current_release(board) == before
    assert leftovers(board) == []


def test_failed_deployments_leave_no_files(cli: Cli, server: Server, board: Path, tmp_path: Path) -> None:
    """The next deployment removes files that were never released, whether or not it succeeds."""
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
    deployed(cli)
    kept = {path.name for path in (board / "files").iterdir()}
    failing = server.board(board, run_prefix=["false"])
    sshd.write_inventory(tmp_path / "boards.yaml", bench=failing)
    for model in (DIGITS, EXAMPLES / "words.tflite"):
        assert deploy(cli, model).returncode == 4
    (board / "files/.partial-old").write_bytes(bytes(1000))
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(board))
    assert deployed(cli)["sent"] == 0
    assert {path.name for path in (board / "files").iterdir()} == kept


@pytest.mark.usefixtures("inventory")
def test_no_rollback_to_a_broken_release(cli: Cli, board: Path) -> None:
    first = deployed(cli)["release"]
    second = deployed(cli, DIGITS)["release"]
    (board / "releases" / first / "model-0.tflite").resolve().unlink()
    done = cli("rollback", "--board", "bench")
    assert done.returncode == 1
    assert "is not whole: its model-0.tflite is missing" in one_error_line(done)
    assert current_release(board) == second


def test_a_login_shell_with_a_greeting(cli: Cli, server: Server, tmp_path: Path) -> None:
    """A login shell that prints a greeting first, and a folder whose name has special characters."""
    shell = tmp_path / "greeting"
    shell.write_text('#!/bin/sh\necho Welcome to the board\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    folder = tmp_path / 'back\\slash and "quotes" $HOME'
    sshd.write_inventory(tmp_path / "boards.yaml", bench=server.board(folder, run_prefix=["env"]))
    config = server.folder / "config"
    plain = config.read_text()
    config.write_text(f'{plain}ForceCommand {shell} -c "$SSH_ORIGINAL_COMMAND"\n')
    server.stop()
    server.start()
    try:
        assert deployed(cli)["release"] == current_release(folder)
        assert cli("boards", "--probe").returncode == 0
    finally:
        config.write_text(plain)
        server.stop()
        server.start()
    assert leftovers(folder) == []


def test_known_hosts_are_only_added_to(cli: Cli, server: Server, tmp_path: Path) -> None:
    """Many boards at once, a file with lines of all kinds: they are kept, and one line is added."""
    known = tmp_path / "known"
    before = (
        "# mine\n@cert-authority *.example ssh-ed25519 AAAA\nnonsense\n"
        "sk.example sk-ssh-ed25519@openssh.com AAAA comment"
    )
    known.write_text(before)
    entry = server.board(tmp_path / "b", known_hosts={"policy": "accept-new", "file": str(known)})
    sshd.write_inventory(tmp_path / "boards.yaml", **{f"b{n}": entry for n in range(12)})
    for _ in range(2):
        done = cli("boards", "--probe", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
    lines = known.read_text().splitlines()
    assert lines[:4] == before.splitlines()
    assert set(lines[4:]) == {(server.folder / "known_hosts").read_text().strip()}
    # The board is known now: another key is refused.
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    key = (tmp_path / "other.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{server.port} {key[0]} {key[1]}\n")
    done = cli("boards", "--probe", "--json", "--board", "b1")
    assert (done.returncode, "differs from the known one" in json.loads(done.stdout)[0]["error"]) == (1, True)
