"""Boards flashed by a script on the PATH, and the images that it gets."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litesmith.base.errors import BoardError, ToolError, UsageError
from litesmith.board.deploy import flashing
from litesmith.board.deploy.inventory import FlashBoard
from litesmith.board.deploy.package import Package
from litesmith.measure.size.elf import Elf
from litesmith.target import profiles
from tests import elves
from tests.flash_tools import OWN, profile_with

pytestmark = pytest.mark.build


Tool = Callable[[str], None]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> Tool:
    """Installs ``my-loader``, a shell script that records its arguments."""
    del empty_cache
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def install(text: str) -> None:
        path = folder / "my-loader"
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "My Loader 7.1" && exit\n{text}\n')
        path.chmod(0o755)

    return install


@pytest.fixture
def program(tmp_path: Path) -> Path:
    part = elves.Part(".text", elves.ALLOC | elves.EXECUTE, b"code" * 100)
    return elves.write(tmp_path / "program", [part])


def package(program: Path, runner: dict[str, Any] | None = None, **profile: object) -> Package:
    made = profile_with(**({"mine": {**OWN, **runner}} if runner is not None else {}))
    return Package(
        profile=made.model_copy(update=profile),
        models=(),
        content={"program": program},
        digests={},
        release="r1",
        made_with={},
    )


def board(**values: Any) -> FlashBoard:
    return FlashBoard(
        **{"name": "bench", "target": "armv7", "runner": "mine", "remote": "10.0.0.1:3333", **values}
    )


def _ignore(_step: str) -> None:
    pass


def flashed(board: FlashBoard, package: Package) -> tuple[str, list[str]]:
    steps: list[str] = []
    return flashing.flash(board, package, steps.append).verdict, steps


def failed(board: FlashBoard, package: Package) -> BoardError:
    with pytest.raises(BoardError) as caught:
        flashing.flash(board, package, _ignore)
    assert str(caught.value).startswith(f"bench, {caught.value.step}: ")
    return caught.value


def test_a_tool_gets_only_the_program(tool: Tool, program: Path, tmp_path: Path) -> None:
    tool(f'printf "%s|" "$@" > {tmp_path}/words; ls -A > {tmp_path}/there; cmp "$3" {program}')
    verdict, steps = flashed(board(), package(program, {}))
    assert verdict == "flashed, not verified: my-loader 7.1 returns no outputs"
    assert steps == ["check", "lock", "flash", "done"]
    assert (tmp_path / "words").read_text() == "--to|10.0.0.1:3333|program.elf|"
    assert (tmp_path / "there").read_text().split() == ["commands", "program.elf"]


def test_a_flat_image(tool: Tool, program: Path, tmp_path: Path) -> None:
    tool(f'cp "$3" {tmp_path}/image')
    flashed(board(), package(program, {"image": "bin"}))
    assert (tmp_path / "image").read_bytes() == flashing.flat_image(Elf.read(program))


EVIDENCE = {
    "capabilities": ["flash", "readback", "run"],
    "evidence": {"connect": "hello", "flash": "written", "readback": "equal", "run": "ended"},
    "complaint": "^E: ",
}


@pytest.mark.parametrize(
    ("script", "step", "message"),
    [
        ("echo no board >&2; exit 1", "connect", "my-loader: no board"),
        ("exit 7", "connect", "my-loader: exit code 7"),
        ("echo hello; echo 'E: write failed'; echo bye", "flash", "my-loader: E: write failed"),
        ("echo hello written", "readback", "my-loader: hello written"),
        ("echo hello written equal; echo 'E: died' >&2", "run", "my-loader: E: died"),
        ("echo hello written equal ended; exit 1", "run", "my-loader: hello written equal ended"),
        (r"printf 'E: \033[2Jgone\007\n'; exit 1", "connect", "my-loader: E:  [2Jgone "),
    ],
)
def test_the_output_of_a_tool_is_the_evidence(
    tool: Tool, program: Path, script: str, step: str, message: str
) -> None:
    tool(script)
    error = failed(board(), package(program, EVIDENCE))
    assert (error.step, error.message) == (step, f"bench, {step}: {message}")
    assert error.next_step


def test_all_evidence(tool: Tool, program: Path) -> None:
    tool("echo hello written equal ended")
    verdict, _ = flashed(board(), package(program, EVIDENCE))
    assert (
        verdict == "flashed and read back, ran to its normal end; my-loader 7.1 returns no outputs to compare"
    )


def test_a_tool_that_fails_without_evidence(tool: Tool, program: Path) -> None:
    tool("echo first; echo second; exit 3")
    assert failed(board(), package(program, {})).message == "bench, flash: my-loader: second"


def test_a_tool_that_hangs(tool: Tool, program: Path) -> None:
    tool("sleep 60")
    error = failed(board(timeout=0.3), package(program, {}))
    assert error.step == "flash"
    assert "did not end within" in error.message


def test_everything_is_checked_before_the_board_is_touched(
    tool: Tool, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = tmp_path / "touched"
    tool(f"touch {touched}")

    def check(expected: str, given: FlashBoard, made: Package) -> None:
        error = failed(given, made)
        assert error.step == "check"
        assert expected in str(error)

    check(
        "its target in the inventory is aarch64, and the program is for armv7",
        board(target="aarch64"),
        package(program, {}),
    )
    check("the profile armv7 has no flash tool 'mine'", board(), package(program))
    check("the flash tool mine needs remote: host and port", board(remote=None), package(program, {}))
    check("the flash tool mine does not take probe; it takes remote", board(probe="1"), package(program, {}))
    device = {"arguments": ["{device}", "{image}"]}
    for path, expected in (
        ("/dev/none", "there is no /dev/none"),
        ("/dev/shm", "/dev/shm is not a serial device"),
    ):
        check(expected, board(remote=None, device=path), package(program, device))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        remote = f"127.0.0.1:{unused.getsockname()[1]}"
        check(f"nothing listens at {remote}", board(remote=remote), package(program, {}))
        assert flashing.examine(board(remote=remote), package(program, {}).profile).problem
        unused.listen()
        assert not flashing.examine(board(remote=remote), package(program, {}).profile).problem
    small = profiles.load("armv7").resources.model_copy(update={"flash": 100})
    for kind in ("elf", "bin"):
        check("the flash of a armv7 has 100 B", board(), package(program, {"image": kind}, resources=small))
    dynamic = bytearray(program.read_bytes())
    dynamic[16] = 3
    other = tmp_path / "dynamic"
    other.write_bytes(dynamic)
    check("the program needs a dynamic loader", board(), package(other, {}))
    monkeypatch.setenv("PATH", str(tmp_path))
    check(
        "the flash tool mine needs my-loader, which is not installed; ask its maker",
        board(),
        package(program, {}),
    )
    assert not touched.exists()


def test_a_tool_that_does_not_start(tool: Tool, program: Path, tmp_path: Path) -> None:
    tool("")
    (tmp_path / "bin/my-loader").write_text("#!/none/sh\n")
    error = failed(board(), package(program, {}))
    assert (error.step, "cannot be started" in error.message) == ("check", True)
    assert "cannot be started" in flashing.examine(board(), package(program, {}).profile).problem


def test_two_clients_of_a_board_wait_for_each_other(tool: Tool, program: Path, tmp_path: Path) -> None:
    tool(f"mkdir {tmp_path}/busy || exit 1; sleep 0.3; rmdir {tmp_path}/busy")
    made = package(program, {})
    done: list[str] = []
    boards = [board(), board(name="other")]
    threads = [threading.Thread(target=lambda one=one: done.append(flashed(one, made)[0])) for one in boards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2


def with_segments(path: Path, *segments: tuple[int, bytes], size: int | None = None) -> Elf:
    """An Arm program with segments at the given physical addresses and no sections."""
    start = 52 + 32 * len(segments)
    header = struct.pack(
        "<4sBBB9xHHIIIIIHHHHHH",
        *(b"\x7fELF", 1, 1, 1, 2, 40, 1, 0, 52, 0, 0, 52),
        *(32, len(segments), 40, 0, 0),
    )
    headers, contents = b"", b""
    for address, content in segments:
        offset, length = start + len(contents), len(content) if size is None else size
        headers += struct.pack("<8I", 1, offset, 0x2000_0000, address, length, length, 5, 1)
        contents += content
    path.write_bytes(header + headers + contents)
    return Elf.read(path)


def test_an_image_has_the_segments_at_their_physical_addresses(tmp_path: Path) -> None:
    elf = with_segments(tmp_path / "p", (0x0800_0010, b"data"), (0x0800_0000, b"code!"), (0x9000_0000, b""))
    assert not elf.needs_loader
    assert flashing.flat_image(elf) == b"code!" + b"\xff" * 11 + b"data"


def test_impossible_images(tmp_path: Path) -> None:
    # The two are two gigabytes apart.
    elf = with_segments(tmp_path / "p", (0, b"code"), (0x8000_0000, b"data"))
    made = package(elf.path, {"image": "bin", "tools": ["/bin/true"], "version": []})
    assert "flash of a armv7" in failed(board(), made).message
    with pytest.raises(ToolError, match="two segments overlap at 0x2"):
        flashing.flat_image(with_segments(tmp_path / "p", (0, b"code"), (2, b"data")))
    with pytest.raises(UsageError, match="a segment ends beyond the end of the file"):
        flashing.flat_image(with_segments(tmp_path / "p", (0, b"code"), size=100))
