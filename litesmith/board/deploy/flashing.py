"""A program into one board that no SSH reaches: a runner of the profile writes it there.

Whatever can be known beforehand is checked before the board is touched.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from litesmith.base import files, paths, process
from litesmith.base.errors import BoardError, TimeOutError, ToolError, UsageError
from litesmith.board.deploy.deployer import Deployment
from litesmith.board.deploy.inventory import FlashBoard
from litesmith.board.deploy.package import Package
from litesmith.board.deploy.uploads import Report
from litesmith.measure.size.elf import Elf
from litesmith.target.flash_tools import IMAGE, SCRIPT, FlashRunner, Step
from litesmith.target.profiles import Profile

_VERSION_SECONDS = 20
_LONGEST_COMPLAINT = 300
# What erased flash holds.
_FILL = b"\xff"
_LISTENING = "0A"
_NEXT: dict[Step, str] = {
    "connect": "nothing was written; see whether the board is on, and reached by nobody else",
    "flash": "the board may hold half of a program: deploy again",
    "readback": "the board may hold half of a program: deploy again",
    "run": "the program is on the board: see what it says there",
}


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """What a board's runner needs on this machine: its tool, and what is missing."""

    tool: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """A runner that has been found fit for a board; ``described`` is its tool with the version."""

    runner: FlashRunner
    tool: Path
    described: str


def flash(board: FlashBoard, package: Package, report: Report) -> Deployment:
    """Writes the program of a package, its model inside, into one board.

    Raises:
        BoardError: with the step that failed; up to the step lock the board was not touched.
    """
    report("check")
    if board.target != package.profile.name:
        raise BoardError(
            board.name,
            "check",
            f"the inventory says that it is a {board.target}, and the program is for {package.profile.name}",
            f"deploy with --target {board.target}, or correct the inventory",
        )
    ready = _ready(board, package.profile)
    obstacle = _obstacle(board, ready.runner)
    if obstacle:
        raise BoardError(
            board.name, "check", obstacle, "see whether it is on and connected, or correct the inventory"
        )
    image = _image(board, package, ready.runner)
    report("lock")
    with files.locked(_lock_file(board, ready.runner)):
        report("flash")
        _write(board, ready, image)
    report("done")
    return Deployment(
        board=board.name,
        release=package.release,
        before="",
        sent=len(image),
        verdict=_verdict(ready),
    )


def refuse_rollback(board: FlashBoard, report: Report) -> Deployment:
    """A flashed board keeps no earlier release.

    Raises:
        BoardError: always.
    """
    report("check")
    raise BoardError(
        board.name,
        "check",
        f"the runner {board.runner} cannot go back: a board that is flashed keeps no earlier release",
        "deploy the earlier model again",
    )


def examine(board: FlashBoard, profile: Profile) -> Readiness:
    """Whether a board's runner could start; the board is not touched."""
    try:
        ready = _ready(board, profile)
    except BoardError as error:
        return Readiness(tool="", problem=str(error))
    return Readiness(tool=ready.described, problem=_obstacle(board, ready.runner))


def _ready(board: FlashBoard, profile: Profile) -> _Ready:
    """The runner of a board, and its tool."""

    def failed(message: str, next_step: str) -> BoardError:
        return BoardError(board.name, "check", message, next_step)

    try:
        runner = profile.runner(board.runner)
    except UsageError as error:
        raise failed(error.message, error.next_step) from None
    tool = runner.tool()
    if tool is None:
        tools = " or ".join(runner.tools)
        raise failed(f"the runner {runner.name} needs {tools}, which is not installed", runner.install)
    try:
        return _Ready(runner=runner, tool=tool, described=_described(runner, tool))
    except ToolError as error:
        raise failed(error.message, runner.install) from None


def _obstacle(board: FlashBoard, runner: FlashRunner) -> str:
    """What is wrong with a board's entry, or with the way to it."""
    return runner.misfit(board) or _unreachable(board)


def _unreachable(board: FlashBoard) -> str:
    """What keeps this machine from reaching a board, as far as that shows without touching it."""
    if board.device is not None:
        try:
            kind = Path(board.device).stat().st_mode
        except OSError as error:
            return f"there is no {board.device}: {error.strerror}"
        if not stat.S_ISCHR(kind):
            return f"{board.device} is no serial device"
        if not os.access(board.device, os.R_OK | os.W_OK):
            return f"{board.device} cannot be read and written by this user"
    if board.remote is not None and _nobody_listens(board.remote):
        return f"nothing listens at {board.remote}"
    return ""


def _nobody_listens(remote: str) -> bool:
    """Whether an address of this machine has no server, as its kernel says.

    Of other machines nothing is known: a gdb server takes the first connection for its debugger's,
    so that asking it would start the program that waits there.
    """
    host, _, port = remote.rpartition(":")
    if host not in ("localhost", "[::1]") and not re.fullmatch(r"127(\.\d+){3}", host):
        return False
    tables = [path for name in ("tcp", "tcp6") if (path := Path("/proc/net") / name).is_file()]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    open_ports = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENING}
    return bool(rows) and int(port) not in open_ports


