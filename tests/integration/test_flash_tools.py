"""The flash tool gdb-remote and a real gdb, with the gdb server of an emulator."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLES, ROOT, Cli, one_error_line
from tests.integration import sshd
from tests.integration.conftest import Build, require_or_skip
from tests.integration.test_deploy import Proxy

GESTURE = EXAMPLES / "gesture.tflite"
CUTS = 8


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    missing = [name for name in ("gdb-multiarch", "qemu-arm", "qemu-x86_64") if not shutil.which(name)]
    require_or_skip(f"not installed: {', '.join(missing)}" if missing else "")


def make_blank(program: Path, path: Path) -> Path:
    """A blank board for a program: writable memory at its addresses, filled with zeros."""
    data = bytearray(program.read_bytes())
    wide = data[4] == 2
    start = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)[0]
    (count,) = struct.unpack_from("<H", data, 56 if wide else 44)
    size, flags_at, layout = (56, 4, "<IIQQQQ") if wide else (32, 24, "<IIIIII")
    for position in range(start, start + count * size, size):
        fields = struct.unpack_from(layout, data, position)
        kind, offset, length = (
            (fields[0], fields[2], fields[5]) if wide else (fields[0], fields[1], fields[4])
        )
        if kind == 1:
            data[position + flags_at] |= 2
            # The part of the file that the kernel reads is kept.
            first = max(offset, start + count * size)
            data[first : offset + length] = bytes(max(offset + length - first, 0))
    path.write_bytes(data)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def blank(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = build("armv7", GESTURE, embed_model=True).program
    return make_blank(program, tmp_path_factory.mktemp("boards") / "blank")


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def listens(port: int) -> bool:
    """Waits without connecting: the first connection becomes the emulator's debugger."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


@dataclass
class Emulator:
    """An emulator whose program waits for a debugger."""

    port: int
    process: subprocess.Popen[str]

    def ended(self) -> tuple[int, str]:
        """Exit code and output."""
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out


