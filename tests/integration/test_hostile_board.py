"""What a board sends is not trusted: every answer has a limit in time and in size, and the expected form."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litesmith.study.op_models.writer import Graph
from tests.conftest import EXAMPLES, Cli, one_error_line
from tests.integration import hostile_board, sshd
from tests.integration.hostile_board import drip, pour, said_before

GESTURE = EXAMPLES / "gesture.tflite"
# Parts of the scripts in templates/board/ by which they are recognised.
LOCK, PROBE, RUN = "ln -sf 0", 'echo "machine=', "--output-dir ."
BACK = "there is no release before"
SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The program is in the cache, so that times are those of the board."""
    command = [sys.executable, "-m", "litesmith", "build", "--target", "x86_64", "--model", str(GESTURE)]
    subprocess.run(command, cwd=tmp_path_factory.mktemp("warm"), check=True, capture_output=True)


def on(part: str, act: Callable[[str, Any], None]) -> hostile_board.Behaviour:
    """Acts when a script has this part, and runs every other one."""

    def behaviour(command: str, channel: Any) -> bool:
        if part not in command:
            return False
        act(command, channel)
        return True

    return behaviour


def answer(text: bytes, code: int = 0) -> Callable[[str, Any], None]:
    """Sends this as the output of the script."""

    def act(command: str, channel: Any) -> None:
        while channel.recv(32768):
            pass
        channel.sendall(said_before(command) + text)
        channel.send_exit_status(code)

    return act


def dripped(before: bytes = b"") -> Callable[[str, Any], None]:
    def act(command: str, channel: Any) -> None:
        channel.sendall(said_before(command) + before)
        drip(channel)

    return act


def poured(command: str, channel: Any) -> None:
    channel.sendall(said_before(command))
    pour(channel)


def complained(_: str, channel: Any) -> None:
    while not channel.closed:
        channel.sendall_stderr(b"x" * 32768)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (on(PROBE, lambda _, channel: drip(channel)), "probe: no answer within 3 s"),
        (on(PROBE, lambda _, channel: drip(channel, b"x\n")), "probe: no answer within 3 s"),
        (on(PROBE, dripped()), "probe: no answer within 3 s"),
        (on(PROBE, poured), "probe: the command wrote more than 1 MiB"),
        (on(PROBE, complained), "probe: the command wrote more than 1 MiB"),
        (
            on(PROBE, answer("machine=x86_64\nfree=²\nlibc_version=².²\nlacks=mv\x1b[2J\n".encode())),
            "probe: it has no mv\\u001b[2J",
        ),
        (on(LOCK, lambda _, channel: drip(channel)), "lock: no answer within 3 s"),
        (on(LOCK, lambda _, channel: drip(channel, b"x\n")), "lock: no answer within 3 s"),
        (
            on(LOCK, lambda _, channel: pour(channel)),
            "lock: the connection broke: a line of its answer is longer",
        ),
        (on(LOCK, dripped()), "lock: no answer within 3 s"),
        (on(LOCK, poured), "lock: the connection broke: a line of its answer is longer"),
        (on(LOCK, answer(b"busy 1 \x1b[2J" + b"y" * 3000 + b"\n")), "lock: "),
        (
            on(RUN, answer(b"0" + b" 1" * 20_000 + b"\n" + b"x" * 20_000)),
            "it sent 20000 outputs, and the program has 1",
        ),
        (on(RUN, answer(b"0\n")), "it sent 0 outputs, and the program has 1"),
        (on(RUN, answer(b"")), "it sent 0 outputs, and the program has 1"),
        (on(RUN, answer(b"-5 9\nxxxx")), "its answer does not begin with sizes"),
        (on(RUN, answer(b"0 " + b"9" * 5000 + b"\n")), "its answer does not begin with sizes"),
        (on(RUN, answer(b"0 16\nxxxx")), "its answer was cut short"),
        (on(RUN, answer(b"0 4\nxxxx")), "WRONG"),
        (on(RUN, answer(b"\x1b]0;mine\x07\n", 4)), "smoke run: "),
        (on(RUN, dripped()), "smoke run: no answer within 8 s"),
        (on(RUN, poured), "smoke run: the command wrote more than 64 MiB"),
    ],
)
def test_an_answer_is_not_trusted(
    cli: Cli, tmp_path: Path, behaviour: hostile_board.Behaviour, message: str
) -> None:
    """The deployment ends in time, with one line, and nothing is switched."""
    with hostile_board.running(tmp_path, behaviour) as entry:
        sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
        began = time.monotonic()
        done = cli("deploy", "--target", "x86_64", "--model", GESTURE, "--board", "bench")
        took = time.monotonic() - began
    line = one_error_line(done)
    assert message in line, line
    assert (done.returncode in (1, 3, 4), took < SECONDS, len(line) < 1500) == (True, True, True), (
        took,
        line,
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert not (tmp_path / "board/current").exists()


def test_a_board_that_drips_after_the_deployment(cli: Cli, tmp_path: Path) -> None:
    """The shell that holds the lock does not end: the release is switched, and the client ends."""

    def act(command: str, channel: Any) -> None:
        channel.sendall(said_before(command) + b"taken\n")
        token = command.split(str(tmp_path / "board"))[1].split()[0].strip("'")
        (tmp_path / "board").mkdir(exist_ok=True)
        (tmp_path / "board/.lock").symlink_to(f"{token} boot 0 me")
        drip(channel, b"1\n")

    with hostile_board.running(tmp_path, on(LOCK, act)) as entry:
        sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
        began = time.monotonic()
        done = cli("deploy", "--target", "x86_64", "--model", GESTURE, "--board", "bench")
        assert time.monotonic() - began < SECONDS
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "board/current/program").is_file()


