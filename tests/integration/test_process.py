from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from litesmith.base import process
from litesmith.base.errors import ToolError
from litesmith.board.deploy.remote import command_line

pytestmark = pytest.mark.build


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def test_output_and_exit_code() -> None:
    done = process.run(
        [sys.executable, "-c", "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"]
    )
    assert (done.code, done.stdout, done.stderr) == (3, b"out\n", "err")


def test_words_are_not_interpreted_by_a_shell(tmp_path: Path) -> None:
    done = process.run(["echo", "$HOME; touch x", "*"], cwd=tmp_path)
    assert done.stdout == b"$HOME; touch x *\n"
    assert list(tmp_path.iterdir()) == []


def test_the_given_environment_extends_the_current_one() -> None:
    done = process.run(["sh", "-c", "echo $ONE $PATH"], env={"ONE": "1"})
    assert done.stdout.decode().strip() == f"1 {os.environ['PATH']}"


def test_there_is_no_standard_input() -> None:
    assert process.run(["cat"], timeout=10).stdout == b""


def test_a_missing_program() -> None:
    with pytest.raises(ToolError, match="no-such-program cannot be started"):
        process.run(["no-such-program"])


def test_a_timeout_ends_the_whole_process_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(ToolError, match="sh did not end within 1 s"):
        process.run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], timeout=1)
    assert time.monotonic() - started < 20
    child = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_a_ctrl_c_that_python_drops_is_sent_again() -> None:
    """Python only prints a KeyboardInterrupt in a destructor or in a callback of an import."""
    code = """
import signal, time, weakref
from litesmith.cli import error_handling

class Thing: pass

def drop(_): signal.raise_signal(signal.SIGINT)

@error_handling.exits_on_error
def work():
    thing = Thing()
    reference = weakref.ref(thing, drop)
    del thing
    time.sleep(20)
    raise SystemExit(7)

signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    work()
except BaseException as error:
    raise SystemExit(error.code)
"""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert time.monotonic() - start < 15
    assert "error: interrupted" in done.stderr


def test_lines_are_passed_on_as_they_are_printed() -> None:
    seen: list[tuple[str, float]] = []
    script = (
        "import sys, time; print('a', flush=True); time.sleep(1); print('b'); sys.stderr.write('e' * 200000)"
    )
    done = process.follow(
        [sys.executable, "-c", script], lambda line: seen.append((line.strip(), time.monotonic()))
    )
    assert [line for line, _ in seen] == ["a", "b"]
    assert seen[1][1] - seen[0][1] > 0.5
    assert (done.code, done.stdout, done.stderr) == (0, b"", "e" * 200000)


def test_a_program_that_is_followed_ends_in_time(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(ToolError, match="sh did not end within 1 s"):
        process.follow(
            ["sh", "-c", f"echo a; sleep 60 & echo $! > {pid_file}; wait"], lambda _: None, timeout=1
        )
    child = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_an_error_of_the_listener_ends_the_program() -> None:
    def refuse(_line: str) -> None:
        raise KeyError

    started = time.monotonic()
    with pytest.raises(KeyError):
        process.follow(["sh", "-c", "echo a; sleep 60"], refuse)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("word", ["a b", "$(touch x)", "a'b", '"', ";rm -rf /", "", "\\", "*", "-n"])
def test_arguments_are_quoted(word: str) -> None:
    line = command_line('printf "%s|" "$@"', [word, "end"])
    assert subprocess.run(["sh", "-c", line], capture_output=True, text=True).stdout == f"{word}|end|"


@pytest.mark.parametrize("place", ["task", "start"])
def test_an_interruption_in_generated_code_has_its_exit_code(tmp_path: Path, place: str) -> None:
    """``python -m`` would end by SIGINT (-2): CPython notes a Ctrl-C in code made from a string."""
    interrupt = 'exec("raise KeyboardInterrupt")'
    (tmp_path / "interrupted.py").write_text(
        "from invoke.collection import Collection\n"
        "from litesmith.__main__ import main\n"
        "from litesmith.cli import commands\n"
        "from litesmith.cli.command import command\n"
        "@command()\n"
        "def stop() -> None:\n"
        '    """Stop."""\n'
        f"    {interrupt}\n"
        "def namespace(development: bool) -> Collection:\n"
        f"    {interrupt if place == 'start' else ''}\n"
        "    return Collection(stop)\n"
        "commands.namespace = namespace\n"
        "main(['stop'])\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[2])])
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("error: interrupted")
    assert len(done.stderr.splitlines()) == 1