@contextmanager
def emulated(
    program: Path, *arguments: str, command: tuple[str, ...] = ("qemu-arm", "-cpu", "cortex-a7")
) -> Iterator[Emulator]:
    port = free_port()
    process = subprocess.Popen(
        [*command, "-g", str(port), str(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for _ in range(500):
            if listens(port):
                break
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        yield Emulator(port, process)
    finally:
        process.kill()
        process.communicate()


def write_boards(folder: Path, **boards: dict[str, Any]) -> None:
    (folder / "boards.yaml").write_text(json.dumps({"boards": boards}))


def probe(port: int, **more: Any) -> dict[str, Any]:
    return {"target": "armv7", "runner": "gdb-remote", "remote": f"127.0.0.1:{port}", **more}


def deploy(
    cli: Cli, *more: str, target: str = "armv7", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return cli("deploy", "--target", target, "--model", GESTURE, "--board", "probe-1", *more, env=env)


def board_result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return json.loads(done.stdout)["boards"]["probe-1"]  # type: ignore[no-any-return]


def test_a_deployment(cli: Cli, blank: Path, tmp_path: Path) -> None:
    """The waiting board contains no program, so the one that runs and succeeds was transferred."""
    alone = subprocess.run(["qemu-arm", "-cpu", "cortex-a7", str(blank)], capture_output=True, timeout=60)
    assert alone.returncode != 0
    with emulated(blank) as emulator:
        write_boards(tmp_path, **{"probe-1": probe(emulator.port)})
        seen = json.loads(cli("boards", "--probe", "--json").stdout)[0]
        assert (seen["ready"], seen["tool"].startswith("gdb-multiarch ")) == (True, True)
        done = deploy(cli, "--json")
        assert done.returncode == 0, done.stderr
        code, out = emulator.ended()
    assert (code, out.splitlines()[0].startswith("out0: ")) == (0, True)
    deployment = board_result(done)["deployment"]
    assert deployment["verdict"].startswith("flashed and read back, ran to its normal end; gdb-multiarch ")
    assert deployment["sent"] == (tmp_path / "build/armv7/gesture/bin/gesture").stat().st_size
    stored = json.loads((tmp_path / "build/armv7/gesture/deploy.json").read_text())
    assert stored["boards"]["probe-1"]["deployment"] == deployment
    assert cli("boards").stdout.count("gdb-remote") == 1


def test_a_program_that_fails_on_the_board(cli: Cli, blank: Path, tmp_path: Path) -> None:
    with emulated(blank, "--bogus") as emulator:
        write_boards(tmp_path, **{"probe-1": probe(emulator.port)})
        done = deploy(cli)
    assert done.returncode == 1
    assert "probe-1, run: gdb-multiarch: [Inferior 1 (process 1) exited with code 02]" in one_error_line(done)


def test_a_program_that_was_not_written_is_not_run(cli: Cli, blank: Path, tmp_path: Path) -> None:
    """A flash tool of a profile that omits the load command."""
    own = (ROOT / "targets/runners/gdb-remote.yaml").read_text().replace("  - load\n", "")
    own = "".join(line for line in own.splitlines(True) if not line.startswith(("  connect:", "  flash:")))
    text = (ROOT / "targets/armv7.yaml").read_text()
    nested = "".join(f"    {line}" for line in own.splitlines(True))
    (tmp_path / "mine.yaml").write_text(text.replace("  gdb-remote:\n", f"  compares-only:\n{nested}"))
    with emulated(blank) as emulator:
        write_boards(tmp_path, **{"probe-1": probe(emulator.port, target="mine", runner="compares-only")})
        done = deploy(cli, target="mine.yaml")
        assert done.returncode == 1
        assert "MIS-MATCHED" in one_error_line(done)
        _, out = emulator.ended()
    line = one_error_line(done)
    assert line.startswith("error: probe-1, readback: gdb-multiarch: Section .rodata, range ")
    assert "out0" not in out


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_an_endpoint_that_is_not_a_gdb_server(cli: Cli, tmp_path: Path, answer: bytes) -> None:
    def serve(server: socket.socket) -> None:
        end, _ = server.accept()
        with end:
            end.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        write_boards(tmp_path, **{"probe-1": probe(server.getsockname()[1], timeout=20)})
        done = deploy(cli)
        thread.join()
    assert (done.returncode, one_error_line(done).startswith("error: probe-1, connect: ")) == (1, True)


def test_a_port_without_a_server(cli: Cli, tmp_path: Path) -> None:
    port = free_port()
    write_boards(tmp_path, **{"probe-1": probe(port)})
    done = deploy(cli)
    assert done.returncode == 1
    assert f"probe-1, check: nothing listens at 127.0.0.1:{port}" in one_error_line(done)
    seen = cli("boards", "--probe", "--json")
    assert (seen.returncode, json.loads(seen.stdout)[0]["ready"]) == (1, False)


def test_a_board_that_hangs(cli: Cli, blank: Path, tmp_path: Path) -> None:
    with emulated(blank) as emulator:
        emulator.process.send_signal(signal.SIGSTOP)
        write_boards(tmp_path, **{"probe-1": probe(emulator.port, timeout=2)})
        began = time.monotonic()
        done = deploy(cli)
        assert time.monotonic() - began < 60
    assert (
        done.returncode,
        "probe-1, flash: gdb-multiarch did not end within 2 s" in one_error_line(done),
    ) == (1, True)


class KillingProxy(Proxy):
    """Kills the emulator at the point where the base class would drop the connection."""

    def __init__(self, emulator: Emulator, limit: int | None) -> None:
        self._emulator = emulator
        super().__init__(emulator.port, limit)

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        # gdb sends small packets and waits for the reply to each.
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super()._pump(source, target, counted)

    def _cut(self) -> None:
        self._emulator.process.kill()
        super()._cut()


def test_an_emulator_that_dies_at_any_point(cli: Cli, blank: Path, tmp_path: Path) -> None:
    def through(limit: int | None) -> tuple[subprocess.CompletedProcess[str], int]:
        with emulated(blank) as emulator:
            proxy = KillingProxy(emulator, limit)
            write_boards(tmp_path, **{"probe-1": probe(proxy.port)})
            done = deploy(cli, "--json")
            proxy.close()
        return done, proxy.passed

    done, total = through(None)
    assert done.returncode == 0, done.stderr
    steps = []
    for number in range(CUTS):
        done, passed = through(number * (total - 200) // (CUTS - 1) + 20)
        assert done.returncode == 1, f"cut {number} at {passed} of {total}: {done.stdout}"
        result = board_result(done)
        assert result["status"] == "failed"
        assert one_error_line(done).startswith(f"error: probe-1, {result['step']}: gdb-multiarch: ")
        steps.append(result["step"])
    assert {"connect", "flash"} <= set(steps) <= {"connect", "flash", "readback", "run"}
    assert steps[-1] in {"readback", "run"}


@pytest.mark.parametrize(
    "entry",
    [
        {"remote": "|touch PWNED"},
        {"remote": "127.0.0.1:1\nshell touch PWNED"},
        {"remote": "x:1", "runner": "$(touch PWNED)"},
        {"remote": "x:1", "target": "./evil.yaml"},
        {"runner": "openocd", "config": "../evil.cfg"},
        {"runner": "openocd", "config": "board/x.cfg", "probe": "[exec touch PWNED]"},
        {"remote": "x:1", "arguments": ["-ex", "shell touch PWNED"]},
    ],
)
def test_an_untrusted_inventory(cli: Cli, tmp_path: Path, entry: dict[str, Any]) -> None:
    evil = {"evil": {"description": "x", "tools": ["touch"], "install": "x", "image": "elf"}}
    evil["evil"] |= {"arguments": ["PWNED", "{image}"], "capabilities": ["flash"], "version": ["PWNED"]}  # type: ignore[dict-item]
    text = (ROOT / "targets/armv7.yaml").read_text()
    (tmp_path / "evil.yaml").write_text(
        text.replace("runners:\n  gdb-remote:\n", f"runners: {json.dumps(evil)}\n")
    )
    write_boards(tmp_path, **{"probe-1": {"target": "armv7", "runner": "gdb-remote", **entry}})
    for done in (deploy(cli), cli("boards", "--probe")):
        assert done.returncode == 2
        assert "boards.probe-1." in one_error_line(done)
    assert not list(tmp_path.rglob("PWNED"))


def test_gdb_reads_no_scripts(cli: Cli, blank: Path, tmp_path: Path) -> None:
    """Neither the user's own scripts nor those in the working folder."""
    for name in (".gdbinit", ".gdbearlyinit", "program.elf-gdb.gdb", "gesture-gdb.gdb", "commands"):
        (tmp_path / name).write_text(f"shell touch {tmp_path}/PWNED\n")
    with emulated(blank) as emulator:
        write_boards(tmp_path, **{"probe-1": probe(emulator.port)})
        done = deploy(cli, env={"HOME": str(tmp_path), "LITESMITH_CACHE": str(cache())})
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "PWNED").exists()


def cache() -> Path:
    from litesmith.base import paths

    return paths.cache_folder()


def test_both_kinds_of_boards(cli: Cli, build: Build, tmp_path: Path) -> None:
    """One gets the program and the model as files, the other a program with an embedded model."""
    found = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    require_or_skip("" if found else "sshd is not installed; apt-get install openssh-server")
    program = build("x86_64", GESTURE, embed_model=True).program
    (tmp_path / "sshd").mkdir()
    board = make_blank(program, tmp_path / "blank")
    with sshd.running(tmp_path / "sshd") as server, emulated(board, command=("qemu-x86_64",)) as emulator:
        flashed = probe(emulator.port, target="x86_64")
        sshd.write_inventory(
            tmp_path / "boards.yaml", **{"bench": server.board(tmp_path / "there"), "probe-1": flashed}
        )
        done = cli("deploy", "--target", "x86_64", "--model", GESTURE, "--all", "--json")
        assert done.returncode == 0, done.stderr
        code, out = emulator.ended()
    assert (code, "out0: " in out) == (0, True)
    boards = json.loads(done.stdout)["boards"]
    assert "verified" in boards["bench"]["deployment"]["verdict"]
    assert "ran to its normal end" in boards["probe-1"]["deployment"]["verdict"]
    assert (tmp_path / "there/current/model-0.tflite").is_file()
    assert {path.name for path in (tmp_path / "build/x86_64").iterdir()} == {"gesture", "gesture-flash"}