@pytest.mark.parametrize(
    "names", [b"", b"one", b"a b c", b"a ../../etc", b"a \x1b[2J", b"\xff \xfe", b"a " + b"b" * 9999]
)
def test_releases_of_a_rollback_are_not_trusted(cli: Cli, tmp_path: Path, names: bytes) -> None:
    with hostile_board.running(tmp_path, on(BACK, answer(names))) as entry:
        sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
        done = cli("rollback", "--board", "bench")
    line = one_error_line(done)
    assert (done.returncode, "its answer does not name two releases" in line) == (1, True), line


@pytest.mark.parametrize(
    "said", [b"S", b"nonsense\n", b"SSH-2.0-x\r\n\0", b"SSH-2.0-" + b"x" * 300, b"\x1b[2J\n"]
)
def test_a_server_that_never_finishes_its_greeting(cli: Cli, tmp_path: Path, said: bytes) -> None:
    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        listener.settimeout(0.1)
        while not stop.is_set():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.sendall(said)
                    while not stop.wait(0.2):
                        client.sendall(said[-1:])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        entry = {
            "host": "127.0.0.1",
            "port": listener.getsockname()[1],
            "user": "u",
            "agent": True,
            "known_hosts": {"policy": "accept-new", "file": "hosts"},
            "target": "x86_64",
            "timeout": 2,
        }
        sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
        began = time.monotonic()
        try:
            done = cli("rollback", "--board", "bench")
        finally:
            stop.set()
            thread.join()
        assert time.monotonic() - began < SECONDS
    line = one_error_line(done)
    assert (done.returncode, line.startswith("error: bench, connect: "), len(line) < 1500) == (1, True, True)
    assert "\x1b" not in done.stderr


def test_no_switch_without_proof(cli: Cli, tmp_path: Path) -> None:
    """Random numbers cannot be compared: the program is not switched to unless the user says so."""
    graph = Graph()
    shape = graph.const([4], "int32")
    out = graph.output("float32", (4,))
    graph.op("RANDOM_UNIFORM", [shape], [out], seed=0, seed2=0)
    model = tmp_path / "random.tflite"
    model.write_bytes(graph.content())
    deploy = ("deploy", "--target", "x86_64", "--model", model, "--board", "bench")
    with hostile_board.running(tmp_path, lambda _command, _channel: False) as entry:
        sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
        refused = cli(*deploy)
        line = one_error_line(refused)
        assert (refused.returncode, "no outputs of the program were compared on the board" in line) == (
            4,
            True,
        )
        assert "draws random numbers" in line
        assert line.endswith("deploy again with --unproven to switch to it all the same")
        assert not (tmp_path / "board/current").exists()
        done = cli(*deploy, "--unproven", "--json")
        assert done.returncode == 0, done.stderr
        verdict = json.loads(done.stdout)["boards"]["bench"]["deployment"]["verdict"]
        assert "not verified" in verdict
        assert (tmp_path / "board/current/program").is_file()


def test_wrong_outputs_are_never_switched_to(cli: Cli, tmp_path: Path) -> None:
    with hostile_board.running(tmp_path, on(RUN, answer(b"0 4\nxxxx"))) as entry:
        sshd.write_inventory(tmp_path / "boards.yaml", bench=entry)
        done = cli("deploy", "--target", "x86_64", "--model", GESTURE, "--board", "bench", "--unproven")
    assert (done.returncode, "WRONG" in one_error_line(done)) == (4, True), done.stderr
    assert not (tmp_path / "board/current").exists()