def _image(board: FlashBoard, package: Package, runner: FlashRunner) -> bytes:
    """What the runner writes."""
    most = package.profile.resources.flash
    elf = Elf.read(package.program)
    if elf.needs_loader:
        raise BoardError(
            board.name,
            "check",
            "the program needs a dynamic loader, and nothing of the kind is flashed",
            "build it statically: --toolchain zig",
        )
    flat = runner.image == "bin"
    size = _span(elf) if flat else sum(len(content) for _, content in elf.placed())
    if size > most:
        raise BoardError(
            board.name,
            "check",
            f"the program takes {files.human_size(size)}, and the flash of a {package.profile.name} has "
            f"{files.human_size(most)}",
            "take a smaller model, or correct 'resources' of the profile",
        )
    return flat_image(elf) if flat else elf.data


def _span(elf: Elf) -> int:
    placed = elf.placed()
    return max(address + len(content) for address, content in placed) - placed[0][0] if placed else 0


def flat_image(elf: Elf) -> bytes:
    """The loaded segments as they lie in memory, from the lowest physical address on.

    Raises:
        ToolError: two segments want the same place.
    """
    placed = elf.placed()
    image = bytearray()
    for address, content in placed:
        offset = address - placed[0][0]
        if offset < len(image):
            raise ToolError(f"{elf.path}: two segments lie at {address:#x}", "link it to other addresses")
        image += _FILL * (offset - len(image)) + content
    return bytes(image)


def _lock_file(board: FlashBoard, runner: FlashRunner) -> Path:
    """One for each way in: two runners at one device are in each other's way, too."""
    device = os.path.realpath(board.device) if board.device else None
    way_in = device or board.remote or [runner.name, board.probe]
    return paths.cache_folder() / "locks" / f"flash-{files.digest_of(way_in)[:16]}"


@contextmanager
def _placed(runner: FlashRunner, board: FlashBoard, image: bytes) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with what the tool reads, and nothing else that it could take for its configuration.

    Names in it are ours: a path of the user's would have to be quoted in the tool's own language.
    """
    with tempfile.TemporaryDirectory(prefix="litesmith-") as folder:
        given = {IMAGE: f"program.{runner.image}", SCRIPT: "commands", **board.given()}
        (Path(folder) / given[IMAGE]).write_bytes(image)
        (Path(folder) / given[SCRIPT]).write_text(runner.script_text(given), encoding="utf-8")
        yield Path(folder), given


def _write(board: FlashBoard, ready: _Ready, image: bytes) -> None:
    """Runs the tool, and believes what it says and not its exit code alone."""
    runner = ready.runner
    with _placed(runner, board, image) as (folder, given):
        argv = (str(ready.tool), *runner.words(given))
        seconds = board.timeout or runner.timeout
        try:
            # Tools say what we look for in English only.
            done = process.run(argv, cwd=folder, env={"LC_ALL": "C"}, timeout=seconds)
        except TimeOutError as error:
            raise BoardError(
                board.name,
                "flash",
                error.message,
                "it may hold half of a program; see whether it hangs, or give it more time: 'timeout' in the "
                "inventory",
            ) from None
    said = done.stdout.decode(errors="replace")
    step = _failed_step(runner, f"{said}\n{done.stderr}", done.code)
    if step is not None:
        raise BoardError(board.name, step, _complaint(runner, said, done), _NEXT[step])


def _failed_step(runner: FlashRunner, said: str, code: int) -> Step | None:
    """The first step that there is no evidence for; None when all went well."""
    for step in runner.steps:
        if step in runner.evidence and not re.search(runner.evidence[step], said):
            return step
    if code == 0:
        return None
    return runner.steps[-1] if runner.evidence else "flash"


def _complaint(runner: FlashRunner, said: str, done: process.Completed) -> str:
    """What the tool says that went wrong, in one line."""
    errors = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    lines = [*errors, *(line.strip() for line in said.splitlines() if line.strip())]
    telling = [line for line in lines if runner.complaint and re.search(runner.complaint, line)]
    last = errors[-1] if errors else (lines[-1] if lines else f"exit code {done.code}")
    line = telling[0] if telling else last
    # It may come from the board: nothing of it may steer a terminal.
    printable = "".join(letter if letter.isprintable() else " " for letter in line)
    return f"{Path(done.argv[0]).name}: {printable[:_LONGEST_COMPLAINT]}"


def _described(runner: FlashRunner, tool: Path) -> str:
    """The tool with its version, where it says one.

    Raises:
        ToolError: it does not start.
    """
    if not runner.version:
        return tool.name
    done = process.run([tool, *runner.version], env={"LC_ALL": "C"}, timeout=_VERSION_SECONDS)
    number = re.search(r"\d+\.\d+[\w.]*", done.stdout.decode(errors="replace") + done.stderr)
    return f"{tool.name} {number[0]}" if number else tool.name


def _verdict(ready: _Ready) -> str:
    """What was proven, and what was not."""
    capabilities = ready.runner.capabilities
    done = "flashed and read back" if "readback" in capabilities else "flashed"
    if "run" not in capabilities:
        return f"{done}, not proven: {ready.described} brings no answers back"
    return f"{done}, ran to its normal end; {ready.described} brings no answers back to compare"
